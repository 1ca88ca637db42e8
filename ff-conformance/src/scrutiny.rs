//! Whether a harness does as it says: what is wrong with it is told by name, and is never blamed on the backend.

use std::{fmt, sync::Arc, time::Duration};

use ff_core::{
    CapabilitySet, CreateExecutionArgs, CreateExecutionResult, EngineBackend, ExecutionId, LaneId, Namespace,
    TimestampMs,
};

use crate::{Cx, Harness, Stop, TTL, cx::OBSERVER, report::time_factor};

/// What is wrong with a harness, or with a backend that does not keep to its case; the case is `errored` with these
/// words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Diagnosis {
    /// `open` handed out a store that another case has used.
    SharedStore,
    /// `connect` handed out one client twice.
    SharedClient,
    /// The clock control does not move the clock that the backend reads.
    DeadClock,
    /// The clock control of one store moves the clock of another.
    SharedClock,
    /// A client does not connect where it was told to.
    ProxyBypassed,
    /// `identity` differs between two calls.
    ManyIdentities,
    /// The backend panicked in a call.
    Panicked {
        /// The method.
        method: String,
        /// What the panic said.
        text: String,
    },
    /// A call had not answered when its case had ended, and nobody had given it up.
    Unanswered {
        /// The method.
        method: String,
    },
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharedStore => f.write_str("harness: `open` handed out a store that another case has used"),
            Self::SharedClient => f.write_str("harness: `connect` handed out one client twice"),
            Self::DeadClock => f.write_str("harness: the clock control does not move the clock that the backend reads"),
            Self::SharedClock => f.write_str("harness: the clock control of one store moves the clock of another"),
            Self::ProxyBypassed => f.write_str("harness: a client does not connect to the address that it was given"),
            Self::ManyIdentities => f.write_str("harness: `identity` differs between two calls"),
            Self::Panicked { method, text } => write!(f, "backend: {method} panicked: {text}"),
            Self::Unanswered { method } => {
                write!(f, "backend: {method} had not answered when its case had ended")
            }
        }
    }
}

impl From<Diagnosis> for Stop {
    fn from(diagnosis: Diagnosis) -> Self {
        Self::Errored(diagnosis.to_string())
    }
}

/// How long the look back at a store may take that a case has left in whatever state.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// How far the clock of one store is moved to see whether another follows.
const STEP: Duration = Duration::from_secs(3600);

/// The mark that a case leaves in its store: an execution that no other case makes.
fn mark(number: u8) -> Result<CreateExecutionArgs, Stop> {
    let unfit = |error: ff_core::IdError| Stop::Errored(format!("mark: {error}"));
    let lane = LaneId::try_new("ff-conformance").map_err(unfit)?;
    let id: ExecutionId = format!("{{fp:0}}:ff000000-0000-4000-8000-0000000000{number:02x}").parse().map_err(unfit)?;
    Ok(CreateExecutionArgs::new(id, Namespace::try_new("ff-conformance").map_err(unfit)?, lane, "mark"))
}

/// The mark of a case, and the one of a second look at its clock.
const MARK: u8 = 1;
const SECOND_MARK: u8 = 2;

/// True if another case has left its mark; a backend that gets one read wrong breaks a rule, and the case says which.
async fn is_marked(client: &Arc<dyn EngineBackend>) -> Result<bool, Stop> {
    let id = mark(MARK)?.execution_id;
    let is_there = client.read_execution_state(&id).await?.is_some();
    Ok(is_there && client.read_execution_info(&id).await?.is_some())
}

/// A look at a store before and after its case: some reads and one write, on a connection that the invariants use too.
pub(crate) struct Scrutiny {
    observer: Arc<dyn EngineBackend>,
}

