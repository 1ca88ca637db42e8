//! The ways in which work comes to wait for its next holder, and what it is for that holder.

use std::sync::Arc;

use ff_core::{
    CreateExecutionArgs, EngineBackend, ExecutionId, ExecutionPolicy, FailureClass, FailureReason, Handle, HandleKind,
    TimeoutPolicy,
};

use crate::{
    Cx, Stop, TTL,
    instants::{after, before},
    stages::{held_as, retrying},
};

/// What brought the work to where it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// It was created.
    Created,
    /// It was created with a delay, which is over.
    Delayed,
    /// Its attempt failed and is retried at once.
    Failed,
    /// Its attempt failed and its back-off is over.
    BackedOff,
    /// Its holder delayed it until an instant that had come.
    GivenBack,
    /// Its holder delayed it, and the delay is over.
    Parked,
    /// Its holder waits for nothing.
    WaitedForNothing,
    /// Its lease ran out.
    Lapsed,
    /// Its attempt ran out of time and is retried at once.
    TimedOut,
}

/// What the next holder gets.
pub(crate) struct Expected {
    pub(crate) kind: HandleKind,
    /// The attempts, as words.
    pub(crate) attempts: &'static str,
    /// The lease history, as words.
    pub(crate) leases: &'static str,
    /// Attempts, retries and reclaims so far.
    pub(crate) counters: (u32, u32, u32),
}

const WAIT_MS: u64 = 1000;

impl Route {
    pub(crate) const ALL: [Self; 9] = [
        Self::Created,
        Self::Delayed,
        Self::Failed,
        Self::BackedOff,
        Self::GivenBack,
        Self::Parked,
        Self::WaitedForNothing,
        Self::Lapsed,
        Self::TimedOut,
    ];

    /// What the next holder gets of work that came this way.
    pub(crate) const fn expected(self) -> Expected {
        let (kind, attempts, leases, counters) = match self {
            Self::Created | Self::Delayed => (HandleKind::Fresh, "0 initial started 1", "acquired 1", (1, 0, 0)),
            Self::Failed | Self::BackedOff => (
                HandleKind::Fresh,
                "0 initial ended_failure 1, 1 retry started 2",
                "acquired 1, released 1 failed_retry_scheduled, acquired 2",
                (2, 1, 0),
            ),
            Self::GivenBack | Self::Parked => (
                HandleKind::Resumed,
                "0 initial started 2",
                "acquired 1, released 1 worker_delay, acquired 2",
                (1, 0, 0),
            ),
            Self::WaitedForNothing => (
                HandleKind::Resumed,
                "0 initial started 2",
                "acquired 1, released 1 waiting_children, acquired 2",
                (1, 0, 0),
            ),
            Self::Lapsed => (
                HandleKind::Reclaimed,
                "0 initial interrupted_reclaimed 1, 1 reclaim started 2",
                "acquired 1, expired 1, reclaimed 2",
                (2, 0, 1),
            ),
            Self::TimedOut => (
                HandleKind::Fresh,
                "0 initial ended_failure 1, 1 retry started 2",
                "acquired 1, released 1 attempt_timeout_retry_scheduled, acquired 2",
                (2, 1, 0),
            ),
        };
        Expected { kind, attempts, leases, counters }
    }

    /// An execution that can come this way.
    pub(crate) fn plan(self, cx: &Cx) -> Result<CreateExecutionArgs, Stop> {
        Ok(cx.execution()?.policy(self.policy()))
    }

    fn policy(self) -> ExecutionPolicy {
        match self {
            Self::Failed => retrying(3, 0),
            Self::BackedOff => retrying(3, WAIT_MS),
            Self::TimedOut => retrying(3, 0).timeouts(limited(WAIT_MS)),
            _ => ExecutionPolicy::new(),
        }
    }
}

/// A limit of `attempt_ms` for each attempt.
pub(crate) fn limited(attempt_ms: u64) -> TimeoutPolicy {
    TimeoutPolicy { attempt_timeout_ms: Some(attempt_ms), ..TimeoutPolicy::default() }
}

/// Work that came this way and can be taken now. The lane must be empty.
pub(crate) async fn waiting(cx: &Cx, client: &Arc<dyn EngineBackend>, route: Route) -> Result<ExecutionId, Stop> {
    let mut args = route.plan(cx)?;
    let id = args.execution_id;
    if route == Route::Delayed {
        args = args.delay_until(after(cx.now().await?, 1000));
    }
    if matches!(route, Route::Created | Route::Delayed) {
        cx.created(client, args).await?;
    } else {
        let held = held_as(cx, client, args).await?;
        laid_down(cx, client, route, &held.handle).await?;
    }
    if !matches!(route, Route::Created | Route::Failed | Route::GivenBack | Route::WaitedForNothing) {
        cx.pass_time(TTL).await?;
    }
    Ok(id)
}

/// What the holder does so that its work goes this way; time does the rest.
pub(crate) async fn laid_down(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    route: Route,
    handle: &Handle,
) -> Result<(), Stop> {
    let now = cx.now().await?;
    match route {
        Route::Created | Route::Delayed | Route::Lapsed | Route::TimedOut => {}
        Route::Failed | Route::BackedOff => {
            client.fail(handle, FailureReason::new("broken"), FailureClass::Transient).await?;
        }
        Route::GivenBack => client.delay(handle, before(now, 1)).await?,
        Route::Parked => client.delay(handle, after(now, 1000)).await?,
        Route::WaitedForNothing => client.wait_children(handle).await?,
    }
    Ok(())
}
