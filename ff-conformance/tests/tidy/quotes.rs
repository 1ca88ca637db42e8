//! Code in Markdown that is quoted from a file which is compiled: it cannot drift.

use crate::files::{Problems, Tree, compare};

/// What stands above a block of code that is the whole of a file.
const MARK: &str = "<!-- quoted from ";

/// Quotes that differ from their files.
pub(crate) fn check(tree: &Tree) -> Problems {
    let mut problems = Problems::new();
    for (path, text) in tree.ending(".md").filter(|(_, text)| text.contains(MARK)) {
        match quoted(tree, text) {
            Ok(wanted) => problems.extend(compare(tree, path, &wanted)),
            Err(problem) => problems.push(format!("{path}: {problem}")),
        }
    }
    problems
}

/// The document with every quote as its file is now.
fn quoted(tree: &Tree, text: &str) -> Result<String, String> {
    let mut wanted = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        wanted.push_str(line);
        wanted.push('\n');
        let Some(rest) = line.strip_prefix(MARK) else { continue };
        let file = rest.trim_end_matches("-->").trim();
        let source = tree.text(file).ok_or_else(|| format!("quotes {file}, which does not exist"))?;
        let fence = lines.next().filter(|fence| fence.starts_with("```"));
        let fence = fence.ok_or_else(|| format!("no block of code follows the mark of {file}"))?;
        let closed = lines.by_ref().any(|line| line == "```");
        if !closed {
            return Err(format!("the block of code of {file} does not end"));
        }
        wanted.push_str(&format!("{fence}\n{source}```\n"));
    }
    Ok(wanted)
}
