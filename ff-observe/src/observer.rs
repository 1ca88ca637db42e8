//! What stands beside one backend and sees its operations.

use std::{sync::Arc, time::Instant};

use ff_core::{EngineError, Operation, TokenFault};
use tracing::{Instrument, Span};

use crate::{Answer, Metrics};

/// What sees every operation of one backend.
#[derive(Clone, Debug)]
pub struct Observer {
    backend: &'static str,
    metrics: Option<Arc<Metrics>>,
}

impl Observer {
    /// Spans only.
    #[must_use]
    pub const fn new(backend: &'static str) -> Self {
        Self { backend, metrics: None }
    }

    /// Spans and metrics.
    #[must_use]
    pub const fn with_metrics(backend: &'static str, metrics: Arc<Metrics>) -> Self {
        Self { backend, metrics: Some(metrics) }
    }

    /// The label of the backend.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        self.backend
    }

    /// Counts a token that was not valid by the reason, which its bearer is not told.
    pub fn token_refused(&self, fault: TokenFault) {
        if let Some(metrics) = &self.metrics {
            metrics.token_refused(self.backend, fault);
        }
    }

    /// The instruments, if there are any.
    #[must_use]
    pub const fn metrics(&self) -> Option<&Arc<Metrics>> {
        self.metrics.as_ref()
    }
}

/// The span of an operation, named after it; its fields are empty until an argument fills them.
#[doc(hidden)]
#[macro_export]
macro_rules! span {
    ($name:literal, $observer:expr) => {
        $crate::tracing::info_span!(
            target: "ff",
            $name,
            backend = $observer.backend(),
            execution_id = $crate::tracing::field::Empty,
            lane_id = $crate::tracing::field::Empty,
            namespace = $crate::tracing::field::Empty,
            worker_id = $crate::tracing::field::Empty,
            worker_instance_id = $crate::tracing::field::Empty,
            attempt_index = $crate::tracing::field::Empty,
            lease_epoch = $crate::tracing::field::Empty,
            scanner = $crate::tracing::field::Empty,
            items = $crate::tracing::field::Empty,
            outcome = $crate::tracing::field::Empty,
            class = $crate::tracing::field::Empty,
        )
    };
}

/// Does `work` in `span`, and tells the span and the instruments what came of it.
///
/// Without a subscriber and without instruments it does nothing else.
///
/// # Errors
/// Those of `work`.
pub async fn watch<T: Answer>(
    observer: &Observer,
    op: Operation,
    scanner: Option<&'static str>,
    span: Span,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    match &observer.metrics {
        None if span.is_disabled() => work.await,
        None => traced(&span, work).await,
        Some(metrics) => {
            let running = metrics.begins(observer.backend, op);
            #[expect(clippy::disallowed_methods, reason = "a length of time is measured; nothing follows from it")]
            let begun = Instant::now();
            let answer = traced(&span, work).await;
            drop(running);
            metrics.ended(observer.backend, op, answer.as_ref().err(), begun.elapsed());
            if let Some(mut counted) = answer.as_ref().ok().and_then(Answer::counted) {
                counted.scanner = scanner;
                metrics.count(observer.backend, op, &counted);
            }
            answer
        }
    }
}

async fn traced<T>(span: &Span, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    let answer = work.instrument(span.clone()).await;
    if !span.is_disabled() {
        match &answer {
            Ok(_) => {
                span.record("outcome", "ok");
            }
            Err(error) => {
                span.record("outcome", error.code());
                span.record("class", tracing::field::debug(error.class()));
            }
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use ff_core::ScanReport;
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::{
        InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData},
    };

    use super::*;

    struct Bench {
        exporter: InMemoryMetricExporter,
        provider: SdkMeterProvider,
        observer: Observer,
    }

    impl Bench {
        fn new() -> Self {
            let exporter = InMemoryMetricExporter::default();
            let reader = PeriodicReader::builder(exporter.clone()).build();
            let provider = SdkMeterProvider::builder().with_reader(reader).build();
            let observer = Observer::with_metrics("test", Arc::new(Metrics::new(&provider.meter("test"))));
            Self { exporter, provider, observer }
        }

        /// Begins an operation and looks at it once.
        fn look<T: Answer>(&self, op: Operation, work: impl Future<Output = Result<T, EngineError>>) -> bool {
            let watched = pin!(watch(&self.observer, op, Some("retention"), Span::none(), work));
            let looked = watched.poll(&mut Context::from_waker(Waker::noop()));
            matches!(looked, Poll::Ready(_))
        }

        /// The sum of a counter, with its attributes.
        fn sum(&self, name: &str) -> (i64, String) {
            self.provider.force_flush().unwrap();
            let told = self.exporter.get_finished_metrics().unwrap();
            let all = told.last().unwrap().scope_metrics().flat_map(|scope| scope.metrics());
            let metric = all.into_iter().find(|metric| metric.name() == name).expect("the instrument");
            let text = format!("{metric:?}");
            let sum = match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    sum.data_points().map(|point| i64::try_from(point.value()).unwrap()).sum()
                }
                AggregatedMetrics::I64(MetricData::Sum(sum)) => sum.data_points().map(|point| point.value()).sum(),
                other => panic!("{other:?}"),
            };
            (sum, text)
        }
    }

    #[test]
    fn the_work_of_scans_is_counted_by_scanner() {
        let bench = Bench::new();
        let report = ScanReport { examined: 7, changed: 3, next_cursor: None };
        assert!(bench.look(Operation::Scan, async { Ok(report) }));
        let (examined, text) = bench.sum("ff.scan.examined");
        assert_eq!((examined, bench.sum("ff.scan.changed").0), (7, 3));
        assert!(text.contains("retention"), "{text}");
    }

    #[test]
    fn tokens_that_are_not_valid_are_counted_by_reason() {
        let bench = Bench::new();
        bench.observer.token_refused(TokenFault::Expired);
        bench.observer.token_refused(TokenFault::Mismatch);
        let (count, text) = bench.sum("ff.tokens.refused");
        assert_eq!(count, 2);
        assert!(text.contains("expired") && text.contains("mismatch"), "{text}");
    }

    #[test]
    fn an_operation_whose_caller_gave_up_is_not_running() {
        let bench = Bench::new();
        assert!(!bench.look(Operation::Renew, std::future::pending::<Result<(), EngineError>>()));
        assert_eq!(bench.sum("ff.operations.running").0, 0);
    }

    #[test]
    fn a_refusal_is_counted_by_its_code_and_class() {
        let bench = Bench::new();
        assert!(bench.look(Operation::Renew, async { Err::<(), _>(EngineError::contention()) }));
        let (count, text) = bench.sum("ff.operations");
        assert_eq!(count, 1);
        assert!(text.contains("Contention(LeaseConflict)") && text.contains("retryable"), "{text}");
    }
}
