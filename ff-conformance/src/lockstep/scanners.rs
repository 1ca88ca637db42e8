//! The periodic work in a tape.

use ff_backend_memory::Op;
use ff_core::{Operation, PageLimit, RetentionConfig, ScanArgs, ScanCursor, ScannerFilter, ScannerKind};
use serde::{Deserialize, Serialize};

use super::{
    draw::Draw,
    names::{Space, Unresolved, is_default},
    refs::{Bend, Book, Place, ScanRef},
};

/// The scanners of tapes: all but the one that removes events, which a writer that is open anywhere on a server may hold
/// up, so that no answer of it follows from the tape.
pub(super) fn scanners() -> Vec<ScannerKind> {
    ScannerKind::ALL.iter().copied().filter(|scanner| *scanner != ScannerKind::EventRetention).collect()
}

/// A call of the stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScannersCall {
    Scan(Scan),
}

/// One bounded pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scan {
    scanner: ScannerKind,
    #[serde(default, skip_serializing_if = "is_default")]
    limit: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    after: Option<ScanRef>,
    /// A cursor that no scan has given.
    #[serde(default, skip_serializing_if = "is_default")]
    lost: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    namespace: Option<Space>,
    #[serde(default, skip_serializing_if = "is_default")]
    tag: Option<(String, String)>,
}

impl ScannersCall {
    pub(super) fn resolve(&self, book: &Book) -> Result<Op, Unresolved> {
        let Self::Scan(scan) = self;
        let mut filter = ScannerFilter::new();
        if let Some(space) = scan.namespace {
            filter = filter.namespace(space.name()?);
        }
        if let Some((key, value)) = &scan.tag {
            filter = filter.instance_tag(key, value);
        }
        let limit = scan.limit.map_or(Ok(PageLimit::MAX), PageLimit::new)?;
        let cursor = match scan.after {
            Some(after) => Some(book.scan(after)?),
            None => scan.lost.then(|| ScanCursor::from_text("lost")),
        };
        let args = ScanArgs::new(scan.scanner).filter(filter).limit(limit).cursor(cursor);
        Ok(Op::Scan { args, retention: RetentionConfig::default() })
    }

    /// A call of `op`; none if it is of another stem.
    pub(super) fn draw(op: Operation, draw: &mut Draw<'_>) -> Option<Self> {
        if op != Operation::Scan {
            return None;
        }
        let scanner = draw.dice.one(&scanners()).unwrap_or(ScannerKind::LeaseExpiry);
        let steps: Vec<u32> = draw.book.scans.keys().copied().collect();
        let bend = draw.spoils().then_some(Bend::Foreign);
        let lost = draw.spoils();
        let after = if draw.dice.chance(40) { draw.dice.one(&steps) } else { None };
        let after = after.map(|step| ScanRef(Place { bend, ..Place::of(step, 0) }));
        let limit = draw.dice.maybe(60, |dice| u32::try_from(dice.below(4)).unwrap_or_default());
        let namespace = if draw.dice.chance(20) { Some(draw.namespace()) } else { None };
        let key = if draw.spoils() { "no key" } else { "a.b" };
        let tag = draw.dice.maybe(15, |dice| (key.to_owned(), dice.below(2).to_string()));
        Some(Self::Scan(Scan { scanner, limit, after, lost, namespace, tag }))
    }
}
