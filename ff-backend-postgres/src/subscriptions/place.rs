//! A place in a log: a step between two snapshots, and how far it was read.

use ff_core::{EngineError, EventFamily, StreamCursor};
use uuid::Uuid;

use crate::capabilities::LABEL;

/// What was delivered: all that `old` shows, and of what `new` shows the ids up to `passed`.
///
/// An id is drawn after the row of its execution was locked, so within a step the ids order the events of one
/// execution; and what one step shows, the next one follows. A snapshot waits for nobody, and what it did not show is
/// found by the next one, however late it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// In which the transactions of the snapshots mean something.
    pub(super) epoch: Uuid,
    /// Everything in it was delivered.
    pub(super) old: String,
    /// The step that is being read; `None` before a step begins.
    pub(super) new: Option<String>,
    /// The last id of the step that was delivered.
    pub(super) passed: i64,
    /// An id that `old` shows: most of what it does not show has a greater one.
    pub(super) floor: i64,
}

impl Place {
    /// Behind everything that `snapshot` shows, where `newest` is the greatest id.
    pub(super) fn behind(epoch: Uuid, snapshot: String, newest: i64) -> Self {
        Self { epoch, old: snapshot, new: None, passed: 0, floor: newest }
    }

    /// Before the oldest event that is kept; all transactions before `before_xid` are gone.
    pub(super) fn oldest(epoch: Uuid, before_xid: &str) -> Self {
        Self::behind(epoch, format!("{before_xid}:{before_xid}:"), 0)
    }

    /// The same step, read up to `id`.
    pub(super) fn up_to(&self, id: i64) -> Self {
        Self { passed: id, ..self.clone() }
    }

    /// Behind the step.
    pub(super) fn next_step(self) -> Self {
        let floor = self.floor.max(self.passed);
        Self { old: self.new.unwrap_or(self.old), new: None, passed: 0, floor, ..self }
    }

    /// The cursor of this place.
    pub(super) fn cursor(&self, family: EventFamily) -> StreamCursor {
        let Self { epoch, old, new, passed, floor } = self;
        let place = format!("{}/{old}/{}/{passed}/{floor}", epoch.simple(), new.as_deref().unwrap_or_default());
        StreamCursor::seal(LABEL, family, &place)
    }

    /// The place that a cursor tells.
    pub(super) fn of(content: &[u8], family: EventFamily) -> Result<Self, EngineError> {
        let text = StreamCursor::unseal(content, LABEL, family)?;
        Self::parse(text).ok_or_else(|| EngineError::foreign_cursor(LABEL, family))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let epoch = parts.next()?.parse().ok()?;
        let old = snapshot(parts.next()?)?;
        let new = match parts.next()? {
            "" => None,
            text => Some(snapshot(text)?),
        };
        let (passed, floor) = (number(parts.next()?)?, number(parts.next()?)?);
        parts.next().is_none().then_some(Self { epoch, old, new, passed, floor })
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number >= 0)
}

/// A snapshot as the server writes it: `xmin:xmax:xip,xip,…`, in order.
fn snapshot(text: &str) -> Option<String> {
    let mut parts = text.split(':');
    let bound = |text: &str| text.parse().ok().filter(|xid: &i64| *xid > 0);
    let (xmin, xmax, open) = (bound(parts.next()?)?, bound(parts.next()?)?, parts.next()?);
    let mut last = xmin - 1;
    for xid in open.split(',').filter(|_| !open.is_empty()) {
        let xid = bound(xid)?;
        if xid <= last || xid >= xmax {
            return None;
        }
        last = xid;
    }
    (xmin <= xmax && parts.next().is_none()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Uuid = Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);

    #[test]
    fn a_place_comes_back_from_its_cursor() {
        let (old, new) = ("3:9:3,5".to_owned(), Some("5:12:5".to_owned()));
        let step = Place { epoch: EPOCH, old, new, passed: 7, floor: 4 };
        for place in [step.clone(), step.clone().next_step(), Place::oldest(EPOCH, "1"), step.up_to(11)] {
            let StreamCursor::At(content) = place.cursor(EventFamily::Completions) else { panic!() };
            assert_eq!(Place::of(&content, EventFamily::Completions), Ok(place));
            assert!(Place::of(&content, EventFamily::LeaseHistory).is_err());
        }
        assert_eq!(step.next_step(), Place { floor: 7, ..Place::behind(EPOCH, "5:12:5".to_owned(), 0) });
    }

    #[test]
    fn what_the_server_does_not_write_is_no_place() {
        for text in [
            "",
            "3:9:",
            "3:9:///",
            "3:9://-1/0",
            "3:9://0/0/",
            "9:3://0/0",
            "3:9:5,5//0/0",
            "3:9:9//0/0",
            "3:9:2//0/0",
            "0:9://0/0",
            "3:9:,//0/0",
            "3:9/3:9:/0/0",
            "3:9::/3:9:/0/0",
        ] {
            assert_eq!(Place::parse(&format!("{}/{text}", EPOCH.simple())), None, "{text}");
        }
        assert_eq!(Place::parse("3:9://0/0"), None);
        assert_eq!(Place::parse("x/3:9://0/0"), None);
    }
}
