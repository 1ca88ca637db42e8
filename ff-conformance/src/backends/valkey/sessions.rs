//! The sessions of one Valkey server and the functions that it keeps.

use async_trait::async_trait;
use redis::{Cmd, aio::MultiplexedConnection, cmd};

use super::{clock, failed};
use crate::{HarnessError, SessionControl};

/// The sessions of one server, by the connection that stays.
pub(super) struct Sessions {
    pub(super) connection: MultiplexedConnection,
}

impl Sessions {
    async fn send(&self, command: &Cmd) -> Result<(), HarnessError> {
        command.query_async::<()>(&mut self.connection.clone()).await.map_err(failed("the sessions"))
    }
}

#[async_trait]
impl SessionControl for Sessions {
    async fn drop_sessions(&self) -> Result<(), HarnessError> {
        for kind in ["normal", "pubsub"] {
            self.send(cmd("CLIENT").arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes")).await?;
        }
        Ok(())
    }

    async fn forget_functions(&self) -> Result<(), HarnessError> {
        self.send(cmd("FUNCTION").arg("FLUSH")).await
    }

    async fn teach_functions(&self) -> Result<(), HarnessError> {
        clock::load(&mut self.connection.clone()).await
    }
}
