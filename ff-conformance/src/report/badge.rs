//! The badge of a report, as shields.io reads it.

use serde_json::{Value, json};

use super::{Conclusion, Report};

/// The endpoint document of the badge: verdict and counts.
#[must_use]
pub fn badge(report: &Report) -> Value {
    let counts = &report.footer.counts;
    let denied = if counts.denied > 0 { format!(" + {} denied", counts.denied) } else { String::new() };
    let color = match report.footer.verdict {
        Conclusion::Certified => "brightgreen",
        Conclusion::Partial => "yellow",
        Conclusion::Failed => "red",
    };
    let version: Vec<_> = report.suite.version.split('.').take(2).collect();
    json!({
        "schemaVersion": 1,
        "label": format!("ff-conformance {}", version.join(".")),
        "message": format!("{} · {}{denied}", report.footer.verdict, counts.passed),
        "color": color,
    })
}
