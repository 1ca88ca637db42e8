//! One process that claims, works, and ends what it claimed, until somebody kills it.

use std::{io::Read, path::Path, time::Duration};

use ff_core::{
    CapabilitySet, ClaimPolicy, EngineBackend, EngineError, ErrorClass, FailureClass, FailureReason, Handle, LaneId,
    WorkerId, WorkerInstanceId,
};
use uuid::Uuid;

use crate::{
    Tried,
    journal::{Journal, Line, Step},
    store::{Backend, connect},
};

/// Short, so that the work of the dead is soon taken over.
const TTL: Duration = Duration::from_secs(2);

/// How long to rest when there is no work.
const REST: Duration = Duration::from_millis(20);

/// The lane of all work.
pub(crate) fn lane() -> Tried<LaneId> {
    Ok(LaneId::try_new("soak")?)
}

/// Works until standard input ends, which it does with the process that started this one.
pub(crate) async fn work(backend: Backend, url: &str, journal: &Path) -> Tried {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let engine = loop {
        match connect(backend, url).await {
            Err(error) if passes(&error) => tokio::time::sleep(REST).await,
            connected => break connected?,
        }
    };
    let mut journal = Journal::open(journal)?;
    let name = format!("soak-{}", std::process::id());
    loop {
        let policy = ClaimPolicy::new(WorkerId::try_new("soak")?, WorkerInstanceId::try_new(&name)?, TTL);
        match engine.claim(&lane()?, &CapabilitySet::default(), policy).await {
            Ok(Some(handle)) => one(&*engine, backend, &handle, &mut journal).await?,
            Ok(None) => tokio::time::sleep(REST).await,
            Err(error) if passes(&error) => tokio::time::sleep(REST).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// True if another try is in order.
pub(crate) fn passes(error: &EngineError) -> bool {
    matches!(error.class(), ErrorClass::Retryable | ErrorClass::Unknown)
}

async fn one(engine: &dyn EngineBackend, backend: Backend, handle: &Handle, journal: &mut Journal) -> Tried {
    let payload = handle.decode(backend.label())?;
    let word = Uuid::new_v4();
    let mut line = Line {
        step: Step::Begun,
        execution: payload.execution_id.to_string(),
        index: payload.attempt_index.0,
        epoch: payload.fence.lease_epoch.0,
        word: word.to_string(),
    };
    journal.write(&line)?;
    let dice = word.as_bytes()[0];
    tokio::time::sleep(Duration::from_millis(u64::from(dice % 20))).await;
    if dice >= 250 {
        // Longer than the lease: it lives on renewals.
        for _ in 0..3 {
            tokio::time::sleep(TTL / 2).await;
            if engine.renew(handle).await.is_err() {
                return Ok(());
            }
        }
    }
    if dice < 20 {
        let reason = FailureReason::new("the dice said so");
        // Refused or not: the work is somebody's again.
        let _ = engine.fail(handle, reason, FailureClass::Transient).await;
        return Ok(());
    }
    let mut answer = engine.complete(handle, Some(line.word.clone().into_bytes())).await;
    if answer.as_ref().is_err_and(passes) {
        // A repeat by the same holder gives the first answer.
        answer = engine.complete(handle, Some(line.word.clone().into_bytes())).await;
    }
    if answer.is_ok() {
        line.step = Step::Done;
        journal.write(&line)?;
    }
    Ok(())
}
