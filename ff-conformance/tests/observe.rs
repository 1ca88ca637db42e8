//! What an operator sees of a backend: spans and metrics of every operation, and no secret in any of them.

use std::{
    collections::BTreeSet,
    error::Error,
    fmt::{Debug, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ff_backend_postgres::PostgresBackend;
use ff_backend_valkey::ValkeyBackend;
use ff_conformance::servers::Servers;
use ff_core::{
    BackendConfig, BackendTag, CapabilitySet, ClaimPolicy, CreateExecutionArgs, DeliverSignalArgs, EngineBackend,
    EngineError, ExecutionId, FailureClass, FailureReason, Handle, HandleKind, Kid, LaneId, Namespace, PartitionConfig,
    ResumeCondition, RotateWaitpointHmacSecretAllArgs, SeedWaitpointHmacSecretArgs, SignalId, SignalMatcher,
    SigningSecret, SuspendArgs, SuspendOutcome, SuspensionId, SuspensionReasonCode, WaitpointBinding, WaitpointToken,
    WorkerId, WorkerInstanceId,
};
use ff_observe::Metrics;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

type Tried<T = ()> = Result<T, Box<dyn Error>>;

const PAGE: &str = include_str!("../../docs/OPERATIONS.md");

/// What nobody may see.
const SECRETS: [&str; 6] =
    ["planted-payload", "planted-result", "planted-reason", "planted-message", "planted-label", "planted-password"];

/// Everything that is told while it listens: spans, their fields, and events of all crates.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    spans: BTreeSet<&'static str>,
    text: String,
}

struct Words<'t>(&'t mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a text cannot fail.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Ear {
    fn hear(&self, told: impl FnOnce(&mut Heard)) {
        told(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<S: Subscriber> Layer<S> for Ear {
    fn on_new_span(&self, attributes: &Attributes<'_>, _id: &Id, _context: Context<'_, S>) {
        self.hear(|heard| {
            if attributes.metadata().target() == "ff" {
                heard.spans.insert(attributes.metadata().name());
            }
            heard.text.push_str(attributes.metadata().name());
            attributes.record(&mut Words(&mut heard.text));
        });
    }

    fn on_record(&self, _id: &Id, values: &Record<'_>, _context: Context<'_, S>) {
        self.hear(|heard| values.record(&mut Words(&mut heard.text)));
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.hear(|heard| event.record(&mut Words(&mut heard.text)));
    }
}

/// Instruments that are read into memory.
struct Instruments {
    exporter: InMemoryMetricExporter,
    provider: SdkMeterProvider,
    metrics: Arc<Metrics>,
}

impl Instruments {
    fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).with_interval(Duration::from_secs(3600)).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let metrics = Arc::new(Metrics::new(&provider.meter("test")));
        Self { exporter, provider, metrics }
    }

    /// The names of the instruments that told something, and all that they told.
    fn read(&self) -> Tried<(BTreeSet<String>, String)> {
        self.provider.force_flush()?;
        let told = self.exporter.get_finished_metrics()?;
        let scopes = told.iter().flat_map(|all| all.scope_metrics());
        let names = scopes.flat_map(|scope| scope.metrics()).map(|metric| metric.name().to_owned()).collect();
        Ok((names, format!("{told:?}")))
    }
}

/// What a life leaves to be judged.
struct Lived {
    id: ExecutionId,
    /// The words of refusals and answers.
    words: String,
    /// Tokens and keys, as far as nobody may see them.
    secrets: Vec<String>,
}

/// Suspends and resumes under a key, with a token that is refused; adds what was said and what nobody may see.
async fn suspend_and_resume(engine: &dyn EngineBackend, handle: &Handle, id: ExecutionId, lived: &mut Lived) -> Tried {
    let (first, second) = (SigningSecret::from_bytes([0xa7; 32])?, SigningSecret::from_bytes([0xb7; 32])?);
    lived.secrets.extend([first.expose_hex(), second.expose_hex()]);
    let seed = SeedWaitpointHmacSecretArgs::new(Kid::try_new("first")?, first);
    let rotation = RotateWaitpointHmacSecretAllArgs::new(Kid::try_new("second")?, second, Duration::from_secs(60));
    let _ = write!(lived.words, "{seed:?} {rotation:?}");
    engine.seed_waitpoint_hmac_secret(seed).await?;
    let condition = ResumeCondition::Single { waitpoint_key: "a".to_owned(), matcher: SignalMatcher::Wildcard };
    let waitpoints = vec![WaitpointBinding::fresh_with_key("a")];
    let args = SuspendArgs::new(SuspensionId::new(), waitpoints, condition, SuspensionReasonCode::WaitingForSignal);
    let outcome = engine.suspend(handle, args).await?;
    let _ = write!(lived.words, "{outcome:?}");
    let SuspendOutcome::Suspended { details, .. } = outcome else { return Err("nothing was suspended".into()) };
    let token = details.waitpoint_token;
    // The first digits are shown by listings.
    lived.secrets.push(token.expose().split_once(':').ok_or("a token")?.1[16..].to_owned());
    let signal = |token| {
        DeliverSignalArgs::new(id, details.waitpoint_id, token, SignalId::new(), "go")
            .payload(b"planted-payload".to_vec())
            .source("planted-label", "planted-label")
    };
    let cut = WaitpointToken::new(&token.expose()[..token.expose().len() - 1]);
    let refusal = engine.deliver_signal(signal(cut)).await.err().ok_or("a token that is not valid was taken")?;
    let _ = write!(lived.words, "{refusal} {refusal:?}");
    engine.rotate_waitpoint_hmac_secret_all(rotation).await?;
    let good = signal(token);
    let _ = write!(lived.words, "{:?}", good.waitpoint_token);
    engine.deliver_signal(good).await?;
    Ok(())
}

/// Lives through successes and refusals with secrets in every place that takes one.
async fn live(engine: &dyn EngineBackend) -> Tried<Lived> {
    engine.prepare().await?;
    engine.ping().await?;
    let lane = LaneId::try_new("mail")?;
    let policy = || -> Tried<ClaimPolicy> {
        Ok(ClaimPolicy::new(WorkerId::try_new("w")?, WorkerInstanceId::try_new("w-1")?, Duration::from_secs(30)))
    };
    let create = async || -> Tried<ExecutionId> {
        let id = ExecutionId::solo(&lane, PartitionConfig::default());
        let args = CreateExecutionArgs::new(id, Namespace::try_new("shop")?, lane.clone(), "send")
            .input_payload(b"planted-payload".to_vec())
            .tag("team.name", "planted-label");
        engine.create_execution(args).await?;
        Ok(id)
    };
    let mut refusals: Vec<EngineError> = Vec::new();

    let id = create().await?;
    let handle = engine.claim(&lane, &CapabilitySet::default(), policy()?).await?.ok_or("no work")?;
    engine.renew(&handle).await?;
    engine.progress(&handle, Some(1), Some("planted-message".to_owned())).await?;
    engine.complete(&handle, Some(b"planted-result".to_vec())).await?;
    refusals.extend(engine.renew(&handle).await.err());
    engine.read_execution_info(&id).await?;
    engine.get_execution_result(&id).await?;

    create().await?;
    let handle = engine.claim(&lane, &CapabilitySet::default(), policy()?).await?.ok_or("no work")?;
    let reason = || FailureReason::new("planted-reason");
    engine.fail(&handle, reason(), FailureClass::Permanent).await?;
    refusals.extend(engine.cancel(&handle, "planted-reason").await.err());
    refusals.extend(engine.progress(&handle, Some(200), Some("planted-message".to_owned())).await.err());
    assert_eq!(refusals.len(), 3);
    let words = refusals.iter().map(|error| format!("{error} {error:?} {handle:?}")).collect();
    let mut lived = Lived { id, words, secrets: Vec::new() };

    let suspended = create().await?;
    let handle = engine.claim(&lane, &CapabilitySet::default(), policy()?).await?.ok_or("no work")?;
    suspend_and_resume(engine, &handle, suspended, &mut lived).await?;
    Ok(lived)
}

/// Judges what was seen of a life on `backend`.
fn judge(backend: &str, lived: &Lived, ear: &Ear, instruments: &Instruments, more: Option<&str>) -> Tried {
    let (id, refusals) = (lived.id, &lived.words);
    let (names, metrics) = instruments.read()?;
    let heard = ear.0.lock().unwrap_or_else(PoisonError::into_inner);
    for secret in SECRETS.into_iter().chain(more).chain(lived.secrets.iter().map(String::as_str)) {
        for (place, text) in [("spans and events", &heard.text), ("metrics", &metrics), ("errors", refusals)] {
            assert!(!text.contains(secret), "{secret} in the {place}");
        }
        // Bytes are told as numbers.
        assert!(!heard.text.contains(&format!("{:?}", secret.as_bytes())), "the bytes of {secret}");
    }
    for operation in
        ["connect", "ping", "prepare", "create_execution", "claim", "renew", "progress", "complete", "fail"]
    {
        assert!(heard.spans.contains(operation), "no span {operation}: {:?}", heard.spans);
        assert!(metrics.contains(&format!("\"{operation}\"")) || metrics.contains(operation), "{operation}");
    }
    assert!(heard.text.contains(&format!("execution_id={id}")), "the id of the execution");
    assert!(heard.text.contains(&format!("backend={backend:?}")), "the label of the backend");
    assert!(heard.text.contains("outcome=\"Contention(ExecutionNotActive)\""), "the code of a refusal");
    assert!(metrics.contains("Contention(ExecutionNotActive)") && metrics.contains("retryable"), "{metrics}");
    assert!(metrics.contains("fresh"), "claims by kind");
    assert!(metrics.contains("malformed"), "why a token was refused");
    for name in [
        "ff.tokens.refused",
        "ff.operations",
        "ff.operation.duration",
        "ff.operations.running",
        "ff.claims",
        "ff.pool.connections",
    ] {
        assert!(names.contains(name), "{name} is not in {names:?}");
    }
    for name in &names {
        assert!(PAGE.contains(&format!("| `{name}` |")), "docs/OPERATIONS.md does not list {name}");
    }
    Ok(())
}

#[tokio::test]
async fn postgres_shows_its_operations_and_no_secret() -> Tried {
    let (ear, instruments) = (Ear::default(), Instruments::new());
    let server = Servers::from_env().postgres?;
    let _permit = server.permit().await?;
    let name = format!("ffc_observe_{}", std::process::id());
    let url = server.create_database(&name, None).await?;
    let listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(ear.clone()));
    let password =
        url.split_once("://").and_then(|(_, rest)| rest.split_once('@')).and_then(|(user, _)| user.split_once(':'));
    let password = password.map(|(_, password)| password.to_owned());

    let config = BackendConfig::postgres(&url);
    PostgresBackend::migrate(&config).await?;
    let metrics = Arc::clone(&instruments.metrics);
    let engine = PostgresBackend::connect_with_metrics(config, PartitionConfig::default(), metrics).await?;
    let mut lived = live(&*engine).await?;
    let wrong = url.replace(password.as_deref().unwrap_or("//"), "planted-password");
    if let Err(error) = PostgresBackend::connect(BackendConfig::postgres(wrong)).await {
        lived.words.push_str(&format!("{error} {error:?}"));
    }
    drop(listening);
    judge("postgres", &lived, &ear, &instruments, password.as_deref())?;
    Ok(server.drop_database(&name).await?)
}

#[tokio::test]
async fn valkey_shows_its_operations_and_no_secret() -> Tried {
    let (ear, instruments) = (Ear::default(), Instruments::new());
    let slot = Servers::from_env().valkey?.take().await?;
    slot.flush().await?;
    let mut admin = redis::Client::open(slot.url.as_str())?.get_multiplexed_async_connection().await?;
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg("ff_observe").arg("on").arg(">planted-password").arg("~*").arg("&*").arg("+@all");
    user.query_async::<()>(&mut admin).await?;
    let listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(ear.clone()));

    let place = slot.url.rsplit_once('@').or_else(|| slot.url.split_once("://")).ok_or("a place")?.1;
    let config = BackendConfig::valkey(format!("redis://ff_observe:planted-password@{place}"));
    let metrics = Arc::clone(&instruments.metrics);
    let engine = ValkeyBackend::connect_with_metrics(config, PartitionConfig::default(), metrics).await?;
    let mut lived = live(&*engine).await?;
    let wrong = BackendConfig::valkey(format!("redis://nobody:planted-password@{place}"));
    if let Err(error) = ValkeyBackend::connect(wrong).await {
        lived.words.push_str(&format!("{error} {error:?}"));
    }
    drop(listening);
    judge("valkey", &lived, &ear, &instruments, None)?;
    redis::cmd("ACL").arg("DELUSER").arg("ff_observe").query_async::<()>(&mut admin).await?;
    Ok(slot.flush().await?)
}

