//! Ids and draws that the contract leaves open.

use ff_core::{AttemptId, GrantKey, Jitter, LeaseId, WaitpointId};
use uuid::{Builder, Uuid};

/// Where ids and draws come from.
pub trait Mint: Send {
    /// The id of a new lease.
    fn lease_id(&mut self) -> LeaseId;

    /// The id of a new attempt.
    fn attempt_id(&mut self) -> AttemptId;

    /// What redeems a new grant.
    fn grant_key(&mut self) -> GrantKey;

    /// The id of a new pending waitpoint.
    fn waitpoint_id(&mut self) -> WaitpointId;

    /// The factor of one back-off.
    fn jitter(&mut self) -> Jitter;
}

/// Lease ids and grant keys that nobody can guess; ids of attempts and waitpoints, which prove nothing, are only unique.
#[derive(Clone, Copy, Debug)]
pub struct RandomMint {
    attempts: SeededMint,
}

impl RandomMint {
    /// A mint with a seed from the operating system.
    #[must_use]
    pub fn new() -> Self {
        Self { attempts: SeededMint::new(Uuid::new_v4().as_u64_pair().1) }
    }
}

impl Default for RandomMint {
    fn default() -> Self {
        Self::new()
    }
}

impl Mint for RandomMint {
    fn lease_id(&mut self) -> LeaseId {
        LeaseId::new()
    }

    fn attempt_id(&mut self) -> AttemptId {
        self.attempts.attempt_id()
    }

    fn grant_key(&mut self) -> GrantKey {
        GrantKey::new()
    }

    fn waitpoint_id(&mut self) -> WaitpointId {
        self.attempts.waitpoint_id()
    }

    fn jitter(&mut self) -> Jitter {
        self.attempts.jitter()
    }
}

/// Ids that follow from a seed, so that a run can be repeated; never for a program whose handles leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeededMint(u64);

impl SeededMint {
    /// The mint of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.draw()) << 64 | u128::from(self.draw())
    }

    fn uuid(&mut self) -> Uuid {
        Builder::from_random_bytes(self.wide().to_be_bytes()).into_uuid()
    }
}

impl Mint for SeededMint {
    fn lease_id(&mut self) -> LeaseId {
        LeaseId::from_uuid(self.uuid())
    }

    fn attempt_id(&mut self) -> AttemptId {
        AttemptId::from_uuid(self.uuid())
    }

    fn grant_key(&mut self) -> GrantKey {
        GrantKey::from_uuid(self.uuid())
    }

    fn waitpoint_id(&mut self) -> WaitpointId {
        WaitpointId::from_uuid(self.uuid())
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::from_bits(self.wide())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_ids_again_and_no_id_twice() {
        let ids = |seed| {
            let mut mint = SeededMint::new(seed);
            (0..1000).map(|_| mint.lease_id()).collect::<Vec<_>>()
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        assert_eq!(ids(1).iter().collect::<std::collections::HashSet<_>>().len(), 1000);
        assert_eq!(ids(1)[0].as_uuid().get_version_num(), 4);
    }
}
