//! The ceilings: what the least of all round trips to a store costs.

use redis::{ProtocolVersion, aio::MultiplexedConnection};
use sqlx::PgPool;
use uuid::Uuid;

use super::{postgres, valkey};
use crate::{
    Failure,
    drive::Run,
    stage::{PostgresStage, ValkeyStage},
};

/// One small row that lasts: the floor of any durable write.
#[derive(Clone)]
pub(crate) struct Floor(PgPool);

impl Floor {
    /// A table of its own.
    pub(crate) async fn open(stage: &PostgresStage, workers: usize) -> Result<Self, Failure> {
        let pool = postgres::pool(stage, workers)?;
        sqlx::raw_sql("CREATE TABLE IF NOT EXISTS public.floor (id uuid NOT NULL)").execute(&pool).await?;
        Ok(Self(pool))
    }
}

/// A function call that does nothing.
#[derive(Clone)]
pub(crate) struct Nothing(MultiplexedConnection);

impl Nothing {
    /// The library of the raw side.
    pub(crate) async fn open(stage: &ValkeyStage) -> Result<Self, Failure> {
        let mut connection = stage.connection(ProtocolVersion::RESP3).await?;
        redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(valkey::LIBRARY).exec_async(&mut connection).await?;
        Ok(Self(connection))
    }
}

/// The one operation of a ceiling.
trait Ceiling: Clone + Send + Sync + 'static {
    fn reach(&self) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl Ceiling for Floor {
    async fn reach(&self) -> Result<(), Failure> {
        sqlx::query("INSERT INTO public.floor (id) VALUES ($1)").bind(Uuid::new_v4()).execute(&self.0).await?;
        Ok(())
    }
}

impl Ceiling for Nothing {
    async fn reach(&self) -> Result<(), Failure> {
        redis::cmd("FCALL").arg("ffraw_nothing").arg(0).exec_async(&mut self.0.clone()).await?;
        Ok(())
    }
}

/// What a ceiling has no operation for.
fn lacking<T>() -> Result<T, Failure> {
    Err("a ceiling has one operation".into())
}

impl<C: Ceiling> Run for C {
    type Work = ();

    async fn claim(&self) -> Result<Option<()>, Failure> {
        self.reach().await?;
        Ok(Some(()))
    }

    async fn complete(&self, (): ()) -> Result<(), Failure> {
        lacking()
    }

    async fn complete_and_claim(&self, (): ()) -> Result<Option<()>, Failure> {
        lacking()
    }

    async fn suspend_and_signal(&self, (): ()) -> Result<(), Failure> {
        lacking()
    }

    async fn claim_many(&self, _: u16) -> Result<Vec<()>, Failure> {
        lacking()
    }

    async fn complete_many(&self, _: Vec<()>) -> Result<(), Failure> {
        lacking()
    }
}