/// Bytes of an operation's future, which each call makes and moves.
const ROOM: usize = 6 * 1024;

#[tokio::test]
async fn the_future_of_an_observed_operation_is_small() {
    let pool = sqlx::PgPool::connect_lazy("postgres://localhost/none").unwrap();
    let client = redis::Client::open("redis://localhost").unwrap();
    let backends: [Arc<dyn EngineBackend>; 2] = [
        PostgresBackend::from_pool(pool, PartitionConfig::default()),
        ValkeyBackend::from_client(client, PartitionConfig::default()),
    ];
    for backend in backends {
        let (lane, none) = (LaneId::try_new("lane").unwrap(), CapabilitySet::default());
        let (worker, instance) = (WorkerId::try_new("worker").unwrap(), WorkerInstanceId::try_new("worker-1").unwrap());
        let policy = ClaimPolicy::new(worker, instance, Duration::from_secs(1));
        let label = backend.backend_label();
        let handle = Handle::from_parts(BackendTag::try_new(label).unwrap(), HandleKind::Fresh, Vec::new());
        let rooms = [
            ("claim", size_of_val(&*backend.claim(&lane, &none, policy.clone()))),
            ("renew", size_of_val(&*backend.renew(&handle))),
            ("complete", size_of_val(&*backend.complete(&handle, None))),
            ("complete_and_claim", size_of_val(&*backend.complete_and_claim(&handle, None, &none, policy))),
        ];
        for (operation, room) in rooms {
            assert!(room <= ROOM, "{operation} on {label}: {room} bytes");
        }
    }
}
