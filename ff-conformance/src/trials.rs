//! One call that meets a fault on its way, beside the same call without one.

use std::{fmt::Debug, sync::Arc, time::Duration};

use ff_core::{
    ClaimExecutionArgs, CreateExecutionArgs, EngineBackend, EngineError, ErrorClass, ExecutionId, ExecutionPolicy,
    Repeat, TimestampMs,
};

use crate::{
    Claimed, Cx, Expect, Fault, Proxy, Stop,
    calls::Call,
    check, equals,
    facts::{Facts, facts_of},
    is_true,
    reservations::{granted, redeems},
    routes::{Route, waiting},
    satisfies,
    suspensions::{self, Suspended},
};

/// What a call is about.
pub(crate) trait Subject: Clone {
    /// The execution.
    fn id(&self) -> ExecutionId;
}

impl Subject for Claimed {
    fn id(&self) -> ExecutionId {
        self.payload.execution_id
    }
}

impl Subject for ClaimExecutionArgs {
    fn id(&self) -> ExecutionId {
        self.grant.execution_id
    }
}

impl Subject for Suspended {
    fn id(&self) -> ExecutionId {
        self.id()
    }
}

impl Subject for CreateExecutionArgs {
    fn id(&self) -> ExecutionId {
        self.execution_id
    }
}

/// Three equal subjects and two ways to the store.
pub(crate) struct Trial<S> {
    direct: Arc<dyn EngineBackend>,
    faulty: Arc<dyn EngineBackend>,
    proxy: Proxy,
    /// Called once, without a fault.
    once: S,
    /// Called with the fault, and again.
    again: S,
    /// Called before, so that statement and connection are warm and the fault hits the call itself.
    warm: S,
}

/// What the calls of a trial answered.
pub(crate) struct Told<T> {
    /// The call without a fault.
    pub(crate) first: T,
    /// The repeats of the call with the fault, by the same client unless it was killed, then by another.
    pub(crate) repeats: Vec<Result<T, EngineError>>,
}

/// Three executions of the lane, each under a live lease of its own worker.
pub(crate) async fn held(cx: &Cx, policy: ExecutionPolicy) -> Result<Trial<Claimed>, Stop> {
    // Without an address there is no trial; nothing is worth preparing then.
    let (faulty, proxy) = cx.proxied("faulty").await?;
    let direct = cx.client("direct").await?;
    for _ in 0..3 {
        cx.created(&direct, cx.execution()?.policy(policy.clone())).await?;
    }
    let once = cx.claimed(&direct, "worker").await?;
    let again = cx.claimed(&direct, "worker").await?;
    let warm = cx.claimed(&direct, "worker").await?;
    Ok(Trial { direct, faulty, proxy, once, again, warm })
}

/// Three executions whose attempts were interrupted, each reserved, and what redeems each grant.
pub(crate) async fn reserved(cx: &Cx) -> Result<Trial<ClaimExecutionArgs>, Stop> {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    let direct = cx.client("direct").await?;
    let mut redeeming = Vec::new();
    for _ in 0..3 {
        waiting(cx, &direct, Route::WaitedForNothing).await?;
        redeeming.push(redeems(cx, &granted(cx, &direct, "worker").await?, "worker")?);
    }
    let [once, again, warm] = <[_; 3]>::try_from(redeeming).map_err(|_| Stop::Errored("not three".to_owned()))?;
    Ok(Trial { direct, faulty, proxy, once, again, warm })
}

/// The same after their holders completed them.
pub(crate) async fn completed(cx: &Cx) -> Result<Trial<Claimed>, Stop> {
    let trial = held(cx, ExecutionPolicy::new()).await?;
    for claimed in [&trial.once, &trial.again, &trial.warm] {
        trial.direct.complete(&claimed.handle, Some(b"done".to_vec())).await?;
    }
    Ok(trial)
}

/// The same after their holders gave them back for an hour.
pub(crate) async fn delayed(cx: &Cx) -> Result<Trial<Claimed>, Stop> {
    let trial = held(cx, ExecutionPolicy::new()).await?;
    let until = cx.now().await?.plus(Duration::from_secs(3600));
    for claimed in [&trial.once, &trial.again, &trial.warm] {
        trial.direct.delay(&claimed.handle, until).await?;
    }
    Ok(trial)
}

/// Three executions that are suspended until an operator resumes them.
pub(crate) async fn suspended(cx: &Cx) -> Result<Trial<Suspended>, Stop> {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    let direct = cx.client("direct").await?;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(suspensions::suspended(cx, &direct).await?);
    }
    let [once, again, warm] = <[_; 3]>::try_from(made).map_err(|_| Stop::Errored("not three".to_owned()))?;
    Ok(Trial { direct, faulty, proxy, once, again, warm })
}

