//! What happened, from a cursor.

use async_trait::async_trait;
use ff_core::{
    CompletionBackend, CompletionStream, CompletionSubscription, EngineError, LeaseHistorySubscription, Operation,
    OperatorSubscription, ScannerFilter, StreamCursor, Subscriptions,
};

use crate::PostgresBackend;

#[ff_observe::observed]
#[async_trait]
impl Subscriptions for PostgresBackend {
    async fn subscribe_lease_history(
        &self,
        _cursor: StreamCursor,
        _filter: &ScannerFilter,
    ) -> Result<LeaseHistorySubscription, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeLeaseHistory))
    }

    async fn subscribe_completion(
        &self,
        _cursor: StreamCursor,
        _filter: &ScannerFilter,
    ) -> Result<CompletionSubscription, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeCompletion))
    }

    async fn subscribe_operator_events(
        &self,
        _cursor: StreamCursor,
        _filter: &ScannerFilter,
    ) -> Result<OperatorSubscription, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeOperatorEvents))
    }
}

#[ff_observe::observed]
#[async_trait]
impl CompletionBackend for PostgresBackend {
    async fn subscribe_completions(&self) -> Result<CompletionStream, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeCompletions))
    }

    async fn subscribe_completions_filtered(&self, _filter: &ScannerFilter) -> Result<CompletionStream, EngineError> {
        Err(EngineError::unavailable(Operation::SubscribeCompletionsFiltered))
    }
}
