//! Parts of long lists.

use crate::ids::Slot;

/// Which way a page runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// From the first slot up.
    #[default]
    Ascending,
    /// From the last slot down.
    Descending,
}

impl Order {
    /// The slot that comes after `slot`, if there can be one.
    pub fn after(self, slot: Slot) -> Option<Slot> {
        match self {
            Self::Ascending => slot.0.checked_add(1).map(Slot),
            Self::Descending => slot.before(),
        }
    }
}

/// Which slots a page holds: `first..=last`, at most `limit` of them and about `bytes` bytes, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// The lowest slot.
    pub first: Slot,
    /// The highest slot.
    pub last: Slot,
    /// At most so many.
    pub limit: usize,
    /// The page ends early when its records exceed so many bytes.
    pub bytes: u64,
    /// Which end comes first.
    pub order: Order,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What it holds, in order.
    pub items: Vec<T>,
    /// Whether there is more in this direction.
    pub more: bool,
}
