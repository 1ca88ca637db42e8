//! When a suspended execution resumes: a pure function of the signals that it accepted, computed alike in every store.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{EngineError, Limits, SignalId, state::words};

/// Which signals count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalMatcher {
    /// Those of exactly this name.
    ByName(String),
    /// All.
    Wildcard,
}

words! {
    /// What a count counts.
    CountKind {
        /// Waitpoints that got a signal.
        DistinctWaitpoints = "distinct_waitpoints",
        /// Signals, by their id.
        DistinctSignals = "distinct_signals",
        /// Senders: pairs of source type and source identity.
        DistinctSources = "distinct_sources",
    }
}

/// A condition made of others, or of a count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CompositeBody {
    /// Every member holds. A signal may count for several.
    AllOf {
        /// At least one.
        members: Vec<ResumeCondition>,
    },
    /// At least `n` distinct things; with `n` 1, any of them.
    Count {
        /// At least 1.
        n: u32,
        /// What is counted.
        count_kind: CountKind,
        /// Which signals count; without it, all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        matcher: Option<SignalMatcher>,
        /// The keys of the waitpoints whose signals count.
        waitpoints: Vec<String>,
    },
}

/// When a suspended execution resumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeCondition {
    /// One matching signal at one waitpoint.
    Single {
        /// The key of the waitpoint.
        waitpoint_key: String,
        /// Which signals count.
        matcher: SignalMatcher,
    },
    /// Never by a signal: an operator resumes it.
    OperatorOnly,
    /// Never by a signal: its time-out ends it.
    TimeoutOnly,
    /// Made of others, or of a count.
    Composite(CompositeBody),
}

/// One of the parts of a condition that must all hold; what stores keep and evaluate.
///
/// It holds when the signals at `keys` whose name is `name` have at least `n` distinct values of `distinct`. Without
/// keys it never holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionLeaf {
    /// The keys of the waitpoints whose signals count.
    pub keys: Vec<String>,
    /// The name that a signal must have to count; without it, all do.
    pub name: Option<String>,
    /// What is counted.
    pub distinct: CountKind,
    /// How many are needed.
    pub n: u32,
}

/// What a condition sees of an accepted signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionSignal {
    /// The key of the waitpoint that it was delivered to.
    pub waitpoint_key: String,
    /// The signal.
    pub signal_id: SignalId,
    /// Its name.
    pub signal_name: String,
    /// What kind of sender it came from.
    pub source_type: String,
    /// Which sender it came from.
    pub source_identity: String,
}

words! {
    /// What an accepted signal did.
    SignalEffect {
        /// It fulfilled the condition: the execution resumes.
        ResumeConditionSatisfied = "resume_condition_satisfied",
        /// It brought the condition nearer.
        AppendedToWaitpoint = "appended_to_waitpoint",
        /// It counts, but what it would add was counted before.
        AppendedToWaitpointDuplicate = "appended_to_waitpoint_duplicate",
        /// Its waitpoint does not occur in the condition.
        SignalIgnoredNotInCondition = "signal_ignored_not_in_condition",
        /// Its waitpoint occurs in the condition, its name does not.
        SignalIgnoredMatcherFailed = "signal_ignored_matcher_failed",
        /// It is kept until a suspension takes up its waitpoint.
        BufferedForPendingWaitpoint = "buffered_for_pending_waitpoint",
    }
}

/// The name in the leaf of [`ResumeCondition::OperatorOnly`]; no signal matches it.
const OPERATOR_ONLY: &str = "__operator_only__";
/// The name in the leaf of [`ResumeCondition::TimeoutOnly`]; no signal matches it.
const TIMEOUT_ONLY: &str = "__timeout_only__";

impl SignalMatcher {
    fn name(&self) -> Option<&str> {
        match self {
            Self::ByName(name) => Some(name),
            Self::Wildcard => None,
        }
    }
}

impl ConditionLeaf {
    fn never(name: &str) -> Self {
        Self { keys: Vec::new(), name: Some(name.to_owned()), distinct: CountKind::DistinctSignals, n: 1 }
    }

    /// True if the signal counts for this leaf.
    #[must_use]
    pub fn matches(&self, signal: &ConditionSignal) -> bool {
        self.keys.contains(&signal.waitpoint_key) && self.name.as_ref().is_none_or(|name| *name == signal.signal_name)
    }

    /// How many of the `n` there are, `n` at most.
    #[must_use]
    pub fn progress(&self, signals: &[ConditionSignal]) -> u32 {
        let matching = signals.iter().filter(|signal| self.matches(signal));
        let distinct = match self.distinct {
            CountKind::DistinctWaitpoints => {
                matching.map(|signal| signal.waitpoint_key.as_str()).collect::<BTreeSet<_>>().len()
            }
            CountKind::DistinctSignals => matching.map(|signal| signal.signal_id).collect::<BTreeSet<_>>().len(),
            CountKind::DistinctSources => {
                let source = |signal: &ConditionSignal| (signal.source_type.clone(), signal.source_identity.clone());
                matching.map(source).collect::<BTreeSet<_>>().len()
            }
        };
        u32::try_from(distinct).unwrap_or(u32::MAX).min(self.n)
    }

    /// True if all `leaves` hold for the accepted `signals`; their order does not matter, and more never undo it.
    #[must_use]
    pub fn all_hold(leaves: &[Self], signals: &[ConditionSignal]) -> bool {
        leaves.iter().all(|leaf| leaf.progress(signals) == leaf.n)
    }

