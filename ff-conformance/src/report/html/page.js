"use strict";
(() => {
  const one = (query, from = document) => from.querySelector(query);
  const all = (query, from = document) => [...from.querySelectorAll(query)];

  // Colours: as the system says, light, dark. A page from a file may have no storage.
  const themes = ["auto", "light", "dark"];
  const signs = { auto: "◐", light: "☀", dark: "☾" };
  const words = { auto: "as the system says", light: "light", dark: "dark" };
  const button = one("#theme");
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = signs[theme];
    button.title = `Colours: ${words[theme]}`;
    button.setAttribute("aria-label", `Colours: ${words[theme]}`);
  };
  let theme = themes.includes(kept()) ? kept() : "auto";
  show(theme);
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("theme", theme); } catch { /* shown all the same */ }
    show(theme);
  });

  // Search and filter: every word has to stand in a row, and one of its outcomes has to be the chosen one.
  const query = one("#query");
  const found = one("#found");
  const chips = all(".chip");
  const rows = all("[data-text]");
  const groups = all("details.stem");
  const wasOpen = new Map(groups.map((group) => [group, group.open]));
  let outcome = "";
  const apply = () => {
    const asked = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const said = asked.every((word) => row.dataset.text.includes(word));
      const is = !outcome || !row.dataset.outcomes || row.dataset.outcomes.split(" ").includes(outcome);
      row.hidden = !(said && is);
      shown += row.hidden ? 0 : 1;
    }
    const active = asked.length > 0 || outcome;
    for (const group of groups) {
      const left = all("[data-text]", group).filter((row) => !row.hidden).length;
      group.hidden = left === 0;
      one(".left", group).textContent = active ? `${left} of ` : "";
      group.open = active ? true : wasOpen.get(group);
    }
    for (const list of all("[data-none]")) {
      list.hidden = all("[data-text]", list.parentElement).some((row) => !row.hidden);
    }
    found.textContent = active ? `${shown} found` : "";
    for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.outcome === outcome));
  };
  groups.forEach((group) => one("summary", group).addEventListener("click", () => wasOpen.set(group, !group.open)));
  one("#search").hidden = false;
  one(".keys").hidden = false;
  one("#search").addEventListener("submit", (event) => {
    event.preventDefault();
    const first = rows.find((row) => !row.hidden);
    if (first) first.scrollIntoView({ block: "center" });
  });
  query.addEventListener("input", apply);
  chips.forEach((chip) => chip.addEventListener("click", () => {
    outcome = outcome === chip.dataset.outcome ? "" : chip.dataset.outcome;
    apply();
  }));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      query.focus();
      query.select();
    } else if (event.key === "Escape" && (query.value || outcome)) {
      query.value = "";
      outcome = "";
      apply();
    }
  });

  // A link leads to what it names, also where that is folded away or filtered out.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.hidden || target.closest("[hidden]")) {
      query.value = "";
      outcome = "";
      apply();
    }
    for (let place = target; place; place = place.parentElement) {
      if (place.tagName === "DETAILS") {
        place.open = true;
        if (wasOpen.has(place)) wasOpen.set(place, true);
      }
    }
    target.scrollIntoView({ block: "start" });
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    if (link.dataset.query) {
      query.value = link.dataset.query;
      outcome = "";
      apply();
    }
    // The same place twice tells no change of the address.
    if (link.hash === location.hash) reveal();
  });

  // The command that does it again, for the clipboard.
  for (const again of all("button.copy")) {
    again.hidden = false;
    again.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(again.previousElementSibling.textContent);
        again.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(again.previousElementSibling);
        again.textContent = "selected";
      }
      setTimeout(() => { again.textContent = "copy"; }, 2000);
    });
  }
})();
