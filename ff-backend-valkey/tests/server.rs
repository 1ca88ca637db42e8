//! What only a server can show of this backend: preparation, key names, connections, and numbers computed in Lua.

#[cfg(test)]
mod support;
#[cfg(test)]
mod waitpoints;

use std::{sync::Arc, time::Duration};

use ff_backend_valkey::{LIBRARY_VERSION, ValkeyBackend, library};
use ff_core::{
    Attempts, BackendConfig, BackendTimeouts, Backoff, CreateExecutionResult, EngineBackend, ExecutionPolicy,
    Executions, FailOutcome, FailureClass, FailureReason, HandleKind, Jitter, Leases, PartitionConfig, PrepareOutcome,
    PublicState, RetryPolicy, RetryRule, ScannerFilter, StreamCursor, Subscriptions,
};
use futures::StreamExt;
use redis::cmd;
use support::{Forward, Server, args, claim, eventually, installed, refused, substitute, versioned};

#[tokio::test]
async fn one_execution_goes_through_its_life() {
    let server = Server::new().await;
    let backend = server.backend().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let args = args().input_payload(every_byte.clone()).tag("team.name", "blue");
    let id = args.execution_id;
    backend.create_execution(args).await.unwrap();
    let handle = claim(&*backend).await.unwrap();
    assert_eq!(handle.kind(), HandleKind::Fresh);
    assert!(claim(&*backend).await.is_none());
    backend.progress(&handle, Some(50), Some("half".to_owned())).await.unwrap();
    backend.renew(&handle).await.unwrap();
    backend.complete(&handle, Some(every_byte.clone())).await.unwrap();
    backend.complete(&handle, None).await.unwrap();
    assert_eq!(backend.read_execution_state(&id).await.unwrap(), Some(PublicState::Completed));
    assert_eq!(backend.get_execution_result(&id).await.unwrap(), Some(every_byte.clone()));
    let info = backend.read_execution_info(&id).await.unwrap().unwrap();
    assert_eq!(info.input_payload, every_byte);
    assert!(info.state.is_legal());
    let snapshot = backend.describe_execution(&id).await.unwrap().unwrap();
    assert_eq!(snapshot.tags.get("team.name").map(String::as_str), Some("blue"));
}

/// Connections of the server that wait at streams, if it tells.
async fn blocked(server: &Server) -> Option<u64> {
    let info: redis::InfoDict = server.ask(cmd("INFO").arg("clients")).await.ok()?;
    info.get("blocked_clients")
}

#[tokio::test]
async fn subscriptions_share_one_connection_that_goes_with_the_last_of_them() {
    let server = Server::new().await;
    let backend = server.backend().await;
    let all = ScannerFilter::new();
    let mut feeds = Vec::new();
    for _ in 0..10 {
        feeds.push(backend.subscribe_completion(StreamCursor::End, &all).await.unwrap());
    }
    eventually(async || blocked(&server).await == Some(1)).await;
    feeds.truncate(1);
    assert_eq!(blocked(&server).await, Some(1));
    drop(feeds);
    eventually(async || blocked(&server).await == Some(0)).await;
}

#[tokio::test]
async fn a_cursor_before_a_trimmed_event_is_refused_with_the_oldest_that_works() {
    let server = Server::new().await;
    let backend = server.backend().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(args());
        backend.create_execution(ids.last().unwrap().clone()).await.unwrap();
        let handle = claim(&*backend).await.unwrap();
        backend.complete(&handle, None).await.unwrap();
    }
    let all = ScannerFilter::new();
    let read = async |from: StreamCursor, count: usize| {
        let feed = backend.subscribe_completion(from, &all).await?;
        let found: Vec<_> = feed.take(count).collect().await;
        found.into_iter().collect::<Result<Vec<_>, _>>()
    };
    let events = read(StreamCursor::Start, 6).await.unwrap();
    let mut slow = backend.subscribe_completion(StreamCursor::Start, &all).await.unwrap();
    let trim = cmd("XTRIM").arg("ff:{fp:0}:events:completion").arg("MAXLEN").arg("=").arg(2).clone();
    assert_eq!(server.ask::<u64>(&trim).await.unwrap(), 4);

    for (at, event) in events.iter().enumerate() {
        let rest = read(event.cursor.clone(), 5 - at).await;
        if at < 3 {
            let error = rest.unwrap_err();
            assert_eq!(error.code(), "Validation(InvalidOffset)");
            assert_eq!(read(error.oldest_cursor().unwrap(), 2).await.unwrap(), events[4..]);
        } else {
            assert_eq!(rest.unwrap(), events[at + 1..]);
        }
    }
    assert_eq!(read(StreamCursor::Start, 2).await.unwrap(), events[4..]);
    let error = slow.next().await.unwrap().unwrap_err();
    assert!(error.oldest_cursor().is_some(), "{error}");
    assert!(slow.next().await.is_none());
}

