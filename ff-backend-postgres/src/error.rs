//! The one table from what PostgreSQL, the driver and the network say to the errors of the contract.

use std::{error::Error as StdError, fmt, io, time::Duration};

use ff_core::{Applied, CredentialError, EngineError, Operation, TransportKind};
use sqlx::{Error, error::DatabaseError, migrate::MigrateError};

use crate::capabilities::LABEL;

/// An error on the way to the contract: it still knows whether the statement had been handed over.
#[derive(Debug)]
pub(crate) enum PgError {
    /// No statement was sent.
    Acquire(Error),
    /// No connection was tried: the source of credentials had none.
    Credentials(CredentialError),
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
            Self::Credentials(source) => {
                let during = During { op, source };
                return EngineError::transport(LABEL, TransportKind::Auth, Applied::No, during);
            }
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

    /// True if the server refused the credentials of a new connection.
    pub(crate) fn is_refused_login(&self) -> bool {
        match self {
            Self::Acquire(Error::Database(refusal)) => refusal.code().is_some_and(|code| code.starts_with("28")),
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

/// The same refusal for each of so many calls that went together.
pub(crate) fn refused<T>(error: &EngineError, many: usize) -> Vec<Option<Result<T, EngineError>>> {
    (0..many).map(|_| Some(Err(error.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use sqlx::error::ErrorKind;

    use super::*;

    /// A refusal of the server with a code, and perhaps a constraint.
    #[derive(Debug)]
    struct Refusal(&'static str, Option<&'static str>);

    impl fmt::Display for Refusal {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Refusal {}

    impl DatabaseError for Refusal {
        fn message(&self) -> &str {
            self.0
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }
        fn constraint(&self) -> Option<&str> {
            self.1
        }
        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn refusal(code: &'static str) -> Error {
        Error::Database(Box::new(Refusal(code, None)))
    }

    fn sent(error: Error) -> String {
        PgError::Sent(error).at(Operation::Complete).code()
    }

    fn unsent(error: Error) -> String {
        PgError::Acquire(error).at(Operation::Complete).code()
    }

    fn broken(kind: io::ErrorKind) -> Error {
        Error::Io(kind.into())
    }

    #[test]
    fn every_code_has_one_meaning() {
        for (code, before, after) in [
            ("40001", "Contention(LeaseConflict)", "Contention(LeaseConflict)"),
            ("40P01", "Contention(LeaseConflict)", "Contention(LeaseConflict)"),
            ("55P03", "Contention(LeaseConflict)", "Contention(LeaseConflict)"),
            ("57014", "Transport(Timeout, No)", "Transport(Timeout, No)"),
            ("57P01", "Transport(Connection, No)", "Transport(Connection, Maybe)"),
            ("57P02", "Transport(Connection, No)", "Transport(Connection, Maybe)"),
            ("08006", "Transport(Connection, No)", "Transport(Connection, Maybe)"),
            ("57P03", "Transport(Busy, No)", "Transport(Busy, No)"),
            ("53300", "Transport(Busy, No)", "Transport(Busy, No)"),
            ("53100", "Transport(Full, No)", "Transport(Full, No)"),
            ("25006", "Transport(ReadOnly, No)", "Transport(ReadOnly, No)"),
            ("42501", "Transport(Forbidden, No)", "Transport(Forbidden, No)"),
            ("28P01", "Transport(Auth, No)", "Transport(Auth, No)"),
            ("28000", "Transport(Auth, No)", "Transport(Auth, No)"),
            ("3D000", "Transport(NotPrepared, No)", "Transport(NotPrepared, No)"),
            ("42P01", "Transport(NotPrepared, No)", "Transport(NotPrepared, No)"),
            ("42883", "Transport(NotPrepared, No)", "Transport(NotPrepared, No)"),
            ("XX001", "Validation(Corruption)", "Validation(Corruption)"),
            ("23505", "Validation(Corruption)", "Validation(Corruption)"),
            ("22003", "Transport(Other, No)", "Transport(Other, No)"),
        ] {
            assert_eq!((unsent(refusal(code)).as_str(), sent(refusal(code)).as_str()), (before, after), "{code}");
        }
    }

    #[test]
    fn what_broke_on_the_way_says_whether_the_statement_had_left() {
        assert_eq!(unsent(broken(io::ErrorKind::ConnectionRefused)), "Transport(Connection, No)");
        assert_eq!(sent(broken(io::ErrorKind::UnexpectedEof)), "Transport(Connection, Maybe)");
        assert_eq!(sent(broken(io::ErrorKind::TimedOut)), "Transport(Timeout, Maybe)");
        assert_eq!(sent(Error::Protocol("?".to_owned())), "Transport(Protocol, Maybe)");
        assert_eq!(unsent(Error::PoolClosed), "Transport(Closed, No)");
        assert_eq!(unsent(Error::PoolTimedOut), "Transport(Connection, No)");
        assert_eq!(PgError::Silent(Duration::from_secs(1)).at(Operation::Claim).code(), "Transport(Timeout, Maybe)");
        assert_eq!(PgError::Exhausted { max: 3 }.at(Operation::Claim).code(), "ResourceExhausted(postgres)");
        assert!(PgError::Sent(broken(io::ErrorKind::BrokenPipe)).never_left());
        assert!(!PgError::Sent(broken(io::ErrorKind::ConnectionReset)).never_left());
    }

    #[test]
    fn a_source_without_credentials_is_no_login() {
        assert_eq!(PgError::Credentials("no token".into()).at(Operation::Claim).code(), "Transport(Auth, No)");
        assert!(PgError::Acquire(refusal("28P01")).is_refused_login());
        assert!(!PgError::Sent(refusal("28P01")).is_refused_login());
    }

    #[test]
    fn what_cannot_be_decoded_is_damaged() {
        assert_eq!(sent(Error::RowNotFound), "Validation(Corruption)");
        assert_eq!(sent(Error::ColumnNotFound("verdict".to_owned())), "Validation(Corruption)");
    }

    #[test]
    fn a_malformed_url_is_refused_without_being_told() {
        let error = PgError::Acquire(Error::Configuration("postgres://ann:s3cret@".into())).at(Operation::Connect);
        assert_eq!(error.code(), "Validation(InvalidInput)");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn a_broken_constraint_is_known_by_its_name() {
        let error = PgError::Sent(Error::Database(Box::new(Refusal("23505", Some("executions_pkey")))));
        assert!(error.breaks("executions_pkey") && !error.breaks("attempts_pkey"));
        assert!(error.has_code(&["23505"]) && !error.has_code(&["42P01"]));
    }
}
