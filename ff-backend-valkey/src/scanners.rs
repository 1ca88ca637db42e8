//! The periodic work.

use std::time::Duration;

use async_trait::async_trait;
use ff_core::{EngineError, EventFamily, Jitter, ScanArgs, ScanPlace, ScanReport, ScannerKind, Scanners};

use crate::{
    backend::{LABEL, ValkeyBackend},
    error::ValkeyError,
    executions::execution_id,
    fcall::{Call, namespace},
    reply::Items,
    subscriptions::stream,
};

/// Rows that one call settles at most, so that none keeps the server for long.
const ROWS: u32 = 256;
/// Executions that one call removes at most; each is several keys.
const REMOVALS: u32 = 128;

#[ff_observe::observed]
#[async_trait]
impl Scanners for ValkeyBackend {
    async fn scan(&self, args: ScanArgs) -> Result<ScanReport, EngineError> {
        args.filter.check()?;
        let place = args.cursor.as_ref().map(|cursor| ScanPlace::open(cursor, LABEL, args.scanner)).transpose()?;
        let mut pass = Pass { backend: self, args: &args, examined: 0, changed: 0, last: None };
        match args.scanner {
            ScannerKind::LeaseExpiry => pass.settle("lapsed", place).await?,
            ScannerKind::AttemptTimeout => pass.settle("timed_out", place).await?,
            ScannerKind::ExecutionDeadline => pass.settle("expired", place).await?,
            ScannerKind::DelayPromoter => pass.settle("ready", place).await?,
            ScannerKind::SuspensionTimeout => pass.settle("suspended_out", place).await?,
            ScannerKind::Retention => {
                if !matches!(place, Some(ScanPlace::Key { .. })) {
                    pass.remove_ended(place.as_ref()).await?;
                }
                pass.remove_keys(place.as_ref()).await?;
            }
            ScannerKind::EventRetention => pass.remove_events().await?,
        }
        pass.report()
    }
}

/// One pass under way.
struct Pass<'a> {
    backend: &'a ValkeyBackend,
    args: &'a ScanArgs,
    examined: u32,
    changed: u32,
    /// What was looked at last.
    last: Option<ScanPlace>,
}

