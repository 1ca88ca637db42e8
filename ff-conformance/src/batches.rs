//! Cases of batches: as many calls in one step, each item by itself and answered in its place.

use std::sync::Arc;

use ff_core::{
    Backoff, CapabilitySet, CompleteArgs, CreateExecutionArgs, CreateExecutionResult, EngineBackend, EngineError,
    ExecutionId, ExecutionPolicy, FailureClass, FailureReason, Handle, LeaseEventKind, PageLimit, RetryPolicy,
    TimestampMs,
};
use futures::future::{join, join_all};

use crate::{
    Claimed, Cx, Expect, Stop, TTL, Verdict, answers, check, equals,
    facts::facts_of,
    forgeries::{altered, damaged, foreign, naming, near_fences},
    holders::code,
    instants::{after, ms},
    is_true, refused, satisfies,
    stages::{cancelled, completed, held, lapsed},
    words::{completion_log, reads},
};

/// The codes of the answers of a batch.
pub(crate) fn codes<T>(answers: &[Result<T, EngineError>]) -> Vec<String> {
    answers.iter().map(code).collect()
}

/// The answers are these, by their codes.
fn told<const N: usize>(wanted: [&str; N]) -> impl Expect<Vec<String>> {
    equals(wanted.map(str::to_owned).to_vec())
}

/// The answers are all `Ok`, and so many.
fn all_done(count: usize) -> impl Expect<Vec<String>> {
    satisfies(format!("are {count} times Ok"), move |got: &Vec<String>| {
        got.len() == count && got.iter().all(|answer| answer == "Ok")
    })
}

/// `count` executions of the lane of the case under live leases.
pub(crate) async fn all_held(cx: &Cx, client: &Arc<dyn EngineBackend>, count: usize) -> Result<Vec<Claimed>, Stop> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push(held(cx, client).await?);
    }
    Ok(all)
}

fn completions(held: &[Claimed]) -> Vec<CompleteArgs> {
    held.iter().map(|held| CompleteArgs::new(held.handle.clone(), Some(b"done".to_vec()))).collect()
}

/// What two groups of executions that went the same way tell differently.
pub(crate) async fn differences(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    found: impl IntoIterator<Item = ExecutionId>,
    expected: impl IntoIterator<Item = ExecutionId>,
) -> Result<Vec<String>, Stop> {
    let mut differences = Vec::new();
    for (found, expected) in found.into_iter().zip(expected) {
        let origin = TimestampMs::from_ms(0);
        let expected = facts_of(cx, client, &expected, origin).await?;
        differences.extend(facts_of(cx, client, &found, origin).await?.others(&expected));
    }
    Ok(differences)
}

/// Creates of every shape; `name` sets their keys apart.
fn shapes(cx: &Cx, name: &str, now: TimestampMs) -> Result<Vec<CreateExecutionArgs>, Stop> {
    let retry = RetryPolicy {
        max_retries: 1,
        backoff: Backoff::Exponential { initial_delay_ms: 70, max_delay_ms: 900, multiplier: 1.7, jitter: false },
        retryable_categories: ["a,b", "\"c\""].map(str::to_owned).into(),
    };
    let gpu = CapabilitySet::try_new(["gpu", "eu"])?;
    Ok(vec![
        cx.execution()?,
        cx.execution()?.priority(7).input_payload([0, 0xff, b'\'', b'{']).payload_encoding("raw"),
        cx.execution()?.delay_until(after(now, 500)),
        cx.execution()?.delay_until(after(now, -500)),
        cx.execution()?.execution_deadline_at(after(now, 9000)),
        cx.execution()?.policy(ExecutionPolicy::new().retry(retry)),
        cx.execution()?.policy(ExecutionPolicy::new().required_capabilities(gpu).max_reclaim_count(3)),
        cx.execution()?.tag("a.b", "c,d").tag("e.f", "").creator_identity("ann"),
        cx.execution_in("elsewhere")?,
        cx.execution()?.idempotency_key(format!("{name}-1")),
        cx.execution()?.idempotency_key(format!("{name}-2")).policy(ExecutionPolicy::new().priority(3)),
    ])
}

fn ids(batch: &[CreateExecutionArgs]) -> Vec<ExecutionId> {
    batch.iter().map(|args| args.execution_id).collect()
}

