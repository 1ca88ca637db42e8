//! Compiles and runs the code of the README.
#![doc = include_str!("../../README.md")]