impl Pass<'_> {
    fn left(&self) -> u32 {
        u32::from(self.args.limit.get()).saturating_sub(self.examined)
    }

    fn report(self) -> Result<ScanReport, EngineError> {
        let last = if self.left() == 0 { self.last } else { None };
        Ok(ScanReport {
            examined: self.examined,
            changed: self.changed,
            next_cursor: last.map(|place| place.seal(LABEL, self.args.scanner)).transpose()?,
        })
    }

    /// Counts what a call looked at and changed.
    fn count(&mut self, reply: &mut Items) -> Result<u32, ValkeyError> {
        let seen: u32 = reply.number()?;
        self.examined += seen;
        self.changed += reply.number::<u32>()?;
        Ok(seen)
    }

    /// Writes down what time has done to rows of one fate, lane by lane.
    async fn settle(&mut self, fate: &str, behind: Option<ScanPlace>) -> Result<(), ValkeyError> {
        let keys = &self.backend.keys;
        let names = [keys.root(), keys.lease_history(), keys.completions(), keys.lanes()];
        let mut behind = match behind {
            Some(ScanPlace::Due { lane_id, due_at, execution_id }) => {
                (lane_id.to_string(), due_at.to_string(), execution_id.as_uuid().to_string())
            }
            _ => Default::default(),
        };
        while self.left() > 0 {
            let call =
                Call::write("ff_scan", &names).arg(fate).arg(self.left().min(ROWS)).arg(Jitter::draw().millionths());
            let call = call.filtered(&self.args.filter).arg(&behind.0).arg(&behind.1).arg(&behind.2);
            let mut reply = self.backend.items(call).await?;
            self.count(&mut reply)?;
            behind = (reply.text()?, reply.text()?, reply.text()?);
            if behind.0.is_empty() {
                break;
            }
        }
        // A pass ends with nothing left to look at right behind a row that it has looked at.
        if self.left() == 0 && self.examined > 0 && !behind.2.is_empty() {
            self.last = Some(ScanPlace::Due {
                lane_id: known(&behind.0)?,
                due_at: instant(&behind.1)?,
                execution_id: execution_id(&behind.2)?,
            });
        }
        Ok(())
    }

    /// Removes executions that ended long enough ago, with everything that belongs to them but their events.
    async fn remove_ended(&mut self, behind: Option<&ScanPlace>) -> Result<(), ValkeyError> {
        let keys = &self.backend.keys;
        let names = [keys.root(), keys.ended(), keys.ids(), keys.idempotency(), keys.idempotency_expiry()];
        let mut behind = match behind {
            Some(ScanPlace::Ended { completed_at, execution_id }) => {
                (completed_at.to_string(), execution_id.as_uuid().to_string())
            }
            _ => Default::default(),
        };
        while self.left() > 0 {
            let most = self.left().min(REMOVALS);
            let call = Call::write("ff_remove_ended", &names).arg(age_ms(self.backend.retention.executions)).arg(most);
            let call = call.filtered(&self.args.filter).arg(&behind.0).arg(&behind.1);
            let mut reply = self.backend.items(call).await?;
            let seen = self.count(&mut reply)?;
            if seen > 0 {
                behind = (reply.text()?, reply.text()?);
                let (completed_at, execution_id) = (instant(&behind.0)?, execution_id(&behind.1)?);
                self.last = Some(ScanPlace::Ended { completed_at, execution_id });
            }
            if seen < most {
                break;
            }
        }
        Ok(())
    }

    /// Removes idempotency keys that have lapsed. They have no label.
    async fn remove_keys(&mut self, behind: Option<&ScanPlace>) -> Result<(), ValkeyError> {
        let keys = &self.backend.keys;
        let names = [keys.root(), keys.idempotency(), keys.idempotency_expiry()];
        let mut behind = match behind {
            Some(ScanPlace::Key { expires_at, namespace, key }) => {
                (expires_at.to_string(), namespace.to_string(), key.clone())
            }
            _ => Default::default(),
        };
        while self.left() > 0 && self.args.filter.instance_tag.is_none() {
            let most = self.left().min(ROWS);
            let call = Call::write("ff_remove_keys", &names).arg(most).arg(namespace(&self.args.filter));
            let mut reply = self.backend.items(call.arg(&behind.0).arg(&behind.1).arg(&behind.2)).await?;
            let seen = self.count(&mut reply)?;
            if seen > 0 {
                behind = (reply.text()?, reply.text()?, reply.text()?);
                let (expires_at, namespace) = (instant(&behind.0)?, known(&behind.1)?);
                self.last = Some(ScanPlace::Key { expires_at, namespace, key: behind.2.clone() });
            }
            if seen < most {
                break;
            }
        }
        Ok(())
    }

    /// Removes old events, family by family.
    async fn remove_events(&mut self) -> Result<(), ValkeyError> {
        let keys = &self.backend.keys;
        let mut names = vec![keys.root()];
        names.extend(EventFamily::ALL.iter().map(|family| stream(keys, *family)));
        while self.left() > 0 {
            let most = self.left().min(ROWS);
            let call = Call::write("ff_trim_events", &names).arg(age_ms(self.backend.retention.events)).arg(most);
            let removed: u32 = self.backend.server.call(call).await?;
            self.examined += removed;
            self.changed += removed;
            self.last = Some(ScanPlace::Beginning);
            if removed < most {
                break;
            }
        }
        Ok(())
    }
}

/// A word that the functions wrote.
fn known<T: std::str::FromStr>(text: &str) -> Result<T, ValkeyError> {
    text.parse().map_err(|_| EngineError::corrupt(format!("{text:?} was not expected")).into())
}

fn instant(text: &str) -> Result<ff_core::TimestampMs, ValkeyError> {
    known(text).map(ff_core::TimestampMs::from_ms)
}

fn age_ms(age: Duration) -> u64 {
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}
