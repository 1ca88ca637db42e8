//! Cases of a pass on its way to the store: it meets faults, and it has its cost.

use std::sync::Arc;

use ff_core::{
    EngineBackend, EngineError, ExecutionId, ExecutionPolicy, Namespace, ScanArgs, ScanReport, ScannerFilter,
    ScannerKind, TimeoutPolicy, TimestampMs,
};

use crate::{
    Cx, Fault, Stop, TTL, Verdict, check, equals,
    facts::facts_of,
    instants::after,
    round_trips::counted,
    satisfies,
    stages::held_as,
    trials::{BEFORE, is_lost, struck},
};

/// The scanners that write down what time has done.
const WRITERS: [ScannerKind; 4] =
    [ScannerKind::LeaseExpiry, ScannerKind::AttemptTimeout, ScannerKind::ExecutionDeadline, ScannerKind::DelayPromoter];

/// For each of [`WRITERS`] an execution of `namespace` that falls due after [`TTL`].
async fn falling_due(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    namespace: &Namespace,
) -> Result<Vec<ExecutionId>, Stop> {
    let plan = || {
        let mut args = cx.execution()?;
        args.namespace = namespace.clone();
        Ok::<_, Stop>(args)
    };
    let due = cx.now().await?.plus(TTL);
    let lapsing = held_as(cx, client, plan()?).await?.payload.execution_id;
    let limit = TimeoutPolicy { attempt_timeout_ms: Some(20_000), ..TimeoutPolicy::default() };
    let limited = plan()?.policy(ExecutionPolicy::new().timeouts(limit));
    let limited = held_as(cx, client, limited).await?.payload.execution_id;
    let ending = plan()?.delay_until(after(due, 3_600_000)).execution_deadline_at(due);
    let ending = cx.created(client, ending).await?;
    let delayed = cx.created(client, plan()?.delay_until(due)).await?;
    Ok(vec![lapsing, limited, ending, delayed])
}

fn over(scanner: ScannerKind, namespace: &Namespace) -> ScanArgs {
    ScanArgs::new(scanner).filter(ScannerFilter::new().namespace(namespace.clone()))
}

/// Passes of every scanner that meet `fault` and are repeated do what undisturbed passes do to equal executions, and
/// tell it once.
async fn passes_meet(cx: &Cx, fault: Fault) -> Verdict {
    let (faulty, proxy) = cx.proxied("faulty").await?;
    let direct = cx.client("direct").await?;
    let [warm, once, again] = [cx.namespace("warm")?, cx.namespace("once")?, cx.namespace("again")?];
    falling_due(cx, &direct, &warm).await?;
    let expected = falling_due(cx, &direct, &once).await?;
    let found = falling_due(cx, &direct, &again).await?;
    cx.pass_time(TTL).await?;
    for scanner in WRITERS {
        faulty.scan(over(scanner, &warm)).await?;
        direct.scan(over(scanner, &once)).await?;

        let broken = struck(&proxy, fault, faulty.scan(over(scanner, &again))).await;

        check!(cx, "FF-ERR-018", broken, is_lost(BEFORE));
        if broken.is_some() {
            faulty.scan(over(scanner, &again)).await?;
        }
        direct.scan(over(scanner, &again)).await?;
        let written = cx.dump().await?;
        check!(cx, "FF-SCN-003", direct.scan(over(scanner, &again)).await, changes_nothing());
        check!(cx, "FF-SCN-003", cx.dump().await?, equals(written));
    }
    let origin = TimestampMs::from_ms(0);
    for (found, expected) in found.iter().zip(&expected) {
        let found = facts_of(cx, &direct, found, origin).await?.of_namespace(&again);
        let expected = facts_of(cx, &direct, expected, origin).await?.of_namespace(&once);
        check!(cx, "FF-DUR-003", found.other_records(&expected), equals(Vec::new()));
        check!(cx, "FF-DUR-004", found.other_events(&expected), equals(Vec::new()));
    }
    Ok(())
}

fn changes_nothing() -> impl crate::Expect<Result<ScanReport, EngineError>> {
    satisfies("changes nothing", |got: &Result<ScanReport, EngineError>| {
        got.as_ref().is_ok_and(|report| report.changed == 0)
    })
}

/// A pass whose reply was lost is repeated, and ends as one pass.
///
/// Covers FF-DUR-003, FF-DUR-004, FF-ERR-018, FF-SCN-003. Needs address, clock, dump.
pub async fn scan_repeated_after_a_lost_reply_ends_as_one_pass(cx: &Cx) -> Verdict {
    passes_meet(cx, Fault::DropReply).await
}

/// A pass that a reset kept from the store is repeated, and ends as one pass.
///
/// Covers FF-DUR-003, FF-DUR-004, FF-ERR-018, FF-SCN-003. Needs address, clock, dump.
pub async fn scan_repeated_after_a_reset_ends_as_one_pass(cx: &Cx) -> Verdict {
    passes_meet(cx, Fault::Reset).await
}

/// A pass whose process was killed before its request arrived is repeated by another, and ends as one pass.
///
/// Covers FF-DUR-003, FF-DUR-004, FF-ERR-018, FF-SCN-003. Needs address, clock, dump.
pub async fn scan_repeated_after_its_caller_was_killed_on_the_way_ends_as_one_pass(cx: &Cx) -> Verdict {
    passes_meet(cx, Fault::Swallow).await
}

/// A pass whose process was killed before the reply arrived is repeated by another, and ends as one pass.
///
/// Covers FF-DUR-003, FF-DUR-004, FF-ERR-018, FF-SCN-003. Needs address, clock, dump.
pub async fn scan_repeated_after_its_caller_was_killed_at_the_store_ends_as_one_pass(cx: &Cx) -> Verdict {
    passes_meet(cx, Fault::SwallowReply).await
}

/// A warm pass costs a round trip for each kind of rows that it looks for, and one for each lane in which it finds any.
///
/// Covers FF-CON-005. Needs address, clock.
pub async fn scan_costs_a_round_trip_for_each_lane(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let mut costs = Vec::new();
    // The first round prepares the statements, the second finds rows in two lanes, the third nothing.
    for round in 0..3 {
        if round < 2 {
            for lane in ["left", "right"] {
                for _ in 0..2 {
                    let due = cx.now().await?.plus(TTL);
                    cx.created(&counted.client, cx.execution_in(lane)?.delay_until(due)).await?;
                }
            }
            cx.pass_time(TTL).await?;
        }
        costs.push(counted.turns_of_scan(ScannerKind::DelayPromoter).await?);
    }
    let bounded = satisfies(
        "are at most 3 and 1",
        |got: &Vec<(u64, u32)>| matches!(got.as_slice(), [_, (works @ 1..=3, 4), (1, 0)] if *works > 0),
    );
    check!(cx, "FF-CON-005", costs, bounded);
    for (scanner, most) in [(ScannerKind::Retention, 2), (ScannerKind::EventRetention, 3)] {
        counted.turns_of_scan(scanner).await?;
        let (turns, removed) = counted.turns_of_scan(scanner).await?;
        let bounded = satisfies(format!("is at most {most}"), move |turns: &u64| (1..=most).contains(turns));
        check!(cx, "FF-CON-005", turns, bounded);
        check!(cx, "FF-CON-005", removed, equals(0));
    }
    Ok(())
}
