//! Cases of the passes that write down what time has done.

use std::sync::Arc;

use ff_core::{
    EngineBackend, ExecutionId, ExecutionPolicy, PageLimit, ScanArgs, ScanCursor, ScanReport, ScannerFilter,
    ScannerKind, TimeoutPolicy,
};
use futures::future::{join, join_all};

use crate::{
    Cx, Stop, TTL, Verdict, answers, check,
    crowds::{claim_order, claims_at_once, clients, created_many},
    equals,
    instants::{after, ms},
    is_true,
    reads::read_all,
    refused,
    reservations::{GRANT_TTL, granted},
    satisfies,
    stages::{backing_off, completed, held, held_as, lapsed, retrying},
    words::{EXPIRED, FAILED, LAPSED, attempt_log, completion_log, lease_log, reads, vector},
};

/// A pass that looked at `examined` rows, changed `changed` of them and left nothing behind.
pub(crate) const fn done(examined: u32, changed: u32) -> ScanReport {
    ScanReport { examined, changed, next_cursor: None }
}

/// Passes, each from where the one before stopped, until nothing is left behind or `most` were made.
pub(crate) async fn passes(
    client: &Arc<dyn EngineBackend>,
    args: &ScanArgs,
    most: usize,
) -> Result<Vec<ScanReport>, Stop> {
    let mut reports: Vec<ScanReport> = Vec::new();
    while reports.len() < most {
        let cursor = reports.last().and_then(|report| report.next_cursor.clone());
        if cursor.is_none() && !reports.is_empty() {
            break;
        }
        reports.push(client.scan(args.clone().cursor(cursor)).await?);
    }
    Ok(reports)
}

/// Every scanner but the two that remove, from its beginning to its end.
async fn write_all_down(client: &Arc<dyn EngineBackend>) -> Result<Vec<(ScannerKind, u32)>, Stop> {
    let mut examined = Vec::new();
    for scanner in ScannerKind::ALL.iter().copied() {
        if matches!(scanner, ScannerKind::Retention | ScannerKind::EventRetention) {
            continue;
        }
        let reports = passes(client, &ScanArgs::new(scanner), 10).await?;
        examined.push((scanner, reports.iter().map(|report| report.examined).sum()));
    }
    Ok(examined)
}

/// A pass over lapsed leases tells each lapse and stores the state that readers have seen since; the claim then tells
/// the take-over alone.
///
/// Covers FF-SCN-001, FF-SCN-003.
pub async fn scan_writes_a_lapse_down_once(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let old = lapsed(cx, &a).await?;
    let id = old.payload.execution_id;
    cx.pass_time(ms(7)).await?;
    let now = cx.now().await?;

    check!(cx, "FF-SCN-001", a.scan(ScanArgs::new(ScannerKind::LeaseExpiry)).await, answers(done(1, 1)));

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-SCN-001", vector(&info), reads(LAPSED));
    check!(cx, "FF-SCN-001", (info.last_transition_at, info.last_mutation_at), equals((now, now)));
    check!(cx, "FF-SCN-003", lease_log(&dump, &id), reads("acquired 1, expired 1"));
    check!(cx, "FF-SCN-003", attempt_log(&dump, &id), reads("0 initial started 1"));
    cx.pass_time(ms(7)).await?;
    check!(cx, "FF-SCN-003", b.scan(ScanArgs::new(ScannerKind::LeaseExpiry)).await, answers(done(0, 0)));
    check!(cx, "FF-SCN-003", cx.dump().await?, equals(dump));
    check!(cx, "FF-SCN-001", a.complete(&old.handle, None).await, refused("State(LeaseExpired)"));

    cx.claimed(&b, "other").await?;
    let dump = cx.dump().await?;
    check!(cx, "FF-SCN-003", lease_log(&dump, &id), reads("acquired 1, expired 1, reclaimed 2"));
    check!(cx, "FF-SCN-003", attempt_log(&dump, &id), reads("0 initial interrupted_reclaimed 1, 1 reclaim started 2"));
    Ok(())
}

