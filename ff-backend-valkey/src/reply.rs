//! What the functions answer, read into the types of the contract.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use ff_core::{
    AttemptIndex, AttemptInfo, AttemptPhase, AttemptState, BlockingReason, CapabilitySet, ContentionKind,
    EligibilityState, EngineError, ExecutionId, ExecutionRecord, GrantRecord, LeaseEpoch, LeaseRecord, LifecyclePhase,
    OwnershipState, Progress, StateVector, SuspensionRecord, TerminalOutcome, TimestampMs,
};
use redis::Value;

use crate::error::{self, ValkeyError};

/// An array that is read from its front.
pub(crate) struct Items(std::vec::IntoIter<Value>);

impl Items {
    /// The items of a reply.
    pub(crate) fn of(value: Value) -> Result<Self, ValkeyError> {
        match value {
            Value::Array(items) => Ok(Self(items.into_iter())),
            other => Err(unexpected("an array", &other)),
        }
    }

    /// The items of no reply.
    pub(crate) fn none() -> Self {
        Self(Vec::new().into_iter())
    }

    fn next(&mut self) -> Result<Value, ValkeyError> {
        self.0.next().ok_or_else(|| ValkeyError::Reply("an array is too short".to_owned()))
    }

    pub(crate) fn bytes(&mut self) -> Result<Option<Vec<u8>>, ValkeyError> {
        bytes(self.next()?)
    }

    pub(crate) fn text(&mut self) -> Result<String, ValkeyError> {
        text(self.next()?)
    }

    pub(crate) fn parsed<T: FromStr>(&mut self) -> Result<T, ValkeyError> {
        let text = self.text()?;
        text.parse().map_err(|_| ValkeyError::Reply(format!("{text:?} was not expected")))
    }

