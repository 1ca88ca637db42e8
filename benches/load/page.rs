//! What was measured, as Markdown and as a page with plots.

use std::fmt::Write as _;

use super::{Figures, Published, Summary, pace::SHARES};
use crate::stats;

/// The size of a plot.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
/// Room for the numbers beside the axes.
const LEFT: f64 = 64.0;
const BELOW: f64 = 32.0;

/// The figures as tables.
pub(super) fn markdown(published: &Published) -> String {
    let mut text = String::from("# Open loop\n\n");
    for (store, settings) in &published.settings {
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _ = writeln!(text, "{store}: {}\n", settings.join(", "));
    }
    let _ = writeln!(
        text,
        "{} cores for clients and servers. A planted stall of 1 s in 20 s shows as p99 {:.0} ms.",
        published.cores, published.stall_p99_ms
    );
    for figures in &published.stores {
        let _ = writeln!(text, "\n## {}\n", figures.store);
        let _ = writeln!(
            text,
            "Sustained: {:.0} claims/s. At {:.0} claims/s the p99 of the engine is {:.2} times that by hand ({:.2}-{:.2}).\n",
            figures.sustained, figures.rate, figures.p99_ratio, figures.p99_interval[0], figures.p99_interval[1]
        );
        text.push_str("| response, ms | p50 | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|\n");
        for (name, summaries) in [("engine", &figures.ours), ("by hand", &figures.raw)] {
            let at = |share| middle(summaries, share);
            let _ = writeln!(
                text,
                "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999),
                at(1.0)
            );
        }
        text.push_str("\n| phase | jobs | p50 ms | p99 ms | lost | duplicated |\n|---|---|---|---|---|---|\n");
        for phase in &figures.phases {
            let _ = writeln!(
                text,
                "| {} | {} | {:.1} | {:.1} | {} | {} |",
                phase.name, phase.created, phase.p50_ms, phase.p99_ms, phase.lost, phase.duplicated
            );
        }
        let ledger = &figures.ledger;
        let _ = writeln!(
            text,
            "\n{} created, {} completed, {} lost, {} duplicated; {} creates without an answer.",
            ledger.created, ledger.completed, ledger.lost, ledger.duplicated, ledger.unanswered
        );
    }
    text
}

/// The median over the runs of the response at a share.
fn middle(summaries: &[Summary], share: f64) -> f64 {
    stats::median(&summaries.iter().map(|summary| summary.at(share)).collect::<Vec<_>>())
}

/// The figures as a page that needs nothing else.
pub(super) fn html(published: &Published) -> String {
    let mut body = String::new();
    for figures in &published.stores {
        let _ = write!(body, "<h2>{}</h2>", figures.store);
        body.push_str(&plot(
            "Response by share of claims, ms",
            &["p50", "p75", "p90", "p95", "p99", "p99.9", "max"],
            &shares(figures),
        ));
        let seconds = figures.phases.iter().flat_map(|phase| &phase.seconds);
        let line = |of: fn(&(u64, f64, f64)) -> f64| seconds.clone().map(of).collect::<Vec<_>>();
        let names: Vec<_> = seconds.clone().map(|(second, ..)| format!("{second} s")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        body.push_str(&plot(
            "Create to completion over time, ms",
            &names,
            &[("p50", line(|second| second.1)), ("p99", line(|second| second.2))],
        ));
        let _ = write!(body, "<pre>{}</pre>", phases(figures));
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Open loop</title><style>{STYLE}</style><h1>Open loop</h1>\
         <p>A planted stall of 1 s in 20 s shows as p99 {:.0} ms. {} cores for clients and servers.</p>{body}</html>\n",
        published.stall_p99_ms, published.cores
    )
}

const STYLE: &str = ":root{color-scheme:light dark;--ink:#222;--paper:#fff;--line:#ccc;--a:#0b62a4;--b:#c2410c}\
    @media(prefers-color-scheme:dark){:root{--ink:#ddd;--paper:#161616;--line:#444;--a:#6bb3f0;--b:#ff9a5c}}\
    body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:760px;margin:2em auto;\
    padding:0 1em}svg{width:100%;height:auto}text{fill:var(--ink);font-size:11px}pre{overflow-x:auto}\
    .a{stroke:var(--a);fill:none;stroke-width:2}.b{stroke:var(--b);fill:none;stroke-width:2}.g{stroke:var(--line)}";

fn shares(figures: &Figures) -> [(&'static str, Vec<f64>); 2] {
    let of = |summaries: &[Summary]| SHARES.iter().map(|share| middle(summaries, *share)).collect();
    [("engine", of(&figures.ours)), ("by hand", of(&figures.raw))]
}

fn phases(figures: &Figures) -> String {
    let mut text = format!("{:<14}{:>8}{:>10}{:>10}{:>6}{:>6}\n", "phase", "jobs", "p50 ms", "p99 ms", "lost", "twice");
    for phase in &figures.phases {
        let _ = writeln!(
            text,
            "{:<14}{:>8}{:>10.1}{:>10.1}{:>6}{:>6}",
            phase.name, phase.created, phase.p50_ms, phase.p99_ms, phase.lost, phase.duplicated
        );
    }
    text
}

/// Two lines over the same places, with a logarithmic scale.
#[expect(clippy::cast_precision_loss, reason = "few places")]
fn plot(title: &str, names: &[&str], lines: &[(&str, Vec<f64>); 2]) -> String {
    let values = || lines.iter().flat_map(|(_, values)| values.iter().copied()).filter(|value| *value > 0.0);
    let low = values().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().fold(f64::MIN_POSITIVE, f64::max).log10().ceil().max(low + 1.0);
    let across = |at: usize| LEFT + (WIDTH - LEFT - 8.0) * at as f64 / (names.len().max(2) - 1) as f64;
    let up = |value: f64| {
        let share = (value.max(f64::MIN_POSITIVE).log10() - low) / (high - low);
        8.0 + (HEIGHT - BELOW - 8.0) * (1.0 - share)
    };
    let mut drawn = String::new();
    let mut decade = low;
    while decade <= high {
        let (y, value) = (up(10_f64.powf(decade)), 10_f64.powf(decade));
        let _ = write!(drawn, "<path class=\"g\" d=\"M{LEFT} {y:.1}H{WIDTH}\"/>");
        let _ = write!(drawn, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", LEFT - 6.0, y + 4.0);
        decade += 1.0;
    }
    let step = names.len().div_ceil(12).max(1);
    for (at, name) in names.iter().enumerate().step_by(step) {
        let (x, y) = (across(at), HEIGHT - BELOW + 18.0);
        let _ = write!(drawn, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>");
    }
    for ((name, values), class) in lines.iter().zip(["a", "b"]) {
        let points = values.iter().enumerate().map(|(at, value)| format!("{:.1} {:.1}", across(at), up(*value)));
        let _ = write!(drawn, "<path class=\"{class}\" d=\"M{}\"/>", points.collect::<Vec<_>>().join("L"));
        if let (Some(last), false) = (values.last(), names.is_empty()) {
            let (x, y) = (across(names.len() - 1), up(*last) - 6.0);
            let _ = write!(drawn, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{name}</text>");
        }
    }
    format!("<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\">{drawn}</svg></figure>")
}