#[tokio::test]
async fn a_server_without_the_library_says_what_to_call() {
    let server = Server::new().await;
    let backend = server.connected().await;
    let error = backend.create_execution(args()).await.unwrap_err();
    assert_eq!(error.code(), "Transport(NotPrepared, No)");
    assert!(error.to_string().contains("prepare()"), "{error}");

    assert!(matches!(backend.prepare().await.unwrap(), PrepareOutcome::Applied { .. }));
    assert_eq!(backend.prepare().await.unwrap(), PrepareOutcome::NoOp);
    backend.create_execution(args()).await.unwrap();
    server.ask::<()>(cmd("FUNCTION").arg("DELETE").arg("ff")).await.unwrap();
    let gone = backend.create_execution(args()).await.unwrap_err();
    assert_eq!(gone.code(), "Transport(NotPrepared, No)");
}

#[tokio::test]
async fn prepare_replaces_an_older_library_only() {
    let server = Server::new().await;
    server.load(&versioned(0, 0)).await;
    let backend = server.connected().await;
    assert_eq!(refused(&*backend).await, "Transport(NotPrepared, No)");
    assert!(matches!(backend.prepare().await.unwrap(), PrepareOutcome::Applied { .. }));
    assert_eq!(installed(&server).await, [LIBRARY_VERSION, 1]);

    // One that serves this client is left alone, one that does not is refused.
    server.load(&versioned(LIBRARY_VERSION + 1, 1)).await;
    assert_eq!(server.connected().await.prepare().await.unwrap(), PrepareOutcome::NoOp);
    server.load(&versioned(LIBRARY_VERSION + 1, LIBRARY_VERSION + 1)).await;
    let refusals = [
        backend.prepare().await.unwrap_err(),
        ValkeyBackend::connect(BackendConfig::valkey(&server.url)).await.err().unwrap(),
    ];
    for error in refusals {
        assert_eq!(error.code(), "Validation(InvalidInput)");
        assert!(error.to_string().contains("upgrade the client"), "{error}");
    }
    assert_eq!(installed(&server).await, [LIBRARY_VERSION + 1, LIBRARY_VERSION + 1]);
}

#[tokio::test]
async fn of_many_prepares_one_does_it() {
    let server = Server::new().await;
    let backend = server.connected().await;
    let calls = (0..12).map(|_| {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move { backend.prepare().await })
    });
    let mut applied = 0;
    for call in calls.collect::<Vec<_>>() {
        applied += usize::from(call.await.unwrap().unwrap() != PrepareOutcome::NoOp);
    }
    assert_eq!(applied, 1);
    // A clock that somebody put there survives it.
    server.set_clock(5_000).await;
    assert_eq!(backend.prepare().await.unwrap(), PrepareOutcome::NoOp);
    let args = args();
    let id = args.execution_id;
    backend.create_execution(args).await.unwrap();
    let info = backend.read_execution_info(&id).await.unwrap().unwrap();
    assert_eq!(info.created_at.as_ms(), 5_000);
}