    /// What a text says; the empty text is none.
    pub(crate) fn optional<T: FromStr>(&mut self) -> Result<Option<T>, ValkeyError> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| ValkeyError::Reply(format!("{text:?} was not expected")))
    }

    pub(crate) fn instant(&mut self) -> Result<TimestampMs, ValkeyError> {
        match self.next()? {
            Value::Int(ms) => Ok(TimestampMs::from_ms(ms)),
            other => Err(unexpected("an instant", &other)),
        }
    }

    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, ValkeyError> {
        match self.next()? {
            Value::Int(number) => T::try_from(number).map_err(|_| ValkeyError::Reply(format!("{number} is too large"))),
            other => Err(unexpected("a number", &other)),
        }
    }

    /// A hash; RESP3 knows maps, but the functions of the library answer with flat arrays.
    pub(crate) fn hash(&mut self) -> Result<Row, ValkeyError> {
        let mut fields = Self::of(self.next()?)?;
        let mut row = BTreeMap::new();
        while let Some(name) = fields.0.next() {
            row.insert(text(name)?, fields.text()?);
        }
        Ok(Row(row))
    }

    /// One stored attempt: its index, then how it began and how it ended (`lua/lib/attempts.lua`).
    pub(crate) fn attempt(&mut self) -> Result<AttemptInfo, ValkeyError> {
        let (index, begin, end) = (self.number()?, self.text()?, self.text()?);
        let corrupt = || EngineError::corrupt(format!("attempt {index}: {begin:?} {end:?}"));
        let begin: Vec<&str> = begin.split('\0').collect();
        let [attempt_type, attempt_id, lease_id, epoch, worker_id, instance, started_at, resumed_at] = begin[..] else {
            return Err(corrupt().into());
        };
        let instant = |text: &str| text.parse().map(TimestampMs::from_ms).map_err(|_| corrupt());
        let mut ends = end.split('\0').filter(|_| !end.is_empty());
        let phase = ends.next().map_or(Ok(AttemptPhase::Started), str::parse)?;
        let ended_at = ends.next().map(instant).transpose()?;
        let failure_category = ends.next().map(str::to_owned);
        Ok(AttemptInfo {
            attempt_id: attempt_id.parse().map_err(|_| corrupt())?,
            attempt_index: AttemptIndex(index),
            attempt_type: attempt_type.parse()?,
            phase,
            lease_id: lease_id.parse().map_err(|_| corrupt())?,
            lease_epoch: LeaseEpoch(epoch.parse().map_err(|_| corrupt())?),
            worker_id: worker_id.parse().map_err(|_| corrupt())?,
            worker_instance_id: instance.parse().map_err(|_| corrupt())?,
            started_at: instant(started_at)?,
            resumed_at: Some(resumed_at).filter(|at| !at.is_empty()).map(instant).transpose()?,
            ended_at,
            failure_reason: ends.next().map(str::to_owned),
            failure_category,
        })
    }

    /// An array within.
    pub(crate) fn items(&mut self) -> Result<Self, ValkeyError> {
        Self::of(self.next()?)
    }

    /// The next array, if there is one.
    pub(crate) fn next_items(&mut self) -> Result<Option<Self>, ValkeyError> {
        self.0.next().map(Self::of).transpose()
    }

    /// The rest, as texts.
    pub(crate) fn texts(self) -> Result<Vec<String>, ValkeyError> {
        self.0.map(text).collect()
    }

    /// The refusal that an answer which begins with `word` tells: one with data, or a code in an item of a batch.
    pub(crate) fn refusal(&mut self, word: &str) -> Result<ValkeyError, ValkeyError> {
        match word {
            "not_active" => Ok(self.not_active()?.into()),
            "refused" => {
                let code = self.text()?;
                error::refusal(&code).map(ValkeyError::from).ok_or_else(|| unknown(&code))
            }
            other => Err(unknown(other)),
        }
    }

    /// The refusal with data: the state that holds, the epoch and the latest attempt.
    pub(crate) fn not_active(&mut self) -> Result<EngineError, ValkeyError> {
        let state = state(&self.text()?)?;
        let lease_epoch = LeaseEpoch(self.parsed()?);
        let attempt = self.text()?;
        let attempt_id = match attempt.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|_| ValkeyError::Reply(format!("attempt id {id:?}")))?),
        };
        Ok(EngineError::Contention(ContentionKind::ExecutionNotActive {
            terminal_outcome: state.terminal_outcome,
            lease_epoch,
            lifecycle_phase: state.lifecycle_phase,
            attempt_id,
        }))
    }
}

/// The error for a word that no function of the library answers there.
pub(crate) fn unknown(word: &str) -> ValkeyError {
    ValkeyError::Reply(format!("{word:?} was not expected"))
}

fn unexpected(what: &str, found: &Value) -> ValkeyError {
    // The variant only: what stands in it belongs to the caller.
    let variant = match found {
        Value::Nil => "nil",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "text",
        Value::Array(_) => "an array",
        _ => "something else",
    };
    ValkeyError::Reply(format!("{variant} where {what} was expected"))
}

/// The bytes of a value, or none for nil.
pub(crate) fn bytes(value: Value) -> Result<Option<Vec<u8>>, ValkeyError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        other => Err(unexpected("text", &other)),
    }
}

fn text(value: Value) -> Result<String, ValkeyError> {
    match value {
        Value::BulkString(bytes) => {
            String::from_utf8(bytes).map_err(|_| EngineError::corrupt("stored text is not UTF-8").into())
        }
        other => Err(unexpected("text", &other)),
    }
}

/// The fields of a stored hash. An empty field of the core means none.
#[derive(Debug, Default)]
pub(crate) struct Row(BTreeMap<String, String>);

impl Row {
    /// A hash that does not exist has no fields.
    pub(crate) fn is_absent(&self) -> bool {
        self.0.is_empty()
    }

