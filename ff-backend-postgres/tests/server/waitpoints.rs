//! Waitpoints beside what the contract cannot make: the golden vectors against the statements, sessions that want one
//! execution at once, and a clock that moves while a statement waits.

use std::{sync::Arc, time::Duration};

use ff_backend_postgres::PostgresBackend;
use ff_core::{
    CancelExecutionArgs, CapabilitySet, ClaimPolicy, CompositeBody, ConditionSignal, CountKind, CreateExecutionArgs,
    DeliverSignalArgs, DeliverSignalResult, EngineBackend, EngineError, ExecutionId, Handle, Kid, LaneId,
    ListPendingWaitpointsArgs, Namespace, PartitionConfig, PendingWaitpoint, PublicState, ResumeCondition,
    ResumeExecutionArgs, RotateWaitpointHmacSecretAllArgs, RotateWaitpointHmacSecretOutcome, ScanArgs, ScannerKind,
    SeedWaitpointHmacSecretArgs, SignalEffect, SignalId, SigningSecret, SuspendArgs, SuspendOutcome,
    SuspendOutcomeDetails, SuspensionId, SuspensionReasonCode, TimeoutBehavior, TimestampMs, WaitpointBinding,
    WaitpointId, WaitpointToken, WorkerId, WorkerInstanceId,
};
use serde_json::Value;
use sqlx::Row;

use crate::database::{Database, rows, run, until_waiting};

const KEY: &str = "a";

fn kid(text: &str) -> Kid {
    Kid::try_new(text).unwrap()
}

fn secret(byte: u8) -> SigningSecret {
    SigningSecret::from_bytes([byte; 32]).unwrap()
}

/// A store that can sign tokens, and a client of it.
struct Stage {
    database: Database,
    backend: Arc<dyn EngineBackend>,
}

impl Stage {
    async fn new() -> Self {
        let database = Database::migrated().await;
        let backend = PostgresBackend::connect(database.config()).await.unwrap();
        backend.seed_waitpoint_hmac_secret(SeedWaitpointHmacSecretArgs::new(kid("k1"), secret(1))).await.unwrap();
        Self { database, backend }
    }

    /// A lease on a new execution.
    async fn leased(&self) -> (ExecutionId, Handle) {
        let lane = LaneId::try_new("lane").unwrap();
        let id = ExecutionId::solo(&lane, PartitionConfig::default());
        let namespace = Namespace::try_new("ns").unwrap();
        let args = CreateExecutionArgs::new(id, namespace, lane, "kind");
        self.backend.create_execution(args).await.unwrap();
        (id, self.claimed().await)
    }

    async fn claimed(&self) -> Handle {
        let lane = LaneId::try_new("lane").unwrap();
        let worker = (WorkerId::try_new("w").unwrap(), WorkerInstanceId::try_new("w-1").unwrap());
        let policy = ClaimPolicy::new(worker.0, worker.1, Duration::from_secs(60));
        self.backend.claim(&lane, &CapabilitySet::default(), policy).await.unwrap().unwrap()
    }

    /// A suspension of a new execution at one fresh waitpoint.
    async fn suspended(&self, condition: ResumeCondition) -> (ExecutionId, SuspendOutcomeDetails) {
        let (id, handle) = self.leased().await;
        let args = suspension(WaitpointBinding::fresh_with_key(KEY), condition);
        (id, begun(self.backend.suspend(&handle, args).await.unwrap()))
    }
}

fn suspension(binding: WaitpointBinding, condition: ResumeCondition) -> SuspendArgs {
    SuspendArgs::new(SuspensionId::new(), vec![binding], condition, SuspensionReasonCode::WaitingForSignal)
}

fn begun(outcome: SuspendOutcome) -> SuspendOutcomeDetails {
    match outcome {
        SuspendOutcome::Suspended { details, .. } => details,
        SuspendOutcome::AlreadySatisfied { .. } => panic!("nothing was suspended"),
    }
}