/// A batch of creates leaves what the creates leave one by one, in what is read and in what becomes of it.
///
/// Covers FF-EXE-080.
pub async fn create_executions_does_what_single_creates_do(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let (singles, batch) = (shapes(cx, "single", now)?, shapes(cx, "batch", now)?);
    let (single_ids, batch_ids) = (ids(&singles), ids(&batch));
    let mut states = Vec::new();
    for args in singles {
        states.push(a.create_execution(args).await.map(state_of));
    }

    let created = a.create_executions(batch).await?;

    let places: Vec<_> = created.iter().map(|answer| answer.as_ref().ok().map(id_of)).collect();
    check!(cx, "FF-EXE-080", places, equals(batch_ids.iter().copied().map(Some).collect::<Vec<_>>()));
    check!(
        cx,
        "FF-EXE-080",
        created.into_iter().map(|answer| answer.map(state_of)).collect::<Vec<_>>(),
        equals(states)
    );
    check!(cx, "FF-EXE-080", differences(cx, &a, batch_ids.clone(), single_ids.clone()).await?, equals(Vec::new()));

    // What only the stored policy knows shows when the work fails.
    let offered = CapabilitySet::try_new(["gpu", "eu"])?;
    while let Some(claimed) = cx.try_claim_offering(&a, "worker", TTL, &offered).await? {
        let reason = FailureReason::new("broken").category("a,b");
        a.fail(&claimed.handle, reason, FailureClass::Transient).await?;
    }
    check!(cx, "FF-EXE-080", differences(cx, &a, batch_ids, single_ids).await?, equals(Vec::new()));
    Ok(())
}

pub(crate) fn id_of(result: &CreateExecutionResult) -> ExecutionId {
    match result {
        CreateExecutionResult::Created { execution_id, .. } | CreateExecutionResult::Duplicate { execution_id } => {
            *execution_id
        }
    }
}

/// What a create answers, without the id.
fn state_of(result: CreateExecutionResult) -> String {
    match result {
        CreateExecutionResult::Created { public_state, .. } => public_state.to_string(),
        CreateExecutionResult::Duplicate { .. } => "duplicate".to_owned(),
    }
}

/// Creates that break a rule are refused in their places, write nothing, and leave their neighbours alone.
///
/// Covers FF-EXE-081.
pub async fn create_executions_refuses_its_items_one_by_one(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut nameless = cx.execution()?;
    nameless.execution_kind = String::new();
    let mut beyond = cx.execution()?;
    let partitions = a.capabilities().limits.partitions;
    beyond.execution_id = ExecutionId::from_parts(partitions, beyond.execution_id.as_uuid());
    let untagged = cx.execution()?.tag("no dot", "x");
    let bad = [nameless.idempotency_key("free"), beyond, untagged];
    let written = cx.dump().await?;
    let refusals = ["Validation(InvalidInput)", "Validation(InvalidInput)", "Validation(InvalidTagKey)"];

    check!(cx, "FF-EXE-081", codes(&a.create_executions(bad.to_vec()).await?), told(refusals));
    check!(cx, "FF-EXE-081", cx.dump().await?, equals(written));

    let [nameless, beyond, untagged] = bad;
    let good = [cx.execution()?, cx.execution()?.idempotency_key("free"), cx.execution()?];
    let [first, second, third] = good.clone();
    let batch = vec![first, nameless, second, beyond, untagged, third];
    let [one, two, three] = refusals;
    check!(cx, "FF-EXE-081", codes(&a.create_executions(batch).await?), told(["Ok", one, "Ok", two, three, "Ok"]));
    let mut there = a.list_executions(None, PageLimit::MAX).await?.executions;
    let mut wanted = ids(&good);
    there.sort();
    wanted.sort();
    check!(cx, "FF-EXE-081", there, equals(wanted));
    Ok(())
}

/// What the creates of a batch answered: `+` before an id that one created.
fn creations(answers: &[Result<CreateExecutionResult, EngineError>]) -> Vec<String> {
    let word = |result: &CreateExecutionResult| match result {
        CreateExecutionResult::Created { execution_id, .. } => format!("+{execution_id}"),
        CreateExecutionResult::Duplicate { execution_id } => format!("={execution_id}"),
    };
    answers.iter().map(|answer| answer.as_ref().map_or_else(EngineError::code, word)).collect()
}

