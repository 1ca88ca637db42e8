//! The processes that work, and their end.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use uuid::Uuid;

use crate::{Tried, store::Store};

/// The workers of one backend. They end with it.
pub(crate) struct Crew {
    command: Vec<String>,
    journals: PathBuf,
    workers: Vec<Child>,
    killed: usize,
}

impl Crew {
    /// Starts `count` workers.
    pub(crate) fn muster(store: &Store, journals: &Path, count: usize) -> Tried<Self> {
        let backend = store.backend().to_string();
        let command = ["work", "--backend", &backend, "--url", store.url()].map(str::to_owned).to_vec();
        let mut crew = Self { command, journals: journals.to_owned(), workers: Vec::new(), killed: 0 };
        for _ in 0..count {
            let worker = crew.start()?;
            crew.workers.push(worker);
        }
        Ok(crew)
    }

    /// Kills the worker that lives longest, wherever it is, and starts another.
    pub(crate) fn replace_one(&mut self) -> Tried {
        let fresh = self.start()?;
        self.workers.push(fresh);
        let mut oldest = self.workers.remove(0);
        if let Some(status) = oldest.try_wait()? {
            return Err(format!("a worker ended by itself: {status}").into());
        }
        oldest.kill()?;
        oldest.wait()?;
        self.killed += 1;
        Ok(())
    }

    /// How many were killed.
    pub(crate) fn killed(&self) -> usize {
        self.killed
    }

    fn start(&self) -> Tried<Child> {
        let journal = self.journals.join(Uuid::new_v4().to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.command).arg("--journal").arg(journal);
        Ok(command.stdin(Stdio::piped()).spawn()?)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // One that is gone already is as good.
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}