#[tokio::test]
async fn a_store_has_one_partition() {
    let server = Server::new().await;
    let two = PartitionConfig::new(2).unwrap();
    let config = BackendConfig::valkey(&server.url).partitions(two);
    assert_eq!(ValkeyBackend::connect(config).await.err().unwrap().code(), "Validation(InvalidInput)");
    let client = redis::Client::open(server.url.as_str()).unwrap();
    let backend = ValkeyBackend::from_client(client.clone(), two);
    assert_eq!(backend.prepare().await.unwrap_err().code(), "Validation(InvalidInput)");
    assert_eq!(refused(&*backend).await, "Validation(InvalidInput)");

    let backend = ValkeyBackend::from_client(client, PartitionConfig::default());
    assert_eq!(refused(&*backend).await, "Transport(NotPrepared, No)");
    backend.prepare().await.unwrap();
    backend.create_execution(args()).await.unwrap();
    server.ask::<()>(cmd("HSET").arg("ff:{fp:0}:meta").arg("partitions").arg(4)).await.unwrap();
    let error = ValkeyBackend::connect(BackendConfig::valkey(&server.url)).await.err().unwrap();
    assert!(error.to_string().contains("4 in the store"), "{error}");
}

#[tokio::test]
async fn key_names_are_those_of_the_client() {
    let server = Server::new().await;
    let body = r#"
redis.register_function({ function_name = "ff_names", callback = function(_, args)
  local names = { ff.key.ready("ff:{fp:0}", "a:b", "x,y") }
  local own = { "core", "input", "result", "text", "tags", "attempts", "waitpoints", "signals", "suspension",
    "suspend_keys", "observed" }
  for _, name in ipairs(own) do
    names[#names + 1] = name .. " " .. ff.key[name]("ff:{fp:0}", args[1])
  end
  local fixed = { "ids", "lanes", "idempotency", "idempotency_expiry", "lease_history", "completions", "operator_events",
    "signal_deliveries", "ring", "suspended", "ended" }
  for _, name in ipairs(fixed) do names[#names + 1] = name .. " " .. ff.key[name]("ff:{fp:0}") end
  for _, name in ipairs({ "due", "sets" }) do names[#names + 1] = name .. " " .. ff.key[name]("ff:{fp:0}", args[2]) end
  return names
end })
"#;
    server.load(&format!("{}do\n{body}end\n", library())).await;
    let ask = cmd("FCALL").arg("ff_names").arg(0).arg("00000000-0000-4000-8000-000000000001").arg("a:b c").clone();
    let names: Vec<String> = server.ask(&ask).await.unwrap();
    assert_eq!(names[0], "ff:{fp:0}:ready:3:a:b:x,y");
    assert_eq!(names[1..].iter().map(|name| format!("{name}\n")).collect::<String>(), include_str!("keys.txt"));
}

#[tokio::test]
async fn waits_between_retries_are_those_of_the_rule() {
    let server = Server::new().await;
    let backend = server.backend().await;
    let exponential = |initial_delay_ms, max_delay_ms, multiplier| Backoff::Exponential {
        initial_delay_ms,
        max_delay_ms,
        multiplier,
        jitter: false,
    };
    let mut now: u64 = 1_700_000_000_000;
    for backoff in [
        Backoff::Fixed { delay_ms: 0 },
        Backoff::Fixed { delay_ms: 3_153_600_000_000 },
        exponential(1000, 60_000, 2.0),
        exponential(7, 1_000_000, 1.1),
        exponential(333, 3_153_600_000_000, 1000.0),
        exponential(0, 5, 2.0),
        exponential(9, 3, 1.0),
    ] {
        let retry = RetryPolicy { max_retries: 6, backoff, ..RetryPolicy::default() };
        let rule = RetryRule::of(Some(&retry)).unwrap();
        server.set_clock(now).await;
        backend.create_execution(args().policy(ExecutionPolicy::new().retry(retry))).await.unwrap();
        for retries in 0..6 {
            let handle = claim(&*backend).await.unwrap();
            let outcome = backend.fail(&handle, FailureReason::new("no"), FailureClass::Transient).await.unwrap();
            let FailOutcome::RetryScheduled { delay_until } = outcome else { panic!("{outcome:?}") };
            let wait = rule.delay_ms(retries, Jitter::NONE);
            assert_eq!(delay_until.as_ms() as u64, now + wait, "{rule:?} after {retries}");
            now += wait;
            server.set_clock(now).await;
        }
        let handle = claim(&*backend).await.unwrap();
        let outcome = backend.fail(&handle, FailureReason::new("no"), FailureClass::Transient).await.unwrap();
        assert_eq!(outcome, FailOutcome::TerminalFailed);
    }
}

#[tokio::test]
async fn jitter_keeps_long_waits_exact() {
    let server = Server::new().await;
    let text = substitute("attempts/fail.lua", include_str!("../lua/attempts/fail.lua"));
    assert_eq!(text, library());
    let backend = server.backend().await;
    server.set_clock(0).await;
    let backoff = Backoff::Exponential {
        initial_delay_ms: 3_153_599_999_999,
        max_delay_ms: 3_153_600_000_000,
        multiplier: 1.0,
        jitter: true,
    };
    for _ in 0..20 {
        let retry = RetryPolicy { backoff: backoff.clone(), ..RetryPolicy::default() };
        backend.create_execution(args().policy(ExecutionPolicy::new().retry(retry))).await.unwrap();
        let handle = claim(&*backend).await.unwrap();
        let outcome = backend.fail(&handle, FailureReason::new("no"), FailureClass::Timeout).await.unwrap();
        let FailOutcome::RetryScheduled { delay_until } = outcome else { panic!("{outcome:?}") };
        let wait = u64::try_from(delay_until.as_ms()).unwrap();
        // Some factor in millionths gives exactly this wait.
        let factor = (u128::from(wait) * 1_000_000).div_ceil(3_153_599_999_999);
        assert_eq!(factor * 3_153_599_999_999 / 1_000_000, u128::from(wait));
        assert!((500_000..=1_000_000).contains(&factor), "{factor}");
    }
}

#[tokio::test]
async fn a_closed_connection_is_replaced_before_the_next_call() {
    let server = Server::new().await;
    server.backend().await;
    let forward = Forward::to(&server).await;
    let backend = ValkeyBackend::connect(BackendConfig::valkey(&forward.url)).await.unwrap();
    backend.create_execution(args()).await.unwrap();
    forward.cut();
    // The client hears of the end on a task of its own.
    eventually(async || backend.ping().await.is_ok()).await;
    backend.create_execution(args()).await.unwrap();
}

#[tokio::test]
async fn a_late_answer_leaves_open_whether_a_write_was_applied() {
    let server = Server::new().await;
    server.backend().await;
    let forward = Forward::to(&server).await;
    let timeouts = BackendTimeouts { request: Duration::from_millis(200), ..BackendTimeouts::default() };
    let config = BackendConfig::valkey(&forward.url).timeouts(timeouts);
    let backend = ValkeyBackend::connect(config).await.unwrap();
    let late = args();
    forward.hold_replies(true);
    let write = backend.create_execution(late.clone()).await.unwrap_err();
    let read = backend.read_execution_state(&late.execution_id).await.unwrap_err();
    forward.hold_replies(false);
    assert_eq!(write.code(), "Transport(Timeout, Maybe)");
    assert_eq!(read.code(), "Transport(Timeout, No)");
    // It was applied, once.
    let again = backend.create_execution(late.clone()).await.unwrap();
    assert_eq!(again, CreateExecutionResult::Duplicate { execution_id: late.execution_id });
}

#[tokio::test]
async fn a_refused_connection_applies_nothing() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = redis::Client::open(format!("redis://{nobody}")).unwrap();
    let backend = ValkeyBackend::from_client(client, PartitionConfig::default());
    assert_eq!(refused(&*backend).await, "Transport(Connection, No)");
    let error = ValkeyBackend::connect(BackendConfig::valkey(format!("redis://{nobody}"))).await.err().unwrap();
    assert_eq!(error.code(), "Transport(Connection, No)");
}

#[tokio::test]
async fn a_closed_backend_refuses_everything() {
    let server = Server::new().await;
    let backend = server.backend().await;
    backend.shutdown_prepare(Duration::from_secs(1)).await.unwrap();
    backend.shutdown_prepare(Duration::ZERO).await.unwrap();
    assert_eq!(backend.ping().await.unwrap_err().code(), "Transport(Closed, No)");
    assert_eq!(backend.prepare().await.unwrap_err().code(), "Transport(Closed, No)");
    assert_eq!(refused(&*backend).await, "Transport(Closed, No)");
}
