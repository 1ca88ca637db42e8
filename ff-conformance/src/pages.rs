//! Cases of listings: page by page, everything once and in order.

use std::sync::Arc;

use ff_core::{EngineBackend, ExecutionId, LaneId, ListExecutionsPage, ListLanesPage, PageLimit, PartitionConfig};

use crate::{
    Cx, Stop, Verdict, answers, check,
    crowds::created_many,
    equals,
    instants::ms,
    is_none, is_true, satisfies,
    stages::{backing_off, cancelled, completed, failed, held},
};

/// More pages than any listing of these cases has: a walk that takes more goes round in circles.
const MOST_PAGES: usize = 100;

/// All pages of `limit` executions, one after the other.
async fn walk(cx: &Cx, client: &Arc<dyn EngineBackend>, limit: u32) -> Result<Vec<ListExecutionsPage>, Stop> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    while pages.len() < MOST_PAGES {
        let page = client.list_executions(cursor, PageLimit::new(limit)?).await?;
        cursor = page.next_cursor;
        pages.push(page);
        if cursor.is_none() {
            break;
        }
    }
    check!(cx, "FF-EXE-009", cursor, is_none());
    Ok(pages)
}

fn ids(pages: Vec<ListExecutionsPage>) -> Vec<ExecutionId> {
    pages.into_iter().flat_map(|page| page.executions).collect()
}

fn by_text(mut ids: Vec<ExecutionId>) -> Vec<ExecutionId> {
    ids.sort_by_key(ToString::to_string);
    ids
}

/// 25 executions of one instant come on pages of 10, 10 and 5, each once, in the order of their text.
///
/// Covers FF-EXE-009, FF-EXE-026.
pub async fn list_executions_walks_over_all_pages(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let expected = by_text(created_many(cx, &a, 25, |_, args| args).await?);

    let pages = walk(cx, &a, 10).await?;

    let sizes: Vec<usize> = pages.iter().map(|page| page.executions.len()).collect();
    check!(cx, "FF-EXE-026", sizes, equals(vec![10, 10, 5]));
    let last_items =
        pages.iter().all(|page| page.next_cursor.is_none() || page.next_cursor.as_ref() == page.executions.last());
    check!(cx, "FF-EXE-026", last_items, is_true());
    check!(cx, "FF-EXE-009", ids(pages), equals(expected));
    Ok(())
}

/// Pages of every size yield the same walk.
///
/// Covers FF-EXE-009.
pub async fn list_executions_yields_one_walk_at_any_page_size(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let expected = by_text(created_many(cx, &a, 12, |_, args| args).await?);
    for limit in [1, 2, 3, 5, 11, 12, 13, 999, 1000] {
        check!(cx, "FF-EXE-009", (limit, ids(walk(cx, &a, limit).await?)), equals((limit, expected.clone())));
    }
    Ok(())
}

/// A page that holds the rest names no next cursor, also when it is full.
///
/// Covers FF-EXE-026.
pub async fn a_full_last_page_names_no_cursor(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    created_many(cx, &a, 20, |_, args| args).await?;
    check!(cx, "FF-EXE-026", walk(cx, &a, 10).await?.len(), equals(2));
    check!(cx, "FF-EXE-026", walk(cx, &a, 20).await?.len(), equals(1));
    Ok(())
}

/// A limit of 0 is the empty page without a cursor, whatever there is.
///
/// Covers FF-EXE-026.
pub async fn a_limit_of_0_is_the_empty_page(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (none, zero) = (ListExecutionsPage::default(), PageLimit::new(0)?);
    check!(cx, "FF-EXE-026", a.list_executions(None, zero).await, answers(none.clone()));
    check!(cx, "FF-EXE-026", a.list_lanes(None, zero).await, answers(ListLanesPage::default()));
    let id = cx.created_plain(&a).await?;
    check!(cx, "FF-EXE-026", a.list_executions(None, zero).await, answers(none.clone()));
    check!(cx, "FF-EXE-026", a.list_executions(Some(id), zero).await, answers(none));
    check!(cx, "FF-EXE-026", a.list_lanes(None, zero).await, answers(ListLanesPage::default()));
    Ok(())
}

/// An empty store, and what lies behind the last item, is the empty page without a cursor.
///
/// Covers FF-EXE-026.
pub async fn behind_the_end_is_the_empty_page(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    check!(cx, "FF-EXE-026", a.list_executions(None, PageLimit::MAX).await, answers(ListExecutionsPage::default()));
    check!(cx, "FF-EXE-026", a.list_lanes(None, PageLimit::MAX).await, answers(ListLanesPage::default()));
    let last = by_text(created_many(cx, &a, 5, |_, args| args).await?).pop();
    let end = a.list_executions(last, PageLimit::MAX).await;
    check!(cx, "FF-EXE-026", end, answers(ListExecutionsPage::default()));
    let end = a.list_lanes(Some(cx.lane()?), PageLimit::MAX).await;
    check!(cx, "FF-EXE-026", end, answers(ListLanesPage::default()));
    Ok(())
}

/// A cursor is a place, not a row: one that never was an execution works, and the page begins behind it.
///
/// Covers FF-EXE-026.
pub async fn a_cursor_need_not_name_an_execution(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let known = by_text(created_many(cx, &a, 10, |_, args| args).await?);
    for _ in 0..5 {
        let place = cx.execution()?.execution_id;
        let expected = known.iter().copied().filter(|id| id.to_string() > place.to_string()).collect();
        let page = a.list_executions(Some(place), PageLimit::MAX).await;
        check!(cx, "FF-EXE-026", page, answers(ListExecutionsPage { executions: expected, next_cursor: None }));
    }
    Ok(())
}

