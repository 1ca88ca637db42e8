//! Footnotes of a generated document: each text once, numbered by its first mark.

const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

/// The texts so far.
#[derive(Default)]
pub(crate) struct Footnotes(Vec<String>);

impl Footnotes {
    /// The mark of `text`, with a space where another mark may stand before it.
    pub(crate) fn mark(&mut self, text: &str) -> String {
        let at = self.0.iter().position(|known| known == text).unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        format!(" {}", number(at + 1))
    }

    /// All footnotes; nothing if there is none.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.iter().enumerate().map(|(at, text)| format!("\n{} {text}\n", number(at + 1)));
        let lines: String = lines.collect();
        if lines.is_empty() { lines } else { format!("\n## Footnotes\n{lines}") }
    }
}

fn number(number: usize) -> String {
    let digits = number.to_string();
    digits.bytes().filter_map(|digit| DIGITS.get(usize::from(digit - b'0'))).collect()
}

#[cfg(test)]
mod tests {
    use super::Footnotes;

    #[test]
    fn a_text_has_one_number() {
        let mut notes = Footnotes::default();
        let marks: Vec<_> = ["a", "b", "a"].map(|text| notes.mark(text)).into();
        assert_eq!(marks, [" ¹", " ²", " ¹"]);
        assert_eq!(notes.text(), "\n## Footnotes\n\n¹ a\n\n² b\n");
    }
}
