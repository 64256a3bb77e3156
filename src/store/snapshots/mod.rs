//! Snapshots as files that cost what changed.
//!
//! A file holds the pages in which a state differs from that of an earlier file of the same process; a *full* one those that are
//! not zero. The files from a full one to the newest are a *chain*, and each reference names the whole of its own. [`format`] is
//! what the bytes of a file mean, [`files`] the folder.

mod chain;
mod decode;
mod encode;
mod files;
mod format;
mod pages;

pub use decode::decode;
pub(super) use files::{SnapshotFiles, shown_seal};
pub use format::FormatError;

#[cfg(test)]
mod tests;