/// Of the items with one id or one key the first creates, and a repeated batch is all duplicates and writes nothing.
///
/// Covers FF-EXE-082.
pub async fn create_executions_creates_the_first_of_an_id_or_key(cx: &Cx) -> Verdict {
    let client = cx.client("a").await?;
    let (a, b, c, d) = (cx.execution()?, cx.execution()?, cx.execution()?, cx.execution()?);
    let mut foreign = d.clone().idempotency_key("one");
    foreign.namespace = cx.namespace("another")?;
    let batch = vec![
        a.clone().idempotency_key("one"),
        b.clone().idempotency_key("one"),
        a.clone(),
        c.clone(),
        b.clone().idempotency_key("two"),
        c.clone().idempotency_key("three"),
        foreign,
    ];
    let [a, b, c, d] = [a, b, c, d].map(|args| args.execution_id);

    let first = creations(&client.create_executions(batch.clone()).await?);

    let wanted = [format!("+{a}"), format!("={a}"), format!("={a}"), format!("+{c}"), format!("+{b}"), format!("={c}")];
    check!(cx, "FF-EXE-082", first, equals([&wanted[..], &[format!("+{d}")]].concat()));
    let written = cx.dump().await?;
    let again = creations(&client.create_executions(batch).await?);
    check!(cx, "FF-EXE-082", again, equals([a, b, a, c, b, c, d].map(|id| format!("={id}")).to_vec()));
    check!(cx, "FF-EXE-082", cx.dump().await?, equals(written));
    Ok(())
}

/// Ids and keys that the store knows are duplicates in their places; an item behind one of them may still create.
///
/// Covers FF-EXE-082.
pub async fn create_executions_knows_what_was_there_before(cx: &Cx) -> Verdict {
    let client = cx.client("a").await?;
    let known = cx.created(&client, cx.execution()?.idempotency_key("one")).await?;
    let mut again = cx.execution()?;
    again.execution_id = known;
    let (new, other) = (cx.execution()?, cx.execution()?);
    let batch = vec![again, new.clone().idempotency_key("one"), new.clone(), other.clone(), new.clone()];

    let answers = creations(&client.create_executions(batch).await?);

    let (new, other) = (new.execution_id, other.execution_id);
    let wanted =
        vec![format!("={known}"), format!("={known}"), format!("+{new}"), format!("+{other}"), format!("={new}")];
    check!(cx, "FF-EXE-082", answers, equals(wanted));
    Ok(())
}

/// A batch with too many items or bytes is refused before anything is written, and an empty one answers nothing.
///
/// Covers FF-EXE-081, FF-EXE-085, FF-LSE-080.
pub async fn a_batch_beyond_its_limits_is_refused_as_a_whole(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let held = held(cx, &a).await?;
    let written = cx.dump().await?;
    let complete = CompleteArgs::new(held.handle.clone(), None);
    let many = (0..1001).map(|_| cx.execution()).collect::<Result<Vec<_>, Stop>>()?;
    check!(cx, "FF-EXE-081", a.create_executions(many).await, refused("Validation(InvalidInput)"));
    check!(cx, "FF-EXE-085", a.complete_many(vec![complete; 1001]).await, refused("Validation(InvalidInput)"));
    check!(cx, "FF-LSE-080", a.renew_many(&vec![held.handle.clone(); 1001]).await, refused("Validation(InvalidInput)"));

    let large = vec![b'x'; 64 * 1024 * 1024 / 5 + 1];
    let complete = CompleteArgs::new(held.handle, Some(large.clone()));
    check!(cx, "FF-EXE-085", a.complete_many(vec![complete; 5]).await, refused("Validation(PayloadTooLarge)"));
    let create = cx.execution()?.input_payload(large);
    check!(cx, "FF-EXE-081", a.create_executions(vec![create; 5]).await, refused("Validation(PayloadTooLarge)"));

    check!(cx, "FF-EXE-081", a.create_executions(Vec::new()).await, answers(Vec::new()));
    check!(cx, "FF-EXE-085", a.complete_many(Vec::new()).await, answers(Vec::new()));
    check!(cx, "FF-LSE-080", a.renew_many(&[]).await, answers(Vec::new()));
    check!(cx, "FF-EXE-081", cx.dump().await?, equals(written));
    Ok(())
}

