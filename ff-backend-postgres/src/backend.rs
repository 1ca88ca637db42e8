//! The engine itself: connections, the check of the store, and its lifecycle.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use ff_core::{
    BackendConfig, BackendTimeouts, Background, Capabilities, Durability, EngineBackend, EngineError, Handle, LaneId,
    Limits, Operation, PartitionConfig, PrepareOutcome, RetentionConfig, ScannerConfig,
};
use ff_observe::{Metrics, Observer, watch};
use sqlx::{PgConnection, PgPool, Row, migrate::Migrate, postgres::PgRow};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    attempts::Ends,
    capabilities::{LABEL, capabilities, durability},
    claims::Crowds,
    config,
    error::PgError,
    id::{StoredId, stored},
    notify::Wakes,
    subscriptions::Hub,
    tx::{GRACE, Sender},
    waitpoints::Keys,
};

/// The version of the schema that this client is written for.
const CLIENT_VERSION: i32 = 1;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The execution engine on a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresBackend {
    sender: Arc<Sender>,
    partitions: PartitionConfig,
    capabilities: Capabilities,
    /// Set once the store was found to fit this client.
    checked: OnceCell<()>,
    observer: Observer,
    retention: RetentionConfig,
    background: OnceLock<Background>,
    hub: Arc<Hub>,
    wakes: Arc<Wakes>,
    keys: Keys,
    crowds: Crowds,
    ends: Ends,
}

impl PostgresBackend {
    /// What a session needs for statements that are always right and always fast: read committed rows, and generic
    /// plans that go by an index whatever the statistics said when they were made.
    pub const SESSION_SETTINGS: [(&str, &str); 8] = [
        ("default_transaction_isolation", "read committed"),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("jit", "off"),
        ("timezone", "UTC"),
    ];

    /// Connects to a migrated database and checks that its schema fits this client.
    ///
    /// # Errors
    /// `Unavailable(Connect)` for the configuration of another backend; `Validation(InvalidInput)` if the schema is
    /// missing, too new or too old, with the command to run, or if the store has another number of partitions;
    /// `Transport` if the server cannot be reached.
    pub async fn connect(config: BackendConfig) -> Result<Arc<dyn EngineBackend>, EngineError> {
        let backend: Arc<dyn EngineBackend> = Self::open(config, Observer::new(LABEL)).await?;
        Ok(backend)
    }

