//! The parts of a lane in which a claim looks for work.

/// The bits of a place below its rank: the instant of creation. See `ff_place` in the schema.
const INSTANT_BITS: u32 = 48;

/// A place in the order of a lane: a rank by priority, the highest first, and an instant.
pub(super) type Place = i64;
pub(super) type Rank = i64;

pub(super) const fn place(rank: Rank, instant: i64) -> Place {
    (rank << INSTANT_BITS) + instant
}

pub(super) const fn rank(place: Place) -> Rank {
    place >> INSTANT_BITS
}

/// A part of a capability set. See `ff_shelf` in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shelf(pub(super) i64);

/// How what is ready came to be so: it was created so, time made it so, or it came back otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    New = 0,
    Promoted = 1,
    Returned = 2,
}

impl Shelf {
    pub(super) const fn new(set: i64, part: Part) -> Self {
        Self((set << 2) + part as i64)
    }

    pub(super) const fn set(self) -> i64 {
        self.0 >> 2
    }

    pub(super) const fn is(self, part: Part) -> bool {
        self.0 & 3 == part as i64
    }
}

/// The windows of shelves in which a statement looks for work; those of set 0 are for sets without any.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) shelves: Vec<i64>,
    pub(super) starts: Vec<Place>,
    pub(super) stops: Vec<Place>,
}

impl Windows {
    /// All of every set.
    pub(super) fn all() -> Self {
        let shelves = [Part::New, Part::Promoted, Part::Returned].map(|part| Shelf::new(0, part).0).to_vec();
        Self { shelves, starts: vec![0; 3], stops: vec![Place::MAX; 3] }
    }

    /// A window of new work, unless there is nothing in it; the first of a shelf is there in any case.
    pub(super) fn push(&mut self, shelf: Shelf, start: Place, stop: Place) {
        if start < stop || start == 0 {
            self.add(shelf, start, stop);
        }
    }

    pub(super) fn add(&mut self, shelf: Shelf, start: Place, stop: Place) {
        self.shelves.push(shelf.0);
        self.starts.push(start);
        self.stops.push(stop);
    }
}
