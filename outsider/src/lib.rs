//! An execution engine in one file.
//!
//! The file is a journal: every step that wrote something is a line, with its instant and what was drawn by chance.
//! Whoever opens the file takes the steps again with the rules of `ff-backend-memory`; a lock on the file makes each
//! call one atomic step, over all clients and processes.

mod backend;
mod draws;
mod journal;
mod pause;
mod waitpoints;

pub use journal::Journal;
