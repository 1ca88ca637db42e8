//! What the contract cannot see of this backend, on a real server: its statements, their plans, the check of a store.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test without its database says so and ends"
)]

mod database;
mod events;
mod plans;
mod settles;
mod statements;
mod store;
mod together;
mod waitpoints;
mod waits;
