//! The patches of the real stores: each applies, and names a rule and its killers.
