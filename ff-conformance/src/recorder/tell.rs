//! A value as a reader of a report wants it: short, and without the bytes of payloads.

use std::fmt::{self, Debug, Write};

/// Bytes of one argument or answer that a report shows.
const MOST: usize = 300;

/// Numbers of one list that are counted before the text is cut.
const MOST_ITEMS: usize = 10_000;

/// The `Debug` text of `value`: a list of numbers is told by its length, and the text is cut at 300 bytes.
pub(crate) fn tell(value: &impl Debug) -> String {
    let mut told = Told::default();
    // The only error is the one that says that enough was told.
    let cut = write!(told, "{value:?}").is_err();
    told.end_list(cut);
    if cut {
        told.text.push('…');
    }
    told.text
}

#[derive(Default)]
struct Told {
    text: String,
    list: List,
}

/// Whether the text stands inside a list of numbers.
#[derive(Default)]
enum List {
    #[default]
    No,
    /// Behind a bracket whose content is not known yet.
    Opened,
    /// Behind this many commas of a list of numbers.
    Numbers(usize),
}

impl Told {
    fn put(&mut self, c: char) -> fmt::Result {
        match (&mut self.list, c) {
            (List::No, '[') => self.list = List::Opened,
            (List::No, c) => return self.show(c),
            (List::Opened, '0'..='9') => self.list = List::Numbers(0),
            (List::Opened, c) => {
                self.list = List::No;
                self.show('[')?;
                return self.put(c);
            }
            (List::Numbers(commas), ',') => {
                *commas += 1;
                if *commas == MOST_ITEMS {
                    return Err(fmt::Error);
                }
            }
            (List::Numbers(_), ']') => self.end_list(false),
            (List::Numbers(_), _) => {}
        }
        Ok(())
    }

    fn show(&mut self, c: char) -> fmt::Result {
        if self.text.len() + c.len_utf8() > MOST {
            return Err(fmt::Error);
        }
        self.text.push(c);
        Ok(())
    }

    /// Writes what is known of a list of numbers.
    fn end_list(&mut self, cut: bool) {
        match std::mem::take(&mut self.list) {
            List::No => {}
            List::Opened => self.text.push('['),
            List::Numbers(commas) => {
                let more = if cut { "more than " } else { "" };
                let _ = write!(self.text, "[{more}{} numbers]", if cut { commas } else { commas + 1 });
            }
        }
    }
}

impl Write for Told {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.put(c))
    }
}

#[cfg(test)]
mod tests {
    use super::tell;

    #[test]
    fn payloads_are_told_by_their_length() {
        assert_eq!(tell(&Some(vec![1_u8, 2, 3])), "Some([3 numbers])");
        assert_eq!(tell(&(Vec::<u8>::new(), vec![7_u8], vec!["a"])), r#"([], [1 numbers], ["a"])"#);
        assert_eq!(tell(&vec![0_u8; 1_000_000]), "[more than 10000 numbers]…");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let told = tell(&"é".repeat(400));
        assert!(told.len() <= 303 && told.ends_with('…'), "{told}");
    }
}
