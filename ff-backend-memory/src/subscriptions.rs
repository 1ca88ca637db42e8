//! What happened, from a cursor, on the memory backend.

use std::{collections::VecDeque, pin::pin};

use async_trait::async_trait;
use ff_core::{
    CompletionBackend, CompletionEvent, CompletionStream, CompletionSubscription, Delivered, EngineError,
    LeaseHistorySubscription, OperatorSubscription, ScannerFilter, SignalDeliverySubscription, StreamCursor,
    Subscription, Subscriptions,
};
use futures::{StreamExt, stream::try_unfold};

#[cfg(feature = "flaws")]
use crate::flaw;
use crate::{
    MemoryBackend,
    apply::subscriptions::{Family, cursor, page, resolve},
};

#[async_trait]
impl Subscriptions for MemoryBackend {
    async fn subscribe_lease_history(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<LeaseHistorySubscription, EngineError> {
        subscribe(self, &cursor, filter)
    }

    async fn subscribe_completion(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<CompletionSubscription, EngineError> {
        subscribe(self, &cursor, filter)
    }

    async fn subscribe_operator_events(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<OperatorSubscription, EngineError> {
        subscribe(self, &cursor, filter)
    }

    async fn subscribe_signal_delivery(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<SignalDeliverySubscription, EngineError> {
        subscribe(self, &cursor, filter)
    }
}

#[async_trait]
impl CompletionBackend for MemoryBackend {
    async fn subscribe_completions(&self) -> Result<CompletionStream, EngineError> {
        self.subscribe_completions_filtered(&ScannerFilter::new()).await
    }

    async fn subscribe_completions_filtered(&self, filter: &ScannerFilter) -> Result<CompletionStream, EngineError> {
        let events = subscribe::<CompletionEvent>(self, &StreamCursor::End, filter)?;
        Ok(Box::pin(events.map(|item| item.map(|delivered| delivered.event))))
    }
}

/// One subscription; it holds no lock between two pages.
struct Reader<E> {
    client: MemoryBackend,
    filter: ScannerFilter,
    /// Events of the log that lie before the next page.
    passed: usize,
    page: VecDeque<Delivered<E>>,
    /// Behind the last event that was delivered, or where it began.
    cursor: StreamCursor,
}

fn subscribe<E: Family>(
    client: &MemoryBackend,
    from: &StreamCursor,
    filter: &ScannerFilter,
) -> Result<Subscription<E>, EngineError> {
    filter.check()?;
    #[cfg(feature = "flaws")]
    let filter = &flaw::filtered(client, filter);
    let passed = client.look(|state| resolve::<E>(state, from));
    #[cfg(feature = "flaws")]
    let passed = flaw::begun(client, passed);
    let passed = passed?;
    let client = client.handle();
    let reader = Reader { client, filter: filter.clone(), passed, page: VecDeque::new(), cursor: cursor::<E>(passed) };
    Ok(Box::pin(try_unfold(reader, Reader::next)))
}

impl<E: Family> Reader<E> {
    async fn next(mut self) -> Result<Option<(Delivered<E>, Self)>, EngineError> {
        loop {
            if let Some(delivered) = self.page.pop_front() {
                self.cursor = delivered.cursor.clone();
                return Ok(Some((delivered, self)));
            }
            // Registered before the look: what is told after it wakes this reader.
            let mut told = pin!(self.client.told().notified());
            told.as_mut().enable();
            let next = self.client.look(|state| page::<E>(state, self.passed, &self.filter));
            #[cfg(feature = "flaws")]
            if next.is_err() && flaw::ends_silently(&self.client) {
                return Ok(None);
            }
            let (page, passed) = next.map_err(|error| error.interrupting(&self.cursor))?;
            if passed == self.passed {
                told.await;
            }
            #[cfg(feature = "flaws")]
            let (page, passed) = behind_the_latest(&self.client, page, passed).await;
            (self.page, self.passed) = (page.into(), passed);
        }
    }
}

/// A page whose last cursor says what its reader believes.
#[cfg(feature = "flaws")]
async fn behind_the_latest<E: Family>(
    client: &MemoryBackend,
    mut page: Vec<Delivered<E>>,
    passed: usize,
) -> (Vec<Delivered<E>>, usize) {
    let believed = crate::flaw::skipped::<E>(client, passed).await;
    if let Some(last) = page.last_mut().filter(|_| believed != passed) {
        last.cursor = cursor::<E>(believed);
    }
    (page, believed)
}