    /// The same with `partition_config` in place of the one in `config`, and with instruments.
    ///
    /// # Errors
    /// Those of [`Self::connect`].
    pub async fn connect_with_metrics(
        config: BackendConfig,
        partition_config: PartitionConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, EngineError> {
        let backend = Self::open(config.partitions(partition_config), Observer::with_metrics(LABEL, metrics)).await?;
        if let Some(metrics) = backend.observer.metrics() {
            backend.sender.show_pool(metrics);
        }
        Ok(backend)
    }

    async fn open(config: BackendConfig, observer: Observer) -> Result<Arc<Self>, EngineError> {
        let span = ff_observe::span!("connect", observer);
        let seen = observer.clone();
        // Boxed, or the callers of a caller would reach the compiler's limit for nested futures.
        watch(&seen, Operation::Connect, None, span, Box::pin(Self::reach(config, observer))).await
    }

    async fn reach(config: BackendConfig, observer: Observer) -> Result<Arc<Self>, EngineError> {
        let connection = config::arm(&config)?;
        let opened = async {
            let pool = config::pool(connection, &config.timeouts)?;
            let sender = Sender::new(pool, config.timeouts.request).signing(connection.credentials.clone());
            let check = Box::pin(async {
                match check_store(&sender, config.partitions).await {
                    Err(refusal) if config::go_plain(connection, sender.pool(), &refusal) => {
                        check_store(&sender, config.partitions).await
                    }
                    answer => answer,
                }
            });
            let durability = tokio::time::timeout(config.timeouts.connect.saturating_add(GRACE), check)
                .await
                .map_err(|_| PgError::Acquire(sqlx::Error::PoolTimedOut))??;
            Ok::<_, PgError>((sender, durability))
        };
        let (sender, durability) = opened.await.map_err(|error| error.at(Operation::Connect))?;
        let wakes = Wakes::new();
        let mut backend = Arc::new(Self {
            sender: Arc::new(sender),
            partitions: config.partitions,
            capabilities: capabilities(config.partitions, durability),
            checked: OnceCell::new_with(Some(())),
            observer,
            hub: Hub::new(Arc::clone(&wakes)),
            wakes,
            keys: Keys::default(),
            crowds: Crowds::default(),
            ends: Ends::default(),
            retention: config.retention,
            background: OnceLock::new(),
        });
        if let Some(scanners) = config.scanners {
            backend.with_scanners(scanners);
        }
        Ok(backend)
    }

    /// The engine on a pool of the caller's, without any I/O; the first operation checks the schema.
    ///
    /// The sessions of the pool are the caller's: with [`Self::SESSION_SETTINGS`] and a `search_path` that leads to the
    /// engine's tables. `partitions` is the number that the store has, or gets if it has none yet. Nothing is declared
    /// of its durability.
    #[must_use]
    pub fn from_pool(pool: PgPool, partitions: PartitionConfig) -> Arc<Self> {
        let (wakes, sender) = (Wakes::new(), Sender::new(pool, BackendTimeouts::default().request));
        sender.share_pool();
        Arc::new(Self {
            sender: Arc::new(sender),
            partitions,
            capabilities: capabilities(partitions, Durability::None),
            checked: OnceCell::new(),
            observer: Observer::new(LABEL),
            retention: RetentionConfig::default(),
            background: OnceLock::new(),
            hub: Hub::new(Arc::clone(&wakes)),
            wakes,
            keys: Keys::default(),
            crowds: Crowds::default(),
            ends: Ends::default(),
        })
    }

    /// Starts the background loops of this backend, which end with it; a runtime must be there.
    ///
    /// False, and nothing is started, if the `Arc` has clones or the loops run already. `BackendConfig::scanners` has no
    /// such condition.
    pub fn with_scanners(self: &mut Arc<Self>, config: ScannerConfig) -> bool {
        Arc::get_mut(self).is_some() && self.background.set(Background::start(&Arc::downgrade(self), &config)).is_ok()
    }

    /// The pool. From the first call on the backend keeps no connection of it between two statements, so that others
    /// never wait for one that rests; each statement then costs the pool's own round trip as well.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.sender.share_pool();
        self.sender.pool()
    }

    /// Makes the engine's tables, or brings them to this version; makes the schema too if it is not there.
    ///
    /// Safe to repeat and to call from many processes at once.
    ///
    /// # Errors
    /// `Unavailable(Connect)` for the configuration of another backend; `Validation(InvalidInput)` if the store was
    /// migrated by a newer version; `Transport` if the server cannot be reached or refuses.
    pub async fn migrate(config: &BackendConfig) -> Result<PrepareOutcome, EngineError> {
        let connection = config::arm(config)?;
        let done = async {
            let mut conn = tokio::time::timeout(config.timeouts.connect, config::alone(connection))
                .await
                .map_err(|_| PgError::Acquire(sqlx::Error::PoolTimedOut))??;
            migrate(&mut conn, &connection.schema, config.partitions).await
        };
        Box::pin(done).await.map_err(|error| error.at(Operation::Prepare))
    }

