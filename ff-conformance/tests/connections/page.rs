//! The statements of `docs/OPERATIONS.md`.

use crate::life::Tried;

const PAGE: &str = include_str!("../../../docs/OPERATIONS.md");

/// The text of the first fenced block below a heading.
pub(crate) fn block(heading: &str) -> Tried<&'static str> {
    let (_, below) = PAGE.split_once(&format!("\n## {heading}\n")).ok_or("no such heading")?;
    let (_, fenced) = below.split_once("\n```").ok_or("no block")?;
    let (_, text) = fenced.split_once('\n').ok_or("no text")?;
    Ok(text.split_once("\n```").ok_or("no end of the block")?.0)
}
