//! What was measured, as Markdown and as a page with plots.

use std::fmt::Write as _;

use super::{
    Figures, Published, SLO,
    pace::{SHARES, Summary},
    plot::{document, plot},
};

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
            "Sustained: {:.0} claims/s with a p99 of at most {} ms.\n",
            figures.sustained,
            SLO.as_millis()
        );
        text.push_str("| response, ms | claims/s | p50 | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|---|\n");
        for (name, summary) in [("at 70 %", &figures.steady), ("at the highest rate", &figures.highest)] {
            let _ = write!(text, "| {name} | {:.0} |", summary.rate());
            for share in [0.5, 0.9, 0.99, 0.999, 1.0] {
                let _ = write!(text, " {:.2} |", summary.at(share));
            }
            text.push('\n');
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
            "\n{} created, {} completed, {} lost, {} duplicated; {} creates without an answer; drained in {:.0} ms.",
            ledger.created, ledger.completed, ledger.lost, ledger.duplicated, ledger.unanswered, ledger.drain_ms
        );
    }
    text
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
    let about = format!(
        "A planted stall of 1 s in 20 s shows as p99 {:.0} ms. {} cores for clients and servers.",
        published.stall_p99_ms, published.cores
    );
    document("Open loop", &about, &body)
}

fn shares(figures: &Figures) -> [(&'static str, Vec<f64>); 2] {
    let of = |summary: &Summary| SHARES.iter().map(|share| summary.at(*share)).collect();
    [("at 70 %", of(&figures.steady)), ("highest", of(&figures.highest))]
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
