//! Cases of idempotency keys: the first create counts, within its namespace and for its window.

use std::{collections::BTreeSet, time::Duration};

use ff_core::{CreateExecutionArgs, CreateExecutionResult, ExecutionId, ExecutionPolicy, Limits, PublicState};
use futures::future::join_all;

use crate::{
    Cx, Stop, Verdict, answers, check, crowds::clients, equals, instants::ms, is_none, refused, satisfies,
    stages::completed,
};

const WINDOW: Duration = Duration::from_millis(Limits::DEDUP_WINDOW_MS);

fn keyed(cx: &Cx, key: &str) -> Result<CreateExecutionArgs, Stop> {
    Ok(cx.execution()?.idempotency_key(key))
}

fn keyed_for(cx: &Cx, window_ms: u64) -> Result<CreateExecutionArgs, Stop> {
    Ok(keyed(cx, "key")?.policy(ExecutionPolicy::new().dedup_window_ms(window_ms)))
}

const fn created(execution_id: ExecutionId) -> CreateExecutionResult {
    CreateExecutionResult::Created { execution_id, public_state: PublicState::Waiting }
}

const fn duplicate(execution_id: ExecutionId) -> CreateExecutionResult {
    CreateExecutionResult::Duplicate { execution_id }
}

/// A create with a stored key answers the first id, and its own id comes into being nowhere.
///
/// Covers FF-EXE-012.
pub async fn create_execution_with_a_known_key_answers_the_first_id(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let first = cx.created(&a, keyed(cx, "key")?).await?;
    let written = cx.dump().await?;

    let second = keyed(cx, "key")?;
    let answer = b.create_execution(second.clone()).await;

    check!(cx, "FF-EXE-012", answer, answers(duplicate(first)));
    check!(cx, "FF-EXE-012", b.read_execution_info(&second.execution_id).await?, is_none());
    check!(cx, "FF-EXE-012", cx.dump().await?, equals(written));
    Ok(())
}

/// What a create with a stored key says otherwise is not compared: the first writer wins.
///
/// Covers FF-EXE-012.
pub async fn create_execution_with_a_known_key_compares_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = cx.created(&a, keyed(cx, "key")?.input_payload("first")).await?;

    let other = keyed(cx, "key")?.input_payload("second").priority(9).tag("a.b", "c");
    let answer = a.create_execution(other).await;

    check!(cx, "FF-EXE-012", answer, answers(duplicate(first)));
    check!(cx, "FF-EXE-012", cx.info(&a, &first).await?.input_payload, equals(b"first".to_vec()));
    Ok(())
}

/// A key says nothing in another namespace, and one key is not another.
///
/// Covers FF-EXE-016.
pub async fn an_idempotency_key_counts_within_its_namespace_only(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    cx.created(&a, keyed(cx, "key")?).await?;

    for (namespace, key) in
        [("other", "key"), ("Suite", "key"), ("suite:key", "key"), ("suite", "Key"), ("suite", "key ")]
    {
        let mut args = keyed(cx, key)?;
        args.namespace = cx.namespace(namespace)?;
        let execution_id = args.execution_id;
        check!(cx, "FF-EXE-016", a.create_execution(args).await, answers(created(execution_id)));
    }
    Ok(())
}

/// Namespace and key are two names: no joint of them stands for another pair.
///
/// Covers FF-EXE-016.
pub async fn an_idempotency_key_is_not_confused_with_its_namespace(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (namespace, key) in [("a", "b:c"), ("a:b", "c"), ("a", "b\u{1f}c"), ("a\u{1f}b", "c"), ("ab", "c"), ("a", "bc")]
    {
        let mut args = keyed(cx, key)?;
        args.namespace = cx.namespace(namespace)?;
        let execution_id = args.execution_id;
        check!(cx, "FF-EXE-016", a.create_execution(args).await, answers(created(execution_id)));
    }
    Ok(())
}

/// A key counts over all lanes of its namespace.
///
/// Covers FF-EXE-016.
pub async fn an_idempotency_key_counts_in_every_lane(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = cx.created(&a, keyed(cx, "key")?).await?;

    let elsewhere = cx.execution_in("another-lane")?.idempotency_key("key");

    check!(cx, "FF-EXE-016", a.create_execution(elsewhere).await, answers(duplicate(first)));
    Ok(())
}

/// A key lives for exactly 24 hours unless the policy says otherwise.
///
/// Covers FF-EXE-017.
pub async fn an_idempotency_key_lives_for_a_day(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = cx.created(&a, keyed(cx, "key")?).await?;

    cx.pass_time(WINDOW - ms(1)).await?;
    check!(cx, "FF-EXE-017", a.create_execution(keyed(cx, "key")?).await, answers(duplicate(first)));
    cx.pass_time(ms(1)).await?;
    let next = keyed(cx, "key")?;
    let id = next.execution_id;
    check!(cx, "FF-EXE-017", a.create_execution(next).await, answers(created(id)));
    check!(cx, "FF-EXE-017", a.create_execution(keyed(cx, "key")?).await, answers(duplicate(id)));
    Ok(())
}

