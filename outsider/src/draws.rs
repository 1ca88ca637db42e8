//! What a step draws by chance, kept so that it can be taken again.

use ff_backend_memory::Mint;
use ff_core::{AttemptId, GrantKey, Jitter, LeaseId, WaitpointId};

/// Gives out again what was drawn before, then draws.
#[derive(Default)]
pub(crate) struct Draws {
    drawn: Vec<LeaseId>,
    given: usize,
}

impl Draws {
    /// Begins with what a step has drawn.
    pub(crate) fn again(drawn: Vec<LeaseId>) -> Self {
        Self { drawn, given: 0 }
    }

    /// Everything that was drawn.
    pub(crate) fn drawn(&self) -> &[LeaseId] {
        &self.drawn
    }

    fn next(&mut self) -> LeaseId {
        let next = self.drawn.get(self.given).copied().unwrap_or_else(LeaseId::new);
        if self.given == self.drawn.len() {
            self.drawn.push(next);
        }
        self.given += 1;
        next
    }
}

impl Mint for Draws {
    fn lease_id(&mut self) -> LeaseId {
        self.next()
    }

    fn attempt_id(&mut self) -> AttemptId {
        AttemptId::from_uuid(self.next().as_uuid())
    }

    fn grant_key(&mut self) -> GrantKey {
        GrantKey::from_uuid(self.next().as_uuid())
    }

    fn waitpoint_id(&mut self) -> WaitpointId {
        WaitpointId::from_uuid(self.next().as_uuid())
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::from_bits(self.next().as_uuid().as_u128())
    }
}
