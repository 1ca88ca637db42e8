//! .
use crate::files::{Problems, Tree};
/// .
pub(crate) fn check(_tree: &Tree) -> Problems {
    Problems::new()
}
