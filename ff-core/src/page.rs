//! The size of one page of a listing.

use serde::{Deserialize, Serialize};

use crate::{EngineError, Limits};

/// How many items a page holds at most: `0..=1000`, and 0 is the empty page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageLimit(u16);

impl PageLimit {
    /// The largest page.
    pub const MAX: Self = Self(Limits::PAGE);

    /// A limit of `items`.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` above 1,000.
    pub fn new(items: u32) -> Result<Self, EngineError> {
        match u16::try_from(items) {
            Ok(items) if items <= Limits::PAGE => Ok(Self(items)),
            _ => Err(EngineError::invalid_input(format!("page limit: {items}, at most {}", Limits::PAGE))),
        }
    }

    /// The number of items.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}