/// A lapse that a pass wrote down is not told again by the deadline, which ends the execution as it would have.
///
/// Covers FF-SCN-001, FF-SCN-003.
pub async fn scan_tells_a_lapse_once_before_the_deadline(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 60_000);
    let claimed = held_as(cx, &a, cx.execution()?.execution_deadline_at(deadline)).await?;
    let id = claimed.payload.execution_id;
    cx.pass_time(TTL).await?;
    check!(cx, "FF-SCN-003", a.scan(ScanArgs::new(ScannerKind::LeaseExpiry)).await, answers(done(1, 1)));
    cx.set_time(deadline).await?;

    check!(cx, "FF-SCN-001", a.scan(ScanArgs::new(ScannerKind::ExecutionDeadline)).await, answers(done(1, 1)));

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-SCN-001", (vector(&info), info.completed_at), equals((EXPIRED.to_owned(), Some(deadline))));
    check!(cx, "FF-SCN-003", lease_log(&dump, &id), reads("acquired 1, expired 1"));
    check!(cx, "FF-SCN-003", completion_log(&dump, &id), reads("expired"));
    check!(cx, "FF-SCN-001", attempt_log(&dump, &id), reads("0 initial ended_failure 1"));
    Ok(())
}

/// A pass over lapsed leases fails what nobody may take over any more.
///
/// Covers FF-SCN-001.
pub async fn scan_fails_worn_out_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let args = cx.execution()?.policy(ExecutionPolicy::new().max_reclaim_count(0));
    let id = held_as(cx, &a, args).await?.payload.execution_id;
    cx.pass_time(TTL).await?;

    check!(cx, "FF-SCN-001", a.scan(ScanArgs::new(ScannerKind::LeaseExpiry)).await, answers(done(1, 1)));

    let (info, dump) = (cx.info(&a, &id).await?, cx.dump().await?);
    check!(cx, "FF-SCN-001", vector(&info), reads(FAILED));
    check!(cx, "FF-SCN-001", info.failure_reason.as_deref(), equals(Some("max_reclaims_exceeded")));
    check!(cx, "FF-SCN-001", lease_log(&dump, &id), reads("acquired 1, revoked 1 max_reclaims_exceeded"));
    check!(cx, "FF-SCN-001", completion_log(&dump, &id), reads("failed"));
    Ok(())
}

/// A pass over attempts that ran out of time schedules their retry, or else the execution expires.
///
/// Covers FF-SCN-001.
pub async fn scan_ends_attempts_that_ran_out_of_time(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let timeouts = TimeoutPolicy { attempt_timeout_ms: Some(400), ..TimeoutPolicy::default() };
    let args = cx.execution()?.policy(retrying(1, 1000).timeouts(timeouts));
    let retried = held_as(cx, &a, args).await?.payload.execution_id;
    let args = cx.execution()?.policy(ExecutionPolicy::new().timeouts(timeouts));
    let expired = held_as(cx, &a, args).await?.payload.execution_id;
    cx.pass_time(ms(399)).await?;
    check!(cx, "FF-SCN-001", a.scan(ScanArgs::new(ScannerKind::AttemptTimeout)).await, answers(done(0, 0)));
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-SCN-001", a.scan(ScanArgs::new(ScannerKind::LeaseExpiry)).await, answers(done(2, 0)));

    check!(cx, "FF-SCN-001", a.scan(ScanArgs::new(ScannerKind::AttemptTimeout)).await, answers(done(2, 2)));

    let dump = cx.dump().await?;
    let due = cx.info(&a, &retried).await?.delay_until;
    check!(cx, "FF-SCN-001", due, equals(Some(after(cx.now().await?, 1000))));
    let told = lease_log(&dump, &retried);
    check!(cx, "FF-SCN-001", told, reads("acquired 1, released 1 attempt_timeout_retry_scheduled"));
    check!(cx, "FF-SCN-001", vector(&cx.info(&a, &expired).await?), reads(EXPIRED));
    check!(cx, "FF-SCN-001", lease_log(&dump, &expired), reads("acquired 1, released 1 attempt_timeout"));
    check!(cx, "FF-SCN-001", completion_log(&dump, &expired), reads("expired"));
    Ok(())
}

