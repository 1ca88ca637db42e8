//! The golden vectors, and the shapes that are refused.

use serde::Deserialize;

use super::*;

/// One golden vector; every store is run against the same file.
#[derive(Deserialize)]
struct Vector {
    name: String,
    condition: ResumeCondition,
    leaves: Vec<ConditionLeaf>,
    signals: Vec<ConditionSignal>,
    effects: Vec<SignalEffect>,
    satisfied_after: Option<usize>,
    counted: Vec<usize>,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

#[test]
fn the_golden_vectors_hold() {
    let vectors = vectors();
    assert!(vectors.len() >= 30);
    for vector in vectors {
        vector.condition.check().unwrap();
        assert_eq!(vector.condition.leaves(), vector.leaves, "{}", vector.name);
        let effect = |count| ConditionLeaf::effect(&vector.leaves, &vector.signals[..count]);
        let effects: Vec<_> = (1..=vector.effects.len()).map(effect).collect();
        assert_eq!(effects, vector.effects, "{}", vector.name);
        let holds = |count: &usize| ConditionLeaf::all_hold(&vector.leaves, &vector.signals[..*count]);
        assert_eq!((1..=vector.signals.len()).find(holds), vector.satisfied_after, "{}", vector.name);
        let counts = |at: &usize| vector.leaves.iter().any(|leaf| leaf.matches(&vector.signals[*at]));
        let counted: Vec<_> = (0..vector.effects.len()).filter(counts).collect();
        assert_eq!(counted, vector.counted, "{}", vector.name);
    }
}

#[test]
fn a_condition_comes_back_from_its_text() {
    for vector in vectors() {
        let text = serde_json::to_string(&vector.condition).unwrap();
        assert_eq!(serde_json::from_str::<ResumeCondition>(&text).unwrap(), vector.condition);
    }
}

fn single(key: &str) -> ResumeCondition {
    ResumeCondition::Single { waitpoint_key: key.to_owned(), matcher: SignalMatcher::Wildcard }
}

fn all_of(members: Vec<ResumeCondition>) -> ResumeCondition {
    ResumeCondition::Composite(CompositeBody::AllOf { members })
}

fn count(n: u32, count_kind: CountKind, keys: &[&str]) -> ResumeCondition {
    let waitpoints = keys.iter().map(|key| (*key).to_owned()).collect();
    ResumeCondition::Composite(CompositeBody::Count { n, count_kind, matcher: None, waitpoints })
}

#[test]
fn malformed_conditions_are_refused_with_rule_and_path() {
    let nested = |depth| (0..depth).fold(single("a"), |inner, _| all_of(vec![inner]));
    nested(4).check().unwrap();
    let by_name = |name: &str| ResumeCondition::Single {
        waitpoint_key: "a".to_owned(),
        matcher: SignalMatcher::ByName(name.to_owned()),
    };
    let many: Vec<_> = (0..65).map(|_| single("a")).collect();
    for (condition, text) in [
        (all_of(vec![]), "condition: allof_empty_members"),
        (all_of(vec![single("a"), all_of(vec![])]), "condition.members[1]: allof_empty_members"),
        (count(0, CountKind::DistinctSignals, &["a"]), "condition: count_n_zero"),
        (count(1, CountKind::DistinctSignals, &[]), "condition: count_waitpoints_empty"),
        (count(1, CountKind::DistinctSignals, &["a", "a"]), "condition: count_waitpoints_repeated"),
        (count(2, CountKind::DistinctWaitpoints, &["a"]), "condition: count_exceeds_waitpoint_set"),
        (nested(5), "condition.members[0].members[0].members[0].members[0]: depth 5 exceeds cap 4"),
        (all_of(vec![by_name("")]), "condition.members[0]: empty_signal_name: use the wildcard"),
        (by_name(&"x".repeat(257)), "condition: signal name: 257 bytes, at most 256"),
        (all_of(many), "condition: too_many_parts: 65, at most 64"),
    ] {
        assert_eq!(condition.check().unwrap_err(), EngineError::invalid_input(text));
    }
    count(2, CountKind::DistinctSignals, &["a"]).check().unwrap();
}

#[test]
fn a_listing_shows_what_a_waitpoint_asks_for() {
    let by_name = |key: &str, name: &str| ResumeCondition::Single {
        waitpoint_key: key.to_owned(),
        matcher: SignalMatcher::ByName(name.to_owned()),
    };
    let members = vec![by_name("a", "y"), by_name("b", "z"), by_name("a", "x"), by_name("a", "y")];
    let condition = all_of(members);
    assert_eq!(ConditionLeaf::required_names(&condition.leaves(), "a"), ["y", "x"]);
    assert_eq!(condition.waitpoint_keys(), ["a", "b"]);
    assert_eq!(ConditionLeaf::required_names(&single("a").leaves(), "a"), Vec::<String>::new());
    assert_eq!(ConditionLeaf::required_names(&ResumeCondition::OperatorOnly.leaves(), "a"), ["__operator_only__"]);
    assert!(all_of(vec![single("a"), ResumeCondition::TimeoutOnly]).needs_timeout());
    assert!(!ResumeCondition::OperatorOnly.needs_timeout());
}
