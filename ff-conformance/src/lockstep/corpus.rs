//! Tapes that once failed, embedded, so that every backend plays them first.

use super::Tape;

macro_rules! corpus {
    ($($path:literal),* $(,)?) => {
        /// Each with its place below `corpus/`.
        const TEXTS: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../corpus/", $path)))),*];
    };
}

corpus! {
    "claims/a-grant-after-a-time-out-that-resumed.json",
    "claims/a-grant-lapses.json",
    "claims/a-grant-of-what-waits-for-ever.json",
    "executions/an-item-after-another-of-its-id.json",
    "scanners/a-pass-over-nothing.json",
    "waitpoints/a-resume-after-a-replay.json",
    "waitpoints/a-signal-after-an-escalation.json",
    "waitpoints/two-waitpoints-that-do-not-fit.json",
}

/// The tapes of the corpus by name; a file that is no tape is an empty one, which a test refuses.
#[must_use]
pub fn corpus() -> Vec<(&'static str, Tape)> {
    let read = |text| Tape::read(text).unwrap_or_else(|_| Tape::new(Vec::new()));
    TEXTS.iter().map(|(name, text)| (*name, read(text))).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_corpus_is_a_tape_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut found = BTreeSet::new();
        for stem in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            for file in fs::read_dir(&stem).unwrap().map(|entry| entry.unwrap().path()) {
                found.insert(file.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/"));
            }
        }
        assert_eq!(TEXTS.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>(), found);
        for (name, text) in TEXTS {
            let tape = Tape::read(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!tape.is_empty() && !tape.note.is_empty(), "{name}: has steps, and says what it once showed");
        }
    }
}