/// Whatever existed during the whole walk is on exactly one page, though more is created meanwhile.
///
/// Covers FF-EXE-009.
pub async fn a_walk_loses_nothing_while_rows_are_added(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = by_text(created_many(cx, &a, 25, |_, args| args).await?);
    let (mut seen, mut cursor) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let page = a.list_executions(cursor, PageLimit::new(4)?).await?;
        seen.extend(page.executions);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        created_many(cx, &a, 3, |_, args| args).await?;
    }
    check!(cx, "FF-EXE-009", by_text(seen.clone()), equals(seen.clone()));
    seen.retain(|id| old.contains(id));
    check!(cx, "FF-EXE-009", seen, equals(old));
    Ok(())
}

/// A listing holds executions of every lane, namespace and stage, also those that have ended.
///
/// Covers FF-EXE-009.
pub async fn list_executions_holds_every_stage(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = [
        completed(cx, &a).await?,
        failed(cx, &a).await?,
        cancelled(cx, &a).await?,
        backing_off(cx, &a, 3_600_000).await?.0,
        held(cx, &a).await?,
    ];
    let mut expected: Vec<_> = claimed.iter().map(|claimed| claimed.payload.execution_id).collect();
    let now = cx.now().await?;
    let mut elsewhere = cx.execution_in("another-lane")?;
    elsewhere.namespace = cx.namespace("another")?;
    for args in [
        elsewhere,
        cx.execution()?.delay_until(now.plus(ms(1000))),
        cx.execution()?.execution_deadline_at(now),
        cx.execution()?,
    ] {
        expected.push(cx.created(&a, args).await?);
    }

    check!(cx, "FF-EXE-009", ids(walk(cx, &a, 4).await?), equals(by_text(expected)));
    Ok(())
}

/// A thousand and one executions fill one largest page and begin another.
///
/// Covers FF-EXE-026, FF-EXE-009.
pub async fn the_largest_page_holds_a_thousand(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let expected = by_text(created_many(cx, &a, 1001, |_, args| args).await?);
    let pages = walk(cx, &a, 1000).await?;
    let sizes: Vec<usize> = pages.iter().map(|page| page.executions.len()).collect();
    check!(cx, "FF-EXE-026", sizes, equals(vec![1000, 1]));
    check!(cx, "FF-EXE-009", ids(pages) == expected, is_true());
    Ok(())
}

/// A lane is listed from its first create on, once, in the order of its bytes, and stays when its work is over.
///
/// Covers FF-EXE-022, FF-EXE-026.
pub async fn list_lanes_names_each_lane_once_in_order(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let names = ["b", "B", "a", "a b", "ab", "A", "~", " ", "a:b", "{fp:0}", "10", "9", "a%", "z\\", "\"quoted\""];
    for name in names.iter().chain(&names) {
        cx.created(&a, cx.execution_in(name)?).await?;
    }
    a.claim(&cx.lane_called("nobody created in it")?, &ff_core::CapabilitySet::default(), cx.worker("w", crate::TTL)?)
        .await?;
    let mut expected = names.to_vec();
    expected.sort_unstable();

    let (mut lanes, mut cursor): (Vec<LaneId>, _) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let page = a.list_lanes(cursor, PageLimit::new(4)?).await?;
        check!(cx, "FF-EXE-026", page.lanes.len(), satisfies("at most 4", |count: &usize| *count <= 4));
        lanes.extend(page.lanes);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let lanes: Vec<&str> = lanes.iter().map(LaneId::as_str).collect();
    check!(cx, "FF-EXE-022", lanes, equals(expected));
    Ok(())
}

/// A create that is delayed, expired or a duplicate by its key leaves the lanes that executions are in.
///
/// Covers FF-EXE-022.
pub async fn a_duplicate_registers_no_lane(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    cx.created(&a, cx.execution_in("delayed")?.delay_until(now.plus(ms(1000))).idempotency_key("key")).await?;
    cx.created(&a, cx.execution_in("expired")?.execution_deadline_at(now)).await?;
    a.create_execution(cx.execution_in("duplicate")?.idempotency_key("key")).await?;

    let lanes = a.list_lanes(None, PageLimit::MAX).await?;

    let expected = vec![cx.lane_called("delayed")?, cx.lane_called("expired")?];
    check!(cx, "FF-EXE-022", lanes, equals(ListLanesPage { lanes: expected, next_cursor: None }));
    Ok(())
}

/// Executions of all partitions stand in one listing, in the order of their text.
///
/// Covers FF-EXE-009.
pub async fn ids_of_every_partition_are_listed_in_the_order_of_their_text(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let partitions = PartitionConfig::new(a.capabilities().limits.partitions)?;
    let mut created = Vec::new();
    for name in (0..40).map(|n| format!("lane-{n}")) {
        let mut args = cx.execution_in(&name)?;
        args.execution_id = ExecutionId::solo(&args.lane_id, partitions);
        created.push(cx.created(&a, args).await?);
    }
    check!(cx, "FF-EXE-009", ids(walk(cx, &a, 7).await?), equals(by_text(created)));
    Ok(())
}
