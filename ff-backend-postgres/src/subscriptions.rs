//! What happened, from a cursor.

mod hub;
mod place;

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, CompletionBackend, CompletionEvent, CompletionStream, CompletionSubscription, Delivered, EngineError,
    EventFamily, LeaseEpoch, LeaseHistoryEvent, LeaseHistorySubscription, LeaseId, Operation, OperatorEvent,
    OperatorSubscription, ScannerFilter, SignalDeliveryEvent, SignalDeliverySubscription, SignalId, StreamCursor,
    Subscription, Subscriptions, WaitpointId,
};
use futures::{StreamExt, stream::try_unfold};
use sqlx::{Row, postgres::PgRow};
use tokio::sync::watch;

pub(crate) use hub::Hub;

use crate::{
    PostgresBackend,
    capabilities::LABEL,
    error::PgError,
    id::execution_id,
    row::{instant, number, word},
    tx::{Sender, filtered},
};
use place::Place;

/// Events that a page looks at.
const PAGE: usize = 256;

#[ff_observe::observed]
#[async_trait]
impl Subscriptions for PostgresBackend {
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
impl CompletionBackend for PostgresBackend {
    async fn subscribe_completions(&self) -> Result<CompletionStream, EngineError> {
        completions(self, &ScannerFilter::new(), Operation::SubscribeCompletions).await
    }

    async fn subscribe_completions_filtered(&self, filter: &ScannerFilter) -> Result<CompletionStream, EngineError> {
        completions(self, filter, Operation::SubscribeCompletionsFiltered).await
    }
}

async fn completions(
    backend: &PostgresBackend,
    filter: &ScannerFilter,
    op: Operation,
) -> Result<CompletionStream, EngineError> {
    let events = subscribe::<CompletionEvent>(backend, &StreamCursor::End, filter, op).await?;
    Ok(Box::pin(events.map(|item| item.map(|delivered| delivered.event))))
}

/// One family of events, and the statement that reads a page of it.
trait Family: Sized + Send + 'static {
    const NAME: EventFamily;
    const PAGE: &'static str;
    fn read(row: &PgRow) -> Result<Self, PgError>;
}

impl Family for LeaseHistoryEvent {
    const NAME: EventFamily = EventFamily::LeaseHistory;
    const PAGE: &'static str = include_str!("subscriptions/subscribe_lease_history.sql");

    fn read(row: &PgRow) -> Result<Self, PgError> {
        let reason = row.try_get::<Option<&str>, _>("reason")?;
        Ok(Self {
            execution_id: execution_id(row, "execution_id")?,
            namespace: word(row, "namespace")?,
            kind: word(row, "kind")?,
            lease_id: LeaseId::from_uuid(row.try_get("lease_id")?),
            lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
            attempt_index: AttemptIndex(number(row, "attempt_index")?),
            worker_instance_id: word(row, "worker_instance_id")?,
            reason: reason.map(|_| word(row, "reason")).transpose()?,
            at: instant(row, "at")?,
        })
    }
}

impl Family for CompletionEvent {
    const NAME: EventFamily = EventFamily::Completions;
    const PAGE: &'static str = include_str!("subscriptions/subscribe_completion.sql");

    fn read(row: &PgRow) -> Result<Self, PgError> {
        Ok(Self {
            execution_id: execution_id(row, "execution_id")?,
            namespace: word(row, "namespace")?,
            outcome: word(row, "outcome")?,
            at: instant(row, "at")?,
        })
    }
}

impl Family for OperatorEvent {
    const NAME: EventFamily = EventFamily::OperatorEvents;
    const PAGE: &'static str = include_str!("subscriptions/subscribe_operator_events.sql");

    fn read(row: &PgRow) -> Result<Self, PgError> {
        Ok(Self {
            execution_id: execution_id(row, "execution_id")?,
            namespace: word(row, "namespace")?,
            kind: word(row, "kind")?,
            detail: row.try_get("detail")?,
            at: instant(row, "at")?,
        })
    }
}

impl Family for SignalDeliveryEvent {
    const NAME: EventFamily = EventFamily::SignalDeliveries;
    const PAGE: &'static str = include_str!("subscriptions/subscribe_signal_delivery.sql");

