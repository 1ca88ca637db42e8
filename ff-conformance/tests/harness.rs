//! Harnesses that lie: each is told by name, and its lie is never blamed on the backend.
#![expect(clippy::panic, reason = "a backend that panics is told")]

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{pending, ready},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ff_backend_memory::{Clock, ManualClock, MemoryBackend, MemoryConfig};
use ff_conformance::{
    Case, Client, Control, Controls, Cx, Diagnosis, Environment, Harness, HarnessError, Identity, Intercept,
    Intercepted, Outcome, Recorder, Store, Verdict, backends::memory::dump, check, controlled_store, equals, execute,
    is_ok, store,
};
use ff_core::{EngineBackend, EngineError, TimestampMs};
use futures::FutureExt;
use tokio::{
    net::TcpListener,
    sync::{Barrier, Notify},
};

const BEGIN: TimestampMs = TimestampMs::from_ms(1_000_000_000_000);

/// A harness made of what `open` does with the number of the store.
struct Faux<F> {
    opened: AtomicUsize,
    open: F,
}

fn faux<F: Fn(usize) -> Box<dyn Store> + Send + Sync + 'static>(open: F) -> Faux<F> {
    Faux { opened: AtomicUsize::new(0), open }
}

#[async_trait]
impl<F: Fn(usize) -> Box<dyn Store> + Send + Sync + 'static> Harness for Faux<F> {
    fn identity(&self) -> Identity {
        Identity::new("faux", "0.1.0", "https://example.org/faux")
    }

    fn environment(&self) -> Environment {
        Environment::in_process("faux")
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        Ok((self.open)(self.opened.fetch_add(1, Ordering::SeqCst)))
    }
}

/// A memory store whose time is that of `own`, and whose clock control is `control`.
fn memory(own: &ManualClock, control: &ManualClock) -> Box<dyn Store> {
    let root = Arc::new(MemoryConfig::new().clock(own.clock()).open());
    let seen = Arc::clone(&root);
    let controls = Controls::none().clock(control.clone()).dump(move || Ok(seen.inspect(dump)));
    controlled_store(root, controls, |root, _| ready(Ok::<_, Infallible>(root.sibling())))
}

fn hand() -> ManualClock {
    Clock::manual(BEGIN)
}

/// A store each of whose clients `connect` hands out.
struct HandedOut<C>(C);

#[async_trait]
impl<C: Fn() -> Arc<dyn EngineBackend> + Send + Sync> Store for HandedOut<C> {
    async fn connect(&self, _client: Client) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        Ok((self.0)())
    }
}

