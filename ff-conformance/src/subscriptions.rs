//! Cases of subscriptions: the whole log, from every cursor, filtered, and to its end.

use std::sync::Arc;

use ff_core::{
    ChangePriorityArgs, CompletionEvent, CreateExecutionArgs, EngineBackend, EngineError, LeaseHistoryEvent,
    OperatorEvent, ScannerFilter, SignalDeliveryEvent, StreamCursor, Subscription,
};
use futures::future::{join, try_join_all};

use crate::{
    Cx, Stop, TTL, Verdict, check,
    crowds::{clients, created_many},
    equals,
    feeds::{Family, by_execution, events, feed, item, taken},
    instants::ms,
    is_none, is_ok, is_true, refused, satisfies,
    stages::{backing_off, cancelled, completed, failed, held, lapsed},
    suspensions::{suspended_as, waits_for_any},
};

/// Executions that went every way that tells something of leases.
async fn history(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<(), Stop> {
    lapsed(cx, client).await?;
    let reclaimed = cx.claimed(client, "second").await?;
    client.complete(&reclaimed.handle, None).await?;
    backing_off(cx, client, 3_600_000).await?;
    completed(cx, client).await?;
    failed(cx, client).await?;
    cancelled(cx, client).await?;
    held(cx, client).await?;
    Ok(())
}

/// Everything that the log of a family holds is delivered, each execution's in its order.
async fn delivers_the_log<E: Family>(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Verdict {
    let log = E::log(&cx.dump().await?);
    let mut all = feed::<E>(client, &StreamCursor::Start).await?;
    let delivered = events(&taken(&mut all, log.len()).await?);
    check!(cx, "FF-SUB-008", log.is_empty(), equals(false));
    let all_there = delivered.len() == log.len() && log.iter().all(|event| delivered.contains(event));
    check!(cx, "FF-SUB-008", all_there, is_true());
    check!(cx, "FF-SUB-002", by_execution(delivered), equals(by_execution(log)));
    Ok(())
}

/// The lease history is delivered as it was written, and nothing else.
///
/// Covers FF-SUB-002, FF-SUB-008. Needs dump, clock, lease_history.
pub async fn subscribe_lease_history_delivers_the_log(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    history(cx, &a).await?;
    delivers_the_log::<LeaseHistoryEvent>(cx, &a).await
}

/// The completions are delivered as they were written, and nothing else.
///
/// Covers FF-SUB-002, FF-SUB-008. Needs dump, clock, completions.
pub async fn subscribe_completion_delivers_the_log(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    history(cx, &a).await?;
    delivers_the_log::<CompletionEvent>(cx, &a).await
}

/// A subscription goes on behind each cursor that one delivered, also from its text form and another client.
async fn goes_on_behind_every_cursor<E: Family>(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Verdict {
    let other = cx.client("other").await?;
    let count = E::log(&cx.dump().await?).len();
    let all = taken(&mut feed::<E>(client, &StreamCursor::Start).await?, count).await?;
    for (at, delivered) in all.iter().enumerate() {
        let cursor: StreamCursor = delivered.cursor.to_string().parse()?;
        check!(cx, "FF-SUB-003", cursor, equals(delivered.cursor.clone()));
        let mut rest = feed::<E>(&other, &cursor).await?;
        let came = taken(&mut rest, count - at - 1).await?;
        check!(cx, "FF-SUB-003", events(&came), equals(events(&all[at + 1..])));
    }
    check!(cx, "FF-SUB-003", all.len(), equals(count));
    Ok(())
}

/// A lease history goes on exactly behind each of its cursors.
///
/// Covers FF-SUB-003. Needs dump, clock, lease_history.
pub async fn subscribe_lease_history_goes_on_behind_every_cursor(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    history(cx, &a).await?;
    goes_on_behind_every_cursor::<LeaseHistoryEvent>(cx, &a).await
}

/// Completions go on exactly behind each of their cursors.
///
/// Covers FF-SUB-003. Needs dump, clock, completions.
pub async fn subscribe_completion_goes_on_behind_every_cursor(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    history(cx, &a).await?;
    goes_on_behind_every_cursor::<CompletionEvent>(cx, &a).await
}

/// `count` executions that were completed one after the other.
async fn completes(cx: &Cx, client: &Arc<dyn EngineBackend>, count: usize) -> Result<(), Stop> {
    created_many(cx, client, count, |_, args| args).await?;
    for _ in 0..count {
        let claimed = cx.claimed(client, "worker").await?;
        client.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// A log that is longer than any page is delivered whole, and goes on behind cursors within it, while it grows.
///
/// Covers FF-SUB-003. Needs dump, lease_history.
pub async fn subscribe_goes_on_within_a_long_log_that_grows(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    completes(cx, &a, 300).await?;
    let mut growing = feed::<LeaseHistoryEvent>(&a, &StreamCursor::Start).await?;
    let mut all = taken(&mut growing, 200).await?;
    completes(cx, &a, 20).await?;
    all.extend(taken(&mut growing, 440).await?);

    let log = LeaseHistoryEvent::log(&cx.dump().await?);
    check!(cx, "FF-SUB-003", by_execution(events(&all)), equals(by_execution(log)));
    for at in [0, 198, 254, 255, 256, 511, 598, 599, 600, 638] {
        let cursor = &all.get(at).ok_or_else(|| Stop::Errored(format!("event {at} is missing")))?.cursor;
        let rest = taken(&mut feed::<LeaseHistoryEvent>(&a, cursor).await?, 640 - at - 1).await?;
        let (mut came, mut wanted) = (by_execution(events(&rest)), by_execution(events(&all[at + 1..])));
        // What was written behind the first page may come in another order between executions.
        came.retain(|_, events| !events.is_empty());
        wanted.retain(|_, events| !events.is_empty());
        check!(cx, "FF-SUB-003", came, equals(wanted));
    }
    Ok(())
}

/// Executions of two namespaces with labels of two values, to be created.
fn labels(cx: &Cx) -> Result<Vec<CreateExecutionArgs>, Stop> {
    let labelled = |(namespace, team): (&str, &str)| {
        let mut args = cx.execution()?;
        args.namespace = cx.namespace(namespace)?;
        Ok(if team.is_empty() { args } else { args.tag("team.name", team).tag("other.key", "red") })
    };
    [("one", "red"), ("two", "red"), ("one", "blue"), ("two", ""), ("one", "red")].map(labelled).into_iter().collect()
}

/// Labelled executions, each completed.
async fn labelled(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<(), Stop> {
    for args in labels(cx)? {
        cx.created(client, args).await?;
        let claimed = cx.claimed(client, "worker").await?;
        client.complete(&claimed.handle, None).await?;
    }
    Ok(())
}

/// Filters that tell labelled executions apart.
fn filters(cx: &Cx) -> Result<[ScannerFilter; 7], Stop> {
    let (one, none, all) = (cx.namespace("one")?, cx.namespace("none")?, ScannerFilter::new);
    Ok([
        all(),
        all().namespace(one.clone()),
        all().instance_tag("team.name", "red"),
        all().instance_tag("team.name", "blue"),
        all().namespace(one).instance_tag("team.name", "red"),
        all().instance_tag("team.name", "green"),
        all().namespace(none),
    ])
}

/// What a filtered subscription delivers of two equal rounds is what the filter leaves of the whole log.
async fn is_a_projection<E: Family>(cx: &Cx, client: &Arc<dyn EngineBackend>, filter: ScannerFilter) -> Verdict {
    let mut filtered = E::subscribe(client, &StreamCursor::Start, &filter).await?;
    let mut wanted = Vec::new();
    for event in E::log(&cx.dump().await?) {
        let (id, namespace) = event.of();
        let snapshot = client.describe_execution(id).await?;
        let label = |key: &str| snapshot.as_ref().and_then(|found| found.tags.get(key).cloned());
        if filter.namespace.as_ref().is_none_or(|only| only == namespace)
            && filter.instance_tag.as_ref().is_none_or(|(key, value)| label(key).as_ref() == Some(value))
        {
            wanted.push(event);
        }
    }
    let came = taken(&mut filtered, wanted.len()).await?;
    check!(cx, "FF-SUB-004", by_execution(events(&came)), equals(by_execution(wanted)));
    for delivered in &came {
        let rest = E::subscribe(client, &delivered.cursor, &filter).await?;
        drop(rest);
    }
    Ok(())
}

/// A filter by namespace, by label or by both delivers what it leaves of the whole log, and nothing else.
///
/// Covers FF-SUB-004. Needs dump, completions, lease_history.
pub async fn subscribe_with_a_filter_delivers_a_projection(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    labelled(cx, &a).await?;
    for filter in filters(cx)? {
        is_a_projection::<CompletionEvent>(cx, &a, filter.clone()).await?;
        is_a_projection::<LeaseHistoryEvent>(cx, &a, filter).await?;
    }
    Ok(())
}

/// What operators did is filtered in the same way.
///
/// Covers FF-SUB-004. Needs dump, change_priority, operator_events.
pub async fn subscribe_operator_events_with_a_filter_delivers_a_projection(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for args in labels(cx)? {
        let id = cx.created(&a, args).await?;
        a.change_priority(ChangePriorityArgs::new(id, 7)).await?;
    }
    for filter in filters(cx)? {
        is_a_projection::<OperatorEvent>(cx, &a, filter).await?;
    }
    Ok(())
}

/// What was delivered to waitpoints is filtered in the same way.
///
/// Covers FF-SUB-004. Needs dump, signal_deliveries, waitpoints.
pub async fn subscribe_signal_delivery_with_a_filter_delivers_a_projection(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for args in labels(cx)? {
        let old = suspended_as(cx, &a, args, waits_for_any()).await?;
        a.deliver_signal(old.signal()?).await?;
        let resumed = cx.claimed(&a, "worker").await?;
        a.complete(&resumed.handle, None).await?;
    }
    for filter in filters(cx)? {
        is_a_projection::<SignalDeliveryEvent>(cx, &a, filter).await?;
    }
    Ok(())
}

/// A filtered subscription passes over what does not match and delivers the next event that does.
///
/// Covers FF-SUB-004, FF-SUB-007. Needs completions.
pub async fn subscribe_with_a_filter_passes_over_what_does_not_match(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let filter = ScannerFilter::new().instance_tag("team.name", "blue");
    let mut filtered = CompletionEvent::subscribe(&a, &StreamCursor::End, &filter).await?;
    let mut wanted = Vec::new();
    for round in 0..2 {
        labelled(cx, &a).await?;
        let came = taken(&mut filtered, 1).await?;
        check!(cx, "FF-SUB-004", came.len(), equals(1));
        wanted.extend(came);
        check!(cx, "FF-SUB-004", wanted.len(), equals(round + 1));
    }
    let from_start = CompletionEvent::subscribe(&a, &StreamCursor::Start, &filter).await?;
    let both = taken(&mut { from_start }, 2).await?;
    check!(cx, "FF-SUB-004", events(&both), equals(events(&wanted)));
    Ok(())
}

/// A subscription from the end delivers what is written after the call, from the first event on, and nothing before.
///
/// Covers FF-SUB-007. Needs completions, lease_history.
pub async fn subscribe_from_the_end_delivers_what_comes_next(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    completed(cx, &b).await?;
    let mut completions = feed::<CompletionEvent>(&a, &StreamCursor::End).await?;
    let mut leases = feed::<LeaseHistoryEvent>(&a, &StreamCursor::End).await?;
    for _ in 0..3 {
        let id = completed(cx, &b).await?.payload.execution_id;
        let came = taken(&mut completions, 1).await?;
        check!(cx, "FF-SUB-007", came.iter().map(|next| next.event.execution_id).collect::<Vec<_>>(), equals(vec![id]));
        let came = taken(&mut leases, 2).await?;
        let ids = came.iter().map(|next| next.event.execution_id).collect::<Vec<_>>();
        check!(cx, "FF-SUB-007", ids, equals(vec![id, id]));
    }
    Ok(())
}

/// Completions without cursors tell what ends after the call, filtered or not.
///
/// Covers FF-SUB-004, FF-SUB-007. Needs completions.
pub async fn subscribe_completions_tells_what_ends_from_now_on(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    completed(cx, &b).await?;
    let mut all = a.subscribe_completions().await?;
    let only = ScannerFilter::new().namespace(cx.namespace("one")?);
    let mut filtered = a.subscribe_completions_filtered(&only).await?;
    labelled(cx, &b).await?;
    let (mut every, mut matching) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        every.extend(item(&mut all).await.transpose()?);
    }
    for _ in 0..3 {
        matching.extend(item(&mut filtered).await.transpose()?);
    }
    check!(cx, "FF-SUB-007", every.len(), equals(5));
    every.retain(|event| event.namespace.as_str() == "one");
    check!(cx, "FF-SUB-004", by_execution(matching), equals(by_execution(every)));
    Ok(())
}

/// A reader misses nothing and sees nothing twice while many write at once, whatever their commits overtake.
///
/// Covers FF-SUB-002, FF-SUB-003. Needs dump, lease_history.
pub async fn subscribe_misses_nothing_while_many_write(cx: &Cx) -> Verdict {
    const EACH: usize = 15;
    let reader = cx.client("reader").await?;
    let writers = clients(cx, 4).await?;
    let mut leases = feed::<LeaseHistoryEvent>(&reader, &StreamCursor::End).await?;
    let write = try_join_all(writers.iter().map(|writer| async move {
        for _ in 0..EACH {
            cx.created_plain(writer).await?;
            // Another writer may have taken it; then that one completes two.
            while let Some(claimed) = cx.try_claim(writer, "worker", TTL).await? {
                writer.complete(&claimed.handle, None).await?;
            }
        }
        Ok::<(), Stop>(())
    }));

    let (came, wrote) = join(taken(&mut leases, 2 * EACH * writers.len()), write).await;

    wrote?;
    let log = LeaseHistoryEvent::log(&cx.dump().await?);
    check!(cx, "FF-SUB-003", by_execution(events(&came?)), equals(by_execution(log)));
    Ok(())
}

/// A reader that does not read holds up neither writers nor other readers, and finds everything when it reads.
///
/// Covers FF-SUB-005. Needs dump, completions, lease_history.
pub async fn a_slow_subscription_holds_nobody_up(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut slow = feed::<LeaseHistoryEvent>(&a, &StreamCursor::Start).await?;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(feed::<CompletionEvent>(&a, &StreamCursor::Start).await?);
    }
    completes(cx, &a, 5).await?;
    let first = taken(&mut slow, 1).await?;
    completes(cx, &a, 145).await?;
    let mut quick = feed::<LeaseHistoryEvent>(&a, &StreamCursor::Start).await?;
    let all = taken(&mut quick, 300).await?;
    let log = by_execution(LeaseHistoryEvent::log(&cx.dump().await?));
    check!(cx, "FF-SUB-005", by_execution(events(&all)), equals(log.clone()));
    let rest = taken(&mut slow, 299).await?;
    check!(cx, "FF-SUB-005", by_execution(events(&[first, rest].concat())), equals(log));
    for mut one in idle {
        check!(cx, "FF-SUB-005", taken(&mut one, 150).await?.len(), equals(150));
    }
    Ok(())
}

/// Subscriptions that wait take nothing from the calls beside them, and what is dropped is gone.
///
/// Covers FF-SUB-005, FF-SUB-009. Needs completions.
pub async fn waiting_subscriptions_leave_the_client_free(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for _ in 0..3 {
        let mut waiting = Vec::new();
        for _ in 0..30 {
            waiting.push(feed::<CompletionEvent>(&a, &StreamCursor::End).await?);
        }
        let first = try_join_all(waiting.iter_mut().map(|one| taken(one, 1)));
        let work = async {
            for _ in 0..5 {
                check!(cx, "FF-SUB-005", a.ping().await, is_ok());
            }
            completed(cx, &a).await
        };
        let (first, work) = join(first, work).await;
        let id = work?.payload.execution_id;
        let told = first?.iter().flatten().filter(|next| next.event.execution_id == id).count();
        check!(cx, "FF-SUB-009", told, equals(30));
    }
    Ok(())
}

/// What was refused, or nothing.
fn refusal<E>(answer: Result<Subscription<E>, EngineError>) -> Result<(), EngineError> {
    answer.map(drop)
}

/// A cursor of another family, another backend or no backend is refused when it is given.
///
/// Covers FF-SUB-006. Needs operator_events, completions, lease_history.
pub async fn subscribe_refuses_a_foreign_cursor(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    completed(cx, &a).await?;
    let all = ScannerFilter::new();
    let completion = taken(&mut feed::<CompletionEvent>(&a, &StreamCursor::Start).await?, 1).await?;
    let lease = taken(&mut feed::<LeaseHistoryEvent>(&a, &StreamCursor::Start).await?, 1).await?;
    let mut foreign = vec![
        StreamCursor::At(Vec::new()),
        StreamCursor::At(b"\0".to_vec()),
        StreamCursor::At(vec![0xff; 64]),
        StreamCursor::At(format!("{}/completions/", a.backend_label()).into_bytes()),
        StreamCursor::At(format!("{}/lease_history/x", a.backend_label()).into_bytes()),
        StreamCursor::At(b"elsewhere/lease_history/1".to_vec()),
    ];
    if let Some(StreamCursor::At(content)) = completion.first().map(|next| next.cursor.clone()) {
        foreign.push(StreamCursor::At([content.as_slice(), b"x"].concat()));
    }
    for cursor in &foreign {
        let answers = [
            refusal(CompletionEvent::subscribe(&a, cursor, &all).await),
            refusal(LeaseHistoryEvent::subscribe(&a, cursor, &all).await),
            refusal(OperatorEvent::subscribe(&a, cursor, &all).await),
        ];
        for answer in answers {
            check!(cx, "FF-SUB-006", answer, refused("Validation(InvalidOffset)"));
        }
    }
    for next in &completion {
        check!(
            cx,
            "FF-SUB-006",
            refusal(LeaseHistoryEvent::subscribe(&a, &next.cursor, &all).await),
            refused("Validation(InvalidOffset)")
        );
        check!(
            cx,
            "FF-SUB-006",
            refusal(OperatorEvent::subscribe(&a, &next.cursor, &all).await),
            refused("Validation(InvalidOffset)")
        );
    }
    for next in &lease {
        check!(
            cx,
            "FF-SUB-006",
            refusal(CompletionEvent::subscribe(&a, &next.cursor, &all).await),
            refused("Validation(InvalidOffset)")
        );
    }
    Ok(())
}

/// A filter that breaks the rules of labels is refused when it is given.
///
/// Covers FF-SUB-006. Needs operator_events, completions, lease_history.
pub async fn subscribe_refuses_a_filter_that_breaks_the_rules(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let bad = ScannerFilter::new().instance_tag("no dot", "x");
    let start = &StreamCursor::Start;
    let answers = [
        refusal(CompletionEvent::subscribe(&a, start, &bad).await),
        refusal(LeaseHistoryEvent::subscribe(&a, start, &bad).await),
        refusal(OperatorEvent::subscribe(&a, start, &bad).await),
        a.subscribe_completions_filtered(&bad).await.map(drop),
    ];
    for answer in answers {
        check!(cx, "FF-SUB-006", answer, refused("Validation(InvalidTagKey)"));
    }
    Ok(())
}

/// The shutdown of its client ends a subscription, also one that waits: it says so once, with the cursor to go on from.
///
/// Covers FF-SUB-009, FF-SUB-003. Needs completions.
pub async fn shutdown_prepare_ends_subscriptions(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let first = completed(cx, &b).await?.payload.execution_id;
    let mut read = feed::<CompletionEvent>(&a, &StreamCursor::Start).await?;
    let mut waiting = feed::<CompletionEvent>(&a, &StreamCursor::End).await?;
    let came = taken(&mut read, 1).await?;
    check!(cx, "FF-SUB-009", came.iter().map(|next| next.event.execution_id).collect::<Vec<_>>(), equals(vec![first]));

    let (ended, shut) = join(item(&mut waiting), a.shutdown_prepare(ms(2000))).await;

    check!(cx, "FF-SUB-009", shut, is_ok());
    check!(cx, "FF-SUB-009", ended.map(|item| item.map(drop)), is_closed());
    check!(cx, "FF-SUB-009", item(&mut waiting).await, is_none());
    let second = completed(cx, &b).await?.payload.execution_id;
    let ended = item(&mut read).await;
    let Some(Err(EngineError::StreamDisconnected { cursor, .. })) = &ended else {
        check!(cx, "FF-SUB-009", ended.map(|item| item.map(drop)), is_closed());
        return Ok(());
    };
    check!(cx, "FF-SUB-009", Some(cursor), equals(came.first().map(|next| &next.cursor)));
    check!(cx, "FF-SUB-009", item(&mut read).await.is_none(), is_true());
    let rest = taken(&mut feed::<CompletionEvent>(&b, cursor).await?, 1).await?;
    check!(cx, "FF-SUB-003", rest.iter().map(|next| next.event.execution_id).collect::<Vec<_>>(), equals(vec![second]));
    let refused_now = refusal(CompletionEvent::subscribe(&a, cursor, &ScannerFilter::new()).await);
    check!(cx, "FF-SUB-009", refused_now, refused("Transport(Closed, No)"));
    Ok(())
}

/// The item by which a subscription ends when its client is shut down.
fn is_closed() -> impl crate::Expect<Option<Result<(), EngineError>>> {
    satisfies(
        "is StreamDisconnected by Transport(Closed)",
        |item: &Option<Result<(), EngineError>>| matches!(item, Some(Err(EngineError::StreamDisconnected { fault, .. })) if fault.code() == "Transport(Closed, No)"),
    )
}

/// How often the connections of the subscription are cut.
const SEVERED: usize = 6;

/// A subscription behind `cursor`, asked for again as often as the proxy can cut the connection that asks.
async fn resumed<E: Family>(client: &Arc<dyn EngineBackend>, cursor: &StreamCursor) -> Result<Subscription<E>, Stop> {
    for _ in 0..SEVERED {
        match E::subscribe(client, cursor, &ScannerFilter::new()).await {
            Err(EngineError::Transport(_)) => {}
            answer => return Ok(answer?),
        }
    }
    feed::<E>(client, cursor).await
}

/// The next `count` events of a subscription that goes on from its cursor when its store is lost.
async fn followed<E: Family>(
    client: &Arc<dyn EngineBackend>,
    mut feed_now: Subscription<E>,
    count: usize,
) -> Result<Vec<E>, Stop> {
    let mut came = Vec::new();
    while came.len() < count {
        match item(&mut feed_now).await {
            Some(Ok(next)) => came.push(next.event),
            Some(Err(EngineError::StreamDisconnected { cursor, .. })) => feed_now = resumed(client, &cursor).await?,
            Some(Err(error)) => return Err(error.into()),
            None => break,
        }
    }
    Ok(came)
}

/// A subscription whose connections break loses nothing and repeats nothing, whether it goes on by itself or from the
/// cursor that it ends with.
///
/// Covers FF-SUB-003, FF-SUB-009. Needs address, completions.
pub async fn a_subscription_over_broken_connections_loses_nothing(cx: &Cx) -> Verdict {
    let (reader, proxy) = cx.proxied("reader").await?;
    let writer = cx.client("writer").await?;
    let waiting = feed::<CompletionEvent>(&reader, &StreamCursor::End).await?;
    let write = async {
        let mut ids = Vec::new();
        for _ in 0..SEVERED {
            ids.push(completed(cx, &writer).await?.payload.execution_id);
            proxy.sever();
            ids.push(completed(cx, &writer).await?.payload.execution_id);
        }
        Ok::<_, Stop>(ids)
    };

    let (came, wrote) = join(followed(&reader, waiting, 2 * SEVERED), write).await;

    let came: Vec<_> = came?.iter().map(|event| event.execution_id).collect();
    check!(cx, "FF-SUB-003", came, equals(wrote?));
    Ok(())
}
