//! One function call an operation, in a library and under keys of their own.

use std::sync::Arc;

use redis::{Cmd, ProtocolVersion, aio::MultiplexedConnection};
use uuid::Uuid;

use super::{LANE, Lease, NAMESPACE, TTL_MS, WORKER, WORKER_INSTANCE};
use crate::{Failure, drive::Run, stage::ValkeyStage};

/// The functions.
pub(super) const LIBRARY: &str = include_str!("valkey.lua");

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
        let mut command = call("ffraw_claim", &claiming());
        signed(&mut command);
        minting(&mut command, lease_id, attempt_id);
        let taken: Option<(String, i64, i64)> = command.query_async(&mut self.clone()).await?;
        Ok(taken.map(|(id, epoch, attempt_index)| Lease { id, epoch, attempt_index, lease_id, attempt_id }))
    }

    async fn claim_resumed(&self) -> Result<Option<Lease>, Failure> {
        let lease_id = Uuid::new_v4();
        let mut command = call("ffraw_claim_resumed", &claiming());
        signed(&mut command);
        minting(&mut command, lease_id, Uuid::new_v4());
        let taken: Option<(String, i64, i64, String)> = command.query_async(&mut self.clone()).await?;
        let Some((id, epoch, attempt_index, attempt_id)) = taken else { return Ok(None) };
        Ok(Some(Lease { id, epoch, attempt_index, lease_id, attempt_id: attempt_id.parse()? }))
    }

    async fn suspend_and_signal(&self, lease: Lease) -> Result<(), Failure> {
        let token = Uuid::new_v4().to_string();
        let core = format!("{ROOT}:x:{}", lease.id);
        let keys = [core.clone(), format!("{ROOT}:at:{}", lease.id), due(), events(), format!("{ROOT}:w:{}", lease.id)];
        let mut command = call("ffraw_suspend", &keys);
        fenced(&mut command, &lease);
        command.arg(&token).exec_async(&mut self.clone()).await?;
        let keys = [core, format!("{ROOT}:ready:{LANE}"), events(), format!("{ROOT}:w:{}", lease.id)];
        let mut command = call("ffraw_deliver_signal", &keys);
        command.arg(&lease.id).arg(&token).arg(Uuid::new_v4().to_string()).arg("approval");
        Ok(command.exec_async(&mut self.clone()).await?)
    }

    async fn complete(&self, lease: Lease) -> Result<(), Failure> {
        let mut command = call("ffraw_complete", &ending(&lease));
        fenced(&mut command, &lease);
        Ok(command.exec_async(&mut self.clone()).await?)
    }

    async fn complete_and_claim(&self, lease: Lease) -> Result<Option<Lease>, Failure> {
        let (lease_id, attempt_id) = (Uuid::new_v4(), Uuid::new_v4());
        let mut keys = ending(&lease);
        keys.extend([ROOT.to_owned(), format!("{ROOT}:ready:{LANE}")]);
        let mut command = call("ffraw_complete_and_claim", &keys);
        fenced(&mut command, &lease);
        signed(&mut command);
        minting(&mut command, lease_id, attempt_id);
        let taken: Option<(String, i64, i64)> = command.query_async(&mut self.clone()).await?;
        Ok(taken.map(|(id, epoch, attempt_index)| Lease { id, epoch, attempt_index, lease_id, attempt_id }))
    }

    async fn claim_many(&self, most: u16) -> Result<Vec<Lease>, Failure> {
        let ids: Vec<_> = (0..most).map(|_| (Uuid::new_v4(), Uuid::new_v4())).collect();
        let mut command = call("ffraw_claim_many", &claiming());
        signed(&mut command);
        for (lease_id, attempt_id) in &ids {
            minting(&mut command, *lease_id, *attempt_id);
        }
        let taken: Vec<(String, i64, i64)> = command.query_async(&mut self.clone()).await?;
        let lease = |((id, epoch, attempt_index), (lease_id, attempt_id))| Lease {
            id,
            epoch,
            attempt_index,
            lease_id,
            attempt_id,
        };
        Ok(taken.into_iter().zip(ids).map(lease).collect())
    }

    async fn complete_many(&self, leases: Vec<Lease>) -> Result<(), Failure> {
        let keys = [ROOT.to_owned(), due(), events(), completions()];
        let mut command = call("ffraw_complete_many", &keys);
        for lease in &leases {
            fenced(&mut command, lease);
        }
        let done: usize = command.query_async(&mut self.clone()).await?;
        if done == leases.len() { Ok(()) } else { Err("a lease is lost".into()) }
    }
}

fn call(function: &str, keys: &[String]) -> Cmd {
    let mut command = redis::cmd("FCALL");
    command.arg(function).arg(keys.len()).arg(keys);
    command
}

fn due() -> String {
    format!("{ROOT}:due:{LANE}")
}

fn events() -> String {
    format!("{ROOT}:events")
}

fn completions() -> String {
    format!("{ROOT}:completions")
}

/// The keys of a claim.
fn claiming() -> Vec<String> {
    vec![ROOT.to_owned(), format!("{ROOT}:ready:{LANE}"), due(), events()]
}

/// The keys of a completion.
fn ending(lease: &Lease) -> Vec<String> {
    vec![format!("{ROOT}:x:{}", lease.id), format!("{ROOT}:at:{}", lease.id), due(), events(), completions()]
}

fn fenced(command: &mut Cmd, lease: &Lease) {
    command
        .arg(&lease.id)
        .arg(lease.lease_id.to_string())
        .arg(lease.epoch)
        .arg(lease.attempt_id.to_string())
        .arg(lease.attempt_index);
}

fn signed(command: &mut Cmd) {
    command.arg(WORKER).arg(WORKER_INSTANCE).arg(TTL_MS);
}

fn minting(command: &mut Cmd, lease_id: Uuid, attempt_id: Uuid) {
    command.arg(lease_id.to_string()).arg(attempt_id.to_string());
}