/// A key lives for the window of the create that stored it; a duplicate neither extends nor shortens it.
///
/// Covers FF-EXE-017.
pub async fn an_idempotency_key_lives_for_the_window_of_its_policy(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = cx.created(&a, keyed_for(cx, 1000)?).await?;

    for (passed, window_ms) in [(0, 1), (500, 5000), (499, 1)] {
        cx.pass_time(ms(passed)).await?;
        check!(cx, "FF-EXE-017", a.create_execution(keyed_for(cx, window_ms)?).await, answers(duplicate(first)));
    }
    cx.pass_time(ms(1)).await?;
    let next = keyed_for(cx, 1)?;
    let id = next.execution_id;
    check!(cx, "FF-EXE-017", a.create_execution(next).await, answers(created(id)));
    cx.pass_time(ms(1)).await?;
    let last = keyed(cx, "key")?;
    let id = last.execution_id;
    check!(cx, "FF-EXE-017", a.create_execution(last).await, answers(created(id)));
    Ok(())
}

/// The empty key is no key.
///
/// Covers FF-EXE-012.
pub async fn the_empty_idempotency_key_is_none(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for _ in 0..2 {
        let args = keyed(cx, "")?;
        let id = args.execution_id;
        check!(cx, "FF-EXE-012", a.create_execution(args).await, answers(created(id)));
    }
    Ok(())
}

/// A key outlives the end of its execution.
///
/// Covers FF-EXE-012.
pub async fn an_idempotency_key_outlives_its_execution(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let first = cx.created(&a, keyed(cx, "key")?).await?;
    let claimed = cx.claimed(&a, "worker").await?;
    a.complete(&claimed.handle, None).await?;

    check!(cx, "FF-EXE-012", a.create_execution(keyed(cx, "key")?).await, answers(duplicate(first)));
    Ok(())
}

/// A duplicate by its id stores no key, whatever key it brings.
///
/// Covers FF-EXE-015.
pub async fn a_duplicate_by_id_stores_no_key(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ended = completed(cx, &a).await?.payload.execution_id;
    let mut repeat = keyed(cx, "key")?;
    repeat.execution_id = ended;
    a.create_execution(repeat).await?;

    let fresh = keyed(cx, "key")?;
    let id = fresh.execution_id;
    check!(cx, "FF-EXE-015", a.create_execution(fresh).await, answers(created(id)));
    Ok(())
}

/// The id counts before the key: a known id answers itself, also with the key of another execution.
///
/// Covers FF-EXE-015.
pub async fn a_known_id_counts_before_a_known_key(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    cx.created(&a, keyed(cx, "key")?).await?;
    let plain = cx.created_plain(&a).await?;

    let mut both = keyed(cx, "key")?;
    both.execution_id = plain;

    check!(cx, "FF-EXE-015", a.create_execution(both).await, answers(duplicate(plain)));
    Ok(())
}

/// A refused create stores no key.
///
/// Covers FF-EXE-021.
pub async fn a_refused_create_stores_no_key(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut bad = keyed(cx, "key")?;
    bad.execution_kind = String::new();
    check!(cx, "FF-EXE-021", a.create_execution(bad).await, refused("Validation(InvalidInput)"));

    let good = keyed(cx, "key")?;
    let id = good.execution_id;
    check!(cx, "FF-EXE-021", a.create_execution(good).await, answers(created(id)));
    Ok(())
}

/// Of many creates with one key at the same time one creates, and the others answer its id.
///
/// Covers FF-EXE-012.
pub async fn create_execution_with_one_key_at_once_creates_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    for round in 0..5 {
        let mut creates = Vec::new();
        for client in clients.iter().flat_map(|client| [client, client, client]) {
            creates.push(client.create_execution(keyed(cx, &format!("key-{round}"))?));
        }

        let results = join_all(creates).await.into_iter().collect::<Result<Vec<_>, _>>()?;

        let (first, others): (Vec<_>, Vec<_>) =
            results.into_iter().partition(|result| matches!(result, CreateExecutionResult::Created { .. }));
        check!(cx, "FF-EXE-012", first.len(), equals(1));
        let ids: BTreeSet<ExecutionId> = first.iter().chain(&others).map(id_of).collect();
        check!(cx, "FF-EXE-012", ids, satisfies("is one id", |ids: &BTreeSet<ExecutionId>| ids.len() == 1));
    }
    Ok(())
}

const fn id_of(result: &CreateExecutionResult) -> ExecutionId {
    match result {
        CreateExecutionResult::Created { execution_id, .. } | CreateExecutionResult::Duplicate { execution_id } => {
            *execution_id
        }
    }
}

/// A lapsed key is taken by one of many creates at the same time.
///
/// Covers FF-EXE-012, FF-EXE-017.
pub async fn a_lapsed_key_is_taken_over_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(first) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let lapsed = cx.created(first, keyed_for(cx, 1)?).await?;
    cx.pass_time(ms(1)).await?;
    let mut creates = Vec::new();
    for client in clients.iter().flat_map(|client| [client, client]) {
        creates.push(client.create_execution(keyed(cx, "key")?));
    }

    let results = join_all(creates).await.into_iter().collect::<Result<Vec<_>, _>>()?;

    let ids: BTreeSet<ExecutionId> = results.iter().map(id_of).collect();
    let fresh = results.iter().filter(|result| matches!(result, CreateExecutionResult::Created { .. })).count();
    check!(cx, "FF-EXE-012", (ids.len(), fresh), equals((1, 1)));
    check!(cx, "FF-EXE-017", ids, satisfies("is not the lapsed one", move |ids: &BTreeSet<_>| !ids.contains(&lapsed)));
    Ok(())
}
