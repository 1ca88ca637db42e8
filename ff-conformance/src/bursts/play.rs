//! Plays one burst: clients call at the same time, the clock moves between, and all is written down.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ff_backend_memory::{Answer, Obs, Op};
use ff_core::{
    CancelExecutionArgs, CapabilitySet, ClaimPolicy, CompletionEvent, CreateExecutionArgs, DeliverSignalArgs,
    EngineBackend, EngineError, ExecutionId, Handle, LaneId, LeaseHistoryEvent, ListPendingWaitpointsArgs,
    OperatorEvent, PageLimit, PartitionConfig, PublicState, ResumeCondition, ResumeExecutionArgs, ScannerFilter,
    SignalDeliveryEvent, SignalId, SignalMatcher, StreamCursor, SuspendArgs, SuspendOutcome, SuspensionId,
    SuspensionReasonCode, WaitpointBinding, WorkerId, WorkerInstanceId,
};
use tokio::task::JoinSet;

use super::{
    Burst, Deed, Log,
    draw::{LONG_MS, SHORT_MS, World, first_keys},
    follow::{Followed, Wanted, follow},
    record::Tape,
    weather::{Line, Strike},
};
use crate::{ClockControl, SessionControl, Stop, draw::Draw, perform::perform};

/// How often the clients stop while the clock moves.
const PHASES: usize = 3;
/// How often what was put off comes back until nothing is left: leases, grants and delays last one round at most.
const ROUNDS: usize = 3;
/// Broken connections that a client may come upon, one after the other.
const MOST_BROKEN: usize = 10;
/// How long a burst may take with all that is read afterwards, on a machine that does much else.
pub(super) const BURST_LIMIT: Duration = Duration::from_secs(300);

/// Who takes part in the bursts of one store.
pub(super) struct Crew {
    /// Sets up, moves the clock and reads; nothing is in its way.
    pub(super) observer: Arc<dyn EngineBackend>,
    /// The clients, each on a line of its own.
    pub(super) lines: Vec<Arc<Line>>,
    /// The store's clock.
    pub(super) clock: Arc<dyn ClockControl>,
    /// The sessions of the clients, if the server ends them now and then.
    pub(super) sessions: Option<Arc<dyn SessionControl>>,
    /// Behind the events of the bursts before.
    pub(super) cursors: Cursors,
}

/// A place in each family.
#[derive(Clone)]
pub(super) struct Cursors {
    leases: StreamCursor,
    completions: StreamCursor,
    operators: StreamCursor,
    signals: StreamCursor,
}

impl Default for Cursors {
    fn default() -> Self {
        let start = StreamCursor::Start;
        Self { leases: start.clone(), completions: start.clone(), operators: start.clone(), signals: start }
    }
}

/// Executions beside those of a burst, whose events come last.
struct Markers {
    lane: LaneId,
    ids: [ExecutionId; 2],
    is_written: AtomicBool,
}

impl Crew {
    /// Plays the burst of `seed` under a name that no other burst of the store has.
    pub(super) async fn play(&mut self, name: &str, seed: u64) -> Result<Burst, Stop> {
        let mut draw = Draw::new(seed);
        let begin = self.clock.now().await?;
        let world = Arc::new(World::new(name, begin, &*self.observer, draw.percent(50))?);
        let markers = Arc::new(Markers::new(name)?);
        let tape = Arc::new(Tape::default());
        let key = world.first_key()?;
        for op in key.iter().flat_map(first_keys) {
            self.signs(op).await?;
        }
        // A burst that comes to nothing takes its subscriber with it.
        let mut follower = JoinSet::new();
        follower.spawn(followed(
            Arc::clone(&self.observer),
            Arc::clone(&world),
            Arc::clone(&markers),
            self.cursors.clone(),
            Some(Draw::new(draw.any())),
        ));
        for number in 0..3 + draw.below(4) {
            let op = Op::CreateExecution(Box::new(world.create(number, &mut draw)));
            call(&self.observer, 0, op, &world, &tape).await;
        }
        self.phases(&world, &tape, &mut draw).await?;
        self.settle(&world, &tape).await?;
        self.read_all(&world, &tape).await?;
        markers.write(&self.observer, &world).await?;
        let (log, cursors) =
            followed(Arc::clone(&self.observer), Arc::clone(&world), markers, self.cursors.clone(), None).await;
        if !log.is_whole {
            return Err(Stop::Errored("the log does not come to its end".to_owned()));
        }
        self.cursors = cursors;
        let followed = follower.join_next().await.ok_or_else(|| Stop::Errored("no subscriber".to_owned()))?;
        let (feed, _) = followed.map_err(|error| Stop::Errored(format!("the subscriber: {error}")))?;
        let label = self.observer.backend_label().to_owned();
        Ok(Burst { seed, label, begin, key, calls: tape.calls(), log, feeds: vec![feed] })
    }

