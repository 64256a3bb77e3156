//! What the store needs of an engine: ordered bytes in a few spaces, and batches that are written whole or not at all.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use super::contract::Order;
use super::files::probe;

/// A part of the key space. Keys of two spaces never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// Counters of the store as a whole.
    Meta = 1,
    /// Process records by id.
    Processes = 2,
    /// Entries by process and slot.
    Messages = 3,
    /// Outcomes by process and slot.
    Outcomes = 4,
    /// Message ids by process and origin.
    Ids = 5,
    /// The first slot whose id may still be in [`Space::Ids`], by process.
    IdsFrom = 6,
    /// The processes that have slots without outcomes.
    Pending = 7,
    /// The slots that hold definitions, by process.
    Definitions = 8,
    /// The processes that stand still.
    Halts = 9,
    /// Snapshot references by process and slot.
    Snapshots = 10,
    /// The bytes of small snapshots by process and slot.
    SnapshotBytes = 11,
    /// Values by shard and hash.
    Blobs = 12,
    /// The last positions that a process took from each source, by process and source.
    Marks = 13,
    /// What waits to be delivered, by source, slot and number.
    Outbox = 14,
    /// What could not be delivered, by message id.
    DeadLetters = 15,
    /// Monitors by process.
    Monitors = 16,
    /// The slots of messages that cron entries sent, by process.
    CronSlots = 17,
    /// How far the ticks of cron entries were handled, by process.
    CronCursors = 18,
    /// The files of the archive by process and last slot.
    Archives = 19,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The key has this value from now on.
    Put {
        /// Where.
        space: Space,
        /// Not empty, at most some hundred bytes.
        key: Vec<u8>,
        /// Less than 4 GiB.
        value: Vec<u8>,
    },
    /// The key has no value any more.
    Delete {
        /// Where.
        space: Space,
        /// Not empty.
        key: Vec<u8>,
    },
}

impl Op {
    /// Its bytes, for limits.
    pub fn size(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key, .. } => key.len(),
        }
    }
}

/// Why an engine did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine takes no writes any more, and nothing of this one reached the disk.
    #[error("{0}")]
    NotWritten(String),
    /// A read, write or sync failed. Of a failed write nobody knows whether it took effect until the engine was opened again.
    #[error("{0}")]
    Failed(String),
    /// What was read is not what was written.
    #[error("{0}")]
    Damaged(String),
}

/// What is called with each key and value of a range; it breaks to end the range early.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// An ordered map of bytes on disk. After a failed [`Engine::write`] only reads are asked of it; it is closed by dropping it.
pub trait Engine: Send + Sync {
    /// The value of `key`.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Visits the keys from `keys.start` to just before `keys.end`, from the low or the high end.
    fn range(&self, space: Space, keys: Range<&[u8]>, order: Order, visit: Visit<'_>) -> Result<(), EngineError>;

    /// Applies all of `ops`, in order, or none. When it returns, the end of this process (`kill -9`) no longer loses them;
    /// with `sync`, neither they nor any before them are lost with the machine's power.
    fn write(&self, ops: &[Op], sync: bool) -> Result<(), EngineError>;

    /// Gives the room of what was deleted back to the disk, as far as it can. May take long.
    fn reclaim(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Why an engine is opened. After a failed sync the operating system may show bytes which never reached the disk and count
/// them as written, so whoever opens again must write them anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The node starts.
    Start,
    /// A write or sync failed, and the engine was dropped.
    Failure,
}

/// An engine that was opened.
pub struct Opened {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// How many bytes of an unfinished write were cut off.
    pub torn_bytes: u64,
}

/// Why an engine could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineOpenError {
    /// Another node has it open.
    #[error("it is in use")]
    InUse,
    /// Its files lack what was on disk once, or do not make sense. They were not changed.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// Which file or record.
        what: String,
        /// What does not fit.
        reason: String,
    },
    /// Its newest synced batch is gone.
    #[error("its last batch is {found}, but batch {mark} was on disk")]
    Behind {
        /// The newest batch that is there.
        found: u64,
        /// The batch that was there.
        mark: u64,
    },
    /// The operating system or the engine refused.
    #[error("{0}")]
    Failed(String),
}

/// How an engine comes to be, at the start and again after each failure.
pub trait OpenEngine: Send + Sync {
    /// Opens the engine in `folder`, which it makes if need be. Batch `mark` and those before it are known to have been on
    /// disk (see [`keys::SEQUENCE`](super::keys::SEQUENCE)), so an unfinished write can only come later.
    fn open(&self, folder: &Path, mark: u64, occasion: Occasion) -> Result<Opened, EngineOpenError>;

    /// Whether it is worth dropping a failed engine, which still serves reads, and opening it again: by default, whether a
    /// few bytes can be brought to disk in the data folder `folder`.
    fn probe(&self, folder: &Path) -> Result<(), String> {
        probe(folder).map_err(|error| error.to_string())
    }
}
