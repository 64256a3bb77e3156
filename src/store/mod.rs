//! Where logs, outcomes and snapshots are kept.
//!
//! [`Store`] is the face. Behind it: one queue, one writer that judges each commit and writes them in groups,
//! one reader for everything that is read, and an [`engine`] behind a trait: on disk ([`Fjall`]), in memory ([`Memory`]),
//! and one that fails on demand ([`faulty`]).

mod admission;
mod answer;
mod archive;
mod backend;
mod beside;
mod cell;
mod codec;
pub mod contract;
mod crash_file;
pub mod engine;
mod error;
pub mod faulty;
mod fencing;
mod files;
mod fjall;
mod folder;
mod health;
mod kept_file;
pub mod keys;
mod log_reader;
mod mark;
mod memory;
mod modules;
mod paging;
mod queue;
mod reader;
mod records;
mod snapshots;
mod space;
#[expect(clippy::module_inception, reason = "the store itself")]
mod store;
mod writer;

pub use archive::{ArchiveError, Archived, LogSize};
pub use contract::ReadError;
pub use crash_file::CrashFile;
pub use error::OpenError;
pub use fjall::Fjall;
pub use kept_file::{KeptFile, KeptFileError};
pub use memory::Memory;
pub use snapshots::{FormatError as SnapshotFormatError, decode as decode_snapshot};
pub use store::{Store, StoreOptions};

#[cfg(test)]
mod tests;
