//! The parity matrix: stems × profiles, for a terminal and as Markdown.

use std::{collections::BTreeSet, fmt::Write};

#[cfg(feature = "command")]
use unicode_width::UnicodeWidthStr;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tone {
    Good,
    Bad,
    Open,
    /// What does not count.
    Faint,
    #[cfg(feature = "command")]
    Title,
    #[default]
    Plain,
}

/// The space between two columns.
#[cfg(feature = "command")]
const GAP: usize = 2;

/// The last rows: the sum and the verdict.
#[cfg(feature = "command")]
const SUMS: usize = 2;

/// What the signs of cells mean.
#[cfg(feature = "command")]
const SIGNS: [(&str, &str); 6] = [
    ("✅", "passed"),
    ("⛔", "denied"),
    ("❌", "failed or errored"),
    ("◻", "not run"),
    ("—", "cannot run there"),
    ("❔", "no case"),
];

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

    /// As aligned text, with colours if asked for; columns that do not fit into `width` follow below.
    #[must_use]
    #[cfg(feature = "command")]
    pub fn terminal(&self, colours: bool, width: Option<usize>) -> String {
        let mut text = String::new();
        let (first, widths) = self.widths();
        let (mut begin, mut room) = (0, first);
        for (at, column) in widths.iter().enumerate() {
            room += GAP + column;
            if at > begin && width.is_some_and(|width| room > width) {
                text.push_str(&self.block(begin..at, colours));
                text.push('\n');
                (begin, room) = (at, first + GAP + column);
            }
        }
        text.push_str(&self.block(begin..widths.len(), colours));
        text.push_str(&self.legend(colours));
        text
    }

    /// The width of the titles of the rows, and of each column.
    #[cfg(feature = "command")]
    fn widths(&self) -> (usize, Vec<usize>) {
        let first = self.rows.iter().map(|row| row.title.width()).max().unwrap_or_default();
        let column = |(at, title): (usize, &String)| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| cell.text.width());
            cells.chain([title.width()]).max().unwrap_or_default()
        };
        (first, self.titles.iter().enumerate().map(column).collect())
    }

    /// Some columns, with a line above the sum and the verdict.
    #[cfg(feature = "command")]
    fn block(&self, columns: std::ops::Range<usize>, colours: bool) -> String {
        let (first, widths) = self.widths();
        let padded = |text: &str, tone: Tone, width: usize| {
            format!("{}{}", painted(text, tone, colours), " ".repeat(width - text.width()))
        };
        let line = |title: &str, tone: Tone, cells: &dyn Fn(usize) -> Option<(String, Tone)>| {
            let mut line = padded(title, tone, first);
            for (at, width) in widths.iter().enumerate().filter(|(at, _)| columns.contains(at)) {
                let (text, tone) = cells(at).unwrap_or_default();
                let _ = write!(line, "{}{}", " ".repeat(GAP), padded(&text, tone, *width));
            }
            format!("{}\n", line.trim_end())
        };
        let mut text = line("", Tone::Plain, &|at| Some((self.titles.get(at)?.clone(), Tone::Title)));
        for (at, row) in self.rows.iter().enumerate() {
            let is_sum = at + SUMS >= self.rows.len();
            if at + SUMS == self.rows.len() {
                let shown = widths.iter().enumerate().filter(|(at, _)| columns.contains(at));
                let length = first + shown.map(|(_, width)| GAP + width).sum::<usize>();
                let _ = writeln!(text, "{}", painted(&"─".repeat(length), Tone::Faint, colours));
            }
            let tone = if is_sum { Tone::Title } else { Tone::Plain };
            text.push_str(&line(&row.title, tone, &|at| row.cells.get(at).map(|cell| (cell.text.clone(), cell.tone))));
        }
        text
    }

    /// What the signs mean that stand in the cells.
    #[cfg(feature = "command")]
    fn legend(&self, colours: bool) -> String {
        let there = |sign: &str| self.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.text.contains(sign));
        let told: Vec<_> =
            SIGNS.iter().filter(|(sign, _)| there(sign)).map(|(sign, word)| format!("{sign} {word}")).collect();
        format!("{}\n", painted(&told.join(" · "), Tone::Faint, colours))
    }
}

/// The stems of the suite's cases, in the order of the registry.
pub(crate) fn stems() -> Vec<&'static str> {
    let mut seen = BTreeSet::new();
    CASES.iter().map(|case| case.stem).filter(|stem| seen.insert(*stem)).collect()
}

fn row(reports: &[Report], title: &str, tally: impl Fn(&Report) -> crate::report::Tally) -> Row {
    let cell = |report: &Report| {
        if report.no_server().is_some() {
            return Cell { text: "errored".to_owned(), tone: Tone::Bad };
        }
        let tally = tally(report);
        let tone = if tally.is_red() {
            Tone::Bad
        } else if tally.not_run > 0 {
            Tone::Open
        } else if tally.ineligible == tally.total() {
            Tone::Faint
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
        _ if !colours || text.is_empty() => return text.to_owned(),
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Open => "33",
        Tone::Faint => "2",
        Tone::Title => "1",
        Tone::Plain => return text.to_owned(),
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(all(test, feature = "command"))]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::{Cell, Matrix, Row, Tone};

    fn matrix() -> Matrix {
        let cell = |text: &str| Cell { text: text.to_owned(), tone: Tone::Good };
        let row = |title: &str, cells: [&str; 2]| Row { title: title.to_owned(), cells: cells.map(cell).into() };
        Matrix {
            titles: vec!["memory".to_owned(), "postgres-17".to_owned()],
            rows: vec![
                row("leases", ["✅ 11", "❌ 1/11"]),
                row("all", ["✅ 11", "❌ 1/11"]),
                row("verdict", ["certified", "failed"]),
            ],
        }
    }

    #[test]
    fn columns_are_aligned_by_what_a_terminal_shows() {
        let expected = "         memory     postgres-17\n\
                        leases   ✅ 11      ❌ 1/11\n\
                        ───────────────────────────────\n\
                        all      ✅ 11      ❌ 1/11\n\
                        verdict  certified  failed\n\
                        ✅ passed · ❌ failed or errored\n";
        assert_eq!(matrix().terminal(false, None), expected);
        assert_eq!(matrix().terminal(false, Some(31)), expected);
    }

    #[test]
    fn columns_that_do_not_fit_follow_below() {
        let text = matrix().terminal(false, Some(30));
        assert_eq!(text.lines().filter(|line| line.starts_with("verdict")).count(), 2, "{text}");
        assert!(text.lines().filter(|line| !line.contains('·')).all(|line| line.width() <= 30), "{text}");
    }

    #[test]
    fn colours_end_with_their_cell() {
        let text = matrix().terminal(true, None);
        assert!(text.contains("\x1b[32mcertified\x1b[0m") && text.contains("\x1b[1mmemory\x1b[0m"), "{text:?}");
    }
}
