//! The file: its lines are the steps that were taken, and its lock makes each call one step.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ff_backend_memory::{Clock, Op, Outcome, State, apply};
use ff_core::{Applied, EngineError, LeaseId, Limits, Repeat, TimestampMs, TransportKind};

use crate::draws::Draws;

/// The label in handles, logs and reports.
pub(crate) const LABEL: &str = "journal";

/// Bytes of a payload: a line holds each as a decimal number.
const PAYLOAD_BYTES: usize = 1024 * 1024;

/// A client of a store that is one file.
pub struct Journal {
    replica: Mutex<Replica>,
    clock: Clock,
    closed: AtomicBool,
}

/// The file, and the state after its first `read` bytes.
struct Replica {
    file: File,
    read: u64,
    state: State,
}

pub(crate) fn limits() -> Limits {
    Limits { payload_bytes: PAYLOAD_BYTES, ..Limits::of_partitions(1) }
}

impl Journal {
    /// A client of the store in `folder`, which is made if it is not there; `clock` is the store's.
    ///
    /// # Errors
    /// `Transport` if the file cannot be opened.
    pub fn open(folder: &Path, clock: Clock) -> Result<Self, EngineError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(folder.join("journal.jsonl")).map_err(unread)?;
        let replica = Mutex::new(Replica { file, read: 0, state: State::new(limits()) });
        Ok(Self { replica, clock, closed: AtomicBool::new(false) })
    }

    /// Shows the whole state to `look`, between two steps.
    ///
    /// # Errors
    /// `Transport` if the file cannot be read, `Validation(Corruption)` if a line is no step.
    pub fn inspect<R>(&self, look: impl FnOnce(&State) -> R) -> Result<R, EngineError> {
        let mut replica = self.replica.lock().unwrap_or_else(PoisonError::into_inner);
        replica.file.lock_shared().map_err(unread)?;
        let seen = replica.catch_up().map(|()| look(&replica.state));
        replica.file.unlock().map_err(unread)?;
        seen
    }

    /// One step at the store's now, after the file is held.
    pub(crate) fn step(&self, op: &Op) -> Outcome {
        self.check_open()?;
        let mut replica = self.replica.lock().unwrap_or_else(PoisonError::into_inner);
        let reads = Repeat::of(op.operation()) == Repeat::Reads;
        if reads { replica.file.lock_shared() } else { replica.file.lock() }.map_err(unread)?;
        let outcome = replica.step(op, self.clock.now(), reads);
        replica.file.unlock().map_err(unread)?;
        outcome
    }

    pub(crate) fn check_open(&self) -> Result<(), EngineError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(EngineError::transport(LABEL, TransportKind::Closed, Applied::No, "the backend was shut down"));
        }
        Ok(())
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

impl Replica {
    fn step(&mut self, op: &Op, now: TimestampMs, reads: bool) -> Outcome {
        self.catch_up()?;
        let mut draws = Draws::default();
        let outcome = apply(&mut self.state, op, now, &mut draws);
        if outcome.is_ok() && !reads {
            self.append(op, now, &draws).inspect_err(|_| self.forget())?;
        }
        outcome
    }

    /// Takes the steps that others have written since.
    fn catch_up(&mut self) -> Result<(), EngineError> {
        self.file.seek(SeekFrom::Start(self.read)).map_err(unread)?;
        let mut lines = BufReader::new(&self.file);
        let mut line = String::new();
        while lines.read_line(&mut line).map_err(unread)? > 0 && line.ends_with('\n') {
            let step: Result<(TimestampMs, Vec<LeaseId>, Op), _> = serde_json::from_str(&line);
            let (now, drawn, op) = step.map_err(|error| EngineError::corrupt(format!("journal: {error}")))?;
            let taken = apply(&mut self.state, &op, now, &mut Draws::again(drawn));
            taken.map_err(|refusal| EngineError::corrupt(format!("journal: a step was refused: {refusal}")))?;
            self.read += line.len() as u64;
            line.clear();
        }
        Ok(())
    }

    /// Writes one step as a line, over what a writer that ended in the middle of one has left.
    fn append(&mut self, op: &Op, now: TimestampMs, draws: &Draws) -> Result<(), EngineError> {
        let line = serde_json::to_string(&(now, draws.drawn(), op)).map_err(io::Error::other).map_err(unread)? + "\n";
        self.file.set_len(self.read).map_err(unread)?;
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| EngineError::transport(LABEL, TransportKind::Other, Applied::Maybe, error))?;
        self.read += line.len() as u64;
        Ok(())
    }

    /// Gives up a state that the file may not follow; the next step reads it from the begin.
    fn forget(&mut self) {
        self.state = State::new(limits());
        self.read = 0;
    }
}

fn unread(error: io::Error) -> EngineError {
    EngineError::transport(LABEL, TransportKind::Other, Applied::No, error)
}