/// A pass over delays makes ready what is due and nothing else; a claim then finds it.
///
/// Covers FF-SCN-001.
pub async fn scan_makes_due_delays_ready(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let due = cx.created(&a, cx.execution()?.delay_until(after(now, 1000))).await?;
    cx.created(&a, cx.execution()?.delay_until(after(now, 1001))).await?;
    let retried = backing_off(cx, &a, 1000).await?.0.payload.execution_id;
    cx.set_time(after(now, 1000)).await?;

    check!(cx, "FF-SCN-001", a.scan(ScanArgs::new(ScannerKind::DelayPromoter)).await, answers(done(2, 2)));
    check!(cx, "FF-SCN-001", a.scan(ScanArgs::new(ScannerKind::DelayPromoter)).await, answers(done(0, 0)));

    let mut wanted = vec![due, retried];
    let mut taken = claim_order(cx, &a, 3).await?;
    wanted.sort();
    taken.sort();
    check!(cx, "FF-SCN-001", taken, equals(wanted));
    Ok(())
}

/// A pass over delays makes work ready whose grant is over, and lets a live grant be.
///
/// Covers FF-SCN-001.
pub async fn scan_makes_ready_what_a_grant_kept(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    granted(cx, &a, "worker").await?;
    let delays = || ScanArgs::new(ScannerKind::DelayPromoter);
    check!(cx, "FF-SCN-001", a.scan(delays()).await, answers(done(0, 0)));
    cx.pass_time(GRANT_TTL).await?;

    check!(cx, "FF-SCN-001", a.scan(delays()).await, answers(done(1, 1)));
    check!(cx, "FF-SCN-001", a.scan(delays()).await, answers(done(0, 0)));

    check!(cx, "FF-SCN-001", claim_order(cx, &a, 1).await?, equals(vec![id]));
    Ok(())
}

/// Sixty leases that lapsed at once are all written down, by six full passes and an empty one.
///
/// Covers FF-SCN-002, FF-SCN-003.
pub async fn sixty_lapses_are_all_written_down(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ids = created_many(cx, &a, 60, |_, args| args).await?;
    claim_order(cx, &a, 60).await?;
    cx.pass_time(TTL).await?;

    let args = ScanArgs::new(ScannerKind::LeaseExpiry).limit(PageLimit::new(10)?);
    let reports = passes(&a, &args, 20).await?;

    let changed: Vec<_> = reports.iter().map(|report| report.changed).collect();
    check!(cx, "FF-SCN-002", changed, equals(vec![10, 10, 10, 10, 10, 10, 0]));
    let dump = cx.dump().await?;
    let told = ids.iter().filter(|id| lease_log(&dump, id) == "acquired 1, expired 1").count();
    check!(cx, "FF-SCN-003", told, equals(60));
    check!(cx, "FF-SCN-003", passes(&a, &args, 20).await?, equals(vec![done(0, 0)]));
    Ok(())
}