fn case(name: &'static str, run: for<'a> fn(&'a Cx) -> futures::future::BoxFuture<'a, Verdict>) -> Case {
    Case { stem: "faux", name, summary: "A case.", covers: &["FF-BOO-005"], needs: &[], controls: &[], run }
}

async fn pings(cx: &Cx) -> Verdict {
    check!(cx, "FF-BOO-005", cx.client("a").await?.ping().await, is_ok());
    Ok(())
}

/// A case that any backend passes.
fn harmless() -> Case {
    case("harmless", |cx| pings(cx).boxed())
}

async fn lets_time_pass(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let before = cx.created_plain(&a).await?;
    cx.pass_time(Duration::from_secs(60)).await?;
    let after = cx.created_plain(&a).await?;
    let passed = cx.info(&a, &after).await?.created_at.as_ms() - cx.info(&a, &before).await?.created_at.as_ms();
    check!(cx, "FF-CLK-002", passed, equals(60_000));
    Ok(())
}

/// A case that fails where time does not pass.
fn timed() -> Case {
    case("timed", |cx| lets_time_pass(cx).boxed())
}

async fn outcome(harness: &dyn Harness, case: &Case) -> Outcome {
    execute(harness, case).await.case.outcome
}

fn told(diagnosis: Diagnosis) -> Outcome {
    Outcome::Errored { reason: diagnosis.to_string() }
}

#[tokio::test]
async fn an_honest_harness_is_told_nothing() {
    let honest = faux(|_| {
        let own = hand();
        memory(&own, &own)
    });
    for case in [harmless(), timed(), harmless(), timed()] {
        assert_eq!(outcome(&honest, &case).await, Outcome::Passed, "{}", case.name);
    }
}

/// A harness whose `open` hands out the same store again and again.
fn sharing_its_store() -> impl Harness {
    let root = Arc::new(MemoryBackend::new());
    faux(move |_| store(Arc::clone(&root), |root, _| ready(Ok::<_, Infallible>(root.sibling()))))
}

#[tokio::test]
async fn open_that_hands_out_one_store_twice_is_told() {
    let harness = sharing_its_store();
    assert_eq!(outcome(&harness, &harmless()).await, Outcome::Passed);
    assert_eq!(outcome(&harness, &harmless()).await, told(Diagnosis::SharedStore));
}

#[tokio::test]
async fn open_that_hands_out_one_store_to_two_cases_at_once_is_told() {
    static MEET: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    let meets = case("meets", |cx| {
        async move {
            MEET.wait().await;
            pings(cx).await
        }
        .boxed()
    });
    let harness = sharing_its_store();
    let (first, second) = tokio::join!(outcome(&harness, &meets), outcome(&harness, &meets));
    assert!([&first, &second].contains(&&told(Diagnosis::SharedStore)), "{first:?} {second:?}");
}

#[tokio::test]
async fn connect_that_hands_out_one_client_twice_is_told() {
    let harness = faux(|_| {
        let client: Arc<dyn EngineBackend> = Arc::new(MemoryBackend::new());
        Box::new(HandedOut(move || Arc::clone(&client)))
    });
    assert_eq!(outcome(&harness, &harmless()).await, told(Diagnosis::SharedClient));
}

#[tokio::test]
async fn a_clock_control_that_does_not_move_the_clock_is_told() {
    let harness = faux(|_| memory(&hand(), &hand()));
    assert_eq!(outcome(&harness, &timed()).await, told(Diagnosis::DeadClock));
    let of_the_process = faux(|_| {
        let root = MemoryBackend::new();
        let controls = Controls::none().clock(hand());
        controlled_store(root, controls, |root, _| ready(Ok::<_, Infallible>(root.sibling())))
    });
    // It need not even be moved.
    assert_eq!(outcome(&of_the_process, &harmless()).await, told(Diagnosis::DeadClock));
}

#[tokio::test]
async fn a_clock_control_that_moves_the_clock_of_another_store_is_told() {
    let clocks: Mutex<Vec<ManualClock>> = Mutex::default();
    let crossed = faux(move |number| {
        let mut clocks = clocks.lock().unwrap();
        clocks.push(hand());
        memory(&clocks[number], &clocks[number.saturating_sub(1)])
    });
    assert_eq!(outcome(&crossed, &timed()).await, Outcome::Passed);
    assert_eq!(outcome(&crossed, &timed()).await, told(Diagnosis::SharedClock));
}

#[tokio::test]
async fn a_clock_that_moves_under_a_case_is_told() {
    static MEET: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    let moved = case("moved", |cx| {
        async move {
            MEET.wait().await;
            MEET.wait().await;
            pings(cx).await
        }
        .boxed()
    });
    let moves = case("moves", |cx| {
        async move {
            MEET.wait().await;
            lets_time_pass(cx).await?;
            MEET.wait().await;
            Ok(())
        }
        .boxed()
    });
    let own = hand();
    let one_clock = faux(move |_| memory(&own, &own));
    let (moved, moves) = tokio::join!(outcome(&one_clock, &moved), outcome(&one_clock, &moves));
    assert_eq!((moved, moves), (told(Diagnosis::SharedClock), Outcome::Passed));
}

#[tokio::test]
async fn a_client_that_goes_around_its_proxy_is_told() {
    let behind_a_proxy = Case {
        controls: &[Control::Address],
        ..case("behind_a_proxy", |cx| async move { cx.proxied("proxied").await.map(drop) }.boxed())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let harness = faux(move |_| {
        let controls = Controls::none().address(address);
        controlled_store(MemoryBackend::new(), controls, |root, _| ready(Ok::<_, Infallible>(root.sibling())))
    });
    assert_eq!(outcome(&harness, &behind_a_proxy).await, told(Diagnosis::ProxyBypassed));
}

/// A create that reads a clock five seconds ahead.
struct AheadAtCreate(ManualClock);

impl Intercept for AheadAtCreate {
    async fn pass<T: Debug + Send>(
        &self,
        method: &'static str,
        _arguments: &[String],
        call: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> Result<T, EngineError> {
        if method != "create_execution" {
            return call.await;
        }
        let now = self.0.now();
        self.0.advance(Duration::from_secs(5));
        let answer = call.await;
        self.0.set(now);
        answer
    }
}

#[tokio::test]
async fn a_backend_that_reads_another_clock_in_one_operation_is_failed() {
    let dated = case("dated", |cx| {
        async move {
            let a = cx.client("a").await?;
            let id = cx.created_plain(&a).await?;
            check!(cx, "FF-CLK-001", cx.info(&a, &id).await?.created_at, equals(cx.now().await?));
            Ok(())
        }
        .boxed()
    });
    let harness = faux(|_| {
        let own = hand();
        let root = MemoryConfig::new().clock(own.clock()).open();
        controlled_store(root, Controls::none().clock(own.clone()), move |root, _| {
            ready(Ok::<_, Infallible>(Intercepted::new(Arc::new(root.sibling()), AheadAtCreate(own.clone()))))
        })
    });
    let outcome = outcome(&harness, &dated).await;
    assert!(matches!(&outcome, Outcome::Failed { failure, .. } if failure.requirement == "FF-CLK-001"), "{outcome:?}");
}

/// Another name at each call.
struct ManyNames(AtomicUsize);

#[async_trait]
impl Harness for ManyNames {
    fn identity(&self) -> Identity {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Identity::new(format!("faux-{number}"), "0.1.0", "https://example.org/faux")
    }

    fn environment(&self) -> Environment {
        Environment::in_process("faux")
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        let own = hand();
        Ok(memory(&own, &own))
    }
}

#[tokio::test]
async fn an_identity_that_changes_is_told() {
    assert_eq!(outcome(&ManyNames(AtomicUsize::new(0)), &harmless()).await, told(Diagnosis::ManyIdentities));
}

/// A store that is never given back.
struct Stuck(Box<dyn Store>);

#[async_trait]
impl Store for Stuck {
    async fn connect(&self, client: Client) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        self.0.connect(client).await
    }

    async fn close(self: Box<Self>, _failed: bool) -> Result<(), HarnessError> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_that_hangs_is_told() {
    let harness = faux(|_| {
        let own = hand();
        Box::new(Stuck(memory(&own, &own)))
    });
    let reason = "close: not finished within 60 s".to_owned();
    assert_eq!(outcome(&harness, &harmless()).await, Outcome::Errored { reason });
}

/// What a backend does at a ping instead of answering.
#[derive(Clone)]
enum AtPing {
    Panics,
    Waits(Arc<Notify>),
}

impl Intercept for AtPing {
    async fn pass<T: Debug + Send>(
        &self,
        method: &'static str,
        _arguments: &[String],
        call: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> Result<T, EngineError> {
        match self {
            Self::Panics if method == "ping" => panic!("out of cheese"),
            Self::Waits(release) if method == "ping" => release.notified().await,
            Self::Panics | Self::Waits(_) => {}
        }
        call.await
    }
}

fn at_ping(what: AtPing) -> impl Harness {
    faux(move |_| {
        store((MemoryBackend::new(), what.clone()), |(root, what), _| {
            ready(Ok::<_, Infallible>(Intercepted::new(Arc::new(root.sibling()), what.clone())))
        })
    })
}

#[tokio::test]
async fn a_backend_that_panics_is_told_with_its_method() {
    let diagnosis = Diagnosis::Panicked { method: "ping".to_owned(), text: "out of cheese".to_owned() };
    assert_eq!(outcome(&at_ping(AtPing::Panics), &harmless()).await, told(diagnosis));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_answers_after_its_report_was_closed_is_told() {
    let leaves = case("leaves", |cx| {
        async move {
            let client = cx.client("a").await?;
            tokio::spawn(async move { client.ping().await });
            tokio::task::yield_now().await;
            Ok(())
        }
        .boxed()
    });
    let release = Arc::new(Notify::new());
    let harness = at_ping(AtPing::Waits(Arc::clone(&release)));
    assert_eq!(outcome(&harness, &leaves).await, told(Diagnosis::Unanswered { method: "ping".to_owned() }));
    release.notify_one();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_is_not_told() {
    let gives_up = case("gives_up", |cx| {
        async move {
            let client = cx.client("a").await?;
            let answer = tokio::time::timeout(Duration::from_secs(1), client.ping()).await;
            check!(cx, "FF-BOO-005", answer.is_err(), equals(true));
            Ok(())
        }
        .boxed()
    });
    assert_eq!(outcome(&at_ping(AtPing::Waits(Arc::default())), &gives_up).await, Outcome::Passed);
}

#[tokio::test]
async fn what_is_answered_after_the_seal_is_in_no_report() {
    let recorder = Recorder::new();
    let release = Arc::new(Notify::new());
    let backend = Intercepted::new(Arc::new(MemoryBackend::new()), AtPing::Waits(Arc::clone(&release)));
    let client = recorder.wrap("a", Arc::new(backend));
    let late = client.ping();
    let seals = async {
        assert_eq!(recorder.under_way(), ["ping"]);
        recorder.seal();
        release.notify_one();
    };
    let (answer, ()) = tokio::join!(late, seals);
    assert_eq!(answer, Ok(()));
    assert!(!recorder.hits().contains_key("ping"), "{:?}", recorder.hits());
    assert_eq!(recorder.calls()[0].to_string(), "a: ping() -> (no answer)");
    assert_eq!(recorder.under_way(), Vec::<&str>::new());
}
