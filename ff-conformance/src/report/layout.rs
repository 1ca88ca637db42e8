//! A report as text: one line for each case, operation and requirement, so that a change is a change of few lines.

use serde::Serialize;

use super::Report;

/// The report as JSON.
///
/// # Errors
/// None in practice: every part of a report has a JSON form.
pub fn text(report: &Report) -> serde_json::Result<String> {
    let cases = report.cases.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let methods = report.coverage.methods.iter();
    let methods = methods.map(|(method, answers)| Ok(format!("{}: {}", line(method)?, line(answers)?)));
    let methods = methods.collect::<serde_json::Result<Vec<_>>>()?;
    let parts = [
        ("schema", line(&report.schema)?),
        ("suite", block(&report.suite)?),
        ("identity", block(&report.identity)?),
        ("profile", block(&report.profile)?),
        ("run", block(&report.run)?),
        ("declared", block(&report.declared)?),
        ("cases", format!("[\n    {}\n  ]", cases.join(",\n    "))),
        (
            "coverage",
            format!(
                "{{\n    \"methods\": {{\n      {}\n    }},\n    \"goals_unmet\": {}\n  }}",
                methods.join(",\n      "),
                block(&report.coverage.goals_unmet)?.replace('\n', "\n  ")
            ),
        ),
        ("lockstep", block(&report.lockstep)?),
        ("races", block(&report.races)?),
        ("requirements", block(&report.requirements)?),
        ("footer", block(&report.footer)?),
    ];
    // What a run did not play has no place in its report.
    let is_played = |(name, _): &&(&str, String)| match *name {
        "lockstep" => report.lockstep.is_some(),
        "races" => !report.races.is_empty(),
        _ => true,
    };
    let parts: Vec<_> = parts.iter().filter(is_played).map(|(name, text)| format!("  \"{name}\": {text}")).collect();
    Ok(format!("{{\n{}\n}}\n", parts.join(",\n")))
}

fn line(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value)
}

/// A value over several lines, one step in.
fn block(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(value)?.replace('\n', "\n  "))
}
