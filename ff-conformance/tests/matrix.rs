//! Every case of the suite on every backend of this project, side by side.

use ff_conformance::{
    Harness,
    backends::{memory::Memory, postgres::Postgres, valkey::Valkey},
};

macro_rules! on_every_backend {
    ($($stem:ident { $($case:ident),* $(,)? })*) => { $(
        mod $stem {
            use super::*;
            $(
                #[rstest::rstest]
                #[case::memory(Memory)]
                #[case::postgres(Postgres::from_env())]
                #[case::valkey(Valkey::from_env())]
                fn $case(#[case] harness: impl Harness) {
                    ff_conformance::run(harness, concat!(stringify!($stem), "::", stringify!($case)))
                }
            )*
        }
    )* };
}

ff_conformance::for_each_case!(on_every_backend);
