//! Cases of bytes: inputs and results come back as they went in.

use std::sync::Arc;

use ff_core::{EngineBackend, ExecutionId, FailureClass, FailureReason};

use crate::{
    Cx, Stop, Verdict, check, equals,
    instants::{after, ms},
    is_none, is_true,
    stages::{backing_off, cancelled, failed, held},
};

/// Bytes that look like something else to a store, and every byte there is.
fn specimens() -> Vec<Vec<u8>> {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let reversed: Vec<u8> = (0..=u8::MAX).rev().collect();
    let texts: [&[u8]; 12] = [
        b"\0",
        b"\0\0\0\0",
        b"null",
        b"nil",
        b"false",
        b"-1",
        b"1e999",
        b"{\"a\":",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbfbom\r\n",
        b"\\x00 ' \" ; -- $1",
    ];
    [every, reversed].into_iter().chain(texts.map(<[u8]>::to_vec)).collect()
}

/// `count` bytes without a pattern that a store could compress or a codec could guess.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Creates, claims and completes with `bytes` as input and as result, and tells what both read as.
async fn there_and_back(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    bytes: &[u8],
) -> Result<(Vec<u8>, Option<Vec<u8>>), Stop> {
    let id = cx.created(client, cx.execution()?.input_payload(bytes)).await?;
    let claimed = cx.claimed(client, "worker").await?;
    client.complete(&claimed.handle, Some(bytes.to_vec())).await?;
    Ok((cx.info(client, &id).await?.input_payload, client.get_execution_result(&id).await?))
}

/// Every byte value, and bytes that mean something to a store, come back as input and as result.
///
/// Covers FF-EXE-007.
pub async fn bytes_of_every_value_come_back(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for bytes in specimens() {
        let got = there_and_back(cx, &a, &bytes).await?;
        check!(cx, "FF-EXE-007", got, equals((bytes.clone(), Some(bytes))));
    }
    Ok(())
}

/// No bytes come back as no bytes, which is something else than no result.
///
/// Covers FF-EXE-007, FF-EXE-023.
pub async fn an_empty_result_is_there(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (input, result) = there_and_back(cx, &a, b"").await?;
    check!(cx, "FF-EXE-007", input, equals(Vec::new()));
    check!(cx, "FF-EXE-023", result, equals(Some(Vec::new())));
    Ok(())
}

/// A mebibyte of noise comes back as input and as result.
///
/// Covers FF-EXE-007.
pub async fn a_mebibyte_comes_back(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let bytes = noise(1024 * 1024);
    let (input, result) = there_and_back(cx, &a, &bytes).await?;
    check!(cx, "FF-EXE-007", input == bytes, is_true());
    check!(cx, "FF-EXE-007", result == Some(bytes), is_true());
    Ok(())
}

/// An execution completed without a result has none.
///
/// Covers FF-EXE-023.
pub async fn complete_without_a_payload_leaves_no_result(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    a.complete(&claimed.handle, None).await?;
    check!(cx, "FF-EXE-023", a.get_execution_result(&claimed.payload.execution_id).await?, is_none());
    Ok(())
}

/// What has not completed has no result, at any stage.
///
/// Covers FF-EXE-023.
pub async fn only_a_completed_execution_has_a_result(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut ids: Vec<ExecutionId> = Vec::new();
    for claimed in [failed(cx, &a).await?, cancelled(cx, &a).await?, backing_off(cx, &a, 3_600_000).await?.0] {
        ids.push(claimed.payload.execution_id);
    }
    let deadline = after(cx.now().await?, 5);
    cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?;
    ids.push(cx.claimed_for(&a, "worker", ms(3)).await?.payload.execution_id);
    ids.push(cx.created_plain(&a).await?);

    for _ in 0..3 {
        for id in &ids {
            check!(cx, "FF-EXE-023", a.get_execution_result(id).await?, is_none());
        }
        cx.pass_time(ms(3)).await?;
    }
    Ok(())
}

/// The input stays readable through failure, retry and completion.
///
/// Covers FF-EXE-007.
pub async fn the_input_outlives_every_attempt(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let bytes = noise(4096);
    let args = cx.execution()?.input_payload(bytes.clone()).policy(crate::stages::retrying(1, 0));
    let id = cx.created(&a, args).await?;

    let first = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-EXE-007", cx.info(&a, &id).await?.input_payload == bytes, is_true());
    a.fail(&first.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
    check!(cx, "FF-EXE-007", cx.info(&a, &id).await?.input_payload == bytes, is_true());
    let second = cx.claimed(&a, "worker").await?;
    a.complete(&second.handle, None).await?;
    check!(cx, "FF-EXE-007", cx.info(&a, &id).await?.input_payload == bytes, is_true());
    Ok(())
}
