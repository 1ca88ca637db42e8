//! The one place that turns what the server or the client library says into the errors of the contract.

use std::fmt;

use ff_core::{
    Applied, ConflictKind, ContentionKind, CredentialError, DeliverSignalArgs, EngineError, ReplayExecutionArgs,
    SetExecutionTagArgs, StateKind, SuspendArgs, TransportKind, WaitpointRecord,
};
use redis::{ErrorKind, RedisError};

use crate::backend::LABEL;

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) enum ValkeyError {
    /// The backend was shut down.
    Closed,
    /// The library is not there, or too old.
    NotPrepared(String),
    /// No connection was tried: the source of credentials had none.
    Credentials(CredentialError),
    /// The fault lies before the request was handed to a connection.
    Unsent(RedisError),
    /// The fault lies behind it, or the server refused.
    Sent(RedisError),
    /// A reply that no function of the library gives.
    Reply(String),
    /// The contract refuses.
    Refused(EngineError),
}

impl From<EngineError> for ValkeyError {
    fn from(error: EngineError) -> Self {
        Self::Refused(error)
    }
}

/// A sentence as the source of a transport fault.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

impl From<ValkeyError> for EngineError {
    fn from(error: ValkeyError) -> Self {
        let say = |kind, applied, text: String| Self::transport(LABEL, kind, applied, Said(text));
        match error {
            ValkeyError::Closed => say(TransportKind::Closed, Applied::No, "the backend was shut down".to_owned()),
            ValkeyError::NotPrepared(text) => say(TransportKind::NotPrepared, Applied::No, text),
            ValkeyError::Reply(text) => say(TransportKind::Protocol, Applied::Maybe, text),
            ValkeyError::Credentials(source) => say(TransportKind::Auth, Applied::No, source.to_string()),
            ValkeyError::Refused(error) => error,
            ValkeyError::Unsent(source) => {
                let kind = server_code(&source).map_or_else(|| client_kind(&source), transport_kind);
                Self::transport(LABEL, kind, Applied::No, source)
            }
            ValkeyError::Sent(source) => sent(source),
        }
    }
}

impl ValkeyError {
    /// The same for a request that only looked: nothing was applied, whatever happened to it.
    pub(crate) fn of_a_look(self) -> Self {
        match self {
            Self::Sent(error) => match server_code(&error).and_then(refusal) {
                Some(refusal) => Self::Refused(refusal),
                None => Self::Unsent(error),
            },
            other => other,
        }
    }

    /// True if the server has no function of the asked name.
    pub(crate) fn is_missing_function(&self) -> bool {
        matches!(self, Self::Sent(error) if is_missing_function(error))
    }
}

fn sent(source: RedisError) -> EngineError {
    let Some(code) = server_code(&source) else {
        return EngineError::transport(LABEL, client_kind(&source), Applied::Maybe, source);
    };
    if let Some(refusal) = refusal(code) {
        return refusal;
    }
    if is_missing_function(&source) {
        return EngineError::transport(LABEL, TransportKind::NotPrepared, Applied::No, Said(NOT_PREPARED.to_owned()));
    }
    let kind = transport_kind(code);
    // What the server refuses by itself it refuses before the function runs.
    let refused_outside = kind != TransportKind::Other && !was_raised_inside(&source);
    EngineError::transport(LABEL, kind, if refused_outside { Applied::No } else { Applied::Maybe }, source)
}

/// What to do about a server without the library.
pub(crate) const NOT_PREPARED: &str =
    "the server has no function library `ff` that fits: call prepare(), or load library() with FUNCTION LOAD REPLACE";

