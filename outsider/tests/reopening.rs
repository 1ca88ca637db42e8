//! The file is the store: whoever opens it again finds what was acknowledged, and nothing that was not.

use std::{fs::OpenOptions, io::Write, path::Path};

use ff_backend_memory::Clock;
use ff_conformance::{TempFolder, runtime};
use ff_core::{
    CapabilitySet, ClaimPolicy, CreateExecutionArgs, EngineBackend, ExecutionId, Handle, LaneId, Namespace,
    PartitionConfig, PublicState, WorkerId, WorkerInstanceId,
};
use journal_store::Journal;

type Tried<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn opened(folder: &Path) -> Tried<Box<dyn EngineBackend>> {
    Ok(Box::new(Journal::open(folder, Clock::process())?))
}

/// Creates an execution and claims it.
async fn claimed(store: &dyn EngineBackend) -> Tried<(ExecutionId, Handle)> {
    let lane = LaneId::try_new("mail")?;
    let id = ExecutionId::solo(&lane, PartitionConfig::default());
    store.create_execution(CreateExecutionArgs::new(id, Namespace::try_new("shop")?, lane.clone(), "send")).await?;
    let (worker, instance) = (WorkerId::try_new("w")?, WorkerInstanceId::try_new("w-1")?);
    let policy = ClaimPolicy::new(worker, instance, std::time::Duration::from_secs(60));
    let handle = store.claim(&lane, &CapabilitySet::default(), policy).await?.ok_or("no work")?;
    Ok((id, handle))
}

#[test]
fn a_lease_outlives_the_client_that_took_it() -> Tried {
    runtime()?.block_on(async {
        let folder = TempFolder::new()?;
        let (id, handle) = claimed(&*opened(folder.path())?).await?;
        let again = opened(folder.path())?;
        assert_eq!(again.read_execution_state(&id).await?, Some(PublicState::Active));
        again.complete(&handle, Some(b"sent".to_vec())).await?;
        assert_eq!(opened(folder.path())?.get_execution_result(&id).await?, Some(b"sent".to_vec()));
        Ok(())
    })
}

#[test]
fn a_line_that_was_cut_short_is_no_step() -> Tried {
    runtime()?.block_on(async {
        let folder = TempFolder::new()?;
        let (id, handle) = claimed(&*opened(folder.path())?).await?;
        let mut file = OpenOptions::new().append(true).open(folder.path().join("journal.jsonl"))?;
        file.write_all(b"[1000,[],{\"complete\":{\"han")?;
        let again = opened(folder.path())?;
        assert_eq!(again.read_execution_state(&id).await?, Some(PublicState::Active));
        again.complete(&handle, None).await?;
        assert_eq!(opened(folder.path())?.read_execution_state(&id).await?, Some(PublicState::Completed));
        Ok(())
    })
}