fn counting(n: u32) -> ResumeCondition {
    ResumeCondition::Composite(CompositeBody::Count {
        n,
        count_kind: CountKind::DistinctSignals,
        matcher: None,
        waitpoints: vec![KEY.to_owned()],
    })
}

fn signal(id: ExecutionId, at: (WaitpointId, &WaitpointToken)) -> DeliverSignalArgs {
    DeliverSignalArgs::new(id, at.0, at.1.clone(), SignalId::new(), "go")
}

fn effect(answer: &Result<DeliverSignalResult, EngineError>) -> Option<SignalEffect> {
    match answer {
        Ok(DeliverSignalResult::Accepted { effect, .. }) => Some(*effect),
        _ => None,
    }
}

/// One golden vector of `ff-core`.
struct Vector {
    name: String,
    condition: ResumeCondition,
    leaves: Value,
    signals: Vec<ConditionSignal>,
    effects: Vec<SignalEffect>,
    satisfied_after: Option<u64>,
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../../ff-core/src/conditions/vectors.json")).unwrap();
    let read = |vector: Value| Vector {
        name: vector["name"].as_str().unwrap().to_owned(),
        condition: serde_json::from_value(vector["condition"].clone()).unwrap(),
        leaves: vector["leaves"].clone(),
        signals: serde_json::from_value(vector["signals"].clone()).unwrap(),
        effects: serde_json::from_value(vector["effects"].clone()).unwrap(),
        satisfied_after: vector["satisfied_after"].as_u64(),
    };
    all.into_iter().map(read).collect()
}

/// A signal of a vector for the waitpoint at `at`.
fn sent(id: ExecutionId, at: (WaitpointId, &WaitpointToken), seen: &ConditionSignal) -> DeliverSignalArgs {
    DeliverSignalArgs::new(id, at.0, at.1.clone(), seen.signal_id, seen.signal_name.clone())
        .source(seen.source_type.clone(), seen.source_identity.clone())
}

/// Gives the suspension of an execution the leaves of a vector, and a waitpoint for each key that its signals name.
async fn staged(stage: &Stage, vector: &Vector) -> (ExecutionId, Vec<(String, PendingWaitpoint)>) {
    let (id, handle) = stage.leased().await;
    let mut mailboxes: Vec<(String, PendingWaitpoint)> = Vec::new();
    for seen in &vector.signals {
        if mailboxes.iter().all(|(key, _)| *key != seen.waitpoint_key) {
            let opened = stage.backend.create_waitpoint(&handle, &seen.waitpoint_key, Duration::from_secs(60)).await;
            mailboxes.push((seen.waitpoint_key.clone(), opened.unwrap()));
        }
    }
    let args = suspension(WaitpointBinding::fresh(), ResumeCondition::OperatorOnly);
    begun(stage.backend.suspend(&handle, args).await.unwrap());
    let mut session = stage.database.session().await;
    run(
        &mut session,
        format!(
            "UPDATE waitpoints SET suspension_number = 1 WHERE execution_id = ff_id('{id}'); \
             UPDATE suspensions SET leaves = '{}', waitpoint_ids = ARRAY( \
                 SELECT waitpoint_id FROM waitpoints WHERE execution_id = ff_id('{id}')) WHERE execution_id = ff_id('{id}')",
            vector.leaves
        ),
    )
    .await;
    (id, mailboxes)
}