    /// All fields, as tags are stored.
    pub(crate) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }

    /// Free text, which may be empty.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(crate) fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, EngineError>
    where
        T::Err: Display,
    {
        match self.0.get(name).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|error| EngineError::corrupt(format!("field {name}: {text:?}: {error}")))
            }
        }
    }

    pub(crate) fn required<T: FromStr>(&self, name: &str) -> Result<T, EngineError>
    where
        T::Err: Display,
    {
        self.optional(name)?.ok_or_else(|| EngineError::corrupt(format!("field {name} is missing")))
    }

    fn count<T: FromStr + Default>(&self, name: &str) -> Result<T, EngineError>
    where
        T::Err: Display,
    {
        Ok(self.optional(name)?.unwrap_or_default())
    }

    pub(crate) fn instant(&self, name: &str) -> Result<TimestampMs, EngineError> {
        self.required(name).map(TimestampMs::from_ms)
    }

    fn optional_instant(&self, name: &str) -> Result<Option<TimestampMs>, EngineError> {
        Ok(self.optional(name)?.map(TimestampMs::from_ms))
    }

    fn lease(&self, attempts: u32) -> Result<Option<LeaseRecord>, EngineError> {
        let Some(lease_id) = self.optional("li")? else { return Ok(None) };
        Ok(Some(LeaseRecord {
            lease_id,
            attempt_id: self.required("ai")?,
            attempt_index: AttemptIndex(attempts.saturating_sub(1)),
            worker_instance_id: self.required("wi")?,
            acquired_at: self.instant("la")?,
            expires_at: self.instant("le")?,
            last_renewed_at: self.optional_instant("lr")?,
        }))
    }

    fn grant(&self) -> Result<Option<GrantRecord>, EngineError> {
        let Some(grant_key) = self.optional("gk")? else { return Ok(None) };
        Ok(Some(GrantRecord {
            grant_key,
            worker_id: self.required("gw")?,
            worker_instance_id: self.required("gi")?,
            expires_at: self.instant("ge")?,
            redeemed: self.optional::<u8>("gr")?.is_some(),
        }))
    }

    /// The suspension while it is open, without what its waitpoints ask for.
    fn suspension(&self, state: &StateVector) -> Result<Option<SuspensionRecord>, EngineError> {
        if state.lifecycle_phase != LifecyclePhase::Suspended {
            return Ok(None);
        }
        Ok(Some(SuspensionRecord {
            number: self.required("sq")?,
            suspension_id: self.required("si")?,
            waitpoint_id: self.required("sw")?,
            attempt_id: self.required("ai")?,
            lease_epoch: LeaseEpoch(self.count("e")?),
            suspended_at: self.instant("sa")?,
            timeout_at: self.optional_instant("st")?,
            timeout_behavior: self.required("sb")?,
            reason_code: self.required("sr")?,
            requested_by: self.required("sy")?,
            continuation_metadata_pointer: None,
            leaves: Vec::new(),
            resume_delay_ms: None,
            already_satisfied: false,
            ended: None,
        }))
    }

    /// How the input is encoded.
    pub(crate) fn encoding(&self) -> Result<Option<String>, EngineError> {
        self.optional("en")
    }

    /// What a worker must offer.
    pub(crate) fn required_capabilities(&self) -> Result<CapabilitySet, EngineError> {
        let joined: Option<String> = self.optional("q")?;
        CapabilitySet::try_new(joined.iter().flat_map(|tokens| tokens.split(',')))
    }

    /// The stored execution, with the free text that belongs to it.
    pub(crate) fn record(&self, execution_id: ExecutionId, mut text: Self) -> Result<ExecutionRecord, EngineError> {
        let total_attempt_count = self.count("n")?;
        let state = state(&self.required::<String>("s")?)?;
        let progress = match self.optional_instant("pu")? {
            None => None,
            Some(updated_at) => {
                Some(Progress { percent: self.optional("pp")?, message: text.take("progress_message"), updated_at })
            }
        };
        Ok(ExecutionRecord {
            execution_id,
            namespace: self.required("ns")?,
            lane_id: self.required("l")?,
            execution_kind: self.required("k")?,
            creator_identity: self.optional("cr")?,
            priority: self.required("p")?,
            suspension: self.suspension(&state)?,
            state,
            delay_until: self.optional_instant("d")?,
            execution_deadline_at: self.optional_instant("x")?,
            lease: self.lease(total_attempt_count)?,
            grant: self.grant()?,
            lease_epoch: LeaseEpoch(self.count("e")?),
            total_attempt_count,
            retry_count: self.count("rc")?,
            lease_reclaim_count: self.count("lc")?,
            replay_count: self.count("rn")?,
            created_at: self.instant("c")?,
            started_at: self.optional_instant("b")?,
            completed_at: self.optional_instant("z")?,
            last_transition_at: self.instant("t")?,
            last_mutation_at: self.instant("m")?,
            failure_reason: text.take("failure_reason"),
            failure_category: text.take("failure_category"),
            cancellation_reason: text.take("cancellation_reason"),
            cancelled_by: text.take("cancelled_by"),
            progress,
        })
    }
}

