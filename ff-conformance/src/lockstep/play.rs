//! A tape on a store: every answer, read and log beside those of the executable specification.

use std::{fmt, sync::Arc};

use ff_backend_memory::{Answer, Interval, Judgement, Obs, Op, Outcome, State, accept_any};
use ff_core::{EngineBackend, Operation, PageLimit, RetentionConfig, ScanArgs, ScannerKind, Supports, TimestampMs};

use super::{
    BEGIN,
    coverage::Coverage,
    look,
    names::Unresolved,
    refs::Book,
    scanners::scanners,
    tape::{Act, Tape},
    told::{self, told},
    trace::Line,
};
use crate::{Cx, Stop, invariants, perform::perform};

/// Calls between two looks at everything.
const LOOK_AFTER: usize = 12;
/// Rounds of all scanners until nothing is left to do.
const ROUNDS: usize = 8;
/// Rows of a scanner's pass at the end of a tape: few, so that cursors are used.
const PASS: u32 = 3;

/// Where a store and the specification part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The step, or none for what was found after the last one.
    pub step: Option<u32>,
    /// What was compared: the name of an operation, `lease history`, an invariant.
    pub subject: String,
    /// Its arguments, for a reader.
    pub call: String,
    /// What the specification allows.
    pub expected: String,
    /// What the store says.
    pub got: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.step.map_or("after the last step".to_owned(), |step| format!("step {step}"));
        let Self { subject, call, expected, got, .. } = self;
        write!(f, "{place}, {subject}\n  call      {call}\n  expected  {expected}\n  got       {got}")
    }
}

/// Why a tape ended before its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Halt {
    /// The store is not as the specification says.
    Disagreement(Box<Disagreement>),
    /// Nothing can be said.
    Errored(String),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(failure) => Self::Disagreement(Box::new(Disagreement {
                step: None,
                subject: failure.requirement,
                call: failure.subject,
                expected: failure.expectation,
                got: failure.got,
            })),
            Stop::Refused(error, place) => Self::Errored(format!("{}: {error}", place.as_str())),
            other => Self::Errored(format!("{other:?}")),
        }
    }
}

/// A store under a tape.
pub(crate) struct Stage<'a> {
    pub(super) cx: &'a Cx,
    clients: Vec<Arc<dyn EngineBackend>>,
    /// What the store may be.
    pub(super) models: Vec<State>,
    book: Book,
    now: TimestampMs,
    step: Option<u32>,
    /// What was reached.
    pub(crate) coverage: Coverage,
    /// Every call with what was seen of it.
    pub(crate) trace: Vec<Line>,
    /// Steps that were taken.
    pub(crate) taken: usize,
}

impl<'a> Stage<'a> {
    /// A stage over the empty store of `cx`.
    pub(crate) async fn enter(cx: &'a Cx, tape: &Tape) -> Result<Self, Halt> {
        let mut clients = Vec::new();
        for client in 0..tape.clients() {
            clients.push(cx.client(&name(client)).await?);
        }
        let first = clients.first().ok_or_else(|| Halt::Errored("a tape has a client".to_owned()))?;
        let (label, limits) = (first.backend_label(), first.capabilities().limits);
        cx.set_time(BEGIN).await?;
        Ok(Self {
            cx,
            book: Book::new(label),
            trace: vec![Line::Store { label: label.to_owned(), limits: limits.clone() }],
            models: vec![State::of_backend(label, limits)],
            clients,
            now: BEGIN,
            step: None,
            coverage: Coverage::default(),
            taken: 0,
        })
    }

    /// Takes all steps of the tape, works off what is due, and looks at everything.
    pub(crate) async fn play(&mut self, tape: &Tape) -> Result<(), Halt> {
        let mut since = 0;
        for step in &tape.steps {
            self.step = Some(step.n);
            match &step.act {
                Act::WaitMs(ms) => self.wait(*ms).await?,
                Act::Call(call) => {
                    let op = match call.resolve(&self.book, self.now) {
                        Ok(op) => op,
                        Err(Unresolved::Dangling) => continue,
                        Err(Unresolved::Malformed(text)) => return Err(Halt::Errored(text)),
                    };
                    if step.lost {
                        self.lose(step.client, op).await?;
                    } else if let Ok(answer) = self.call(step.client, op.clone()).await? {
                        self.book.note(step.n, &op, &answer);
                    }
                    since += 1;
                }
            }
            self.taken += 1;
            if since == LOOK_AFTER {
                since = 0;
                look::reads(self).await?;
                look::logs(self).await?;
            }
        }
        self.step = None;
        look::reads(self).await?;
        self.settle().await?;
        look::reads(self).await?;
        look::logs(self).await?;
        look::subscriptions(self).await?;
        Ok(invariants::check_all(self.cx).await?)
    }

