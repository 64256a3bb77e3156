//! What goes into the pushing of outboxes, and what comes out.

use std::sync::Arc;

use crate::clock::Millis;
use crate::ids::ProcessId;
use crate::process::OutboxKey;

/// Where a target is reached. Deliveries to one destination share its limit on how many are under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// This node.
    Local,
    /// Another one; equal texts are the same one.
    Remote(Arc<str>),
}

/// The text that names a target. Empty for what creates a process.
pub type Target = Arc<str>;

/// An item that was found in an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place there.
    pub key: OutboxKey,
    /// What it is for.
    pub target: Target,
    /// Where that is. A target that is being served stays with the destination that it was first found with until it has
    /// nothing left.
    pub destination: Destination,
}

/// What came of an attempt that delivered nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may go better later.
    Later {
        /// For a person.
        reason: String,
        /// Whether it is one of the attempts after which an item is buried; else it is repeated for ever.
        counts: bool,
    },
    /// It never will.
    Final {
        /// For a person.
        reason: String,
    },
}

/// How much is done and held at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushOptions {
    /// An item is buried after so many attempts that count.
    pub attempts: u32,
    /// The most deliveries under way to one remote destination.
    pub in_flight: usize,
    /// The most deliveries under way to this node.
    pub in_flight_local: usize,
    /// The most outboxes that are being read.
    pub loads: usize,
    /// The most items that one read asks for.
    pub page: usize,
    /// The most places that one source takes: one for each item in memory, for each target whose items are all in the store, and
    /// for each item whose removal from the store is awaited.
    pub window: usize,
    /// The most places that all sources take together. Beyond that a source with something to deliver has one at least.
    pub window_total: usize,
    /// The most targets of one source that are known to have something in the store for which there was no place.
    pub left_behind: usize,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            attempts: 20,
            in_flight: 16,
            in_flight_local: 64,
            loads: 8,
            page: 256,
            window: 1024,
            window_total: 65_536,
            left_behind: 16_384,
        }
    }
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the outbox of `source`: the first `limit` items after `after`, in order. Answered by
    /// [`loaded`](super::Pushing::loaded) or [`load_failed`](super::Pushing::load_failed); one at a time for each source.
    Load {
        /// Whose outbox.
        source: ProcessId,
        /// From the beginning where there is none.
        after: Option<OutboxKey>,
        /// How many.
        limit: usize,
    },
    /// Deliver an item. Answered by [`delivered`](super::Pushing::delivered) or [`failed`](super::Pushing::failed); one at a
    /// time for each source and target.
    Deliver {
        /// Whose item.
        source: ProcessId,
        /// Which.
        key: OutboxKey,
        /// What it is for.
        target: Target,
        /// Where that is.
        destination: Destination,
        /// 1 for the first attempt since the item was loaded.
        attempt: u32,
    },
    /// The item was delivered: remove it from the outbox, trying until that is done; answered by
    /// [`removed`](super::Pushing::removed).
    Sent {
        /// Whose item.
        source: ProcessId,
        /// Which.
        key: OutboxKey,
    },
    /// The item is given up: make a dead letter of it and remove it from the outbox, trying until that is done; answered by
    /// [`removed`](super::Pushing::removed).
    Bury {
        /// Whose item.
        source: ProcessId,
        /// Which.
        key: OutboxKey,
        /// What it was for.
        target: Target,
        /// Why.
        error: String,
        /// How often its delivery was tried.
        attempts: u32,
    },
    /// Call [`tick`](super::Pushing::tick) at that time. It is sooner than what was asked for before and takes its place.
    WakeAt(Millis),
    /// Nothing of this source is left here or in its outbox, as far as is known. What was kept for it can go.
    Idle(ProcessId),
    /// Something worth a line in the log.
    Note(Note),
}

/// What the log tells a person, as far as no other effect shows it. Failures in a row make a note at the first and at each tenth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A target does not take what it is sent.
    Failing {
        /// Who sends.
        source: ProcessId,
        /// To whom.
        target: Target,
        /// What went wrong last.
        reason: String,
        /// So often in a row, whatever the item.
        failures: u32,
        /// When the next attempt is due.
        next: Millis,
    },
    /// A target that failed takes again what it is sent.
    Recovered {
        /// Who sends.
        source: ProcessId,
        /// To whom.
        target: Target,
        /// So often it had failed in a row.
        failures: u32,
    },
    /// An outbox can't be read.
    LoadFailing {
        /// Whose.
        source: ProcessId,
        /// What went wrong last.
        reason: String,
        /// So often in a row.
        failures: u32,
        /// When the next attempt is due.
        next: Millis,
    },
    /// A source has more targets with something to deliver than fit in memory. Those left out are looked for again.
    Crowded {
        /// Which source.
        source: ProcessId,
    },
}
