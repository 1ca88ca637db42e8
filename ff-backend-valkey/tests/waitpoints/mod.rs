//! Conditions as the server counts them, and keys that change under a client's copy.

use std::time::Duration;

use ff_backend_valkey::{ValkeyBackend, library};
use ff_core::{
    Attempts, Claims, CompositeBody, CountKind, DeliverSignalArgs, DeliverSignalResult, Executions, HandleKind, Kid,
    ResumeCondition, RotateWaitpointHmacSecretAllArgs, SeedWaitpointHmacSecretArgs, SignalEffect, SignalId,
    SignalMatcher, SigningSecret, SuspendArgs, SuspendOutcome, SuspendOutcomeDetails, SuspensionId,
    SuspensionReasonCode, WaitpointBinding, Waitpoints,
};
use redis::cmd;
use serde_json::Value;

use crate::support::{Server, args, claim};

/// Counts signals one by one for a condition, as `lua/lib/conditions.lua` does it, and tells what each did.
const COUNTING: &str = r#"
redis.register_function("ff_count", function(_, args)
  local leaves, counts, marks, answers = ff.leaves(args[1]), {}, {}, {}
  for place in ipairs(leaves) do counts[place] = 0 end
  for i, given in ipairs(cjson.decode(args[2])) do
    local signal = { key = given.waitpoint_key, id = given.signal_id, name = given.signal_name,
      source_type = given.source_type, source = given.source_identity }
    local answer = ff.count_signal(leaves, counts, signal, function(place, what)
      local mark = place .. ":" .. what
      local is_new = not marks[mark]
      marks[mark] = true
      return is_new
    end)
    answers[i] = { answer, ff.holds(leaves, counts) and 1 or 0 }
  end
  return answers
end)
"#;

