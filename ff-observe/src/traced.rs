//! Which of its ids an argument shows in a span. What is not an id is not shown.

use std::time::Duration;

use ff_core::{
    AttemptIndex, CancelExecutionArgs, CapabilitySet, ChangePriorityArgs, ClaimExecutionArgs, ClaimForWorkerArgs,
    ClaimPolicy, CompleteArgs, CreateExecutionArgs, DeliverSignalArgs, ExecutionId, FailureClass, FailureReason,
    Handle, LaneId, LeaseFence, ListPendingWaitpointsArgs, PageLimit, ReplayExecutionArgs, ResumeExecutionArgs,
    RevokeLeaseArgs, RotateWaitpointHmacSecretAllArgs, ScanArgs, ScannerFilter, SeedWaitpointHmacSecretArgs,
    SetExecutionTagArgs, StreamCursor, SuspendArgs, SuspendedCursor, TimestampMs,
};
use tracing::{Span, field::display};

/// An argument of an operation. Every type that an operation takes is listed here, with the ids that it shows.
pub trait Traced {
    /// Writes ids into the fields of `span`.
    fn trace(&self, span: &Span, backend: &str);

    /// The scanner that it names.
    fn scanner(&self) -> Option<&'static str> {
        None
    }
}

/// Arguments by the ids that they show.
macro_rules! traced {
    ($($argument:ty { $($field:literal = $id:ident $(. $part:ident)*),* $(,)? })*) => { $(
        impl Traced for $argument {
            fn trace(&self, span: &Span, _backend: &str) {
                let _shown: &Span = span;
                $(span.record($field, display(&self.$id$(.$part)*));)*
            }
        }
    )* };
}

traced! {
    CreateExecutionArgs { "execution_id" = execution_id, "lane_id" = lane_id, "namespace" = namespace }
    CancelExecutionArgs { "execution_id" = execution_id }
    ChangePriorityArgs { "execution_id" = execution_id }
    ReplayExecutionArgs { "execution_id" = execution_id }
    SetExecutionTagArgs { "execution_id" = execution_id }
    RevokeLeaseArgs { "execution_id" = execution_id }
    ClaimPolicy { "worker_id" = worker_id, "worker_instance_id" = worker_instance_id }
    ClaimForWorkerArgs {
        "lane_id" = lane_id, "worker_id" = worker_id, "worker_instance_id" = worker_instance_id,
    }
    ClaimExecutionArgs {
        "execution_id" = grant.execution_id, "worker_id" = worker_id, "worker_instance_id" = worker_instance_id,
    }
    DeliverSignalArgs { "execution_id" = execution_id }
    ResumeExecutionArgs { "execution_id" = execution_id }
    ListPendingWaitpointsArgs { "execution_id" = execution_id }
    // Content, limits, and what could grant a right: nothing of it is shown.
    CapabilitySet {}
    FailureReason {}
    FailureClass {}
    PageLimit {}
    StreamCursor {}
    TimestampMs {}
    Duration {}
    Option<Vec<u8>> {}
    Option<String> {}
    Option<u8> {}
    Option<ExecutionId> {}
    Option<LaneId> {}
    Option<AttemptIndex> {}
    Option<SuspendedCursor> {}
    SuspendArgs {}
    SeedWaitpointHmacSecretArgs {}
    RotateWaitpointHmacSecretAllArgs {}
    str {}
}

impl<T: Traced + ?Sized> Traced for &T {
    fn trace(&self, span: &Span, backend: &str) {
        (**self).trace(span, backend);
    }
}

impl Traced for ExecutionId {
    fn trace(&self, span: &Span, _backend: &str) {
        span.record("execution_id", display(self));
    }
}

impl Traced for LaneId {
    fn trace(&self, span: &Span, _backend: &str) {
        span.record("lane_id", display(self));
    }
}

impl Traced for Handle {
    fn trace(&self, span: &Span, backend: &str) {
        // The lease and the attempt would let a reader forge the handle.
        if let Ok(payload) = self.decode(backend) {
            span.record("execution_id", display(payload.execution_id));
            span.record("attempt_index", payload.attempt_index.0);
            span.record("lease_epoch", payload.fence.lease_epoch.0);
        }
    }
}

impl Traced for LeaseFence {
    fn trace(&self, span: &Span, _backend: &str) {
        // The lease and the attempt would let a reader forge a call.
        span.record("lease_epoch", self.lease_epoch.0);
    }
}

impl Traced for ScannerFilter {
    fn trace(&self, span: &Span, _backend: &str) {
        if let Some(namespace) = &self.namespace {
            span.record("namespace", display(namespace));
        }
    }
}

impl Traced for ScanArgs {
    fn trace(&self, span: &Span, backend: &str) {
        span.record("scanner", self.scanner.as_str());
        self.filter.trace(span, backend);
    }

    fn scanner(&self) -> Option<&'static str> {
        Some(self.scanner.as_str())
    }
}

/// A batch is told by its size, and by the ids of its one item if it has only one.
macro_rules! batches {
    ($($batch:ty),*) => { $(
        impl Traced for $batch {
            fn trace(&self, span: &Span, backend: &str) {
                span.record("items", self.len());
                if let [only] = &self[..] {
                    only.trace(span, backend);
                }
            }
        }
    )* };
}

batches!(Vec<CreateExecutionArgs>, Vec<CompleteArgs>, [Handle]);

impl Traced for CompleteArgs {
    fn trace(&self, span: &Span, backend: &str) {
        self.handle.trace(span, backend);
    }
}
