//! What workers write about themselves, a line at a time, outside of any store.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

use crate::Tried;

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The work was taken.
    Begun,
    /// The store said that it was completed.
    Done,
}

/// One line: a step of one attempt, with its fence, and a word that nobody else uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) step: Step,
    pub(crate) execution: String,
    pub(crate) index: u32,
    pub(crate) epoch: u64,
    pub(crate) word: String,
}

/// The journal of one process.
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> Tried<Self> {
        Ok(Self(OpenOptions::new().create(true).append(true).open(path)?))
    }

    /// Appends a line in one write: a kill leaves it whole or out.
    pub(crate) fn write(&mut self, line: &Line) -> Tried {
        let step = if line.step == Step::Begun { "begun" } else { "done" };
        let text = format!("{step} {} {} {} {}\n", line.execution, line.index, line.epoch, line.word);
        Ok(self.0.write_all(text.as_bytes())?)
    }
}

/// All lines of all processes.
pub(crate) fn read(folder: &Path) -> Tried<Vec<Line>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        for text in fs::read_to_string(entry?.path())?.lines() {
            lines.push(parse(text).ok_or_else(|| format!("not a line of a journal: {text}"))?);
        }
    }
    Ok(lines)
}

/// How often something was done.
pub(crate) fn done(folder: &Path) -> Tried<usize> {
    Ok(read(folder)?.iter().filter(|line| line.step == Step::Done).count())
}

fn parse(text: &str) -> Option<Line> {
    let [step, execution, index, epoch, word] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
    let step = match step {
        "begun" => Step::Begun,
        "done" => Step::Done,
        _ => return None,
    };
    let (execution, word) = (execution.to_owned(), word.to_owned());
    Some(Line { step, execution, index: index.parse().ok()?, epoch: epoch.parse().ok()?, word })
}
