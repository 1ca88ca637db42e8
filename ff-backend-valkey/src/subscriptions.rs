//! What happened, from a cursor.

mod hub;

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, CompletionBackend, CompletionEvent, CompletionStream, CompletionSubscription, Delivered, EngineError,
    EventFamily, LeaseEpoch, LeaseHistoryEvent, LeaseHistorySubscription, Operation, OperatorEvent,
    OperatorSubscription, ScannerFilter, SignalDeliveryEvent, SignalDeliverySubscription, StreamCursor, Subscription,
    Subscriptions,
};
use futures::{StreamExt, stream::try_unfold};
use tokio::sync::watch;

pub(crate) use hub::{Hub, stream};

use crate::{
    backend::{LABEL, ValkeyBackend},
    error::ValkeyError,
    executions::execution_id,
    fcall::{Call, Server},
    reply::{Items, Row},
};

/// Events that a page looks at.
const PAGE: u64 = 256;

#[ff_observe::observed]
#[async_trait]
impl Subscriptions for ValkeyBackend {
    async fn subscribe_lease_history(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<LeaseHistorySubscription, EngineError> {
        subscribe(self, &cursor, filter, Operation::SubscribeLeaseHistory).await
    }

    async fn subscribe_completion(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<CompletionSubscription, EngineError> {
        subscribe(self, &cursor, filter, Operation::SubscribeCompletion).await
    }

    async fn subscribe_operator_events(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<OperatorSubscription, EngineError> {
        subscribe(self, &cursor, filter, Operation::SubscribeOperatorEvents).await
    }

    async fn subscribe_signal_delivery(
        &self,
        cursor: StreamCursor,
        filter: &ScannerFilter,
    ) -> Result<SignalDeliverySubscription, EngineError> {
        subscribe(self, &cursor, filter, Operation::SubscribeSignalDelivery).await
    }
}

#[ff_observe::observed]
#[async_trait]
impl CompletionBackend for ValkeyBackend {
    async fn subscribe_completions(&self) -> Result<CompletionStream, EngineError> {
        completions(self, &ScannerFilter::new(), Operation::SubscribeCompletions).await
    }

    async fn subscribe_completions_filtered(&self, filter: &ScannerFilter) -> Result<CompletionStream, EngineError> {
        completions(self, filter, Operation::SubscribeCompletionsFiltered).await
    }
}

async fn completions(
    backend: &ValkeyBackend,
    filter: &ScannerFilter,
    op: Operation,
) -> Result<CompletionStream, EngineError> {
    let events = subscribe::<CompletionEvent>(backend, &StreamCursor::End, filter, op).await?;
    Ok(Box::pin(events.map(|item| item.map(|delivered| delivered.event))))
}

/// One family of events.
trait Family: Sized + Send + 'static {
    const NAME: EventFamily;
    fn read(row: &Row) -> Result<Self, EngineError>;
}

impl Family for LeaseHistoryEvent {
    const NAME: EventFamily = EventFamily::LeaseHistory;

    fn read(row: &Row) -> Result<Self, EngineError> {
        Ok(Self {
            execution_id: execution_id(&row.required::<String>("x")?)?,
            namespace: row.required("ns")?,
            kind: row.required("k")?,
            lease_id: row.required("li")?,
            lease_epoch: LeaseEpoch(row.required("e")?),
            attempt_index: AttemptIndex(row.required("i")?),
            worker_instance_id: row.required("wi")?,
            reason: row.optional("r")?,
            at: row.instant("at")?,
        })
    }
}

impl Family for CompletionEvent {
    const NAME: EventFamily = EventFamily::Completions;

    fn read(row: &Row) -> Result<Self, EngineError> {
        Ok(Self {
            execution_id: execution_id(&row.required::<String>("x")?)?,
            namespace: row.required("ns")?,
            outcome: row.required("o")?,
            at: row.instant("at")?,
        })
    }
}

impl Family for OperatorEvent {
    const NAME: EventFamily = EventFamily::OperatorEvents;

    fn read(row: &Row) -> Result<Self, EngineError> {
        Ok(Self {
            execution_id: execution_id(&row.required::<String>("x")?)?,
            namespace: row.required("ns")?,
            kind: row.required("k")?,
            detail: row.optional("d")?.unwrap_or_default(),
            at: row.instant("at")?,
        })
    }
}

impl Family for SignalDeliveryEvent {
    const NAME: EventFamily = EventFamily::SignalDeliveries;

    fn read(row: &Row) -> Result<Self, EngineError> {
        Ok(Self {
            execution_id: execution_id(&row.required::<String>("x")?)?,
            namespace: row.required("ns")?,
            waitpoint_id: row.required("w")?,
            signal_id: row.required("si")?,
            source_identity: row.optional("so")?.unwrap_or_default(),
            effect: row.required("ef")?,
            at: row.instant("at")?,
        })
    }
}

/// A place in a stream: the id of an event, and how many events were ever written up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    id: String,
    passed: u64,
}

impl Place {
    fn cursor(&self, family: EventFamily) -> StreamCursor {
        StreamCursor::seal(LABEL, family, &format!("{}/{}", self.id, self.passed))
    }

