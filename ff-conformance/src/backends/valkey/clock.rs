//! The clock of one Valkey server, in the place of `lib/time.lua`.

use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use ff_backend_valkey::library;
use ff_core::TimestampMs;
use redis::{aio::MultiplexedConnection, cmd};
use tokio::sync::Mutex;

use super::failed;
use crate::{ClockControl, HarnessError};

/// Where the clock of every store stands at first: an instant that no process clock shows.
const BEGIN: i64 = 1_000_000_000_000;

/// The instant stands in the name of a channel that the harness subscribes to. A key or another library would be a
/// write, and a write waits while the hold control keeps writes back; time must pass then too.
const TIME: &str = r#"
ff.now_ms = function()
  local latest, now = -1, nil
  for _, channel in ipairs(redis.call("PUBSUB", "CHANNELS", "ff:clock:*")) do
    local step, ms = string.match(channel, "^ff:clock:(%d+):(%-?%d+)$")
    if tonumber(step) > latest then latest, now = tonumber(step), tonumber(ms) end
  end
  return now
end
"#;

/// The file whose text this one replaces.
const FILE: &str = "-- file: lib/time.lua\n";

pub(super) struct Clock {
    now: AtomicI64,
    channel: Mutex<(u64, String, MultiplexedConnection)>,
}

impl Clock {
    /// The clock of a server whose library has none yet.
    pub(super) async fn install(mut connection: MultiplexedConnection) -> Result<Self, HarnessError> {
        load(&mut connection).await?;
        let clock = Self { now: AtomicI64::new(BEGIN), channel: Mutex::new((0, String::new(), connection)) };
        clock.set(TimestampMs::from_ms(BEGIN)).await?;
        Ok(clock)
    }
}

/// Loads the library with this clock in it.
pub(super) async fn load(connection: &mut MultiplexedConnection) -> Result<(), HarnessError> {
    let text = library();
    let (before, rest) = text.split_once(FILE).ok_or_else(|| HarnessError::new("the library has no clock"))?;
    let after = rest.find("-- file: ").map(|at| &rest[at..]).unwrap_or_default();
    let text = format!("{before}{FILE}do{TIME}end\n{after}");
    let load = cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(text).clone();
    load.query_async::<()>(connection).await.map_err(failed("the library with a clock"))
}

#[async_trait]
impl ClockControl for Clock {
    async fn now(&self) -> Result<TimestampMs, HarnessError> {
        Ok(TimestampMs::from_ms(self.now.load(Ordering::Acquire)))
    }

    async fn set(&self, now: TimestampMs) -> Result<(), HarnessError> {
        let (step, channel, connection) = &mut *self.channel.lock().await;
        *step += 1;
        let next = format!("ff:clock:{step}:{now}");
        // The new one first: of two, the later step counts.
        connection.subscribe(next.as_str()).await.map_err(failed("set the clock"))?;
        if !channel.is_empty() {
            connection.unsubscribe(channel.as_str()).await.map_err(failed("set the clock"))?;
        }
        *channel = next;
        self.now.store(now.as_ms(), Ordering::Release);
        Ok(())
    }
}
