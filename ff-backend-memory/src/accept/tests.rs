//! What `accept` takes and what it refuses, on what a store with other ids answers.

use std::time::Duration;

use super::*;
use crate::{
    Answer, Judgement, SeededMint,
    apply::world::{TTL_MS, World, args, claim_op, id},
};
use ff_core::{
    Backoff, ExecutionPolicy, FailOutcome, FailureClass, FailureReason, Handle, Kid, Limits, ListPendingWaitpointsArgs,
    RetryPolicy, RevokeLeaseArgs, RevokeLeaseResult, SeedWaitpointHmacSecretArgs, SigningSecret,
};

/// A store and a model of it that sees nothing but its answers.
struct Pair {
    store: World,
    models: Vec<State>,
}

impl Pair {
    fn new() -> Self {
        Self { store: World::new(), models: vec![State::new(Limits::of_partitions(1))] }
    }

    fn now(&self) -> Interval {
        Interval::at(self.store.at(0))
    }

    /// Does `op` on the store; the model sees `seen` of it.
    fn see(&mut self, op: &Op, seen: impl FnOnce(Outcome) -> Obs) -> Outcome {
        let answer = self.store.apply(op);
        let (obs, time) = (seen(answer.clone()), self.now());
        let states = self.models.iter().flat_map(|model| match accept(model, op, &obs, time) {
            Judgement::Legal(states) => states,
            Judgement::Illegal { .. } => Vec::new(),
        });
        self.models = states.collect();
        answer
    }

    fn step(&mut self, op: &Op) -> Outcome {
        self.see(op, Obs::from)
    }

    fn create(&mut self, n: u32, policy: ExecutionPolicy) {
        self.step(&Op::CreateExecution(Box::new(args(n).policy(policy)))).unwrap();
    }

    fn claim(&mut self) -> Option<Handle> {
        match self.step(&claim_op(&[])).unwrap() {
            Answer::Claim(handle) => handle,
            other => panic!("{other:?}"),
        }
    }

    /// The one state that explains everything is that of the store.
    #[track_caller]
    fn agree(&self) {
        assert_eq!(self.models.len(), 1);
        assert_eq!(self.models[0].dump(), self.store.state.dump());
    }
}

fn expected(judgement: Judgement) -> Vec<Outcome> {
    match judgement {
        Judgement::Illegal { expected } => expected,
        Judgement::Legal(states) => panic!("{} states explain it", states.len()),
    }
}

#[test]
fn a_model_that_sees_answers_is_the_store() {
    let mut pair = Pair::new();
    (1..4).for_each(|n| pair.create(n, ExecutionPolicy::new()));
    let first = pair.claim().unwrap();
    let second = pair.claim().unwrap();
    pair.step(&Op::Complete { handle: first.clone(), payload: Some(vec![1]) }).unwrap();
    pair.step(&Op::Complete { handle: first.clone(), payload: None }).unwrap();
    assert!(pair.step(&Op::Renew { handle: first }).is_err());
    pair.store.now += TTL_MS;
    assert!(pair.step(&Op::Renew { handle: second }).is_err());
    assert!(pair.claim().is_some());
    for op in [Op::DescribeExecution(id(1)), Op::ReadExecutionInfo(id(2)), Op::ReadExecutionState(id(9))] {
        pair.step(&op).unwrap();
    }
    pair.agree();
}

#[test]
fn a_lease_that_was_handed_out_before_is_illegal() {
    let mut pair = Pair::new();
    (1..3).for_each(|n| pair.create(n, ExecutionPolicy::new()));
    pair.claim().unwrap();
    // The same seed again: the second execution under the lease of the first.
    let mut twice = pair.store.state.clone();
    let answer = apply(&mut twice, &claim_op(&[]), pair.now().from, &mut SeededMint::new(7));
    let expected = expected(accept(&pair.models[0], &claim_op(&[]), &answer.into(), pair.now()));
    assert!(matches!(&expected[..], [Ok(Answer::Claim(Some(_)))]), "{expected:?}");
}

#[test]
fn another_answer_is_illegal_and_the_legal_one_is_told() {
    let mut pair = Pair::new();
    pair.create(1, ExecutionPolicy::new());
    let obs = Obs::Answered(Ok(Answer::Claim(None)));
    let told = expected(accept(&pair.models[0], &claim_op(&[]), &obs, pair.now()));
    assert!(matches!(&told[..], [Ok(Answer::Claim(Some(_)))]), "{told:?}");
    let read = Op::ReadExecutionState(id(1));
    let told = expected(accept(&pair.models[0], &read, &Obs::Answered(Ok(Answer::Done)), pair.now()));
    assert_eq!(told, [pair.store.apply(&read)]);
}

#[test]
fn a_lost_claim_happened_or_not_until_a_read_tells() {
    let mut pair = Pair::new();
    pair.create(1, ExecutionPolicy::new());
    pair.see(&claim_op(&[]), |_| Obs::Lost).unwrap();
    assert_eq!(pair.models.len(), 2);
    // The attempt is seen here, the lease below.
    pair.step(&Op::ReadExecutionInfo(id(1))).unwrap();
    assert_eq!(pair.models.len(), 1);
    assert_ne!(pair.models[0].dump(), pair.store.state.dump(), "the lease is still open");
    let revoked = pair.step(&Op::RevokeLease(RevokeLeaseArgs::new(id(1), "lost"))).unwrap();
    assert!(matches!(revoked, Answer::RevokeLease(RevokeLeaseResult::Revoked { .. })));
    pair.agree();
    assert!(pair.claim().is_some());
    pair.agree();
}