    /// A short text that migrations with other texts do not have, for names of databases that were migrated once.
    #[must_use]
    pub fn schema_digest() -> String {
        let bytes = MIGRATOR.iter().flat_map(|migration| migration.sql.as_str().bytes());
        let digest = bytes.fold(0_u64, |sum, byte| sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
        format!("{digest:016x}")
    }

    /// The way to a store that fits this client.
    pub(crate) async fn store(&self) -> Result<&Arc<Sender>, PgError> {
        if self.checked.get().is_none() {
            let check = || async { check_store(&self.sender, self.partitions).await.map(drop) };
            // Apart: every operation would have room for it.
            Box::pin(self.checked.get_or_try_init(check)).await?;
        }
        Ok(&self.sender)
    }

    /// What sees the operations.
    pub(crate) const fn observer(&self) -> &Observer {
        &self.observer
    }

    pub(crate) const fn retention(&self) -> RetentionConfig {
        self.retention
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn wakes(&self) -> &Arc<Wakes> {
        &self.wakes
    }

    pub(crate) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) const fn crowds(&self) -> &Crowds {
        &self.crowds
    }

    pub(crate) const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Wakes the claims that wait in the lane of a row that was written, if the statement saw any.
    pub(crate) fn wake(&self, row: &PgRow) -> Result<(), PgError> {
        if let Some(lane) = row.try_get::<Option<&str>, _>("awaited")? {
            self.wakes.wake(lane, &self.sender);
        }
        Ok(())
    }

    /// Wakes who waits for executions to end, if the statement ended one and saw that somebody does.
    pub(crate) fn wake_subscribers(&self, row: &PgRow) -> Result<(), PgError> {
        if row.try_get("listened")? {
            self.wakes.wake_subscribers(&self.sender);
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.capabilities.limits
    }

    /// What a handle of this backend says.
    pub(crate) fn holder(&self, handle: &Handle) -> Result<Holder, EngineError> {
        let payload = handle.decode(LABEL)?;
        payload.execution_id.check_partition(self.limits().partitions)?;
        let ttl_ms = u64::try_from(payload.lease_ttl.as_millis()).unwrap_or(u64::MAX).min(Limits::DURATION_MS);
        Ok(Holder {
            id: stored(&payload.execution_id),
            lease_id: payload.fence.lease_id.as_uuid(),
            // An epoch that no column holds is nobody's.
            lease_epoch: i64::try_from(payload.fence.lease_epoch.0).unwrap_or(i64::MAX),
            attempt_id: payload.fence.attempt_id.as_uuid(),
            attempt_index: i64::from(payload.attempt_index.0),
            ttl_ms: i64::try_from(ttl_ms).unwrap_or(i64::MAX),
            lane: payload.lane_id,
        })
    }
}

/// The content of a handle as statements take it.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) id: StoredId,
    pub(crate) lease_id: Uuid,
    pub(crate) lease_epoch: i64,
    pub(crate) attempt_id: Uuid,
    pub(crate) attempt_index: i64,
    pub(crate) ttl_ms: i64,
    pub(crate) lane: LaneId,
}

#[ff_observe::observed]
#[async_trait]
impl EngineBackend for PostgresBackend {
    fn backend_label(&self) -> &'static str {
        LABEL
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn ping(&self) -> Result<(), EngineError> {
        let answer = self.sender.row(|| sqlx::query("SELECT 1")).await;
        answer.map(drop).map_err(|error| error.at(Operation::Ping))
    }

    async fn prepare(&self) -> Result<PrepareOutcome, EngineError> {
        let check = check_store(&self.sender, self.partitions).await;
        check.map_err(|error| error.at(Operation::Prepare))?;
        Ok(PrepareOutcome::NoOp)
    }