/// The refusals of `lua/lib/fail.lua`.
pub(crate) fn refusal(code: &str) -> Option<EngineError> {
    Some(match code {
        "NOT_FOUND" => EngineError::execution_not_found(),
        "LEASE_REVOKED" => EngineError::State(StateKind::LeaseRevoked),
        "LEASE_EXPIRED" => EngineError::State(StateKind::LeaseExpired),
        "STALE_LEASE" => EngineError::State(StateKind::StaleLease),
        "NOT_LEASEABLE" => EngineError::Contention(ContentionKind::ExecutionNotLeaseable),
        "LEASE_CONFLICT" => EngineError::Contention(ContentionKind::LeaseConflict),
        "NOT_RESUMED" => EngineError::Contention(ContentionKind::NotAResumedExecution),
        "INVALID_GRANT" => EngineError::Contention(ContentionKind::InvalidClaimGrant),
        "GRANT_EXPIRED" => EngineError::Contention(ContentionKind::ClaimGrantExpired),
        "TERMINAL" => EngineError::State(StateKind::Terminal),
        "NOT_TERMINAL" => EngineError::State(StateKind::ExecutionNotTerminal),
        "REPLAYS_EXHAUSTED" => EngineError::State(StateKind::MaxReplaysExhausted),
        "NOT_ELIGIBLE" => EngineError::Contention(ContentionKind::ExecutionNotEligible),
        "PAST_DEADLINE" => ReplayExecutionArgs::past_deadline(),
        "TOO_MANY_TAGS" => SetExecutionTagArgs::too_many(),
        "NO_SIGNING_KEY" => EngineError::State(StateKind::SigningKeyMissing),
        "ROTATION_CONFLICT" => EngineError::Conflict(ConflictKind::RotationConflict),
        "INVALID_LEASE" => SuspendArgs::other_attempt_index(),
        "TIMEOUT_PAST" => SuspendArgs::timeout_past(),
        "WAITPOINT_EXISTS" => EngineError::Conflict(ConflictKind::WaitpointAlreadyExists),
        "WAITPOINT_NOT_FOUND" => WaitpointRecord::not_found(),
        "WAITPOINT_NOT_PENDING" => EngineError::State(StateKind::WaitpointNotPending),
        "FOREIGN_WAITPOINT" => WaitpointRecord::of_another_attempt(),
        "WAITPOINT_EXPIRED" => EngineError::State(StateKind::PendingWaitpointExpired),
        "WAITPOINT_KEY" => SuspendArgs::key_mismatch(),
        "NOT_SIGNALABLE" => EngineError::State(StateKind::TargetNotSignalable),
        "WAITPOINT_CLOSED" => EngineError::State(StateKind::WaitpointClosed),
        "SIGNAL_LIMIT" => DeliverSignalArgs::too_many(),
        "NOT_SUSPENDED" => EngineError::State(StateKind::ExecutionNotSuspended),
        _ => return None,
    })
}

/// What the server itself says.
fn transport_kind(code: &str) -> TransportKind {
    match code {
        "OOM" => TransportKind::Full,
        "READONLY" | "MISCONF" | "NOREPLICAS" => TransportKind::ReadOnly,
        "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" => TransportKind::Busy,
        "NOPERM" => TransportKind::Forbidden,
        "NOAUTH" | "WRONGPASS" => TransportKind::Auth,
        _ => TransportKind::Other,
    }
}

fn client_kind(error: &RedisError) -> TransportKind {
    match error.kind() {
        ErrorKind::AuthenticationFailed => TransportKind::Auth,
        ErrorKind::Io if error.is_timeout() => TransportKind::Timeout,
        ErrorKind::Io => TransportKind::Connection,
        ErrorKind::Parse if was_cut(error) => TransportKind::Connection,
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::RESP3NotSupported => TransportKind::Protocol,
        _ => TransportKind::Other,
    }
}

fn server_code(error: &RedisError) -> Option<&str> {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => error.code(),
        _ => None,
    }
}

/// No further reply can come over the connection that gave this error.
pub(crate) fn ends_connection(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.kind() == ErrorKind::Parse
}

/// The connection ended within a reply; the client's parser has no kind of its own for that.
fn was_cut(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("end of input"))
}

/// The server has no code for it.
fn is_missing_function(error: &RedisError) -> bool {
    error.code() == Some("ERR") && error.detail() == Some("Function not found")
}

