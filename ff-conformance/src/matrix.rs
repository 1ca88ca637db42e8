//! The parity matrix: stems × profiles, for a terminal and as Markdown.

use std::{collections::BTreeSet, fmt::Write};

use crate::{
    CASES,
    report::{Conclusion, Report},
};

/// The parity matrix of several reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    titles: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    title: String,
    cells: Vec<Cell>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    text: String,
    tone: Tone,
}

/// How a cell is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Good,
    Bad,
    Open,
    #[cfg(feature = "command")]
    Plain,
}

impl Matrix {
    /// The matrix of `reports`, one column each: a row for each stem of which a case was run, the sum, the verdict.
    #[must_use]
    pub fn of(reports: &[Report]) -> Self {
        let titles = reports.iter().map(|report| report.profile.id.clone()).collect();
        let told = stems().into_iter().filter(|stem| reports.iter().any(|report| report.executed(stem)));
        let mut rows: Vec<_> = told.map(|stem| row(reports, stem, |report| report.tally(stem))).collect();
        rows.push(row(reports, "all", |report| report.footer.counts));
        let cells = reports.iter().map(verdict).collect();
        rows.push(Row { title: "verdict".to_owned(), cells });
        Self { titles, rows }
    }

    /// As a Markdown table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("| | {} |\n|---|{}\n", self.titles.join(" | "), "---|".repeat(self.titles.len()));
        for row in &self.rows {
            let cells: Vec<_> = row.cells.iter().map(|cell| cell.text.as_str()).collect();
            // Writing to a string does not fail.
            let _ = writeln!(text, "| **{}** | {} |", row.title, cells.join(" | "));
        }
        text
    }

    /// As aligned text, with colours if asked for.
    #[must_use]
    #[cfg(feature = "command")]
    pub fn terminal(&self, colours: bool) -> String {
        use unicode_width::UnicodeWidthStr;

        let first = self.rows.iter().map(|row| row.title.width()).max().unwrap_or_default();
        let widths: Vec<_> = self
            .titles
            .iter()
            .enumerate()
            .map(|(at, title)| {
                let cells = self.rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| cell.text.width());
                cells.chain([title.width()]).max().unwrap_or_default()
            })
            .collect();
        let mut text = " ".repeat(first);
        for (title, width) in self.titles.iter().zip(&widths) {
            let space = " ".repeat(width - title.width());
            let _ = write!(text, "  {}{space}", painted(title, Tone::Plain, colours));
        }
        for row in &self.rows {
            let _ = write!(text, "\n{}{}", row.title, " ".repeat(first - row.title.width()));
            for (cell, width) in row.cells.iter().zip(&widths) {
                let space = " ".repeat(width - cell.text.width());
                let _ = write!(text, "  {}{space}", painted(&cell.text, cell.tone, colours));
            }
        }
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// The stems of the suite's cases, in the order of the registry.
pub(crate) fn stems() -> Vec<&'static str> {
    let mut seen = BTreeSet::new();
    CASES.iter().map(|case| case.stem).filter(|stem| seen.insert(*stem)).collect()
}

fn row(reports: &[Report], title: &str, tally: impl Fn(&Report) -> crate::report::Tally) -> Row {
    let cell = |report: &Report| {
        let tally = tally(report);
        let tone = if tally.is_red() {
            Tone::Bad
        } else if tally.not_run > 0 {
            Tone::Open
        } else {
            Tone::Good
        };
        Cell { text: tally.to_string(), tone }
    };
    Row { title: title.to_owned(), cells: reports.iter().map(cell).collect() }
}

fn verdict(report: &Report) -> Cell {
    let tone = match report.footer.verdict {
        Conclusion::Certified => Tone::Good,
        Conclusion::Partial => Tone::Open,
        Conclusion::Failed => Tone::Bad,
    };
    let text = match report.no_server() {
        Some(_) => "errored: no server".to_owned(),
        None => report.footer.verdict.to_string(),
    };
    Cell { text, tone }
}

#[cfg(feature = "command")]
fn painted(text: &str, tone: Tone, colours: bool) -> String {
    let code = match tone {
        _ if !colours => return text.to_owned(),
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Open => "33",
        Tone::Plain => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