/// Rows of another namespace, three times as many as a pass looks at, starve nobody behind them.
///
/// Covers FF-SCN-002, FF-SCN-005.
pub async fn scan_reaches_what_stands_behind_other_namespaces(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let other = cx.namespace("other")?;
    let others = created_many(cx, &a, 30, |_, mut args| {
        args.namespace = other.clone();
        args
    })
    .await?;
    claim_order(cx, &a, 30).await?;
    cx.pass_time(ms(1)).await?;
    let ids = created_many(cx, &a, 10, |_, args| args).await?;
    claim_order(cx, &a, 10).await?;
    cx.pass_time(TTL).await?;

    let filter = ScannerFilter::new().namespace(cx.namespace("suite")?);
    let args = ScanArgs::new(ScannerKind::LeaseExpiry).filter(filter).limit(PageLimit::new(10)?);
    let reports = passes(&a, &args, 10).await?;

    check!(cx, "FF-SCN-002", reports.iter().map(|report| report.changed).sum::<u32>(), equals(10));
    check!(cx, "FF-SCN-002", reports.len(), equals(5));
    let dump = cx.dump().await?;
    let told = |ids: &[ExecutionId]| ids.iter().filter(|id| lease_log(&dump, id).ends_with("expired 1")).count();
    check!(cx, "FF-SCN-005", (told(&ids), told(&others)), equals((10, 0)));
    Ok(())
}

/// Rows that are the work of another scanner, in another lane or due earlier, starve nobody behind them.
///
/// Covers FF-SCN-002.
pub async fn scan_reaches_what_stands_behind_the_work_of_others(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 1000);
    created_many(cx, &a, 30, |_, args| args.delay_until(due)).await?;
    let ahead = cx.lane_called("a lane ahead")?;
    created_many(cx, &a, 15, |_, mut args| {
        args.lane_id = ahead.clone();
        args.delay_until(due)
    })
    .await?;
    let ids = created_many(cx, &a, 10, |_, args| args).await?;
    claim_order(cx, &a, 10).await?;
    cx.pass_time(TTL).await?;

    let args = ScanArgs::new(ScannerKind::LeaseExpiry).limit(PageLimit::new(10)?);
    let reports = passes(&a, &args, 12).await?;

    let counts = |count: fn(&ScanReport) -> u32| reports.iter().map(count).sum::<u32>();
    check!(cx, "FF-SCN-002", counts(|report| report.changed), equals(10));
    check!(cx, "FF-SCN-002", counts(|report| report.examined), equals(55));
    for id in &ids {
        check!(cx, "FF-SCN-002", vector(&cx.info(&a, id).await?), reads(LAPSED));
    }
    Ok(())
}

/// Passes at once, of one scanner and with claims, write each lapse down once and hand each row out once.
///
/// Covers FF-SCN-003.
pub async fn scans_and_claims_at_once_tell_each_lapse_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some((a, claimers)) = clients.split_first() else { return Err(Stop::Errored("no client".to_owned())) };
    let ids = created_many(cx, a, 40, |_, args| args).await?;
    claim_order(cx, a, 40).await?;
    cx.pass_time(TTL).await?;
    let scans = clients.iter().map(|client| client.scan(ScanArgs::new(ScannerKind::LeaseExpiry)));

    let (claimed, scanned) = join(claims_at_once(cx, claimers, 5), join_all(scans)).await;

    let claimed: Vec<_> = claimed?.into_iter().map(|claimed| claimed.payload.execution_id).collect();
    check!(cx, "FF-SCN-003", scanned.iter().all(Result::is_ok), is_true());
    a.scan(ScanArgs::new(ScannerKind::LeaseExpiry)).await?;
    let dump = cx.dump().await?;
    for id in &ids {
        let log = match claimed.iter().filter(|taken| *taken == id).count() {
            0 => vec!["acquired 1, expired 1".to_owned(), "acquired 1".to_owned()],
            _ => vec!["acquired 1, expired 1, reclaimed 2".to_owned()],
        };
        let fits = satisfies(format!("is one of {log:?}"), |got: &String| log.contains(got));
        check!(cx, "FF-SCN-003", lease_log(&dump, id), fits);
    }
    let rest = claims_at_once(cx, &clients, 15).await?;
    check!(cx, "FF-SCN-003", rest.len() + claimed.len(), equals(40));
    let dump = cx.dump().await?;
    for id in &ids {
        check!(cx, "FF-SCN-003", lease_log(&dump, id), reads("acquired 1, expired 1, reclaimed 2"));
    }
    Ok(())
}

