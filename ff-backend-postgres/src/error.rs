//! The one table from what PostgreSQL, the driver and the network say to the errors of the contract.

use std::{error::Error as StdError, fmt, io, time::Duration};

use ff_core::{Applied, EngineError, Operation, TransportKind};
use sqlx::{Error, error::DatabaseError, migrate::MigrateError};

use crate::capabilities::LABEL;

/// An error on the way to the contract: it still knows whether the statement had been handed over.
#[derive(Debug)]
pub(crate) enum PgError {
    /// No statement was sent.
    Acquire(Error),
    /// No statement was sent: every connection of the pool is in use.
    Exhausted {
        /// Connections of the pool.
        max: u32,
    },
    /// The statement had been handed over.
    Sent(Error),
    /// The statement had been handed over, and no answer came in time.
    Silent(Duration),
    /// A refusal of the contract, or damaged data.
    Engine(EngineError),
}

impl From<EngineError> for PgError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Error> for PgError {
    fn from(error: Error) -> Self {
        Self::Sent(error)
    }
}

impl From<MigrateError> for PgError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::Sent(error),
            other => EngineError::invalid_input(format!(
                "the migrations of the store are not those of this version of ff-backend-postgres: {other}"
            ))
            .into(),
        }
    }
}

impl PgError {
    /// The error of the contract, for `op`.
    pub(crate) fn at(self, op: Operation) -> EngineError {
        let (error, before) = match self {
            Self::Engine(error) => return error,
            Self::Exhausted { max } => {
                return EngineError::ResourceExhausted { pool: LABEL, max, retry_after: None };
            }
            Self::Silent(limit) => {
                let source = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}"));
                return transport(op, TransportKind::Timeout, Applied::Maybe, source);
            }
            Self::Acquire(error) => (error, true),
            Self::Sent(error) => (error, false),
        };
        // What broke on the way broke before or after the statement left; what the server refused was not applied.
        let lost = if before { Applied::No } else { Applied::Maybe };
        match &error {
            Error::Database(refusal) => {
                let (kind, applied) = match verdict(refusal.as_ref(), lost) {
                    Verdict::Transport(kind, applied) => (kind, applied),
                    Verdict::Engine(error) => return error,
                };
                transport(op, kind, applied, error)
            }
            Error::PoolClosed => transport(op, TransportKind::Closed, Applied::No, error),
            Error::PoolTimedOut => transport(op, TransportKind::Connection, Applied::No, error),
            Error::Io(fault) if fault.kind() == io::ErrorKind::TimedOut => {
                transport(op, TransportKind::Timeout, lost, error)
            }
            Error::Io(_) | Error::Tls(_) | Error::WorkerCrashed => {
                transport(op, TransportKind::Connection, lost, error)
            }
            Error::Protocol(_) => transport(op, TransportKind::Protocol, lost, error),
            // The text of the error could repeat the URL with its password.
            Error::Configuration(_) => EngineError::invalid_input("the URL of the PostgreSQL server is malformed"),
            Error::ColumnDecode { .. }
            | Error::Decode(_)
            | Error::ColumnNotFound(_)
            | Error::ColumnIndexOutOfBounds { .. }
            | Error::RowNotFound
            | Error::TypeNotFound { .. } => EngineError::corrupt(format!("{op}: {error}")),
            _ => transport(op, TransportKind::Other, lost, error),
        }
    }

    /// True if the constraint called `name` was broken.
    pub(crate) fn breaks(&self, name: &str) -> bool {
        matches!(self, Self::Sent(Error::Database(refusal)) if refusal.constraint() == Some(name))
    }

    /// True if the server refused the statement with one of these codes.
    pub(crate) fn has_code(&self, codes: &[&str]) -> bool {
        match self {
            Self::Sent(Error::Database(refusal)) => refusal.code().is_some_and(|code| codes.contains(&code.as_ref())),
            _ => false,
        }
    }

    /// True if the connection was found broken before the whole statement had left.
    pub(crate) fn never_left(&self) -> bool {
        matches!(self, Self::Sent(Error::Io(fault)) if fault.kind() == io::ErrorKind::BrokenPipe)
    }
}

enum Verdict {
    Transport(TransportKind, Applied),
    Engine(EngineError),
}

/// What a refusal of the server means; `lost` is for a server that went away.
fn verdict(refusal: &dyn DatabaseError, lost: Applied) -> Verdict {
    let code = refusal.code().unwrap_or_default();
    let (kind, applied) = match code.as_ref() {
        // Serialisation failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => return Verdict::Engine(EngineError::contention()),
        // Cancelled by statement_timeout.
        "57014" => (TransportKind::Timeout, Applied::No),
        // Shut down, crashed, database dropped: the statement may have been committed before.
        "57P01" | "57P02" | "57P04" => (TransportKind::Connection, lost),
        // Starting up or shutting down, too many connections, out of memory.
        "57P03" | "53300" | "53200" => (TransportKind::Busy, Applied::No),
        "53100" => (TransportKind::Full, Applied::No),
        "25006" => (TransportKind::ReadOnly, Applied::No),
        "42501" => (TransportKind::Forbidden, Applied::No),
        // No such database, schema, table, column or function.
        "3D000" | "3F000" | "42P01" | "42703" | "42883" => (TransportKind::NotPrepared, Applied::No),
        // Damaged data: a checksum or an index is wrong.
        "XX001" | "XX002" => return Verdict::Engine(EngineError::corrupt(refusal.message())),
        code if code.starts_with("08") => (TransportKind::Connection, lost),
        code if code.starts_with("28") => (TransportKind::Auth, Applied::No),
        // A constraint that no statement may break: what is stored contradicts itself.
        code if code.starts_with("23") => return Verdict::Engine(EngineError::corrupt(refusal.message())),
        _ => (TransportKind::Other, Applied::No),
    };
    Verdict::Transport(kind, applied)
}

fn transport(
    op: Operation,
    kind: TransportKind,
    applied: Applied,
    source: impl StdError + Send + Sync + 'static,
) -> EngineError {
    EngineError::transport(LABEL, kind, applied, During { op, source: Box::new(source) })
}

/// An error of the driver with the operation that met it.
#[derive(Debug)]
struct During {
    op: Operation,
    source: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for During {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.source)
    }
}

impl StdError for During {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}
