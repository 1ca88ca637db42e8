//! Runs the cases of all backends at once, a bounded number of each.

use std::sync::Arc;

use ff_conformance::{
    Case, Event, Harness,
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
        one(column, cases, arguments, bar)
    });
    futures::future::join_all(runs).await
}

async fn one(column: &Column, cases: &[&'static Case], arguments: &Arguments, mut bar: Bar) -> (Backend, Vec<Event>) {
    let mut events = Vec::with_capacity(cases.len());
    if let Some(Err(none)) = &column.server {
        let told = cases.iter().map(|case| Event::no_server(&*column.harness, case, &none.to_string()));
        events.extend(told.inspect(|event| bar.ended(&event.case)));
    } else {
        let turns = Arc::new(Semaphore::new(arguments.jobs(column.concurrency())));
        let mut running = JoinSet::new();
        for &case in cases {
            let (harness, turns) = (Arc::clone(&column.harness), Arc::clone(&turns));
            running.spawn(async move {
                // The semaphore is never closed; without a turn the case runs all the same.
                let _turn = turns.acquire_owned().await;
                execute(&*harness, case).await
            });
        }
        while let Some(ended) = running.join_next().await {
            // A task that is lost leaves its case `not executed`.
            if let Ok(event) = ended {
                bar.ended(&event.case);
                events.push(event);
            }
        }
    }
    bar.finish();
    (column.backend, events)
}