    async fn shutdown_prepare(&self, grace: Duration) -> Result<(), EngineError> {
        let closed = async {
            let drained = async {
                if let Some(background) = self.background.get() {
                    background.drain().await;
                }
            };
            tokio::join!(self.sender.close(), drained)
        };
        let _ = tokio::time::timeout(grace, closed).await;
        Ok(())
    }
}

/// Finds that the store fits this client and has `partitions`, and says how durable it is.
async fn check_store(sender: &Sender, partitions: PartitionConfig) -> Result<Durability, PgError> {
    let count = i32::from(partitions.count().get());
    let mut row = read_store(sender).await?;
    if row.try_get::<Option<i32>, _>("partitions")?.is_none() {
        sender.rows(|| sqlx::query(include_str!("backend/set_partitions.sql")).bind(count)).await?;
        row = read_store(sender).await?;
    }
    let cluster: Option<i64> = row.try_get("system_identifier")?;
    if cluster.is_some() && read_cluster(sender).await?.is_some_and(|here| Some(here) != cluster) {
        return Err(unfit("the store was restored from another server, where its cursors were made", MIGRATE_HERE));
    }
    let stored: i32 = row.try_get("partitions")?;
    if stored != count {
        let remedy = format!("configure {stored}");
        return Err(unfit(&format!("partitions: {count} configured, {stored} in the store"), &remedy));
    }
    let pause = Duration::from_millis(row.try_get::<i64, _>("wal_writer_delay_ms")?.unsigned_abs());
    Ok(durability(row.try_get("fsync")?, row.try_get("synchronous_commit")?, pause))
}

/// The row of the store, if its schema fits this client and the session reads committed rows.
async fn read_store(sender: &Sender) -> Result<PgRow, PgError> {
    let answer = sender.row(|| sqlx::query(include_str!("backend/read_store.sql"))).await;
    let missing = answer.as_ref().is_err_and(|error| error.has_code(&["42P01", "42703", "3F000"]));
    let row = if missing { None } else { answer? };
    let Some(row) = row else {
        return Err(unfit("the schema of the engine is missing", MIGRATE));
    };
    let (version, oldest): (i32, i32) = (row.try_get("version")?, row.try_get("oldest_client")?);
    if version < CLIENT_VERSION {
        return Err(unfit(&format!("the schema has version {version}, this client needs {CLIENT_VERSION}"), MIGRATE));
    }
    if oldest > CLIENT_VERSION {
        let needed = format!("use a version of ff-backend-postgres for schema {oldest} or later");
        return Err(unfit(
            &format!("the schema refuses clients older than {oldest}, this is {CLIENT_VERSION}"),
            &needed,
        ));
    }
    let isolation: &str = row.try_get("isolation")?;
    if isolation != "read committed" {
        let setting = "set default_transaction_isolation = 'read committed' for the sessions of the pool";
        return Err(unfit(&format!("the sessions of the pool are {isolation}"), setting));
    }
    Ok(row)
}

/// The cluster of the session, if the role may know.
async fn read_cluster(sender: &Sender) -> Result<Option<i64>, PgError> {
    match sender.row(|| sqlx::query(include_str!("backend/read_cluster.sql"))).await {
        Err(error) if error.has_code(&["42501"]) => Ok(None),
        answer => Ok(answer?.map(|row| row.try_get("system_identifier")).transpose()?),
    }
}

const MIGRATE_HERE: &str = "run `ff-conformance migrate --url …`, which lets its events go on from here";

const MIGRATE: &str = "run `ff-conformance migrate --url …` or `sqlx migrate run`";

fn unfit(found: &str, remedy: &str) -> PgError {
    EngineError::invalid_input(format!("{found}: {remedy}")).into()
}

async fn migrate(
    conn: &mut PgConnection,
    schema: &str,
    partitions: PartitionConfig,
) -> Result<PrepareOutcome, PgError> {
    // Held until the connection ends: of many at once, only the one that migrates says so.
    conn.lock().await?;
    let exists =
        sqlx::query("SELECT FROM pg_namespace WHERE nspname = $1").bind(schema).fetch_optional(&mut *conn).await?;
    if exists.is_none() {
        conn.create_schema_if_not_exists(&config::quoted(schema)).await?;
    }
    let before = applied(conn).await?;
    // Not `run`: the future of that form may not go to another thread.
    MIGRATOR.run_direct(None, conn, false).await?;
    sqlx::query(include_str!("backend/set_partitions.sql"))
        .bind(i32::from(partitions.count().get()))
        .execute(&mut *conn)
        .await?;
    let (after, taken) = (applied(conn).await?, take_over(conn).await?);
    let mut done = Vec::new();
    if before != after {
        done.push(format!("{} migrations applied", after - before));
    }
    if taken {
        done.push("events of another server taken over".to_owned());
    }
    Ok(if done.is_empty() { PrepareOutcome::NoOp } else { PrepareOutcome::Applied { description: done.join(", ") } })
}

/// Makes the events of a store this cluster's own; true if they came from another.
async fn take_over(conn: &mut PgConnection) -> Result<bool, PgError> {
    let cluster = match sqlx::query(include_str!("backend/read_cluster.sql")).fetch_one(&mut *conn).await {
        Err(error) if error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("42501")) => {
            return Ok(false);
        }
        row => row?.try_get::<i64, _>("system_identifier")?,
    };
    let taken = sqlx::query(include_str!("backend/take_over.sql")).bind(cluster).fetch_one(&mut *conn).await?;
    Ok(taken.try_get::<i64, _>("taken")? > 0)
}

/// How many migrations the schema has.
async fn applied(conn: &mut PgConnection) -> Result<i64, PgError> {
    let table = sqlx::query("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *conn).await?;
    if !table.try_get::<bool, _>(0)? {
        return Ok(0);
    }
    let count = sqlx::query("SELECT count(*) FROM _sqlx_migrations WHERE success").fetch_one(&mut *conn).await?;
    Ok(count.try_get(0)?)
}