    fn read(row: &PgRow) -> Result<Self, PgError> {
        Ok(Self {
            execution_id: execution_id(row, "execution_id")?,
            namespace: word(row, "namespace")?,
            waitpoint_id: WaitpointId::from_uuid(row.try_get("waitpoint_id")?),
            signal_id: SignalId::from_uuid(row.try_get("signal_id")?),
            source_identity: row.try_get("source_identity")?,
            effect: word(row, "effect")?,
            at: instant(row, "at")?,
        })
    }
}

/// One subscription; between two pages it holds no connection.
struct Reader<E> {
    store: Arc<Sender>,
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
    backend: &PostgresBackend,
    from: &StreamCursor,
    filter: &ScannerFilter,
    op: Operation,
) -> Result<Subscription<E>, EngineError> {
    filter.check()?;
    let opened = async {
        let store = Arc::clone(backend.store().await?);
        // Joined before the place is resolved: whatever comes behind it is told.
        let told = backend.hub().join(E::NAME, &store);
        let place = resolve(&store, from, E::NAME).await?;
        let (filter, cursor) = (filter.clone(), place.cursor(E::NAME));
        Ok::<_, PgError>(Reader { store, told, filter, op, place, page: VecDeque::new(), cursor })
    };
    let reader = opened.await.map_err(|error| error.at(op))?;
    Ok(Box::pin(try_unfold(reader, Reader::next)))
}

/// The place that `cursor` means now.
async fn resolve(store: &Sender, cursor: &StreamCursor, family: EventFamily) -> Result<Place, PgError> {
    let given = match cursor {
        StreamCursor::At(content) => Some(Place::of(content, family)?),
        StreamCursor::Start | StreamCursor::End => None,
    };
    let statement = || {
        sqlx::query(include_str!("subscriptions/resolve.sql"))
            .bind(family.as_str())
            .bind(given.as_ref().map(|place| &place.old))
            .bind(given.as_ref().and_then(|place| place.new.as_ref()))
            .bind(given.as_ref().map(|place| place.passed))
            .bind(given.as_ref().map(|place| place.epoch))
    };
    let row = store.row(statement).await?.ok_or(sqlx::Error::RowNotFound)?;
    let epoch = row.try_get("epoch")?;
    let oldest = Place::oldest(epoch, row.try_get("before_xid")?);
    if !row.try_get::<bool, _>("known")? {
        return Err(EngineError::foreign_cursor(LABEL, family).into());
    }
    match given {
        Some(_) if !row.try_get::<bool, _>("works")? => Err(EngineError::cursor_too_old(&oldest.cursor(family)).into()),
        Some(place) => Ok(place),
        None if *cursor == StreamCursor::Start => Ok(oldest),
        None => Ok(Place::behind(epoch, row.try_get("snapshot")?, row.try_get("newest")?)),
    }
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
            match self.read().await {
                Ok(true) => {}
                Ok(false) => self.wait().await,
                Err(error) => return Err(error.at(self.op).interrupting(&self.cursor)),
            }
        }
    }

    /// Reads the next page; false if there is nothing more than can be seen now.
    async fn read(&mut self) -> Result<bool, PgError> {
        let place = &self.place;
        let statement = || {
            let query = sqlx::query(E::PAGE).bind(&place.old).bind(&place.new).bind(place.passed);
            filtered(query.bind(place.floor).bind(PAGE as i64).bind(place.epoch), &self.filter)
        };
        let rows = self.store.rows(statement).await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        if !first.try_get::<bool, _>("works")? {
            let oldest = Place::oldest(first.try_get("epoch")?, first.try_get("before_xid")?);
            return Err(EngineError::cursor_too_old(&oldest.cursor(E::NAME)).into());
        }
        let resumed = self.place.new.is_some();
        let mut step = Place { new: Some(first.try_get("new")?), ..self.place.clone() };
        let mut found = 0;
        for row in &rows {
            let Some(id) = row.try_get("id")? else { break };
            (step, found) = (step.up_to(id), found + 1);
            if row.try_get("matches")? {
                self.page.push_back(Delivered { cursor: step.cursor(E::NAME), event: E::read(row)? });
            }
        }
        self.place = if found < PAGE { step.next_step() } else { step };
        Ok(found > 0 || resumed)
    }

    /// Until there may be something new, or the backend was shut down.
    async fn wait(&mut self) {
        let mut closing = std::pin::pin!(self.store.pool().close_event());
        tokio::select! {
            // The hub lives as long as its backend and this reader.
            _ = self.told.changed() => {}
            () = &mut closing => {}
        }
    }
}
