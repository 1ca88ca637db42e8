//! The `ff-conformance` command.

fn main() {}
