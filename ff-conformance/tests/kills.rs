//! Servers that are killed under load: nothing that was acknowledged is lost where the backend declares so.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use ff_conformance::{
    Kill, kill_under_load, runtime,
    servers::{Kind, WriteThrough},
};
use ff_core::Durability;

fn killed(kind: Kind, through: WriteThrough) -> Kill {
    let kill = runtime().expect("a runtime").block_on(kill_under_load(kind, through)).expect("a server of a program");
    println!("{kind}, {through:?}: {kill}");
    kill
}

#[rstest::rstest]
fn a_kill_loses_nothing_that_was_acknowledged(#[values(Kind::Postgres, Kind::Valkey)] kind: Kind) {
    let kill = killed(kind, WriteThrough::Always);
    assert_eq!((kill.declared, kill.lost, kill.torn), (Durability::Sync, Vec::new(), Vec::new()));
}

/// A server that answers before it has written is not declared as one that writes first.
#[rstest::rstest]
fn a_server_that_does_not_write_through_is_declared_so(#[values(Kind::Postgres, Kind::Valkey)] kind: Kind) {
    let kill = killed(kind, WriteThrough::Never);
    assert_ne!(kill.declared, Durability::Sync);
    assert_eq!(kill.torn, Vec::<String>::new());
}

/// The kill is one that a store without a file does not survive.
#[test]
fn a_kill_loses_what_was_never_written() {
    assert!(!killed(Kind::Valkey, WriteThrough::Never).lost.is_empty());
}
