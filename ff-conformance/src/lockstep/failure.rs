//! A disagreement as a reader wants it: what parted, the shortest tape, and how to see it again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Tape,
    play::{Disagreement, name},
    tape::Act,
    trace::{self, Line},
};
use crate::{expect::excerpts, report};

/// Where a store and the specification part, on the shortest tape that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockstepFailure {
    /// Which tape showed it first.
    pub from: String,
    /// The step of the shortest tape; none for what was found after the last one.
    pub step: Option<u32>,
    /// What was compared.
    pub subject: String,
    /// Its arguments.
    pub call: String,
    /// What the specification allows.
    pub expected: String,
    /// What the store says.
    pub got: String,
    /// The shortest tape.
    pub tape: String,
    /// The command that plays it.
    pub reproduce: String,
    /// A case that plays it.
    pub case: String,
}

/// Characters of a value that a report shows.
const MOST: usize = 2000;

impl LockstepFailure {
    /// The failure of `tape`, which is written beside its trace where the command finds it.
    pub(super) fn new(from: &str, backend: &str, found: Disagreement, tape: &Tape, seen: &[Line]) -> Self {
        let text = tape.text();
        let name = format!("{:016x}", fingerprint(&text));
        let folder = report::folder().join("lockstep");
        let file = folder.join(format!("{name}.json"));
        let written = report::write_file(&file, &text)
            .and_then(|()| report::write_file(&folder.join(format!("{name}.trace.jsonl")), &trace::text(seen)));
        let reproduce = match written {
            Ok(()) => format!("./dev run --backend {backend} --tape {}", from_here(file).display()),
            Err(error) => {
                format!("write the tape into a file ({error}), then: ./dev run --backend {backend} --tape FILE")
            }
        };
        let (expected, got) = excerpts(&found.expected, &found.got, MOST);
        let Disagreement { step, subject, call, .. } = found;
        let case = case(&name, &text);
        Self { from: from.to_owned(), step, subject, call, expected, got, tape: text, reproduce, case }
    }

    /// All of it, for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let place = self.step.map_or("after the last step".to_owned(), |step| format!("step {step}"));
        format!(
            "{}: the store and the specification part at {place}, {}\n  call      {}\n  expected  {}\n  got       {}\n  again     {}\n\n{}\n{}",
            self.from,
            self.subject,
            self.call,
            self.expected,
            self.got,
            self.reproduce,
            self.listing(),
            self.case,
        )
    }

    /// The tape for a reader, one step a line.
    #[must_use]
    pub fn listing(&self) -> String {
        let Ok(tape) = Tape::read(&self.tape) else { return self.tape.clone() };
        let mut lines = String::new();
        for step in &tape.steps {
            let mark = if Some(step.n) == self.step { '>' } else { ' ' };
            let told = match &step.act {
                Act::WaitMs(ms) => format!("the clock moves by {ms} ms"),
                Act::Call(call) => {
                    let call = serde_json::to_value(call).unwrap_or_default();
                    let mut fields = call.as_object().into_iter().flatten();
                    let told = fields.next().map(|(operation, arguments)| format!("{operation} {arguments}"));
                    format!("{} {}", name(step.client), told.unwrap_or_default())
                }
            };
            lines += &format!("{mark} {:>3}  {told}\n", step.n);
        }
        lines
    }
}

/// A case to paste into the file of a stem.
fn case(name: &str, tape: &str) -> String {
    format!(
        "/// (What the tape shows, as a sentence.)\n///\n/// Covers FF-XXX-000. Needs clock.\npub async fn tape_{name}(cx: &Cx) -> Verdict {{\n    let tape = r#\"{tape}\"#;\n    check!(cx, \"FF-XXX-000\", lockstep::disagreement(cx, tape).await?, is_none());\n    Ok(())\n}}\n"
    )
}

fn from_here(file: PathBuf) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).map(PathBuf::from).unwrap_or(file)
}

/// FNV-1a.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