/// The server names function and line when a command within a function fails; earlier writes of it then stand.
fn was_raised_inside(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("@user_function"))
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn said(line: &str) -> RedisError {
        match parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap() {
            Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    fn code(error: ValkeyError) -> String {
        EngineError::from(error).code()
    }

    #[test]
    fn refusals_of_the_library_are_those_of_the_contract() {
        for (line, expected) in [
            ("NOT_FOUND no such execution", "NotFound(Execution)"),
            ("LEASE_REVOKED an operator took the lease away", "State(LeaseRevoked)"),
            ("LEASE_EXPIRED the lease has run out", "State(LeaseExpired)"),
            ("STALE_LEASE a newer lease owns the execution", "State(StaleLease)"),
            ("TERMINAL the execution ended another way", "State(Terminal)"),
            ("NOT_TERMINAL the execution has not ended", "State(ExecutionNotTerminal)"),
            ("REPLAYS_EXHAUSTED no replay is left", "State(MaxReplaysExhausted)"),
            ("NOT_ELIGIBLE the execution does not wait", "Contention(ExecutionNotEligible)"),
            ("PAST_DEADLINE the deadline is absolute and has come", "Validation(InvalidInput)"),
            ("TOO_MANY_TAGS the execution has as many labels as it may", "Validation(InvalidInput)"),
            ("NO_SIGNING_KEY no key is installed", "State(SigningKeyMissing)"),
            ("ROTATION_CONFLICT the kid stands for another secret", "Conflict(RotationConflict)"),
            ("INVALID_LEASE the lease is of another attempt", "Validation(InvalidLeaseForSuspend)"),
            ("TIMEOUT_PAST the time-out has come long ago", "Validation(InvalidInput)"),
            ("WAITPOINT_EXISTS the execution had a waitpoint of this id", "Conflict(WaitpointAlreadyExists)"),
            ("WAITPOINT_NOT_FOUND the execution has no such waitpoint", "Contention(WaitpointNotFound)"),
            ("WAITPOINT_NOT_PENDING a suspension has used the waitpoint", "State(WaitpointNotPending)"),
            ("FOREIGN_WAITPOINT it is of another attempt", "Validation(InvalidWaitpointForExecution)"),
            ("WAITPOINT_EXPIRED the time of the waitpoint is up", "State(PendingWaitpointExpired)"),
            ("WAITPOINT_KEY the condition asks for another key", "Validation(InvalidInput)"),
            ("NOT_SIGNALABLE the execution has ended", "State(TargetNotSignalable)"),
            ("WAITPOINT_CLOSED the waitpoint takes no signals any more", "State(WaitpointClosed)"),
            ("SIGNAL_LIMIT the execution has as many signals as it may", "Validation(SignalLimitExceeded)"),
            ("NOT_SUSPENDED the execution waits for no signal", "State(ExecutionNotSuspended)"),
        ] {
            assert_eq!(code(ValkeyError::Sent(said(line))), expected);
            assert_eq!(code(ValkeyError::Sent(said(line)).of_a_look()), expected);
        }
    }

    #[test]
    fn what_the_server_refuses_was_not_applied() {
        for (line, expected) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", "Transport(Full, No)"),
            ("READONLY You can't write against a read only replica.", "Transport(ReadOnly, No)"),
            ("MISCONF Errors writing to the AOF file: No space left on device", "Transport(ReadOnly, No)"),
            ("NOREPLICAS Not enough good replicas to write.", "Transport(ReadOnly, No)"),
            ("LOADING Valkey is loading the dataset in memory", "Transport(Busy, No)"),
            ("BUSY Valkey is busy running a script.", "Transport(Busy, No)"),
            ("NOPERM User ff has no permissions to run the 'fcall' command", "Transport(Forbidden, No)"),
            ("NOAUTH Authentication required.", "Transport(Auth, No)"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "Transport(Auth, No)"),
            ("ERR Function not found", "Transport(NotPrepared, No)"),
        ] {
            assert_eq!(code(ValkeyError::Sent(said(line))), expected, "{line}");
        }
    }

    #[test]
    fn what_fails_inside_a_function_may_have_been_applied() {
        for (line, expected) in [
            (
                "NOPERM No permissions to access a key script: ff_claim, on @user_function:7.",
                "Transport(Forbidden, Maybe)",
            ),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", "Transport(Other, Maybe)"),
            ("ERR user_function:7: attempt to index a nil value", "Transport(Other, Maybe)"),
        ] {
            assert_eq!(code(ValkeyError::Sent(said(line))), expected, "{line}");
            let looked = ValkeyError::Sent(said(line)).of_a_look();
            assert!(code(looked).ends_with(", No)"), "{line}");
        }
    }

    #[test]
    fn a_broken_connection_leaves_open_what_was_sent() {
        let broken = || RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert_eq!(code(ValkeyError::Sent(broken())), "Transport(Connection, Maybe)");
        assert_eq!(code(ValkeyError::Unsent(broken())), "Transport(Connection, No)");
        assert_eq!(code(ValkeyError::Sent(late())), "Transport(Timeout, Maybe)");
        assert_eq!(code(ValkeyError::Unsent(late())), "Transport(Timeout, No)");
        assert_eq!(code(ValkeyError::Closed), "Transport(Closed, No)");
        assert_eq!(code(ValkeyError::Credentials("no token".into())), "Transport(Auth, No)");
    }
}