/// Three executions that do not exist yet.
pub(crate) async fn planned(cx: &Cx) -> Result<Trial<CreateExecutionArgs>, Stop> {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    let direct = cx.client("direct").await?;
    let (once, again, warm) = (cx.execution()?, cx.execution()?, cx.execution()?);
    Ok(Trial { direct, faulty, proxy, once, again, warm })
}

impl<S: Subject> Trial<S> {
    /// The execution of the call that meets the fault.
    pub(crate) fn struck(&self) -> ExecutionId {
        self.again.id()
    }

    async fn facts(&self, cx: &Cx, subject: &S) -> Result<Facts, Stop> {
        facts_of(cx, &self.direct, &subject.id(), TimestampMs::from_ms(0)).await
    }
}

/// A reply that is lost, a request that is lost, and a caller that is killed before or after its request arrived.
pub(crate) const FAULTS: [Fault; 4] = [Fault::DropReply, Fault::Reset, Fault::Swallow, Fault::SwallowReply];

/// Makes `call` once on one subject; makes it on another while `fault` strikes, and repeats it twice. What has
/// become of both must be equal, in between as far as the request went.
pub(crate) async fn meets<S: Subject, T: Debug>(
    cx: &Cx,
    trial: &Trial<S>,
    fault: Fault,
    repeat: Repeat,
    call: Call<S, T>,
) -> Result<Told<T>, Stop> {
    call(Arc::clone(&trial.faulty), trial.warm.clone()).await?;
    if trial.proxy.turns() == 0 {
        return Err(Stop::Errored("the client goes around the proxy".to_owned()));
    }
    let before = trial.facts(cx, &trial.again).await?;
    let first = call(Arc::clone(&trial.direct), trial.once.clone()).await?;

    let broken = struck(&trial.proxy, fault, call(Arc::clone(&trial.faulty), trial.again.clone())).await;

    let arrives = matches!(fault, Fault::DropReply | Fault::SwallowReply | Fault::CutReply(_));
    check!(cx, "FF-ERR-018", broken, is_lost(if arrives { AFTER } else { BEFORE }));
    let expected = if arrives { trial.facts(cx, &trial.once).await? } else { before };
    let found = trial.facts(cx, &trial.again).await?;
    check!(cx, "FF-DUR-002", found.other_records(&expected), equals(Vec::new()));
    check!(cx, "FF-DUR-004", found.other_events(&expected), equals(Vec::new()));

    let written = cx.dump().await?.lines;
    if arrives && repeat == Repeat::Replays {
        // A repeat tells what the first call stored, not what it would store now.
        cx.pass_time(Duration::from_millis(7)).await?;
    }
    let mut repeats = Vec::new();
    if broken.is_some() {
        repeats.push(call(Arc::clone(&trial.faulty), trial.again.clone()).await);
    }
    repeats.push(call(Arc::clone(&trial.direct), trial.again.clone()).await);
    let (found, expected) = (trial.facts(cx, &trial.again).await?, trial.facts(cx, &trial.once).await?);
    check!(cx, "FF-DUR-003", found.others(&expected), equals(Vec::new()));
    if arrives {
        let same = cx.dump().await?.lines == written;
        check!(cx, "FF-DUR-003", same, is_true());
    }
    Ok(Told { first, repeats })
}

/// The answer to a call that `fault` strikes; `None` if the fault is silent, and the caller was killed when it struck.
pub(crate) async fn struck<T>(proxy: &Proxy, fault: Fault, call: impl Future<Output = T>) -> Option<T> {
    proxy.arm(fault);
    if !matches!(fault, Fault::Swallow | Fault::SwallowReply) {
        return Some(call.await);
    }
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = proxy.struck() => {
            proxy.sever();
            None
        }
    }
}

/// How a call is told whose request arrived: it may have been applied.
pub(crate) const AFTER: &[ErrorClass] = &[ErrorClass::Unknown];
/// How a call is told whose request did not arrive; its caller may be unable to know.
pub(crate) const BEFORE: &[ErrorClass] = &[ErrorClass::Unknown, ErrorClass::Retryable];

/// The caller was killed, or was told of a fault of the way in one of `classes`.
pub(crate) fn is_lost<T>(classes: &'static [ErrorClass]) -> impl Expect<Option<Result<T, EngineError>>> {
    satisfies(format!("is Transport of class {classes:?}"), |got: &Option<Result<T, EngineError>>| match got {
        Some(Err(error)) => matches!(error, EngineError::Transport(_)) && classes.contains(&error.class()),
        Some(Ok(_)) => false,
        None => true,
    })
}

/// Every one of the calls answered `wanted`.
pub(crate) fn all_answer<T: PartialEq + Debug>(wanted: T) -> impl Expect<Vec<Result<T, EngineError>>> {
    satisfies(format!("all answer {wanted:?}"), move |got: &Vec<Result<T, EngineError>>| {
        !got.is_empty() && got.iter().all(|answer| answer.as_ref().is_ok_and(|answer| *answer == wanted))
    })
}