/// One letter for each value of a dimension, in the order of its `ALL`; `lua/lib/state.lua` writes words of them.
const PHASE: &str = "rast";
const OWNERSHIP: &str = "uler";
const ELIGIBILITY: &str = "ntdbqrlo-";
const BLOCKING: &str = "-wrzdsactkbqplouf";
const OUTCOME: &str = "-sfcek";
const ATTEMPT: &str = "-friypx";

/// The state that a word of six letters says.
pub(crate) fn state(word: &str) -> Result<StateVector, EngineError> {
    let mut letters = word.chars();
    let vector = StateVector {
        lifecycle_phase: dimension(PHASE, LifecyclePhase::ALL, letters.next(), word)?,
        ownership_state: dimension(OWNERSHIP, OwnershipState::ALL, letters.next(), word)?,
        eligibility_state: dimension(ELIGIBILITY, EligibilityState::ALL, letters.next(), word)?,
        blocking_reason: dimension(BLOCKING, BlockingReason::ALL, letters.next(), word)?,
        terminal_outcome: dimension(OUTCOME, TerminalOutcome::ALL, letters.next(), word)?,
        attempt_state: dimension(ATTEMPT, AttemptState::ALL, letters.next(), word)?,
    };
    if letters.next().is_none() { Ok(vector) } else { Err(EngineError::corrupt(format!("state {word:?}"))) }
}

/// The letter of a blocking reason.
pub(crate) fn reason_letter(reason: BlockingReason) -> &'static str {
    let at = BlockingReason::ALL.iter().position(|other| *other == reason).unwrap_or_default();
    BLOCKING.get(at..=at).unwrap_or_default()
}