#[test]
fn a_claim_that_did_not_happen_is_explained_too() {
    let mut pair = Pair::new();
    pair.create(1, ExecutionPolicy::new());
    let before = pair.models[0].clone();
    let Judgement::Legal(states) = accept(&before, &claim_op(&[]), &Obs::Lost, pair.now()) else { panic!() };
    pair.models = states;
    assert!(pair.claim().is_some(), "the store has not seen the lost one");
    pair.agree();
}

#[test]
fn a_lost_waitpoint_is_known_once_it_is_listed_or_opened_again() {
    let listing = || Op::ListPendingWaitpoints(ListPendingWaitpointsArgs::new(id(1)));
    for lists in [true, false] {
        let mut pair = Pair::new();
        let secret = SigningSecret::from_bytes([7; 32]).unwrap();
        let seed = SeedWaitpointHmacSecretArgs::new(Kid::try_new("k").unwrap(), secret);
        pair.step(&Op::SeedWaitpointHmacSecret(seed)).unwrap();
        pair.create(1, ExecutionPolicy::new());
        let handle = pair.claim().unwrap();
        let open = |key: &str| Op::CreateWaitpoint {
            handle: handle.clone(),
            waitpoint_key: key.to_owned(),
            expires_in: Duration::from_secs(1),
        };
        pair.see(&open("b"), |_| Obs::Lost).unwrap();
        pair.step(&open("a")).unwrap();
        pair.see(&open("c"), |_| Obs::Lost).unwrap();
        assert_eq!(pair.models.len(), 4);
        if !lists {
            pair.step(&open("c")).unwrap();
            pair.step(&open("b")).unwrap();
        }
        pair.step(&listing()).unwrap();
        pair.models.dedup_by_key(|model| model.dump());
        pair.agree();
    }
}

#[test]
fn a_lost_read_leaves_one_state_and_a_call_that_was_not_sent_none_other() {
    let mut pair = Pair::new();
    pair.create(1, ExecutionPolicy::new());
    pair.see(&Op::DescribeExecution(id(1)), |_| Obs::Lost).unwrap();
    pair.agree();
    let state = pair.models[0].clone();
    assert_eq!(accept(&state, &claim_op(&[]), &Obs::NotDone, pair.now()), Judgement::Legal(vec![state]));
}

#[test]
fn jitter_is_what_the_answer_shows_within_its_bounds() {
    let backoff = Backoff::Exponential { initial_delay_ms: 1000, max_delay_ms: 60_000, multiplier: 2.0, jitter: true };
    let retry = RetryPolicy { backoff, ..RetryPolicy::default() };
    let mut pair = Pair::new();
    let mut policy = ExecutionPolicy::new();
    policy.retry_policy = Some(retry);
    pair.create(1, policy);
    let handle = pair.claim().unwrap();
    let fail = Op::Fail { handle, reason: FailureReason::new("x"), classification: FailureClass::Transient };
    let time = pair.now();
    let answer = |wait: u64| {
        let delay_until = time.from.plus(Duration::from_millis(wait));
        Obs::Answered(Ok(Answer::Fail(FailOutcome::RetryScheduled { delay_until })))
    };
    for (wait, legal) in [(499, false), (500, true), (777, true), (1000, true), (1001, false)] {
        let judgement = accept(&pair.models[0], &fail, &answer(wait), time);
        assert_eq!(matches!(judgement, Judgement::Legal(_)), legal, "{wait}");
    }
    pair.step(&fail).unwrap();
    pair.agree();
}

#[test]
fn a_wait_that_jitter_shortens_to_nothing_is_legal() {
    let retry = |wait: i64| {
        let backoff = Backoff::Exponential { initial_delay_ms: 1, max_delay_ms: 1, multiplier: 1.0, jitter: true };
        let mut policy = ExecutionPolicy::new();
        policy.retry_policy = Some(RetryPolicy { backoff, ..RetryPolicy::default() });
        let mut pair = Pair::new();
        pair.create(1, policy);
        let handle = pair.claim().unwrap();
        let fail = Op::Fail { handle, reason: FailureReason::new("x"), classification: FailureClass::Transient };
        let delay_until = pair.store.at(wait);
        let obs = Obs::Answered(Ok(Answer::Fail(FailOutcome::RetryScheduled { delay_until })));
        matches!(accept(&pair.models[0], &fail, &obs, pair.now()), Judgement::Legal(_))
    };
    assert_eq!([-1, 0, 1, 2].map(retry), [false, true, true, false]);
}

#[test]
fn an_answer_of_any_instant_of_the_interval_is_legal() {
    let mut pair = Pair::new();
    pair.create(1, ExecutionPolicy::new());
    let handle = pair.claim().unwrap();
    let lapse = pair.store.at(TTL_MS);
    let renew = Op::Renew { handle };
    let refused = Obs::Answered(Err(EngineError::State(ff_core::StateKind::LeaseExpired)));
    let until = |to| Interval { from: pair.store.at(TTL_MS - 2), to };
    assert_eq!(expected(accept(&pair.models[0], &renew, &refused, until(pair.store.at(TTL_MS - 1)))).len(), 2);
    assert!(matches!(accept(&pair.models[0], &renew, &refused, until(lapse)), Judgement::Legal(_)));
}

#[test]
fn observations_come_back_from_their_text() {
    let mut pair = Pair::new();
    pair.create(1, ExecutionPolicy::new());
    let handle = pair.claim().unwrap();
    let done = pair.step(&Op::Complete { handle: handle.clone(), payload: None });
    let refused = pair.step(&Op::Renew { handle });
    for obs in [Obs::Lost, Obs::NotDone, done.into(), refused.into()] {
        let text = serde_json::to_string(&obs).unwrap();
        assert_eq!(serde_json::from_str::<Obs>(&text).unwrap(), obs, "{text}");
    }
}