/// Executions whose time has come in every way there is, and some whose time has not come.
async fn overdue(cx: &Cx) -> Result<Vec<ExecutionId>, Stop> {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let timeouts = TimeoutPolicy { attempt_timeout_ms: Some(400), ..TimeoutPolicy::default() };
    let worn_out = ExecutionPolicy::new().max_reclaim_count(0);
    let mut ids = vec![completed(cx, &a).await?.payload.execution_id, held(cx, &a).await?.payload.execution_id];
    for args in [
        cx.execution()?.policy(worn_out),
        cx.execution()?.policy(retrying(1, 1000).timeouts(timeouts)),
        cx.execution()?.policy(ExecutionPolicy::new().timeouts(timeouts)),
        cx.execution()?.execution_deadline_at(after(now, 500)),
        cx.execution()?.execution_deadline_at(after(now, 3_600_000)),
    ] {
        ids.push(held_as(cx, &a, args).await?.payload.execution_id);
    }
    ids.push(backing_off(cx, &a, 1000).await?.0.payload.execution_id);
    for args in [
        cx.execution()?.delay_until(after(now, 1000)),
        cx.execution()?.delay_until(after(now, 3_600_000)),
        cx.execution()?.execution_deadline_at(after(now, 500)),
        cx.execution()?.delay_until(after(now, 1000)).execution_deadline_at(after(now, 500)),
        cx.execution()?,
    ] {
        ids.push(cx.created(&a, args).await?);
    }
    cx.pass_time(TTL).await?;
    Ok(ids)
}

/// Once every scanner has passed behind all due instants, no row is overdue, and a second round finds nothing.
///
/// Covers FF-SCN-004.
pub async fn scans_leave_no_overdue_row(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    overdue(cx).await?;
    // The retry of an attempt that ran out of time is due later.
    for span in [ms(0), ms(3_600_000)] {
        cx.pass_time(span).await?;
        write_all_down(&a).await?;
        let idle = satisfies("finds nothing", |got: &Vec<(ScannerKind, u32)>| got.iter().all(|(_, seen)| *seen == 0));
        check!(cx, "FF-SCN-004", write_all_down(&a).await?, idle);
    }
    let dump = cx.dump().await?;
    claim_order(cx, &a, 20).await?;
    let after_claims = cx.dump().await?;
    check!(cx, "FF-SCN-004", after_claims.completions, equals(dump.completions));
    Ok(())
}

/// A pass changes nothing that a reader sees but the instants of the latest write and transition.
///
/// Covers FF-SCN-006.
pub async fn scans_change_nothing_that_readers_see(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ids = overdue(cx).await?;
    let mut seen = Vec::new();
    for id in &ids {
        seen.push(read_all(cx, &a, id).await?);
    }
    for scanner in [ScannerKind::LeaseExpiry, ScannerKind::ExecutionDeadline, ScannerKind::DelayPromoter] {
        passes(&a, &ScanArgs::new(scanner), 10).await?;
        for (id, before) in ids.iter().zip(&seen) {
            let mut now = read_all(cx, &a, id).await?;
            // An end by take-over or attempt is written by whoever comes upon it, and shows from then on.
            if now.info.failure_category.as_deref() == Some("max_reclaims_exceeded") {
                continue;
            }
            now.info.last_transition_at = before.info.last_transition_at;
            now.info.last_mutation_at = before.info.last_mutation_at;
            now.snapshot.last_mutation_at = before.snapshot.last_mutation_at;
            check!(cx, "FF-SCN-006", now, equals(before.clone()));
        }
    }
    Ok(())
}