#[tokio::test]
async fn the_golden_vectors_hold_for_signals_that_come_one_by_one() {
    let stage = Stage::new().await;
    for vector in vectors() {
        let (id, mailboxes) = staged(&stage, &vector).await;
        let mut effects = Vec::new();
        for seen in &vector.signals {
            let (_, own) = mailboxes.iter().find(|(key, _)| *key == seen.waitpoint_key).unwrap();
            let answer = stage.backend.deliver_signal(sent(id, (own.waitpoint_id, &own.hmac_token), seen)).await;
            match answer {
                Ok(DeliverSignalResult::Accepted { effect, .. }) => effects.push(effect),
                // A vector may show one signal twice; what was satisfied takes none.
                Ok(DeliverSignalResult::Duplicate { .. }) => {}
                Err(refusal) => assert_eq!(refusal.code(), "State(WaitpointClosed)", "{}", vector.name),
            }
        }
        assert_eq!(effects, vector.effects, "{}", vector.name);
        let state = stage.backend.read_execution_state(&id).await.unwrap().unwrap();
        assert_eq!(state == PublicState::Waiting, vector.satisfied_after.is_some(), "{}", vector.name);
        // Out of the way of the next claim.
        let cancel = CancelExecutionArgs::new(id, "over");
        stage.backend.cancel_execution(cancel).await.unwrap();
    }
    stage.database.drop().await;
}