/// A thousand executions are created, claimed, renewed and completed in one batch each.
///
/// Covers FF-EXE-080, FF-EXE-084, FF-LSE-080, FF-CLM-080.
pub async fn a_batch_may_have_a_thousand_items(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let many = (0..1000).map(|n| Ok(cx.execution()?.idempotency_key(format!("key-{n}")).tag("a.b", "c")));
    let many = many.collect::<Result<Vec<_>, Stop>>()?;
    check!(cx, "FF-EXE-080", codes(&a.create_executions(many).await?), all_done(1000));
    let (lane, worker) = (cx.lane()?, cx.worker("worker", TTL)?);
    let handles = a.claim_many(&lane, &CapabilitySet::default(), worker, PageLimit::MAX).await?;
    check!(cx, "FF-CLM-080", handles.len(), equals(1000));
    check!(cx, "FF-LSE-080", codes(&a.renew_many(&handles).await?), all_done(1000));
    let batch = handles.into_iter().map(|handle| CompleteArgs::new(handle, Some(b"done".to_vec()))).collect();
    check!(cx, "FF-EXE-084", codes(&a.complete_many(batch).await?), all_done(1000));
    check!(cx, "FF-EXE-084", cx.dump().await?.completions.len(), equals(1000));
    Ok(())
}

/// A batch of completions leaves what they leave one by one, and tells in the order of its items.
///
/// Covers FF-EXE-084.
pub async fn complete_many_does_what_single_completes_do(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (singles, mut batch) = (all_held(cx, &a, 4).await?, all_held(cx, &a, 4).await?);
    cx.pass_time(ms(5)).await?;
    let payloads = [None, Some(Vec::new()), Some(vec![0, 0xff, b'}']), Some(vec![b'x'; 70_000])];
    for (held, payload) in singles.iter().zip(&payloads) {
        a.complete(&held.handle, payload.clone()).await?;
    }
    batch.reverse();
    let items = batch.iter().zip(payloads).map(|(held, payload)| CompleteArgs::new(held.handle.clone(), payload));

    let answers = a.complete_many(items.collect()).await?;

    let (found, expected) = (executions(&batch), executions(&singles));
    check!(cx, "FF-EXE-084", codes(&answers), all_done(4));
    check!(cx, "FF-EXE-084", differences(cx, &a, found.clone(), expected).await?, equals(Vec::new()));
    let dump = cx.dump().await?;
    let released = dump.lease_history.iter().filter(|event| event.kind == LeaseEventKind::Released);
    let released: Vec<_> = released.map(|event| event.execution_id).skip(4).collect();
    check!(cx, "FF-EXE-084", released, equals(found.clone()));
    let ended: Vec<_> = dump.completions.iter().map(|event| event.execution_id).skip(4).collect();
    check!(cx, "FF-EXE-084", ended, equals(found));
    Ok(())
}

pub(crate) fn executions(held: &[Claimed]) -> Vec<ExecutionId> {
    held.iter().map(|held| held.payload.execution_id).collect()
}