/// A filter restricts a pass to a namespace and to a label.
///
/// Covers FF-SCN-005.
pub async fn scan_looks_only_where_its_filter_leads(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let other = cx.namespace("other")?;
    let mut ids = Vec::new();
    for (namespace, value) in [("suite", "red"), ("suite", "blue"), ("other", "red"), ("other", "")] {
        let mut args = cx.execution()?.tag("box.colour", value);
        args.namespace = cx.namespace(namespace)?;
        ids.push(held_as(cx, &a, args).await?.payload.execution_id);
    }
    ids.push(held(cx, &a).await?.payload.execution_id);
    cx.pass_time(TTL).await?;

    let red = ScannerFilter::new().instance_tag("box.colour", "red");
    let mut told = Vec::new();
    for filter in [red.clone().namespace(other.clone()), red, ScannerFilter::new().namespace(other)] {
        let report = a.scan(ScanArgs::new(ScannerKind::LeaseExpiry).filter(filter)).await?;
        let dump = cx.dump().await?;
        let expired: Vec<_> = ids.iter().map(|id| lease_log(&dump, id).ends_with("expired 1")).collect();
        told.push((report.changed, expired));
    }

    let expected = [
        (1, vec![false, false, true, false, false]),
        (1, vec![true, false, true, false, false]),
        (1, vec![true, false, true, true, false]),
    ];
    check!(cx, "FF-SCN-005", told, equals(expected.to_vec()));
    Ok(())
}

/// A limit of 0 looks at nothing.
///
/// Covers FF-SCN-002.
pub async fn scan_with_a_limit_of_0_looks_at_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    lapsed(cx, &a).await?;
    completed(cx, &a).await?;
    cx.pass_time(ms(365 * 24 * 3_600_000)).await?;
    let written = cx.dump().await?;
    for scanner in ScannerKind::ALL.iter().copied() {
        check!(cx, "FF-SCN-002", a.scan(ScanArgs::new(scanner).limit(PageLimit::new(0)?)).await, answers(done(0, 0)));
    }
    check!(cx, "FF-SCN-002", cx.dump().await?, equals(written));
    Ok(())
}

/// The cursor of another scanner or backend, text that is no cursor, and a bad label are refused; nothing is written.
///
/// Covers FF-SCN-007.
pub async fn scan_refuses_foreign_cursors_and_bad_labels(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    created_many(cx, &a, 2, |_, args| args).await?;
    claim_order(cx, &a, 2).await?;
    cx.pass_time(TTL).await?;
    let one = PageLimit::new(1)?;
    let first = a.scan(ScanArgs::new(ScannerKind::LeaseExpiry).limit(one)).await?.next_cursor;
    let Some(cursor) = first else { return Err(Stop::Errored("no cursor".to_owned())) };
    let written = cx.dump().await?;

    let foreign = ScanCursor::from_text(cursor.as_str().replace(a.backend_label(), "elsewhere"));
    let refusals = [
        (ScannerKind::DelayPromoter, cursor.clone()),
        (ScannerKind::Retention, cursor.clone()),
        (ScannerKind::EventRetention, cursor.clone()),
        (ScannerKind::LeaseExpiry, foreign),
        (ScannerKind::LeaseExpiry, ScanCursor::from_text("")),
        (ScannerKind::Retention, ScanCursor::from_text("7")),
    ];
    for (scanner, cursor) in refusals {
        let answer = a.scan(ScanArgs::new(scanner).cursor(Some(cursor))).await;
        check!(cx, "FF-SCN-007", answer, refused("Validation(InvalidOffset)"));
    }
    for (key, value, code) in
        [("", "v".to_owned(), "Validation(InvalidTagKey)"), ("a.b", "v".repeat(4097), "Validation(InvalidInput)")]
    {
        let filter = ScannerFilter::new().instance_tag(key, value);
        let answer = a.scan(ScanArgs::new(ScannerKind::LeaseExpiry).filter(filter)).await;
        check!(cx, "FF-SCN-007", answer, refused(code));
    }
    check!(cx, "FF-SCN-007", cx.dump().await?, equals(written));
    let rest = a.scan(ScanArgs::new(ScannerKind::LeaseExpiry).cursor(Some(cursor))).await;
    check!(cx, "FF-SCN-007", rest, answers(done(1, 1)));
    Ok(())
}
