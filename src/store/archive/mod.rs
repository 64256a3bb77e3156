//! Archives: files that hold old stretches of logs, so that the store need not.
//!
//! `mainstay compact` writes them; afterwards every read of a log finds its slots there. [`format`] is what the bytes of a file
//! mean, [`files`] the folder, [`draft`] a file that is being written, [`shelf`] how values are found.

mod compacting;
mod draft;
mod files;
mod format;
mod rules;
mod shelf;

pub use compacting::{ArchiveError, Archived, LogSize};
pub(super) use format::Kind;
pub(super) use rules::{is_of_archives, misfit};
pub(super) use shelf::Shelf;

#[cfg(test)]
mod tests;