/// What the contract calls an answer of the counting.
fn effect(answer: &str, holds: bool) -> SignalEffect {
    match answer {
        "ignored" => SignalEffect::SignalIgnoredNotInCondition,
        "refused" => SignalEffect::SignalIgnoredMatcherFailed,
        _ if holds => SignalEffect::ResumeConditionSatisfied,
        "counted" => SignalEffect::AppendedToWaitpoint,
        "known" => SignalEffect::AppendedToWaitpointDuplicate,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_golden_vectors_hold_on_the_server() {
    let server = Server::new().await;
    server.load(&format!("{}{COUNTING}", library())).await;
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../../ff-core/src/conditions/vectors.json")).unwrap();
    assert!(vectors.len() >= 30);
    for vector in vectors {
        let call = cmd("FCALL")
            .arg("ff_count")
            .arg(0)
            .arg(vector["leaves"].to_string())
            .arg(vector["signals"].to_string())
            .clone();
        let answers: Vec<(String, u8)> = server.ask(&call).await.unwrap();
        let expected = vector["effects"].as_array().unwrap();
        let effects = answers.iter().take(expected.len()).map(|(answer, holds)| effect(answer, *holds == 1));
        let effects: Vec<Value> = effects.map(|effect| effect.as_str().into()).collect();
        assert_eq!(&effects, expected, "{}", vector["name"]);
        let satisfied_after = answers.iter().position(|(_, holds)| *holds == 1).map(|at| at as u64 + 1);
        assert_eq!(satisfied_after, vector["satisfied_after"].as_u64(), "{}", vector["name"]);
        let takes = |(at, (answer, _)): (usize, &(String, u8))| {
            matches!(answer.as_str(), "counted" | "known").then(|| Value::from(at))
        };
        let counted: Vec<Value> = answers.iter().take(expected.len()).enumerate().filter_map(takes).collect();
        assert_eq!(&counted, vector["counted"].as_array().unwrap(), "{}", vector["name"]);
    }
}

fn key(number: u8) -> (Kid, SigningSecret) {
    (Kid::try_new(format!("k{number}")).unwrap(), SigningSecret::from_bytes([number; 32]).unwrap())
}

async fn seed(backend: &ValkeyBackend) {
    let (kid, secret) = key(1);
    backend.seed_waitpoint_hmac_secret(SeedWaitpointHmacSecretArgs::new(kid, secret)).await.unwrap();
}

async fn rotate(backend: &ValkeyBackend, number: u8, grace: Duration) {
    let (kid, secret) = key(number);
    let args = RotateWaitpointHmacSecretAllArgs::new(kid, secret, grace);
    backend.rotate_waitpoint_hmac_secret_all(args).await.unwrap().entries[0].result.as_ref().unwrap();
}

/// Suspends new work until two signals have come.
async fn suspended(backend: &ValkeyBackend) -> (ff_core::ExecutionId, SuspendOutcomeDetails) {
    let create = args();
    let id = create.execution_id;
    backend.create_execution(create).await.unwrap();
    let handle = claim(backend).await.unwrap();
    let condition = ResumeCondition::Composite(CompositeBody::Count {
        n: 2,
        count_kind: CountKind::DistinctSignals,
        matcher: Some(SignalMatcher::ByName("go".to_owned())),
        waitpoints: vec!["a".to_owned()],
    });
    let waitpoints = vec![WaitpointBinding::fresh_with_key("a")];
    let reason = SuspensionReasonCode::WaitingForSignal;
    let suspend = SuspendArgs::new(SuspensionId::new(), waitpoints, condition, reason);
    match backend.suspend(&handle, suspend).await.unwrap() {
        SuspendOutcome::Suspended { details, handle } => {
            assert_eq!(handle.kind(), HandleKind::Suspended);
            (id, details)
        }
        other => panic!("{other:?}"),
    }
}

fn go(id: ff_core::ExecutionId, details: &SuspendOutcomeDetails) -> DeliverSignalArgs {
    DeliverSignalArgs::new(id, details.waitpoint_id, details.waitpoint_token.clone(), SignalId::new(), "go")
}

async fn effect_of(backend: &ValkeyBackend, signal: DeliverSignalArgs) -> SignalEffect {
    match backend.deliver_signal(signal).await.unwrap() {
        DeliverSignalResult::Accepted { effect, .. } => effect,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_with_an_old_copy_of_the_keys_signs_and_checks_by_the_new_ones() {
    let server = Server::new().await;
    let (one, other) = (server.backend().await, server.backend().await);
    seed(&one).await;
    let (first, first_details) = suspended(&one).await;
    assert_eq!(effect_of(&other, go(first, &first_details)).await, SignalEffect::AppendedToWaitpoint);

    rotate(&other, 2, Duration::from_secs(3600)).await;
    let (second, second_details) = suspended(&one).await;
    assert!(second_details.waitpoint_token.expose().starts_with("k2:"));
    // The grace of the first key has not ended.
    assert_eq!(effect_of(&one, go(first, &first_details)).await, SignalEffect::ResumeConditionSatisfied);
    one.complete(&claim(&*one).await.unwrap(), None).await.unwrap();

    // A key whose id comes again with another secret signs nothing that the first one signed.
    rotate(&other, 3, Duration::ZERO).await;
    let (kid, _) = key(2);
    let again = SigningSecret::from_bytes([9; 32]).unwrap();
    let again = RotateWaitpointHmacSecretAllArgs::new(kid, again, Duration::from_secs(3600));
    other.rotate_waitpoint_hmac_secret_all(again).await.unwrap().entries[0].result.as_ref().unwrap();
    let refused = one.deliver_signal(go(second, &second_details)).await.unwrap_err();
    assert_eq!(refused, ff_core::EngineError::invalid_token());
    let (third, third_details) = suspended(&one).await;
    assert_eq!(effect_of(&other, go(third, &third_details)).await, SignalEffect::AppendedToWaitpoint);
}

#[tokio::test]
async fn a_resumed_execution_leaves_nothing_that_waits() {
    let server = Server::new().await;
    let backend = server.backend().await;
    seed(&backend).await;
    let (id, details) = suspended(&backend).await;
    for _ in 0..2 {
        backend.deliver_signal(go(id, &details).payload(vec![0, 255])).await.unwrap();
    }
    assert_eq!(server.ask::<u64>(cmd("ZCARD").arg("ff:{fp:0}:suspended")).await.unwrap(), 0);
    let handle = claim(&*backend).await.unwrap();
    assert_eq!(handle.kind(), HandleKind::Resumed);
    let observed = backend.observe_signals(&handle).await.unwrap();
    assert_eq!(
        observed.iter().filter_map(|signal| signal.payload.as_deref()).collect::<Vec<_>>(),
        [[0, 255], [0, 255]]
    );
    assert!(backend.explain_unclaimed(&id, &ff_core::CapabilitySet::default()).await.unwrap().is_some());
}