    async fn wait(&mut self, ms: i64) -> Result<(), Halt> {
        self.now = TimestampMs::from_ms(self.now.as_ms().saturating_add(ms));
        Ok(self.cx.set_time(self.now).await?)
    }

    /// Every scanner until none finds anything to do.
    async fn settle(&mut self) -> Result<(), Halt> {
        if !self.supports().offers(Operation::Scan) {
            return Ok(());
        }
        for _ in 0..ROUNDS {
            let mut changed = 0;
            for scanner in scanners() {
                let mut cursor = None;
                loop {
                    let limit = PageLimit::new(PASS).map_err(|error| Halt::Errored(error.to_string()))?;
                    let args = ScanArgs::new(scanner).limit(limit).cursor(cursor);
                    let op = Op::Scan { args, retention: RetentionConfig::default() };
                    let Ok(Answer::Scan(report)) = self.call(0, op).await? else { break };
                    changed += report.changed;
                    cursor = report.next_cursor;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
            if changed == 0 {
                return Ok(());
            }
        }
        Err(self.disagree("scan", "", "nothing is left to do", "each round changes something"))
    }

    pub(super) fn supports(&self) -> Supports {
        self.client(0).map(|client| client.capabilities().supports).unwrap_or_default()
    }

    pub(super) fn client(&self, number: u8) -> Option<&Arc<dyn EngineBackend>> {
        self.clients.get(usize::from(number))
    }

    /// One call, judged.
    async fn call(&mut self, number: u8, op: Op) -> Result<Outcome, Halt> {
        let client = self.client(number).ok_or_else(|| Halt::Errored("no such client".to_owned()))?;
        let outcome = perform(&**client, op.clone()).await;
        self.judge(number, op, &outcome).await?;
        Ok(outcome)
    }

    /// One call whose answer nobody learns. What can be read then says what it did, and shows the ids that it minted
    /// before others take their place.
    async fn lose(&mut self, number: u8, op: Op) -> Result<(), Halt> {
        let client = self.client(number).ok_or_else(|| Halt::Errored("no such client".to_owned()))?;
        let outcome = perform(&**client, op.clone()).await;
        self.see(number, op, &outcome, Obs::Lost).await?;
        look::reads(self).await
    }

    /// Whether the specification allows `outcome`.
    pub(super) async fn judge(&mut self, number: u8, op: Op, outcome: &Outcome) -> Result<(), Halt> {
        self.see(number, op, outcome, Obs::from(outcome.clone())).await
    }

    /// Takes what was seen of a call that ended with `outcome`.
    async fn see(&mut self, number: u8, op: Op, outcome: &Outcome, obs: Obs) -> Result<(), Halt> {
        if !matches!(Obs::from(outcome.clone()), Obs::Answered(_)) {
            return Err(Halt::Errored(format!("{}: {outcome:?}", op.operation())));
        }
        let label = self.label();
        let judgement = accept_any(&self.models, &op, &obs, Interval::at(self.now));
        if let Some(model) = self.models.first() {
            self.coverage.note(model, &op, outcome, self.now, label);
        }
        if let (Op::Scan { args, .. }, Ok(Answer::Scan(report))) = (&op, outcome)
            && args.scanner == ScannerKind::Retention
            && report.changed > 0
        {
            self.cx.removed_until_now().await?;
        }
        self.trace.push(Line::Call {
            at: self.now,
            client: name(number),
            op: Box::new(op.clone()),
            obs: Box::new(obs),
        });
        match judgement {
            Judgement::Legal(states) => {
                self.models = states;
                Ok(())
            }
            Judgement::Illegal { expected } => {
                let (call, allowed) = (told::call(&op, label), told::any(&expected, label));
                Err(self.disagree(op.operation().as_str(), &call, &allowed, &told(outcome, label)))
            }
        }
    }

    pub(super) fn label(&self) -> &'static str {
        self.client(0).map_or("", |client| client.backend_label())
    }

    pub(super) fn disagree(&self, subject: &str, call: &str, expected: &str, got: &str) -> Halt {
        Halt::Disagreement(Box::new(Disagreement {
            step: self.step,
            subject: subject.to_owned(),
            call: call.to_owned(),
            expected: expected.to_owned(),
            got: got.to_owned(),
        }))
    }
}

/// The name of a client: `a`, `b` …
pub(super) fn name(client: u8) -> String {
    char::from(b'a'.saturating_add(client % 26)).to_string()
}
