//! What the rest of the house asks of the store when it reads. What it writes is [`Commit`].

pub use crate::process::{
    ArchiveRef, Claim, Commit, CommitResult, Durability, Halt, Head, KnownId, Order, Page, PageQuery, ProcessRecord,
    Record, SnapshotFile, SnapshotRef, Writer,
};

/// Why a read gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The engine failed or is not open.
    #[error("store {folder}: {reason}")]
    Engine {
        /// The data folder.
        folder: String,
        /// The engine's own words.
        reason: String,
    },
    /// What was read makes no sense.
    #[error("store {folder}: {what} is damaged: {reason}")]
    Damaged {
        /// The data folder.
        folder: String,
        /// Which record or file.
        what: String,
        /// What does not fit.
        reason: String,
    },
}