    /// Lets a key sign; a store that has had keys before refuses another first one.
    async fn signs(&self, op: Op) -> Result<(), Stop> {
        for _ in 0..MOST_BROKEN {
            if let Obs::Answered(_) = Obs::from(perform(&*self.observer, op.clone()).await) {
                return Ok(());
            }
        }
        Err(Stop::Errored(format!("{op:?} came to nothing, again and again")))
    }

    async fn phases(&self, world: &Arc<World>, tape: &Arc<Tape>, draw: &mut Draw) -> Result<(), Stop> {
        let each = 3 + draw.below(5);
        // What sessions take with them can have happened at any time: of suspended work too much would be open.
        let struck = world.waits.then(|| draw.below(PHASES));
        for phase in 0..PHASES {
            let strike = self.sessions.clone().filter(|_| struck.is_none_or(|struck| struck == phase));
            let strike = strike.map(|sessions| Arc::new(Strike::draw(sessions, self.lines.len(), each, draw)));
            let mut clients = JoinSet::new();
            for (number, line) in self.lines.iter().enumerate() {
                let (line, world, tape, strike) =
                    (Arc::clone(line), Arc::clone(world), Arc::clone(tape), strike.clone());
                let mut draw = Draw::new(draw.any());
                clients.spawn(async move {
                    for turn in 0..each {
                        let op = world.call(&mut draw)?;
                        line.disturb(&mut draw).await;
                        let called = async {
                            call(line.client(), number + 1, op, &world, &tape).await;
                        };
                        match strike.as_ref().filter(|strike| strike.is_at(number, turn)) {
                            Some(strike) => strike.around(called).await?,
                            None => called.await,
                        }
                    }
                    Ok::<_, Stop>(())
                });
            }
            while let Some(ended) = clients.join_next().await {
                ended.map_err(|error| Stop::Errored(format!("a client: {error}")))??;
            }
            self.lines
                .iter()
                .try_for_each(|line| line.heal())
                .map_err(|error| Stop::Errored(format!("proxy: {error}")))?;
            if phase + 1 < PHASES {
                self.advance(world, tape).await?;
            }
        }
        Ok(())
    }

    /// Moves the clock; now and then so far that every lease has lapsed.
    async fn advance(&self, world: &World, tape: &Tape) -> Result<(), Stop> {
        let step = if world.now().as_ms() % 3 == 0 { LONG_MS } else { SHORT_MS };
        self.pass(step, world, tape).await
    }

    /// Moves the clock by so many milliseconds.
    async fn pass(&self, step: u64, world: &World, tape: &Tape) -> Result<(), Stop> {
        let now = world.now().plus(Duration::from_millis(step));
        let number = tape.begins(0, Deed::Clock(now));
        self.clock.set(now).await?;
        world.moved_to(now);
        tape.ends(number, None);
        Ok(())
    }

    /// One worker that does all that is left, once nothing is in its way: time lets what is held or put off come back,
    /// an operator resumes what is suspended even so, and claims do the rest.
    async fn settle(&self, world: &World, tape: &Tape) -> Result<(), Stop> {
        for _ in 0..ROUNDS {
            self.pass(LONG_MS, world, tape).await?;
            for &id in world.ids.iter().filter(|_| world.waits) {
                let state = self.told(|| Ok(Op::ReadExecutionState(id)), world, tape).await?;
                if state == Answer::ReadExecutionState(Some(PublicState::Suspended)) {
                    self.told(|| Ok(Op::ResumeExecution(ResumeExecutionArgs::new(id, "the end"))), world, tape).await?;
                }
            }
            for _ in 0..=world.ids.len() {
                let taken = self.told(|| world.last_claim(), world, tape).await?;
                let Answer::Claim(Some(handle)) = taken else { break };
                self.told(|| Ok(Op::Complete { handle: handle.clone(), payload: None }), world, tape).await?;
            }
        }
        Ok(())
    }

    /// The last reads: they show what became of calls whose answer was lost.
    async fn read_all(&self, world: &World, tape: &Tape) -> Result<(), Stop> {
        for &id in &world.ids {
            let info = self.told(|| Ok(Op::ReadExecutionInfo(id)), world, tape).await?;
            if world.waits && info != Answer::ReadExecutionInfo(None) {
                let waitpoints = ListPendingWaitpointsArgs::new(id);
                self.told(|| Ok(Op::ListPendingWaitpoints(waitpoints)), world, tape).await?;
            }
            self.told(|| Ok(Op::ListAttempts { id, cursor: None, limit: PageLimit::MAX }), world, tape).await?;
        }
        Ok(())
    }

