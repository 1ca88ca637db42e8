//! Cases of labels that are set and cleared after the create.

use ff_core::{EngineError, SetExecutionTagArgs};

use crate::{
    Cx, Verdict, check, equals,
    instants::ms,
    is_ok,
    reads::{read_all, snapshot},
    refused, refused_with,
    stages::{completed, held},
};

/// A label is set, replaced and cleared in whatever state the execution is, and nothing else changes.
///
/// Covers FF-EXE-069, FF-EXE-040.
pub async fn set_execution_tag_sets_replaces_and_clears_in_any_state(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let leased = held(cx, &a).await?.payload.execution_id;
    let ended = completed(cx, &a).await?.payload.execution_id;
    let waiting = cx.created(&a, cx.execution()?.tag("order.kind", "book")).await?;
    for id in [waiting, leased, ended] {
        let first = read_all(cx, &a, &id).await?;
        let events = cx.dump().await?;
        for value in [Some("blue"), Some(""), None, None, Some("é")] {
            cx.pass_time(ms(7)).await?;
            let args = match value {
                Some(value) => SetExecutionTagArgs::new(id, "team.name", value),
                None => SetExecutionTagArgs::clear(id, "team.name"),
            };
            check!(cx, "FF-EXE-069", a.set_execution_tag(args).await, is_ok());
            let now = cx.now().await?;
            let mut expected = first.clone();
            expected.info.last_mutation_at = now;
            expected.snapshot.last_mutation_at = now;
            if let Some(value) = value {
                expected.snapshot.tags.insert("team.name".to_owned(), value.to_owned());
            }
            check!(cx, "FF-EXE-069", read_all(cx, &a, &id).await?, equals(expected));
        }
        let now = cx.dump().await?;
        let told = (now.lease_history, now.completions, now.operator_events);
        check!(cx, "FF-EXE-069", told, equals((events.lease_history, events.completions, events.operator_events)));
    }
    Ok(())
}

/// The 65th label is refused; at the limit a label can still be replaced, and cleared for another.
///
/// Covers FF-EXE-069.
pub async fn set_execution_tag_refuses_the_65th_label(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    for number in 0..64 {
        a.set_execution_tag(SetExecutionTagArgs::new(id, format!("n.k{number}"), "v")).await?;
    }
    let written = cx.dump().await?;
    let more = || SetExecutionTagArgs::new(id, "n.more", "v");
    check!(cx, "FF-EXE-069", a.set_execution_tag(more()).await, refused_with(SetExecutionTagArgs::too_many()));
    check!(cx, "FF-EXE-069", cx.dump().await?, equals(written));
    check!(cx, "FF-EXE-069", a.set_execution_tag(SetExecutionTagArgs::new(id, "n.k7", "w")).await, is_ok());
    check!(cx, "FF-EXE-069", a.set_execution_tag(SetExecutionTagArgs::clear(id, "n.k8")).await, is_ok());
    check!(cx, "FF-EXE-069", a.set_execution_tag(more()).await, is_ok());
    check!(cx, "FF-EXE-069", snapshot(cx, &a, &id).await?.tags.len(), equals(64));
    Ok(())
}

/// Keys of another form, values that are too long and unknown executions are refused, and nothing is written.
///
/// Covers FF-EXE-069, FF-ERR-001, FF-ERR-017.
pub async fn set_execution_tag_refuses_bad_labels(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    let written = cx.dump().await?;
    for key in ["", "name", "Team.name", "team.", "9team.name", "team.näme"] {
        let set = a.set_execution_tag(SetExecutionTagArgs::new(id, key, "v")).await;
        check!(cx, "FF-EXE-069", set, refused("Validation(InvalidTagKey)"));
        let clear = a.set_execution_tag(SetExecutionTagArgs::clear(id, key)).await;
        check!(cx, "FF-EXE-069", clear, refused("Validation(InvalidTagKey)"));
    }
    let long = SetExecutionTagArgs::new(id, "team.name", "x".repeat(4097));
    check!(cx, "FF-ERR-017", a.set_execution_tag(long).await, refused("Validation(InvalidInput)"));
    let unknown = SetExecutionTagArgs::new(cx.execution()?.execution_id, "team.name", "v");
    let missing = EngineError::execution_not_found();
    check!(cx, "FF-ERR-001", a.set_execution_tag(unknown).await, refused_with(missing));
    check!(cx, "FF-EXE-069", cx.dump().await?, equals(written));
    let longest = SetExecutionTagArgs::new(id, format!("t.{}", "n".repeat(126)), "x".repeat(4096));
    check!(cx, "FF-EXE-069", a.set_execution_tag(longest).await, is_ok());
    Ok(())
}

/// Labels that several clients set at once are all there.
///
/// Covers FF-EXE-069, FF-CON-001.
pub async fn set_execution_tag_at_once_loses_no_label(cx: &Cx) -> Verdict {
    let clients = crate::crowds::clients(cx, 4).await?;
    let id = cx.created_plain(&clients[0]).await?;
    let calls = (0..24).map(|number| {
        let args = SetExecutionTagArgs::new(id, format!("n.k{number}"), number.to_string());
        clients[number % clients.len()].set_execution_tag(args)
    });
    let answers = futures::future::join_all(calls).await;
    // Where a row keeps moving, a caller may be told so and asks again.
    let mut expected = std::collections::BTreeMap::new();
    for (number, answer) in answers.into_iter().enumerate() {
        if answer.is_ok() {
            expected.insert(format!("n.k{number}"), number.to_string());
        } else {
            check!(cx, "FF-CON-001", answer, refused("Contention(LeaseConflict)"));
        }
    }
    check!(cx, "FF-EXE-069", snapshot(cx, &clients[0], &id).await?.tags, equals(expected));
    Ok(())
}
