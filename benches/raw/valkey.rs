//! One function call a claim and one a completion, in a library and under keys of their own.

use std::sync::Arc;

use redis::{ProtocolVersion, aio::MultiplexedConnection};
use uuid::Uuid;

use super::{LANE, Lease, NAMESPACE, TTL_MS, WORKER, WORKER_INSTANCE};
use crate::{Failure, drive::Run, stage::ValkeyStage};

const LIBRARY: &str = include_str!("valkey.lua");

/// Rows in one pipeline while the store is filled.
const CHUNK: usize = 1_000;

/// What all keys begin with.
const ROOT: &str = "ffraw:{0}";

/// The server by hand.
pub(crate) struct RawValkey {
    connection: MultiplexedConnection,
    stage: Arc<ValkeyStage>,
}

impl RawValkey {
    /// One connection for all workers, as the engine has it.
    pub(crate) async fn open(stage: Arc<ValkeyStage>) -> Result<Self, Failure> {
        Ok(Self { connection: stage.connection(ProtocolVersion::RESP3).await?, stage })
    }

    /// An empty server with `rows` ready rows.
    pub(crate) async fn fill(&self, rows: u64) -> Result<MultiplexedConnection, Failure> {
        self.stage.empty().await?;
        let mut connection = self.connection.clone();
        redis::cmd("FUNCTION").arg("LOAD").arg(LIBRARY).exec_async(&mut connection).await?;
        let all: Vec<u64> = (0..rows).collect();
        for chunk in all.chunks(CHUNK) {
            let mut pipe = redis::pipe();
            for row in chunk {
                let id = Uuid::new_v4().to_string();
                let fields = [("s", "ready"), ("ns", NAMESPACE), ("l", LANE), ("p", "0")];
                pipe.hset_multiple(format!("{ROOT}:x:{id}"), &fields).ignore();
                pipe.zadd(format!("{ROOT}:ready:{LANE}"), id, *row).ignore();
            }
            pipe.exec_async(&mut connection).await?;
        }
        Ok(connection)
    }
}

impl Run for MultiplexedConnection {
    type Work = Lease;

    async fn claim(&self) -> Result<Option<Lease>, Failure> {
        let (lease_id, attempt_id) = (Uuid::new_v4(), Uuid::new_v4());
        let taken: Option<(String, i64, i64)> = redis::cmd("FCALL")
            .arg("ffraw_claim")
            .arg(4)
            .arg(ROOT)
            .arg(format!("{ROOT}:ready:{LANE}"))
            .arg(format!("{ROOT}:due:{LANE}"))
            .arg(format!("{ROOT}:events"))
            .arg(WORKER)
            .arg(WORKER_INSTANCE)
            .arg(TTL_MS)
            .arg(lease_id.to_string())
            .arg(attempt_id.to_string())
            .query_async(&mut self.clone())
            .await?;
        Ok(taken.map(|(id, epoch, attempt_index)| Lease { id, epoch, attempt_index, lease_id, attempt_id }))
    }

    async fn complete(&self, lease: Lease) -> Result<(), Failure> {
        redis::cmd("FCALL")
            .arg("ffraw_complete")
            .arg(5)
            .arg(format!("{ROOT}:x:{}", lease.id))
            .arg(format!("{ROOT}:at:{}", lease.id))
            .arg(format!("{ROOT}:due:{LANE}"))
            .arg(format!("{ROOT}:events"))
            .arg(format!("{ROOT}:completions"))
            .arg(&lease.id)
            .arg(lease.lease_id.to_string())
            .arg(lease.epoch)
            .arg(lease.attempt_id.to_string())
            .arg(lease.attempt_index)
            .exec_async(&mut self.clone())
            .await?;
        Ok(())
    }
}