    /// What the last of the accepted `signals` did; those before it did not fulfil `leaves`.
    #[must_use]
    pub fn effect(leaves: &[Self], signals: &[ConditionSignal]) -> SignalEffect {
        let Some((last, before)) = signals.split_last() else { return SignalEffect::SignalIgnoredNotInCondition };
        let progress =
            |signals: &[ConditionSignal]| -> u64 { leaves.iter().map(|leaf| u64::from(leaf.progress(signals))).sum() };
        if !leaves.iter().any(|leaf| leaf.keys.contains(&last.waitpoint_key)) {
            SignalEffect::SignalIgnoredNotInCondition
        } else if !leaves.iter().any(|leaf| leaf.matches(last)) {
            SignalEffect::SignalIgnoredMatcherFailed
        } else if Self::all_hold(leaves, signals) {
            SignalEffect::ResumeConditionSatisfied
        } else if progress(signals) > progress(before) {
            SignalEffect::AppendedToWaitpoint
        } else {
            SignalEffect::AppendedToWaitpointDuplicate
        }
    }

    /// The names that `leaves` ask for at the waitpoint called `key`, each once, in their order; none means any.
    #[must_use]
    pub fn required_names(leaves: &[Self], key: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let concerned = leaves.iter().filter(|leaf| leaf.keys.is_empty() || leaf.keys.iter().any(|own| own == key));
        for name in concerned.filter_map(|leaf| leaf.name.as_ref()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

impl ResumeCondition {
    /// The parts that must all hold: a condition is a conjunction, however deep it is.
    #[must_use]
    pub fn leaves(&self) -> Vec<ConditionLeaf> {
        let mut leaves = Vec::new();
        self.put_leaves(&mut leaves);
        leaves
    }

    fn put_leaves(&self, leaves: &mut Vec<ConditionLeaf>) {
        match self {
            Self::Single { waitpoint_key, matcher } => leaves.push(ConditionLeaf {
                keys: vec![waitpoint_key.clone()],
                name: matcher.name().map(str::to_owned),
                distinct: CountKind::DistinctSignals,
                n: 1,
            }),
            Self::OperatorOnly => leaves.push(ConditionLeaf::never(OPERATOR_ONLY)),
            Self::TimeoutOnly => leaves.push(ConditionLeaf::never(TIMEOUT_ONLY)),
            Self::Composite(CompositeBody::AllOf { members }) => {
                members.iter().for_each(|member| member.put_leaves(leaves));
            }
            Self::Composite(CompositeBody::Count { n, count_kind, matcher, waitpoints }) => {
                leaves.push(ConditionLeaf {
                    keys: waitpoints.clone(),
                    name: matcher.as_ref().and_then(SignalMatcher::name).map(str::to_owned),
                    distinct: *count_kind,
                    n: *n,
                });
            }
        }
    }

    /// The keys of the waitpoints that it names, each once, in their order.
    #[must_use]
    pub fn waitpoint_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for key in self.leaves().into_iter().flat_map(|leaf| leaf.keys) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// True if a part of it waits for a time-out.
    #[must_use]
    pub fn needs_timeout(&self) -> bool {
        self.leaves().iter().any(|leaf| leaf.keys.is_empty() && leaf.name.as_deref() == Some(TIMEOUT_ONLY))
    }

    /// Refuses a shape that no backend accepts.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` with the rule and the path of the part: an empty conjunction, a count of none, a count
    /// that cannot be reached, an empty name, more than 4 composites within each other, more than 64 parts or keys.
    pub fn check(&self) -> Result<(), EngineError> {
        self.check_part("condition", 0)?;
        let leaves = self.leaves().len();
        if leaves > Limits::CONDITION_LEAVES {
            let most = Limits::CONDITION_LEAVES;
            return Err(EngineError::invalid_input(format!("condition: too_many_parts: {leaves}, at most {most}")));
        }
        Ok(())
    }

    fn check_part(&self, path: &str, depth: usize) -> Result<(), EngineError> {
        let broken = |rule: &str| Err(EngineError::invalid_input(format!("{path}: {rule}")));
        let named = |matcher: Option<&SignalMatcher>| match matcher.and_then(SignalMatcher::name) {
            Some("") => broken("empty_signal_name: use the wildcard"),
            Some(name) => crate::text::check_name(name, &format!("{path}: signal name")),
            None => Ok(()),
        };
        let Self::Composite(body) = self else {
            return match self {
                Self::Single { matcher, .. } => named(Some(matcher)),
                _ => Ok(()),
            };
        };
        let depth = depth + 1;
        if depth > Limits::CONDITION_DEPTH {
            return broken(&format!("depth {depth} exceeds cap {}", Limits::CONDITION_DEPTH));
        }
        match body {
            CompositeBody::AllOf { members } if members.is_empty() => broken("allof_empty_members"),
            CompositeBody::AllOf { members } => members
                .iter()
                .enumerate()
                .try_for_each(|(at, member)| member.check_part(&format!("{path}.members[{at}]"), depth)),
            CompositeBody::Count { n: 0, .. } => broken("count_n_zero"),
            CompositeBody::Count { waitpoints, .. } if waitpoints.is_empty() => broken("count_waitpoints_empty"),
            CompositeBody::Count { waitpoints, .. } if waitpoints.len() > Limits::CONDITION_LEAVES => {
                broken("too_many_waitpoints")
            }
            CompositeBody::Count { n, count_kind, matcher, waitpoints } => {
                let distinct = waitpoints.iter().collect::<BTreeSet<_>>().len();
                if distinct < waitpoints.len() {
                    return broken("count_waitpoints_repeated");
                }
                let reachable = u32::try_from(distinct).unwrap_or(u32::MAX);
                if *count_kind == CountKind::DistinctWaitpoints && *n > reachable {
                    return broken("count_exceeds_waitpoint_set");
                }
                named(matcher.as_ref())
            }
        }
    }
}