impl Scrutiny {
    /// Connects to a store that nobody may have used.
    ///
    /// # Errors
    /// If it cannot be reached, or was used.
    pub(crate) async fn arrive(cx: &Cx) -> Result<Self, Stop> {
        let observer = cx.observer().await?;
        // A store that cannot answer yet is for the case to judge.
        if let Ok(true) = is_marked(&observer).await {
            return Err(Diagnosis::SharedStore.into());
        }
        cx.note_clock().await?;
        Ok(Self { observer })
    }

    /// The client that looks; no call of it is recorded.
    pub(crate) fn observer(&self) -> &Arc<dyn EngineBackend> {
        &self.observer
    }

    /// What is wrong with the harness, as seen from the end of the case.
    pub(crate) async fn leave(&self, harness: &dyn Harness, cx: &Cx) -> Option<Diagnosis> {
        let look = async {
            if cx.clock_was_moved().await {
                return Ok(Some(Diagnosis::SharedClock));
            }
            if is_marked(&self.observer).await? {
                return Ok(Some(Diagnosis::SharedStore));
            }
            match told_at(&self.observer, MARK).await? {
                Some(told) => self.compare(harness, cx, told).await,
                None => Ok(None),
            }
        };
        let limit = LEAVE_LIMIT.mul_f64(time_factor());
        // A case may leave its store broken or closed; then there is nothing to see.
        let seen: Result<Result<Option<Diagnosis>, Stop>, _> = tokio::time::timeout(limit, look).await;
        seen.ok().and_then(Result::ok).flatten()
    }

    /// Compares the instant that the store wrote down with the one that its clock control shows.
    async fn compare(&self, harness: &dyn Harness, cx: &Cx, told: TimestampMs) -> Result<Option<Diagnosis>, Stop> {
        let Some(clock) = &cx.controls().clock else { return Ok(None) };
        let shown = clock.now().await?;
        // A backend that reads the right clock in another operation breaks a rule, and the case says which.
        if shown == told || self.claims_at(cx, shown).await? {
            return Ok(None);
        }
        Ok(Some(if self.is_crossed(harness, cx, shown).await? { Diagnosis::SharedClock } else { Diagnosis::DeadClock }))
    }

    /// True if a lease on the mark counts from `shown`.
    async fn claims_at(&self, cx: &Cx, shown: TimestampMs) -> Result<bool, Stop> {
        let args = mark(MARK)?;
        let none = CapabilitySet::default();
        self.observer.claim(&args.lane_id, &none, cx.worker(OBSERVER, TTL)?).await?;
        let snapshot = self.observer.describe_execution(&args.execution_id).await?;
        let lease = snapshot.and_then(|snapshot| snapshot.current_lease);
        Ok(lease.is_some_and(|lease| lease.expires_at == shown.plus(TTL)))
    }

    /// True if the clock control of this store moves another one's clock, or the other way round.
    async fn is_crossed(&self, harness: &dyn Harness, cx: &Cx, shown: TimestampMs) -> Result<bool, Stop> {
        let other = Cx::new(harness.open().await?, crate::Recorder::new());
        let (Some(own), Some(others)) = (&cx.controls().clock, &other.controls().clock) else { return Ok(false) };
        let (first, second) = (shown.plus(STEP), shown.plus(STEP * 2));
        others.set(first).await?;
        let follows = matches!(told_at(&self.observer, SECOND_MARK).await?, Some(told) if told == first);
        own.set(second).await?;
        let leads = matches!(told_at(&other.observer().await?, MARK).await?, Some(told) if told == second);
        other.close(false).await?;
        Ok(follows || leads)
    }
}

/// Leaves a mark, and tells the instant that the store gave it, unless it refused it.
async fn told_at(client: &Arc<dyn EngineBackend>, number: u8) -> Result<Option<TimestampMs>, Stop> {
    let args = mark(number)?;
    let id = args.execution_id;
    match client.create_execution(args).await {
        Ok(CreateExecutionResult::Created { .. }) => {
            Ok(client.read_execution_info(&id).await?.map(|info| info.created_at))
        }
        Ok(CreateExecutionResult::Duplicate { .. }) | Err(_) => Ok(None),
    }
}