    /// The answer of a call with nothing in its way; the first ones may come upon connections that were broken before.
    async fn told(&self, op: impl Fn() -> Result<Op, EngineError>, world: &World, tape: &Tape) -> Result<Answer, Stop> {
        for _ in 0..MOST_BROKEN {
            match call(&self.observer, 0, op()?, world, tape).await {
                Obs::Answered(Ok(answer)) => return Ok(answer),
                Obs::Answered(Err(error)) => return Err(error.into()),
                Obs::Lost | Obs::NotDone => {}
            }
        }
        Err(Stop::Errored(format!("{:?} came to nothing, again and again", op()?)))
    }
}

/// Makes a call and writes down what came of it.
async fn call(client: &Arc<dyn EngineBackend>, number: usize, op: Op, world: &World, tape: &Tape) -> Obs {
    let deed = Deed::Call { op: Box::new(op.clone()), obs: Box::new(Obs::Lost) };
    let place = tape.begins(number, deed);
    // A store in this process answers at once: without a pause before and behind it no two calls would overlap.
    tokio::task::yield_now().await;
    let obs = Obs::from(perform(&**client, op.clone()).await);
    tokio::task::yield_now().await;
    tape.ends(place, Some(obs.clone()));
    world.learn(&op, &obs);
    obs
}

/// The events of a burst, of all families.
async fn followed(
    client: Arc<dyn EngineBackend>,
    world: Arc<World>,
    markers: Arc<Markers>,
    from: Cursors,
    dice: Option<Draw>,
) -> (Log, Cursors) {
    let filter = ScannerFilter::new().namespace(world.namespace.clone());
    let ids: BTreeSet<_> = world.ids.iter().copied().collect();
    let wanted = Wanted { filter: &filter, ids: &ids, last: markers.ids[1], is_written: &markers.is_written };
    let signals = async {
        if world.waits {
            return follow::<SignalDeliveryEvent>(&client, &wanted, from.signals, dice.clone()).await;
        }
        Followed { events: Vec::new(), cursor: from.signals, is_whole: true }
    };
    let (leases, completions, operators, signals) = tokio::join!(
        follow::<LeaseHistoryEvent>(&client, &wanted, from.leases, dice.clone()),
        follow::<CompletionEvent>(&client, &wanted, from.completions, dice.clone()),
        follow::<OperatorEvent>(&client, &wanted, from.operators, dice.clone()),
        signals,
    );
    let cursors = Cursors {
        leases: leases.cursor,
        completions: completions.cursor,
        operators: operators.cursor,
        signals: signals.cursor,
    };
    let log = Log {
        leases: leases.events,
        completions: completions.events,
        operators: operators.events,
        signals: signals.events,
        is_whole: leases.is_whole && completions.is_whole && operators.is_whole && signals.is_whole,
    };
    (log, cursors)
}

impl Markers {
    fn new(name: &str) -> Result<Self, Stop> {
        let lane = LaneId::try_new(format!("{name}-last")).map_err(EngineError::from)?;
        let id = || ExecutionId::solo(&lane, PartitionConfig::default());
        Ok(Self { ids: [id(), id()], lane, is_written: AtomicBool::new(false) })
    }

    /// Writes an event of each family, twice: whoever has got the first has seen all that was written before it, and
    /// gets it before the second, which is written only now.
    async fn write(&self, client: &Arc<dyn EngineBackend>, world: &World) -> Result<(), Stop> {
        for (number, id) in self.ids.into_iter().enumerate() {
            let args = CreateExecutionArgs::new(id, world.namespace.clone(), self.lane.clone(), "last");
            client.create_execution(args).await?;
            let process = WorkerInstanceId::try_new(format!("last-{number}")).map_err(EngineError::from)?;
            let worker = WorkerId::try_new("last").map_err(EngineError::from)?;
            let policy = ClaimPolicy::new(worker, process, Duration::from_millis(LONG_MS));
            let handle = client.claim(&self.lane, &CapabilitySet::default(), policy).await?;
            if let Some(handle) = handle.filter(|_| world.waits) {
                signal(client, id, &handle).await?;
            }
            client.cancel_execution(CancelExecutionArgs::new(id, "last")).await?;
        }
        self.is_written.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Suspends an execution and resumes it by a signal.
async fn signal(client: &Arc<dyn EngineBackend>, id: ExecutionId, handle: &Handle) -> Result<(), Stop> {
    let reason = SuspensionReasonCode::WaitingForSignal;
    let condition = ResumeCondition::Single { waitpoint_key: "last".to_owned(), matcher: SignalMatcher::Wildcard };
    let waitpoints = vec![WaitpointBinding::fresh_with_key("last")];
    let args = SuspendArgs::new(SuspensionId::new(), waitpoints, condition, reason);
    let (SuspendOutcome::Suspended { details, .. } | SuspendOutcome::AlreadySatisfied { details }) =
        client.suspend(handle, args).await?;
    let (at, token) = (details.waitpoint_id, details.waitpoint_token);
    client.deliver_signal(DeliverSignalArgs::new(id, at, token, SignalId::new(), "last")).await?;
    Ok(())
}