#[tokio::test]
async fn the_golden_vectors_hold_for_signals_that_were_kept() {
    let stage = Stage::new().await;
    let mut held = 0;
    for vector in vectors() {
        let Some(first) = vector.signals.first() else { continue };
        let (id, handle) = stage.leased().await;
        let opened =
            stage.backend.create_waitpoint(&handle, &first.waitpoint_key, Duration::from_secs(60)).await.unwrap();
        let mut waitpoints = vec![WaitpointBinding::pending(opened.waitpoint_id)];
        let others = vector.condition.waitpoint_keys().into_iter().filter(|key| *key != first.waitpoint_key);
        waitpoints.extend(others.map(WaitpointBinding::fresh_with_key));
        let mut args = suspension(WaitpointBinding::fresh(), vector.condition.clone());
        args.waitpoints = waitpoints;
        // Only the signals of one waitpoint can have come, and its suspension has to be a legal one.
        if vector.signals.iter().all(|seen| seen.waitpoint_key == first.waitpoint_key) && args.check().is_ok() {
            for seen in &vector.signals {
                let answer = stage.backend.deliver_signal(sent(id, (opened.waitpoint_id, &opened.hmac_token), seen));
                answer.await.unwrap();
            }
            let outcome = stage.backend.suspend(&handle, args).await.unwrap();
            let satisfied = matches!(outcome, SuspendOutcome::AlreadySatisfied { .. });
            assert_eq!(satisfied, vector.satisfied_after.is_some(), "{}", vector.name);
            held += 1;
        }
        let cancel = CancelExecutionArgs::new(id, "over");
        stage.backend.cancel_execution(cancel).await.unwrap();
    }
    assert!(held >= 8, "only {held} vectors are about one waitpoint");
    stage.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_signals_at_once_each_counts_once_and_the_last_resumes() {
    const MANY: usize = 24;
    let stage = Stage::new().await;
    let (id, details) = stage.suspended(counting(u32::try_from(MANY).unwrap())).await;
    let deliveries = (0..MANY).map(|_| {
        let (backend, args) =
            (Arc::clone(&stage.backend), signal(id, (details.waitpoint_id, &details.waitpoint_token)));
        tokio::spawn(async move { backend.deliver_signal(args).await })
    });
    let mut effects = Vec::new();
    for delivery in deliveries.collect::<Vec<_>>() {
        effects.push(effect(&delivery.await.unwrap()).unwrap());
    }
    effects.sort_unstable();
    let mut expected = vec![SignalEffect::AppendedToWaitpoint; MANY];
    expected[0] = SignalEffect::ResumeConditionSatisfied;
    expected.sort_unstable();
    assert_eq!(effects, expected);
    let seen = stage.backend.observe_signals(&stage.claimed().await).await.unwrap();
    assert_eq!(seen.len(), MANY);
    stage.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_signal_an_operator_a_cancel_and_a_time_out_ends_a_suspension() {
    let stage = Stage::new().await;
    let mut session = stage.database.session().await;
    for round in 0..40 {
        let (id, handle) = stage.leased().await;
        let now = rows(&mut session, "SELECT ff_now_ms() AS now".to_owned()).await[0].get::<i64, _>("now");
        let args = suspension(WaitpointBinding::fresh_with_key(KEY), counting(1));
        let args = args.timeout(TimestampMs::from_ms(now + 15), TimeoutBehavior::Fail);
        let details = begun(stage.backend.suspend(&handle, args).await.unwrap());
        let token = (details.waitpoint_id, &details.waitpoint_token);
        let cancel = CancelExecutionArgs::new(id, "race");
        let scan = ScanArgs::new(ScannerKind::SuspensionTimeout);
        let (signalled, resumed, cancelled, scanned) = tokio::join!(
            stage.backend.deliver_signal(signal(id, token)),
            stage.backend.resume_execution(ResumeExecutionArgs::new(id, "race")),
            stage.backend.cancel_execution(cancel),
            stage.backend.scan(scan),
        );
        scanned.unwrap();
        let by_signal = effect(&signalled) == Some(SignalEffect::ResumeConditionSatisfied);
        assert!(by_signal || signalled.is_err(), "{round}: {signalled:?}");
        assert!(!(by_signal && resumed.is_ok()), "{round}: ended twice");
        let waitpoints = stage.backend.list_pending_waitpoints(ListPendingWaitpointsArgs::new(id)).await.unwrap();
        assert!(waitpoints.waitpoints.is_empty(), "{round}: {waitpoints:?}");
        // A cancel ends what the others resumed, too; only a time-out comes before it.
        let told = format!("SELECT outcome FROM completion_events WHERE execution_id = ff_id('{id}')");
        let outcomes: Vec<String> = rows(&mut session, told).await.iter().map(|row| row.get(0)).collect();
        match cancelled {
            Ok(_) => assert_eq!(outcomes, ["cancelled"], "{round}"),
            Err(refusal) => assert_eq!(refusal.code(), "State(Terminal)", "{round}"),
        }
        assert!(outcomes.len() <= 1, "{round}: {outcomes:?}");
    }
    stage.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_waits_over_the_time_out_is_refused() {
    let stage = Stage::new().await;
    let mut session = stage.database.session().await;
    let clock = "CREATE SEQUENCE ff_clock MINVALUE 0; SELECT setval('ff_clock', 1000000); \
        CREATE OR REPLACE FUNCTION ff_now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE \
            RETURN pg_sequence_last_value('ff_clock'::regclass)";
    run(&mut session, clock.to_owned()).await;
    for (behavior, refusal) in [
        (TimeoutBehavior::Fail, "State(TargetNotSignalable)"),
        (TimeoutBehavior::AutoResumeWithTimeoutSignal, "State(WaitpointClosed)"),
    ] {
        run(&mut session, "SELECT setval('ff_clock', 1000000)".to_owned()).await;
        let backend = PostgresBackend::connect(stage.database.config()).await.unwrap();
        let (id, handle) = stage.leased().await;
        let args = suspension(WaitpointBinding::fresh_with_key(KEY), counting(1));
        let args = args.timeout(TimestampMs::from_ms(1_000_500), behavior);
        let details = begun(backend.suspend(&handle, args).await.unwrap());

        let mut holder = stage.database.session().await;
        run(&mut holder, format!("BEGIN; SELECT FROM executions WHERE id = ff_id('{id}') FOR NO KEY UPDATE")).await;
        let pid = rows(&mut holder, "SELECT pg_backend_pid()".to_owned()).await[0].get(0);
        let args = signal(id, (details.waitpoint_id, &details.waitpoint_token));
        let delivery = tokio::spawn(async move { backend.deliver_signal(args).await });
        until_waiting(&mut session, pid).await;
        run(&mut session, "SELECT setval('ff_clock', 1000500)".to_owned()).await;
        run(&mut holder, "ROLLBACK".to_owned()).await;
        assert_eq!(delivery.await.unwrap().unwrap_err().code(), refusal);
        let kept = rows(&mut session, format!("SELECT count(*) FROM signals WHERE execution_id = ff_id('{id}')")).await;
        assert_eq!(kept[0].get::<i64, _>(0), 0);
    }
    stage.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_rotations_at_once_each_takes_over_from_the_one_before() {
    const MANY: u8 = 12;
    let stage = Stage::new().await;
    let rotations = (2..2 + MANY).map(|n| {
        let backend = Arc::clone(&stage.backend);
        let args = RotateWaitpointHmacSecretAllArgs::new(kid(&format!("k{n}")), secret(n), Duration::from_secs(3600));
        tokio::spawn(async move { backend.rotate_waitpoint_hmac_secret_all(args).await })
    });
    let mut followed = Vec::new();
    for rotation in rotations.collect::<Vec<_>>() {
        let Ok(result) = rotation.await.unwrap() else { continue };
        match result.entries.into_iter().next().unwrap().result.unwrap() {
            RotateWaitpointHmacSecretOutcome::Rotated { previous_kid, .. } => followed.push(previous_kid.unwrap()),
            RotateWaitpointHmacSecretOutcome::Noop { kid } => panic!("{kid} signed already"),
        }
    }
    let rotated = followed.len();
    followed.sort();
    followed.dedup();
    assert_eq!(followed.len(), rotated, "two rotations followed one key");
    let mut session = stage.database.session().await;
    let counts = "SELECT count(*) AS kept, count(*) FILTER (WHERE expires_at IS NULL) AS signing, \
        (SELECT version FROM waitpoint_ring) AS version FROM waitpoint_secrets";
    let row = &rows(&mut session, counts.to_owned()).await[0];
    let expected = i64::try_from(rotated).unwrap() + 1;
    let found = (row.get::<i64, _>("kept"), row.get::<i64, _>("signing"), row.get::<i64, _>("version"));
    assert_eq!(found, (expected, 1, expected));
    stage.database.drop().await;
}

#[tokio::test]
async fn a_client_whose_keys_are_old_reads_them_again() {
    let stage = Stage::new().await;
    let other = PostgresBackend::connect(stage.database.config()).await.unwrap();
    let (id, details) = stage.suspended(counting(3)).await;
    let token = (details.waitpoint_id, &details.waitpoint_token);
    other.deliver_signal(signal(id, token)).await.unwrap();
    let rotation = RotateWaitpointHmacSecretAllArgs::new(kid("k2"), secret(2), Duration::from_secs(3600));
    stage.backend.rotate_waitpoint_hmac_secret_all(rotation).await.unwrap();
    let (_, signed) = stage.suspended(counting(1)).await;
    assert!(signed.waitpoint_token.expose().starts_with("k2:"));
    // Both keys count, also for a client that has read only the first.
    other.deliver_signal(signal(id, token)).await.unwrap();
    // An id that no longer counts may come back with another secret; what the first one signed is worthless then.
    let again = RotateWaitpointHmacSecretAllArgs::new(kid("k3"), secret(3), Duration::ZERO);
    stage.backend.rotate_waitpoint_hmac_secret_all(again).await.unwrap();
    let mut session = stage.database.session().await;
    run(&mut session, "UPDATE waitpoint_secrets SET expires_at = 0 WHERE kid = 'k1'".to_owned()).await;
    let reused = RotateWaitpointHmacSecretAllArgs::new(kid("k1"), secret(9), Duration::from_secs(3600));
    stage.backend.rotate_waitpoint_hmac_secret_all(reused).await.unwrap();
    let refusal = other.deliver_signal(signal(id, token)).await.unwrap_err();
    assert_eq!(refusal.code(), "Validation(InvalidToken)");
    stage.database.drop().await;
}