/// Handles that no batch item may use, each with the code of its refusal.
async fn bad_handles(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<(Handle, &'static str)>, Stop> {
    let stale = lapsed(cx, client).await?;
    let current = cx.claimed(client, "other").await?;
    let ended = cancelled(cx, client).await?;
    cx.created(client, cx.execution_in("late")?).await?;
    let (lane, worker) = (cx.lane_called("late")?, cx.worker("worker", ms(1))?);
    let late = client.claim(&lane, &CapabilitySet::default(), worker).await?;
    let late = late.ok_or_else(|| Stop::Errored("no work".to_owned()))?;
    cx.pass_time(ms(1)).await?;
    let mut bad = vec![
        (damaged(&current).swap_remove(1), "Validation(Corruption)"),
        (foreign(&current)?.swap_remove(2), "Validation(HandleFromOtherBackend)"),
        (naming(&current, cx.execution()?.execution_id), "NotFound(Execution)"),
        (stale.handle, "State(StaleLease)"),
        (late, "State(LeaseExpired)"),
        (ended.handle, "Contention(ExecutionNotActive)"),
    ];
    bad.extend(near_fences(&current).into_iter().map(|handle| (handle, "State(StaleLease)")));
    let beyond = ExecutionId::from_parts(u16::MAX, current.payload.execution_id.as_uuid());
    bad.push((naming(&current, beyond), "Validation(InvalidInput)"));
    Ok(bad)
}

/// Completions that are refused are so in their places, write nothing, and leave their neighbours alone.
///
/// Covers FF-EXE-085.
pub async fn complete_many_refuses_its_items_one_by_one(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let bad = bad_handles(cx, &a).await?;
    let repeated = completed(cx, &a).await?;
    let good = all_held(cx, &a, bad.len()).await?;
    let item = |handle: &Handle| CompleteArgs::new(handle.clone(), Some(b"done".to_vec()));
    let refusals: Vec<_> = bad.iter().map(|(_, code)| (*code).to_owned()).collect();
    let written = cx.dump().await?;

    let answers = a.complete_many(bad.iter().map(|(handle, _)| item(handle)).collect()).await?;
    check!(cx, "FF-EXE-085", codes(&answers), equals(refusals.clone()));
    check!(cx, "FF-EXE-085", codes(&a.complete_many(vec![item(&repeated.handle)]).await?), told(["Ok"]));
    check!(cx, "FF-EXE-085", cx.dump().await?, equals(written));

    let batch = bad.iter().zip(&good).flat_map(|((bad, _), good)| [item(bad), item(&good.handle)]);
    let wanted: Vec<_> = refusals.into_iter().flat_map(|refusal| [refusal, "Ok".to_owned()]).collect();
    check!(cx, "FF-EXE-085", codes(&a.complete_many(batch.collect()).await?), equals(wanted));
    for held in good {
        check!(
            cx,
            "FF-EXE-085",
            a.get_execution_result(&held.payload.execution_id).await?,
            equals(Some(b"done".to_vec()))
        );
    }
    Ok(())
}

/// Of two items that complete one execution the second repeats the first, and one of a former holder finds it ended.
///
/// Covers FF-EXE-085, FF-EXE-084.
pub async fn complete_many_of_one_execution_completes_it_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let stale = lapsed(cx, &a).await?;
    let current = cx.claimed(&a, "other").await?;
    let id = current.payload.execution_id;
    let item = |handle: &Handle, result: &str| CompleteArgs::new(handle.clone(), Some(result.as_bytes().to_vec()));
    let batch = vec![
        item(&stale.handle, "stale"),
        item(&current.handle, "first"),
        item(&current.handle, "second"),
        item(&stale.handle, "late"),
    ];

    let answers = codes(&a.complete_many(batch).await?);

    check!(cx, "FF-EXE-085", answers, told(["State(StaleLease)", "Ok", "Ok", "Contention(ExecutionNotActive)"]));
    check!(cx, "FF-EXE-084", a.get_execution_result(&id).await?, equals(Some(b"first".to_vec())));
    check!(cx, "FF-EXE-084", completion_log(&cx.dump().await?, &id), reads("success"));
    Ok(())
}

/// A batch of renewals leaves what they leave one by one; of two of one lease the last counts.
///
/// Covers FF-LSE-080.
pub async fn renew_many_does_what_single_renewals_do(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (singles, mut batch) = (all_held(cx, &a, 3).await?, all_held(cx, &a, 3).await?);
    cx.pass_time(TTL / 2).await?;
    let shorter = |held: &Claimed| altered(held, |payload| payload.lease_ttl = ms(900));
    let mut expected = Vec::new();
    for held in &singles {
        expected.push(a.renew(&held.handle).await);
    }
    if let Some(last) = singles.last() {
        expected.push(a.renew(&shorter(last)).await);
    }
    let mut handles: Vec<_> = batch.iter().map(|held| held.handle.clone()).collect();
    handles.extend(batch.last().map(shorter));

    let answers = a.renew_many(&handles).await?;

    check!(cx, "FF-LSE-080", answers, equals(expected));
    check!(cx, "FF-LSE-080", differences(cx, &a, executions(&batch), executions(&singles)).await?, equals(Vec::new()));
    batch.reverse();
    let handles: Vec<_> = batch.iter().map(|held| held.handle.clone()).collect();
    check!(cx, "FF-LSE-080", codes(&a.renew_many(&handles).await?), all_done(3));
    Ok(())
}

