//! The Lua files: their size and heads, no expiry and one clock, and the list of the library.

use std::collections::BTreeSet;

use crate::files::{Problems, Tree};

/// Lines that a file may have.
const MOST_LINES: usize = 200;

/// Commands and options that let the server remove something by itself.
const EXPIRY: [&str; 5] = ["EXPIRE", "PEXPIRE", "EX", "PX", "EXAT"];

/// The one file that asks for the time.
const CLOCK: &str = "lua/lib/time.lua";

/// The file that lists the library.
const LIBRARY: &str = "ff-backend-valkey/src/library.rs";

/// What is wrong with the Lua files.
pub(crate) fn check(tree: &Tree) -> Problems {
    let mut problems = Problems::new();
    let files: Vec<_> = tree.ending(".lua").filter(|(path, _)| path.starts_with("lua/")).collect();
    for &(path, text) in &files {
        let lines = text.lines().count();
        if lines > MOST_LINES {
            problems.push(format!("{path}: {lines} lines, at most {MOST_LINES}"));
        }
        let head = text.lines().take_while(|line| line.starts_with("--")).count();
        let wanted = if path.starts_with("lua/lib/") { 1 } else { 3 };
        if head < wanted {
            problems.push(format!("{path}: a head of {wanted} comment lines: what it does, keys and args, returns"));
        }
        for word in strings(text) {
            let upper = word.to_uppercase();
            if EXPIRY.contains(&upper.as_str()) {
                problems.push(format!("{path}: {word:?}: what lapses carries its instant, nothing expires by itself"));
            }
            if upper == "TIME" && path != CLOCK {
                problems.push(format!("{path}: {word:?}: only {CLOCK} asks for the time"));
            }
        }
    }
    problems.extend(library(tree, files.iter().map(|(path, _)| path.trim_start_matches("lua/")).collect()));
    problems
}

/// The words that stand alone in quotes: commands and their options.
fn strings(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    code.flat_map(|line| line.split(['"', '\'']).skip(1).step_by(2))
}

/// The library holds every file, and nothing else.
fn library(tree: &Tree, files: BTreeSet<&str>) -> Problems {
    let Some(text) = tree.text(LIBRARY) else { return Problems::new() };
    let listed = text.split('"').skip(1).step_by(2).filter(|word| word.ends_with(".lua"));
    // `{stem}/{op}.lua` is the form of a name, not a name.
    let listed: BTreeSet<_> = listed.filter(|word| !word.contains('{')).collect();
    let listed: BTreeSet<_> =
        listed.iter().map(|path| path.trim_start_matches("../").trim_start_matches("lua/")).collect();
    let missing = files.difference(&listed).map(|file| format!("{LIBRARY}: does not list lua/{file}"));
    let foreign = listed.difference(&files).map(|file| format!("{LIBRARY}: lists lua/{file}, which does not exist"));
    missing.chain(foreign).collect()
}