fn dimension<T: Copy>(letters: &str, values: &[T], letter: Option<char>, word: &str) -> Result<T, EngineError> {
    letter
        .and_then(|letter| letters.find(letter))
        .and_then(|at| values.get(at).copied())
        .ok_or_else(|| EngineError::corrupt(format!("state {word:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_dimension_has_its_own_letter() {
        for (letters, count) in [
            (PHASE, LifecyclePhase::ALL.len()),
            (OWNERSHIP, OwnershipState::ALL.len()),
            (ELIGIBILITY, EligibilityState::ALL.len()),
            (BLOCKING, BlockingReason::ALL.len()),
            (OUTCOME, TerminalOutcome::ALL.len()),
            (ATTEMPT, AttemptState::ALL.len()),
        ] {
            let distinct: std::collections::BTreeSet<char> = letters.chars().collect();
            assert_eq!((letters.len(), distinct.len()), (count, count), "{letters}");
        }
    }

    #[test]
    fn the_words_of_the_library_are_the_states_of_the_contract() {
        let lua = include_str!("../lua/lib/state.lua");
        for (name, expected) in [
            ("eligible_first", StateVector::eligible(AttemptState::PendingFirstAttempt)),
            ("eligible_retry", StateVector::eligible(AttemptState::PendingRetryAttempt)),
            ("eligible_replay", StateVector::eligible(AttemptState::PendingReplayAttempt)),
            ("delayed_first", StateVector::delayed(BlockingReason::WaitingForDelay, AttemptState::PendingFirstAttempt)),
            (
                "backoff_retry",
                StateVector::delayed(BlockingReason::WaitingForRetryBackoff, AttemptState::PendingRetryAttempt),
            ),
            (
                "delayed_resumed",
                StateVector::delayed(BlockingReason::WaitingForResumeDelay, AttemptState::AttemptInterrupted),
            ),
            ("leased", StateVector::leased()),
            ("revoked", StateVector::revoked()),
            ("succeeded", StateVector::terminal(TerminalOutcome::Success, AttemptState::AttemptTerminal)),
            ("failed", StateVector::terminal(TerminalOutcome::Failed, AttemptState::AttemptTerminal)),
            ("cancelled", StateVector::terminal(TerminalOutcome::Cancelled, AttemptState::AttemptTerminal)),
            ("cancelled_unstarted", StateVector::terminal(TerminalOutcome::Cancelled, AttemptState::None)),
            ("expired", StateVector::terminal(TerminalOutcome::Expired, AttemptState::AttemptTerminal)),
            ("expired_unstarted", StateVector::terminal(TerminalOutcome::Expired, AttemptState::None)),
        ] {
            let line = lua.lines().find_map(|line| line.trim().strip_prefix(&format!("{name} = \""))).unwrap();
            assert_eq!(state(line.trim_end_matches("\",")).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_suspended_row_says_by_its_letter_what_it_waits_for() {
        for reason in BlockingReason::ALL {
            let word = format!("su-{}-i", reason_letter(*reason));
            assert_eq!(state(&word).unwrap(), StateVector::suspended(*reason));
        }
    }

    #[test]
    fn a_damaged_word_is_corruption() {
        for word in ["", "runw-", "runw-ff", "xunw-f", "ünw-f-"] {
            assert_eq!(state(word).unwrap_err().code(), "Validation(Corruption)", "{word}");
        }
    }

    fn row(fields: &[(&str, &str)]) -> Row {
        Row(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    const WAITING: &[(&str, &str)] =
        &[("s", "runw-f"), ("ns", "n"), ("l", "mail"), ("k", "send"), ("p", "0"), ("c", "5"), ("t", "5"), ("m", "5")];

    #[test]
    fn a_row_is_read_with_its_free_text() {
        let id: ExecutionId = "{fp:0}:00000000-0000-4000-8000-000000000001".parse().unwrap();
        let text = row(&[("failure_reason", ""), ("progress_message", "half")]);
        let fields = [WAITING, &[("pu", "7"), ("pp", ""), ("d", ""), ("x", "253402300799999")]].concat();
        let record = row(&fields).record(id, text).unwrap();
        assert_eq!(record.state, StateVector::eligible(AttemptState::PendingFirstAttempt));
        assert_eq!(record.execution_deadline_at, Some(TimestampMs::MAX));
        assert_eq!((record.delay_until, record.lease, record.lease_epoch.0), (None, None, 0));
        assert_eq!(record.failure_reason.as_deref(), Some(""));
        let progress = record.progress.unwrap();
        assert_eq!((progress.percent, progress.message.as_deref()), (None, Some("half")));
    }

    #[test]
    fn a_damaged_row_is_corruption() {
        let id: ExecutionId = "{fp:0}:00000000-0000-4000-8000-000000000001".parse().unwrap();
        for missing in WAITING {
            let rest: Vec<_> = WAITING.iter().filter(|field| field.0 != missing.0).copied().collect();
            let error = row(&rest).record(id, Row::default()).unwrap_err();
            assert_eq!(error.code(), "Validation(Corruption)", "{}", missing.0);
        }
        let error = row(&[WAITING, &[("e", "1e3")]].concat()).record(id, Row::default()).unwrap_err();
        assert_eq!(error.code(), "Validation(Corruption)");
    }
}
