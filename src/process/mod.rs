//! The pure core of a process: its messages, outcomes and definitions.

mod commit;
mod comparison;
mod definition;
mod error;
mod mark;
mod message;
mod monitor;
mod outbox;
mod outcome;
mod page;
mod view;
pub mod waiters;
pub mod worker;

pub use crate::tag::{Tag, tags_size};
pub use commit::{
    ArchiveRef, Claim, Commit, CommitResult, Durability, Halt, Head, KnownId, ProcessRecord, Record, SnapshotFile,
    SnapshotRef, Writer,
};
pub use comparison::{bytes_difference, json_difference, outcome_difference};
pub use definition::{Defaults, Definition, DeviceKind, ErrorStrategy, ProcessOrigin, Specification};
pub use error::RequestError;
pub use mark::{Mark, MarkPosition, MarkSource, MarkSourceError, PushChain, PushChainError};
pub use message::{CursorStep, Draft, Entry, EntryKind, LOCAL, Message, Origin, Scheduled};
pub use monitor::{MonitorOrigin, MonitorRecord, MonitorSource};
pub use outbox::{DeadLetter, OutboxItem, OutboxKey, Sent, SentKind};
pub use outcome::{Assignment, Cause, Computed, Json, Outcome, SentMessage, Spawn, Stored};
pub use page::{Order, Page, PageQuery};
pub use view::StateView;
