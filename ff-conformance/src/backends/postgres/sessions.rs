//! The sessions of one database, which its server may end.

use async_trait::async_trait;
use sqlx::PgPool;

use super::failed;
use crate::{HarnessError, SessionControl};

/// The sessions of one database.
pub(super) struct Sessions(pub(super) PgPool);

#[async_trait]
impl SessionControl for Sessions {
    async fn drop_sessions(&self) -> Result<(), HarnessError> {
        let ended = sqlx::query(include_str!("sessions/end.sql")).execute(&self.0).await;
        ended.map_err(failed("end the sessions"))?;
        Ok(())
    }
}