    /// The place that a cursor tells; the server knows where a stream starts and ends.
    fn of(cursor: &StreamCursor, family: EventFamily) -> Result<Self, EngineError> {
        let named = |name: &str| Ok(Self { id: name.to_owned(), passed: 0 });
        match cursor {
            StreamCursor::Start => named("start"),
            StreamCursor::End => named("end"),
            StreamCursor::At(content) => {
                let text = StreamCursor::unseal(content, LABEL, family)?;
                Self::parse(text).ok_or_else(|| EngineError::foreign_cursor(LABEL, family))
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, passed) = text.split_once('/')?;
        let (ms, number) = id.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
        (digits(ms) && digits(number) && digits(passed)).then_some(())?;
        // The functions count in doubles.
        let passed = passed.parse().ok().filter(|passed| *passed < 1 << 53)?;
        Some(Self { id: id.to_owned(), passed })
    }
}

/// One subscription; between two pages nothing is under way.
struct Reader<E> {
    server: Arc<Server>,
    /// The root, and the stream of the family.
    keys: [String; 2],
    told: watch::Receiver<()>,
    filter: ScannerFilter,
    op: Operation,
    /// Behind the last page.
    place: Place,
    page: VecDeque<Delivered<E>>,
    /// Behind the last event that was delivered, or where it began.
    cursor: StreamCursor,
}

async fn subscribe<E: Family>(
    backend: &ValkeyBackend,
    from: &StreamCursor,
    filter: &ScannerFilter,
    op: Operation,
) -> Result<Subscription<E>, EngineError> {
    filter.check()?;
    let mut reader = Reader::<E> {
        server: Arc::clone(&backend.server),
        keys: [backend.keys.root(), stream(&backend.keys, E::NAME)],
        // Joined before the place is resolved: whatever comes behind it is told.
        told: backend.hub.join(E::NAME, &backend.server),
        filter: filter.clone(),
        op,
        place: Place::of(from, E::NAME)?,
        page: VecDeque::new(),
        cursor: from.clone(),
    };
    reader.read(0).await?;
    reader.cursor = reader.place.cursor(E::NAME);
    Ok(Box::pin(try_unfold(reader, Reader::next)))
}

impl<E: Family> Reader<E> {
    async fn next(mut self) -> Result<Option<(Delivered<E>, Self)>, EngineError> {
        loop {
            if let Some(delivered) = self.page.pop_front() {
                self.cursor = delivered.cursor.clone();
                return Ok(Some((delivered, self)));
            }
            // What is told from here on wakes this reader.
            self.told.borrow_and_update();
            match self.read(PAGE).await {
                Ok(true) => {}
                Ok(false) => tokio::select! {
                    // The hub lives as long as its backend and this reader.
                    _ = self.told.changed() => {}
                    () = self.server.closed() => {}
                },
                Err(error) => return Err(EngineError::from(error).interrupting(&self.cursor)),
            }
        }
    }

    /// Reads the next page, of `most` events at most; false if there was nothing.
    async fn read(&mut self, most: u64) -> Result<bool, ValkeyError> {
        let call = Call::read(&format!("ff_{}", self.op), &self.keys)
            .arg(&self.place.id)
            .arg(self.place.passed)
            .arg(most)
            .filtered(&self.filter);
        let mut reply = Items::of(self.server.call(call).await?)?;
        match reply.text()?.as_str() {
            "page" => {}
            "too_old" => {
                let oldest = Place { id: "0-0".to_owned(), passed: reply.number()? };
                return Err(EngineError::cursor_too_old(&oldest.cursor(E::NAME)).into());
            }
            "foreign" => return Err(EngineError::foreign_cursor(LABEL, E::NAME).into()),
            other => return Err(ValkeyError::Reply(format!("{other:?} was not expected"))),
        }
        let place = Place { id: reply.text()?, passed: reply.number()? };
        let mut events = reply.items()?;
        while let Some(mut event) = events.next_items()? {
            let cursor = Place { id: event.text()?, passed: event.number()? }.cursor(E::NAME);
            self.page.push_back(Delivered { cursor, event: E::read(&event.hash()?)? });
        }
        let moved = place != self.place;
        self.place = place;
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_cursor() {
        let place = Place { id: "1700000000000-3".to_owned(), passed: 12 };
        let cursor = place.cursor(EventFamily::Completions);
        assert_eq!(Place::of(&cursor, EventFamily::Completions), Ok(place));
        assert!(Place::of(&cursor, EventFamily::LeaseHistory).is_err());
        for text in ["", "1-1", "1/1", "1-1/", "-1/1", "1-x/1", "1-1/9007199254740992", "+1-1/1", "1-1/1/1"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
