//! Keeps writes back inside a Valkey server.

use async_trait::async_trait;
use ff_core::ExecutionId;
use redis::{InfoDict, aio::MultiplexedConnection, cmd};

use super::failed;
use crate::{HarnessError, Held, HoldControl};

/// The server lets go by itself after this, should the case be ended half-way.
const AT_MOST_MS: u32 = 60_000;

/// All writes wait, whichever execution they are for.
pub(super) struct Pause(pub(super) MultiplexedConnection);

#[async_trait]
impl HoldControl for Pause {
    async fn hold(&self, _id: &ExecutionId) -> Result<Box<dyn Held>, HarnessError> {
        let mut connection = self.0.clone();
        let pause = cmd("CLIENT").arg("PAUSE").arg(AT_MOST_MS).arg("WRITE").clone();
        pause.query_async::<()>(&mut connection).await.map_err(failed("hold writes"))?;
        Ok(Box::new(Paused(connection)))
    }
}

struct Paused(MultiplexedConnection);

#[async_trait]
impl Held for Paused {
    async fn waiting(&self) -> Result<u64, HarnessError> {
        let mut connection = self.0.clone();
        let ask = cmd("INFO").arg("clients").clone();
        let info: InfoDict = ask.query_async(&mut connection).await.map_err(failed("see who waits"))?;
        Ok(info.get::<u64>("blocked_clients").unwrap_or_default())
    }

    async fn release(self: Box<Self>) -> Result<(), HarnessError> {
        let mut connection = self.0;
        let resume = cmd("CLIENT").arg("UNPAUSE").clone();
        resume.query_async::<()>(&mut connection).await.map_err(failed("release writes"))
    }
}