/// Renewals that are refused are so in their places, write nothing, and leave their neighbours alone.
///
/// Covers FF-LSE-080.
pub async fn renew_many_refuses_its_items_one_by_one(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let bad = bad_handles(cx, &a).await?;
    let good = all_held(cx, &a, bad.len()).await?;
    let refusals: Vec<_> = bad.iter().map(|(_, code)| (*code).to_owned()).collect();
    let written = cx.dump().await?;

    let handles: Vec<_> = bad.iter().map(|(handle, _)| handle.clone()).collect();
    check!(cx, "FF-LSE-080", codes(&a.renew_many(&handles).await?), equals(refusals.clone()));
    check!(cx, "FF-LSE-080", cx.dump().await?, equals(written));

    cx.pass_time(ms(7)).await?;
    let until = cx.now().await?.plus(TTL);
    let handles: Vec<_> = bad.into_iter().zip(&good).flat_map(|((bad, _), good)| [bad, good.handle.clone()]).collect();
    let answers = a.renew_many(&handles).await?;
    let wanted: Vec<_> = refusals.into_iter().flat_map(|refusal| [refusal, "Ok".to_owned()]).collect();
    check!(cx, "FF-LSE-080", codes(&answers), equals(wanted));
    let renewed = answers.iter().flatten().all(|renewal| renewal.expires_at == until);
    check!(cx, "FF-LSE-080", renewed, is_true());
    Ok(())
}

/// Two clients renew and complete the same executions in opposite orders: all calls end, and each completes once.
///
/// Covers FF-EXE-086.
pub async fn overlapping_batches_of_holders_all_end(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let held = all_held(cx, &a, 40).await?;
    let forward: Vec<_> = held.iter().map(|held| held.handle.clone()).collect();
    let backward: Vec<_> = forward.iter().rev().cloned().collect();
    for _ in 0..5 {
        let (one, other) = join(a.renew_many(&forward), b.renew_many(&backward)).await;
        check!(cx, "FF-EXE-086", codes(&one?), all_done(40));
        check!(cx, "FF-EXE-086", codes(&other?), all_done(40));
    }
    let (batch, mut reversed) = (completions(&held), completions(&held));
    reversed.reverse();
    let (one, other) = join(a.complete_many(batch), b.complete_many(reversed)).await;
    check!(cx, "FF-EXE-086", codes(&one?), all_done(40));
    check!(cx, "FF-EXE-086", codes(&other?), all_done(40));
    check!(cx, "FF-EXE-086", cx.dump().await?.completions.len(), equals(40));
    Ok(())
}

/// Clients create the same executions with the same keys in opposite orders: each is created once.
///
/// Covers FF-EXE-086.
pub async fn overlapping_batches_of_creates_create_once(cx: &Cx) -> Verdict {
    let clients = crate::crowds::clients(cx, 4).await?;
    let batch = (0..40_usize).map(|n| {
        let lane = format!("lane-{}", n % 5);
        Ok(cx.execution_in(&lane)?.idempotency_key(format!("key-{}", n * 7 % 40)))
    });
    let batch = batch.collect::<Result<Vec<_>, Stop>>()?;
    let creates = clients.iter().enumerate().map(|(n, client)| {
        let mut own = batch.clone();
        if n % 2 == 1 {
            own.reverse();
        }
        client.create_executions(own)
    });

    let answers = join_all(creates.collect::<Vec<_>>()).await;

    let mut words = Vec::new();
    for answer in answers {
        words.extend(creations(&answer?));
    }
    words.sort();
    let created = batch.iter().map(|args| format!("+{}", args.execution_id));
    let repeated = batch.iter().flat_map(|args| vec![format!("={}", args.execution_id); 3]);
    let mut wanted: Vec<_> = created.chain(repeated).collect();
    wanted.sort();
    check!(cx, "FF-EXE-086", words, equals(wanted));
    Ok(())
}
