//! The command with a fault in it, without a compiler: SQL and Lua lie in a program as they stand in their files.

use std::{io::BufRead, ops::Range};

/// Writes `after` over each place of `program` where `before` stands; false if there is none, or it does not fit.
pub(crate) fn overwrite(program: &mut [u8], before: &str, after: &str) -> bool {
    let Some(after) = fitted(after, before.len()) else { return false };
    let places = places(program, before);
    for place in &places {
        program[place.clone()].copy_from_slice(after.as_bytes());
    }
    !places.is_empty()
}

/// `text` with blank lines behind it up to `length`; what is too long goes without its comments.
fn fitted(text: &str, length: usize) -> Option<String> {
    let is_code = |line: &&str| !line.trim_start().starts_with("--");
    let mut text: String =
        if text.len() <= length { text.to_owned() } else { text.split_inclusive('\n').filter(is_code).collect() };
    let missing = length.checked_sub(text.len())?;
    text.push_str(&"\n".repeat(missing));
    Some(text)
}

/// Newlines are looked for, which are rare in a program, and then for the lines around them.
fn places(program: &[u8], text: &str) -> Vec<Range<usize>> {
    let Some(head) = text.find('\n') else { return Vec::new() };
    let (mut places, mut rest, mut line) = (Vec::new(), program, 0);
    while let Ok(length @ 1..) = rest.skip_until(b'\n') {
        line += length;
        let begin = line.checked_sub(head + 1);
        let found = begin.filter(|begin| program[*begin..].starts_with(text.as_bytes()));
        places.extend(found.map(|begin| begin..begin + text.len()));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::overwrite;

    #[test]
    fn a_fault_is_written_wherever_the_file_stands() {
        let mut program = b"\xff\x00-- x\na = b\n\xfe..-- x\na = b\n".to_vec();
        assert!(overwrite(&mut program, "-- x\na = b\n", "-- x\na\n"));
        assert_eq!(program, b"\xff\x00-- x\na\n\n\n\n\n\xfe..-- x\na\n\n\n\n\n");
    }

    #[test]
    fn what_is_too_long_goes_without_its_comments() {
        let mut program = b"..-- x\na = b\n..".to_vec();
        assert!(overwrite(&mut program, "-- x\na = b\n", "-- x\na <> b\n"));
        assert_eq!(program, b"..a <> b\n\n\n\n\n..");
        assert!(!overwrite(&mut program, "a <> b\n", "a IS DISTINCT FROM b\n"));
        assert!(!overwrite(&mut program, "c = d\n", "c\n"));
    }
}
