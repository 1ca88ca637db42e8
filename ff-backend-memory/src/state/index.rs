//! The orders that a store keeps: ids, lanes, what is ready and what falls due.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::Bound,
};

use ff_core::{
    CapabilitySet, EligibilityState, ExecutionId, ExecutionRecord, LaneId, LifecyclePhase, OwnershipState, ScanPlace,
    TimestampMs,
};

use super::StoredExecution;

/// The claim order: priority descending, creation, id.
pub(crate) type Rank = (Reverse<i32>, TimestampMs, ExecutionId);

/// Where an execution stands in the indexes of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A claim may pick it.
    pub ready: bool,
    /// The next instant at which time alone changes it.
    pub due_at: Option<TimestampMs>,
    /// When it ended.
    pub ended_at: Option<TimestampMs>,
    /// When it was suspended.
    pub suspended_at: Option<TimestampMs>,
}

impl Place {
    /// Where an execution belongs right after a write.
    #[must_use]
    pub fn of(row: &StoredExecution) -> Self {
        let record = &row.record;
        if record.state.lifecycle_phase == LifecyclePhase::Terminal {
            return Self { ended_at: record.completed_at, ..Self::default() };
        }
        let (ownership, eligibility) = (record.state.ownership_state, record.state.eligibility_state);
        let ended_lease = matches!(ownership, OwnershipState::LeaseExpiredReclaimable | OwnershipState::LeaseRevoked);
        let suspension = record.open_suspension();
        let event = if let Some(suspension) = suspension {
            suspension.timeout_at
        } else if ownership == OwnershipState::Leased {
            record.lease.as_ref().map(|lease| lease.expires_at)
        } else if ended_lease && row.is_out_of_reclaims() {
            // Its end is due since the lease ended.
            Some(record.last_transition_at)
        } else if eligibility == EligibilityState::NotEligibleUntilTime {
            record.delay_until
        } else {
            record.grant.as_ref().filter(|grant| !grant.redeemed).map(|grant| grant.expires_at)
        };
        let takeable = ended_lease || eligibility == EligibilityState::EligibleNow;
        let due_at = event.into_iter().chain(record.execution_deadline_at).min();
        let suspended_at = suspension.map(|suspension| suspension.suspended_at);
        Self { ready: takeable && event.is_none(), due_at, ended_at: None, suspended_at }
    }

