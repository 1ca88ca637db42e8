//! What arguments of a suspension are refused, and how long its key lives.

use super::*;
use crate::{CompositeBody, CountKind, SignalMatcher};

fn single(key: &str) -> ResumeCondition {
    ResumeCondition::Single { waitpoint_key: key.to_owned(), matcher: SignalMatcher::Wildcard }
}

fn any_of(keys: &[&str]) -> ResumeCondition {
    let waitpoints = keys.iter().map(|key| (*key).to_owned()).collect();
    let count_kind = CountKind::DistinctWaitpoints;
    ResumeCondition::Composite(CompositeBody::Count { n: 1, count_kind, matcher: None, waitpoints })
}

fn args(waitpoints: Vec<WaitpointBinding>, condition: ResumeCondition) -> SuspendArgs {
    SuspendArgs::new(SuspensionId::new(), waitpoints, condition, SuspensionReasonCode::WaitingForSignal)
}

fn fresh(key: &str) -> WaitpointBinding {
    WaitpointBinding::fresh_with_key(key)
}

fn pending() -> WaitpointBinding {
    WaitpointBinding::pending(WaitpointId::new())
}

#[test]
fn bindings_and_condition_must_fit() {
    let (a, twin) = (fresh("a"), fresh("b"));
    for (waitpoints, condition, rule) in [
        (vec![], single("a"), "waitpoints_empty"),
        (vec![fresh("b")], single("a"), "waitpoint_key_mismatch"),
        (vec![a.clone(), pending()], single("a"), "additional_waitpoint_binding_must_be_fresh: waitpoints[1]"),
        (vec![a.clone(), fresh("")], single("a"), "additional_waitpoint_binding_empty_key: waitpoints[1]"),
        (vec![a.clone(), a.clone()], single("a"), "waitpoint_bound_twice: waitpoints[1]"),
        (vec![twin.clone(), fresh("b")], single("b"), "waitpoint_key_bound_twice: b"),
        (vec![a.clone()], any_of(&["a", "b"]), "referenced_waitpoint_key_missing_binding: b"),
        (vec![a.clone(), twin.clone()], single("a"), "extra_binding_not_referenced_by_condition: b"),
        (vec![pending(), twin.clone()], any_of(&["a", "b", "c"]), "referenced_waitpoint_key_missing_binding: c"),
        (vec![pending(), twin.clone()], single("b"), "extra_binding_not_referenced_by_condition: waitpoints[0]"),
        (vec![a.clone()], ResumeCondition::TimeoutOnly, "timeout_only_without_deadline"),
    ] {
        assert_eq!(args(waitpoints, condition).check(), Err(EngineError::invalid_input(rule)));
    }
    assert_eq!(args(vec![a.clone(), twin], any_of(&["a", "b"])).check(), Ok(None));
    assert_eq!(args(vec![pending(), fresh("b")], any_of(&["a", "b"])).check(), Ok(Some("a".to_owned())));
    assert_eq!(args(vec![pending()], ResumeCondition::OperatorOnly).check(), Ok(None));
    for key in ["", "a\0", &"x".repeat(257)] {
        let refusal = args(vec![fresh(key)], ResumeCondition::OperatorOnly).check().unwrap_err();
        assert_eq!(refusal.code(), "Validation(InvalidWaitpointKey)");
    }
}

#[test]
fn flags_without_an_effect_are_refused() {
    let policy = ResumePolicy { consume_matched_signals: false, ..ResumePolicy::default() };
    let refusal = args(vec![fresh("a")], single("a")).resume_policy(policy).check().unwrap_err();
    assert_eq!(refusal.code(), "Validation(InvalidPolicyJson)");
    assert!(refusal.to_string().contains("consume_matched_signals"), "{refusal}");
}

#[test]
fn a_key_outlives_its_suspension_by_a_minute() {
    let now = TimestampMs::from_ms(1_000_000);
    let life = |at: Option<i64>| SuspendArgs::key_life_ms(at.map(TimestampMs::from_ms), now);
    assert_eq!(life(None), 604_800_000);
    assert_eq!(life(Some(1_000_500)), 60_500);
    assert_eq!(life(Some(1)), 60_000);
    assert_eq!(life(Some(i64::MAX)), 604_800_000);
}
