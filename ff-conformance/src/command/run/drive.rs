//! Runs the cases of all backends at once, a bounded number of each.

use std::sync::Arc;

use ff_conformance::{
    Case, Event, Harness, Outcome,
    backends::{memory::Memory, postgres::Postgres, valkey::Valkey},
    execute,
    servers::{NoServer, ServerFacts, Servers},
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    args::{Arguments, Backend},
    progress::{Column as Bar, Progress},
};

/// One backend to judge.
pub(super) struct Column {
    /// Which.
    pub(super) backend: Backend,
    pub(super) harness: Arc<dyn Harness>,
    server: Option<Result<ServerFacts, NoServer>>,
}

impl Column {
    /// Where its stores come from, or why there are none.
    pub(super) fn source(&self) -> String {
        match &self.server {
            None => "in process".to_owned(),
            Some(Ok(facts)) => facts.to_string(),
            Some(Err(none)) => none.to_string(),
        }
    }

    /// True if there is a store to be had.
    pub(super) const fn has_server(&self) -> bool {
        !matches!(self.server, Some(Err(_)))
    }

    /// How many cases its server bears at once.
    pub(super) fn concurrency(&self) -> usize {
        match &self.server {
            Some(Ok(facts)) => facts.concurrency,
            Some(Err(_)) | None => usize::MAX,
        }
    }
}

/// The backends that were asked for, with their harnesses.
pub(super) fn columns(arguments: &Arguments, servers: Option<&Servers>) -> Vec<Column> {
    let column = |backend| {
        let (harness, server): (Arc<dyn Harness>, _) = match (backend, servers) {
            (Backend::Postgres, Some(servers)) => {
                (Arc::new(Postgres::new(servers)), Some(facts(&servers.postgres, |server| &server.facts)))
            }
            (Backend::Valkey, Some(servers)) => {
                (Arc::new(Valkey::new(servers)), Some(facts(&servers.valkey, |servers| &servers.facts)))
            }
            // Servers are looked for whenever one of those two is asked for.
            (Backend::Memory, _) | (Backend::Postgres | Backend::Valkey, None) => (Arc::new(Memory), None),
        };
        Column { backend, harness, server }
    };
    arguments.backends().into_iter().map(column).collect()
}

fn facts<S>(server: &Result<S, NoServer>, facts: impl Fn(&S) -> &ServerFacts) -> Result<ServerFacts, NoServer> {
    server.as_ref().map(|server| facts(server).clone()).map_err(Clone::clone)
}

/// Runs `cases` on every backend and returns what was told, by backend.
pub(super) async fn drive(
    columns: &[Column],
    cases: &[&'static Case],
    arguments: &Arguments,
) -> Vec<(Backend, Vec<Event>)> {
    let progress = Progress::new();
    let runs = columns.iter().map(|column| {
        let bar = progress.column(column.backend.to_string(), cases.len());
        let jobs = arguments.jobs(column.concurrency());
        async move { (column.backend, one(column, cases, jobs, arguments.fail_fast, bar).await) }
    });
    futures::future::join_all(runs).await
}

/// Runs `cases` on one backend, `jobs` at once; if it `stops`, none begins once one is red.
async fn one(column: &Column, cases: &[&'static Case], jobs: usize, stops: bool, mut bar: Bar) -> Vec<Event> {
    let mut events = Vec::with_capacity(cases.len());
    if let Some(Err(none)) = &column.server {
        let told = cases.iter().map(|case| Event::no_server(&*column.harness, case, &none.to_string()));
        events.extend(told.inspect(|event| bar.ended(&event.case)));
    } else {
        let turns = Arc::new(Semaphore::new(jobs));
        let mut running = JoinSet::new();
        for &case in cases {
            let (harness, turns) = (Arc::clone(&column.harness), Arc::clone(&turns));
            running.spawn(async move {
                // Nobody has a turn any more once it has stopped.
                let _turn = Arc::clone(&turns).acquire_owned().await.ok()?;
                let event = execute(&*harness, case).await;
                if stops && matches!(event.case.outcome, Outcome::Failed { .. } | Outcome::Errored { .. }) {
                    turns.close();
                }
                Some(event)
            });
        }
        while let Some(ended) = running.join_next().await {
            // A task that is lost, or had no turn, leaves its case `not executed`.
            if let Ok(Some(event)) = ended {
                bar.ended(&event.case);
                events.push(event);
            }
        }
    }
    bar.finish();
    events
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use ff_conformance::{CASES, HarnessError, Identity, Store, runtime};

    use super::*;

    /// A harness without a store: every case is red.
    struct Bare;

    #[async_trait]
    impl Harness for Bare {
        fn identity(&self) -> Identity {
            Identity::new("bare", "0", "")
        }

        async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
            Err(HarnessError::new("no store"))
        }
    }

    fn run(harness: Arc<dyn Harness>, stops: bool) -> Vec<Event> {
        let column = Column { backend: Backend::Memory, harness, server: None };
        let cases: Vec<_> = CASES.iter().take(5).collect();
        let bar = Progress::new().column(String::new(), cases.len());
        runtime().expect("threads").block_on(one(&column, &cases, 1, stops, bar))
    }

    #[test]
    fn no_case_begins_after_a_red_one_if_it_stops() {
        assert_eq!((run(Arc::new(Bare), true).len(), run(Arc::new(Bare), false).len()), (1, 5));
    }

    #[test]
    fn green_cases_all_run() {
        assert_eq!(run(Arc::new(Memory), true).len(), 5);
    }
}