    /// Where an execution belongs whose time has come: any claim may pick it until its deadline.
    #[must_use]
    pub const fn promoted(record: &ExecutionRecord) -> Self {
        Self { ready: true, due_at: record.execution_deadline_at, ended_at: None, suspended_at: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Lane {
    /// What a claim may pick, by required capability set; no set is empty.
    ready: BTreeMap<CapabilitySet, BTreeSet<Rank>>,
    due: BTreeSet<(TimestampMs, ExecutionId)>,
}

/// The indexes of one store.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    ids: BTreeSet<ExecutionId>,
    lanes: BTreeMap<LaneId, Lane>,
    ended: BTreeSet<(TimestampMs, ExecutionId)>,
    suspended: BTreeSet<(TimestampMs, ExecutionId)>,
    /// How often a row became ready or got another due instant.
    calls: u64,
}

impl Index {
    /// Changes whenever there is something new to claim, now or at another instant than before.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// The next instant at which time changes a row of the lane.
    pub(crate) fn next_due(&self, lane: &LaneId) -> Option<TimestampMs> {
        self.lanes.get(lane)?.due.first().map(|(due, _)| *due)
    }

    /// Makes a lane known.
    #[cfg(feature = "flaws")]
    pub(crate) fn know(&mut self, lane: LaneId) {
        self.lanes.entry(lane).or_default();
    }

    /// Makes an execution and its lane known.
    pub(crate) fn register(&mut self, record: &ExecutionRecord) {
        self.ids.insert(record.execution_id);
        if !self.lanes.contains_key(&record.lane_id) {
            self.lanes.insert(record.lane_id.clone(), Lane::default());
        }
    }

    /// Moves a registered execution to `place`.
    pub(crate) fn place(&mut self, row: &mut StoredExecution, place: Place) {
        let Some(lane) = self.lanes.get_mut(&row.record.lane_id) else { return };
        let id = row.record.execution_id;
        let old = mem::replace(&mut row.place, place);
        self.calls += u64::from((place.ready && !old.ready) || (place.due_at.is_some() && place.due_at != old.due_at));
        if old.due_at != place.due_at {
            old.due_at.map(|due| lane.due.remove(&(due, id)));
            place.due_at.map(|due| lane.due.insert((due, id)));
        }
        if old.ended_at != place.ended_at {
            old.ended_at.map(|ended| self.ended.remove(&(ended, id)));
            place.ended_at.map(|ended| self.ended.insert((ended, id)));
        }
        if old.suspended_at != place.suspended_at {
            old.suspended_at.map(|at| self.suspended.remove(&(at, id)));
            place.suspended_at.map(|at| self.suspended.insert((at, id)));
        }
        if old.ready == place.ready {
            return;
        }
        let rank = (Reverse(row.record.priority), row.record.created_at, id);
        match lane.ready.get_mut(&row.required) {
            Some(ranks) if place.ready => {
                ranks.insert(rank);
            }
            Some(ranks) => {
                ranks.remove(&rank);
                if ranks.is_empty() {
                    lane.ready.remove(&row.required);
                }
            }
            None => {
                lane.ready.insert(row.required.clone(), BTreeSet::from([rank]));
            }
        }
    }

    /// The first `most` rows of a lane whose time has come, oldest due instant first, then id.
    pub(crate) fn due(&self, lane: &LaneId, now: TimestampMs, most: usize) -> Vec<ExecutionId> {
        let Some(lane) = self.lanes.get(lane) else { return Vec::new() };
        lane.due.iter().take_while(|(due, _)| due.has_come(now)).take(most).map(|(_, id)| *id).collect()
    }

    /// The first `most` rows behind a place whose time has come, by lane, due instant and id.
    pub(crate) fn due_behind(&self, behind: Option<&ScanPlace>, now: TimestampMs, most: usize) -> Vec<ScanPlace> {
        let behind = match behind {
            Some(ScanPlace::Due { lane_id, due_at, execution_id }) => Some((lane_id, (*due_at, *execution_id))),
            _ => None,
        };
        let first = behind.map_or(Bound::Unbounded, |(lane, _)| Bound::Included(lane));
        let due = self.lanes.range::<LaneId, _>((first, Bound::Unbounded)).flat_map(|(lane_id, lane)| {
            let row = behind.filter(|(begun, _)| *begun == lane_id).map(|(_, row)| row);
            let rows = lane.due.range((row.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
            rows.take_while(|(due_at, _)| due_at.has_come(now)).map(move |(due_at, id)| ScanPlace::Due {
                lane_id: lane_id.clone(),
                due_at: *due_at,
                execution_id: *id,
            })
        });
        due.take(most).collect()
    }

    /// The first `most` executions behind a place that ended long enough ago, by the instant of their end and id.
    pub(crate) fn ended_behind(
        &self,
        behind: Option<&ScanPlace>,
        is_old: impl Fn(TimestampMs) -> bool,
        most: usize,
    ) -> Vec<ScanPlace> {
        let behind = match behind {
            Some(ScanPlace::Ended { completed_at, execution_id }) => Bound::Excluded((*completed_at, *execution_id)),
            _ => Bound::Unbounded,
        };
        let ended = self.ended.range((behind, Bound::Unbounded)).take_while(|(ended, _)| is_old(*ended));
        let place = |(completed_at, id): &(TimestampMs, ExecutionId)| ScanPlace::Ended {
            completed_at: *completed_at,
            execution_id: *id,
        };
        ended.take(most).map(place).collect()
    }

    /// What is suspended as written, behind a place, by the instant of the suspension and id.
    pub(crate) fn suspended_behind(
        &self,
        behind: Option<(TimestampMs, ExecutionId)>,
    ) -> impl Iterator<Item = &ExecutionId> {
        let behind = behind.map_or(Bound::Unbounded, Bound::Excluded);
        self.suspended.range((behind, Bound::Unbounded)).map(|(_, id)| id)
    }

    /// Forgets an execution; its lane stays known.
    pub(crate) fn remove(&mut self, row: &mut StoredExecution) {
        self.place(row, Place::default());
        self.ids.remove(&row.record.execution_id);
    }

    /// What stands ready in a lane, each required set with its rows in claim order.
    pub(crate) fn ready(&self, lane: &LaneId) -> impl Iterator<Item = (&CapabilitySet, &BTreeSet<Rank>)> {
        self.lanes.get(lane).into_iter().flat_map(|lane| &lane.ready)
    }

    /// All ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ExecutionId> {
        self.ids.iter()
    }

    /// All lanes.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &LaneId> {
        self.lanes.keys()
    }

    /// The ids behind `cursor`.
    pub(crate) fn ids_behind(&self, cursor: Option<&ExecutionId>) -> impl Iterator<Item = &ExecutionId> {
        self.ids.range((cursor.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
    }

    /// The lanes behind `cursor`.
    pub(crate) fn lanes_behind(&self, cursor: Option<&LaneId>) -> impl Iterator<Item = &LaneId> {
        let behind = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        self.lanes.range((behind, Bound::Unbounded)).map(|(lane, _)| lane)
    }
}
