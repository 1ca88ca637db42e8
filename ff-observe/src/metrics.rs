//! The instruments, and what is counted with them.

use std::{fmt, time::Duration};

use ff_core::{EngineError, Operation, TokenFault};
use opentelemetry::{
    KeyValue, Value,
    metrics::{Counter, Histogram, Meter, UpDownCounter},
};

use crate::answer::Counted;

/// Seconds; the store's round trip lies in the middle.
const LATENCY_BOUNDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The OpenTelemetry instruments of all backends of a process.
///
/// docs/OPERATIONS.md lists them with their attributes.
pub struct Metrics {
    meter: Meter,
    operations: Counter<u64>,
    duration: Histogram<f64>,
    running: UpDownCounter<i64>,
    claims: Counter<u64>,
    examined: Counter<u64>,
    changed: Counter<u64>,
    tokens_refused: Counter<u64>,
}

/// How a pool stands at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections that work.
    pub used: u64,
    /// Connections that rest.
    pub idle: u64,
    /// Connections at most.
    pub max: u64,
}

impl Metrics {
    /// The instruments of `meter`; without a reader behind it they cost next to nothing.
    #[must_use]
    pub fn new(meter: &Meter) -> Self {
        Self {
            operations: meter.u64_counter("ff.operations").with_description("Operations that ended").build(),
            duration: meter
                .f64_histogram("ff.operation.duration")
                .with_unit("s")
                .with_description("From the call of an operation to its answer")
                .with_boundaries(LATENCY_BOUNDS.to_vec())
                .build(),
            running: meter
                .i64_up_down_counter("ff.operations.running")
                .with_description("Operations under way")
                .build(),
            claims: meter.u64_counter("ff.claims").with_description("Leases that were handed out").build(),
            examined: meter.u64_counter("ff.scan.examined").with_description("Rows that scans looked at").build(),
            changed: meter.u64_counter("ff.scan.changed").with_description("Rows that scans changed").build(),
            tokens_refused: meter
                .u64_counter("ff.tokens.refused")
                .with_description("Tokens of waitpoints that were not valid")
                .build(),
            meter: meter.clone(),
        }
    }

    /// Tells at each collection how a pool stands, until `look` answers `None`.
    pub fn watch_pool(&self, backend: &'static str, look: impl Fn() -> Option<PoolUse> + Send + Sync + 'static) {
        self.meter
            .u64_observable_gauge("ff.pool.connections")
            .with_description("Connections of a pool")
            .with_callback(move |gauge| {
                let Some(pool) = look() else { return };
                for (state, count) in [("used", pool.used), ("idle", pool.idle), ("max", pool.max)] {
                    gauge.observe(count, &[KeyValue::new("backend", backend), KeyValue::new("state", state)]);
                }
            })
            .build();
    }

    pub(crate) fn begins(&self, backend: &'static str, op: Operation) -> Running<'_> {
        let attributes = [KeyValue::new("backend", backend), KeyValue::new("operation", op.as_str())];
        self.running.add(1, &attributes);
        Running { counter: &self.running, attributes }
    }

    pub(crate) fn ended(&self, backend: &'static str, op: Operation, error: Option<&EngineError>, took: Duration) {
        let (outcome, class) = error.map_or_else(
            || (Value::from("ok"), Value::from("ok")),
            |error| (error.code().into(), format!("{:?}", error.class()).to_lowercase().into()),
        );
        let attributes = [
            KeyValue::new("backend", backend),
            KeyValue::new("operation", op.as_str()),
            KeyValue::new("outcome", outcome),
            KeyValue::new("class", class),
        ];
        self.operations.add(1, &attributes);
        self.duration.record(took.as_secs_f64(), &attributes[..2]);
    }

    pub(crate) fn token_refused(&self, backend: &'static str, fault: TokenFault) {
        let attributes = [KeyValue::new("backend", backend), KeyValue::new("reason", fault.as_str())];
        self.tokens_refused.add(1, &attributes);
    }

    pub(crate) fn count(&self, backend: &'static str, op: Operation, counted: &Counted) {
        let backend = KeyValue::new("backend", backend);
        for (kind, number) in counted.claims() {
            let operation = KeyValue::new("operation", op.as_str());
            self.claims.add(number, &[backend.clone(), operation, KeyValue::new("kind", kind)]);
        }
        if let Some((examined, changed)) = counted.scanned {
            let scanner = KeyValue::new("scanner", counted.scanner.unwrap_or("all"));
            self.examined.add(examined, &[backend.clone(), scanner.clone()]);
            self.changed.add(changed, &[backend, scanner]);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// An operation under way; also one whose caller gave up ends.
pub(crate) struct Running<'m> {
    counter: &'m UpDownCounter<i64>,
    attributes: [KeyValue; 2],
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.counter.add(-1, &self.attributes);
    }
}
