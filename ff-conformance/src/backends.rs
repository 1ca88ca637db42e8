//! The harnesses of this project's own backends.

pub mod memory;
#[cfg(feature = "command")]
mod mortal;
#[cfg(feature = "command")]
pub mod postgres;
#[cfg(feature = "command")]
pub mod valkey;
