//! Proves the journal: every case of the contract is one test.

use std::future::ready;

use ff_backend_memory::Clock;
use ff_conformance::{
    Controls, Environment, Harness, HarnessError, Identity, Store, TempFolder, async_trait, backends::memory::dump,
    controlled_store,
};
use ff_core::TimestampMs;
use journal_store::Journal;

pub struct Journaled;

#[async_trait]
impl Harness for Journaled {
    fn identity(&self) -> Identity {
        Identity::new("journal", env!("CARGO_PKG_VERSION"), "https://example.org/journal")
    }

    fn environment(&self) -> Environment {
        Environment::in_process("journal")
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        let (folder, hand) = (TempFolder::new()?, Clock::manual(TimestampMs::from_ms(1_000_000_000_000)));
        let seen = Journal::open(folder.path(), hand.clock())?;
        let controls = Controls::none().clock(hand.clone()).dump(move || Ok(seen.inspect(dump)?));
        Ok(controlled_store(folder, controls, move |folder, _| ready(Journal::open(folder.path(), hand.clock()))))
    }
}

ff_conformance::suite!(Journaled);
