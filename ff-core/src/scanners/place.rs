//! Where a pass stopped, as the backends of this project write it into a cursor.

use serde::{Deserialize, Serialize};

use super::{ScanCursor, ScannerKind};
use crate::{EngineError, ExecutionId, LaneId, Namespace, TimestampMs, ValidationKind};

/// Behind what the next pass goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanPlace {
    /// A row of a lane whose due instant had come; rows go by lane, due instant and id.
    Due {
        /// The lane.
        lane_id: LaneId,
        /// The due instant.
        due_at: TimestampMs,
        /// The row.
        execution_id: ExecutionId,
    },
    /// An execution that had ended; they go by the instant of their end and id.
    Ended {
        /// The instant.
        completed_at: TimestampMs,
        /// The execution.
        execution_id: ExecutionId,
    },
    /// An idempotency key that had lapsed; they go by the instant of their end, namespace and key, behind all
    /// executions.
    Key {
        /// The instant.
        expires_at: TimestampMs,
        /// The namespace.
        namespace: Namespace,
        /// The key.
        key: String,
    },
    /// Nothing: what a pass looks at it removes.
    Beginning,
}

/// What a cursor says.
#[derive(Serialize, Deserialize)]
struct Sealed {
    backend: String,
    scanner: ScannerKind,
    place: ScanPlace,
}

impl ScanPlace {
    /// The cursor of `backend` and `scanner` that leads here.
    ///
    /// # Errors
    /// None in practice: every place can be written.
    pub fn seal(self, backend: &str, scanner: ScannerKind) -> Result<ScanCursor, EngineError> {
        let sealed = Sealed { backend: backend.to_owned(), scanner, place: self };
        let text = serde_json::to_string(&sealed).map_err(|error| EngineError::corrupt(error.to_string()))?;
        Ok(ScanCursor::from_text(text))
    }

    /// The place that a cursor of `backend` and `scanner` leads to.
    ///
    /// # Errors
    /// `Validation(InvalidOffset)` for the cursor of another scanner or backend, and for text that is none.
    pub fn open(cursor: &ScanCursor, backend: &str, scanner: ScannerKind) -> Result<Self, EngineError> {
        let refused = |text: String| EngineError::validation(ValidationKind::InvalidOffset, text);
        let sealed: Sealed = serde_json::from_str(cursor.as_str())
            .map_err(|error| refused(format!("cursor: not that of a scan: {error}")))?;
        if sealed.backend != backend || sealed.scanner != scanner {
            let (backend, theirs) = (sealed.backend, sealed.scanner);
            return Err(refused(format!("cursor: of {theirs} on {backend}, this is {scanner}")));
        }
        if sealed.place.belongs_to(scanner) {
            Ok(sealed.place)
        } else {
            Err(refused(format!("cursor: {scanner} stops at no such place")))
        }
    }

    const fn belongs_to(&self, scanner: ScannerKind) -> bool {
        match scanner {
            ScannerKind::LeaseExpiry
            | ScannerKind::AttemptTimeout
            | ScannerKind::ExecutionDeadline
            | ScannerKind::DelayPromoter
            | ScannerKind::SuspensionTimeout => matches!(self, Self::Due { .. }),
            ScannerKind::Retention => matches!(self, Self::Ended { .. } | Self::Key { .. }),
            ScannerKind::EventRetention => matches!(self, Self::Beginning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due() -> ScanPlace {
        ScanPlace::Due {
            lane_id: LaneId::try_new("a/\"b\": c").unwrap(),
            due_at: TimestampMs::from_ms(7),
            execution_id: "{fp:0}:00000000-0000-4000-8000-000000000001".parse().unwrap(),
        }
    }

    #[test]
    fn a_cursor_leads_where_it_was_written() {
        let key = ScanPlace::Key {
            expires_at: TimestampMs::from_ms(8),
            namespace: Namespace::try_new("shop").unwrap(),
            key: "order \"7\"\n".to_owned(),
        };
        for (place, scanner) in [
            (due(), ScannerKind::LeaseExpiry),
            (key, ScannerKind::Retention),
            (ScanPlace::Beginning, ScannerKind::EventRetention),
        ] {
            let cursor = place.clone().seal("memory", scanner).unwrap();
            assert_eq!(ScanPlace::open(&cursor, "memory", scanner).unwrap(), place);
        }
    }

    #[test]
    fn a_cursor_of_another_scanner_or_backend_is_refused() {
        let cursor = due().seal("memory", ScannerKind::LeaseExpiry).unwrap();
        let misplaced = ScanPlace::Beginning.seal("memory", ScannerKind::LeaseExpiry).unwrap();
        for (cursor, backend, scanner) in [
            (&cursor, "postgres", ScannerKind::LeaseExpiry),
            (&cursor, "memory", ScannerKind::DelayPromoter),
            (&misplaced, "memory", ScannerKind::LeaseExpiry),
            (&ScanCursor::from_text("7"), "memory", ScannerKind::LeaseExpiry),
        ] {
            let refusal = ScanPlace::open(cursor, backend, scanner).unwrap_err();
            assert_eq!(refusal.code(), "Validation(InvalidOffset)");
        }
    }
}
