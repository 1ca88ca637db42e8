//! What the contract cannot see of this backend, on a real server: its statements, their plans, the check of a store.

mod database;
mod plans;
mod statements;
mod store;
