//! What the node was computing when it ended without a stop, and how often that was so.
//!
//! A thread notes each call in a cell of a mapped file before it makes it. Notes cost some stores to memory and outlive the
//! node, so that the next one knows under which calls the last one ended and counts that against each of them, on disk and
//! before anything is computed. What a runner does about a call that was counted `limits.max_crashes` times is the runner's.

mod book;
mod cell;
mod counts;
mod sheet;
#[cfg(test)]
mod tests;

pub use book::{CrashBook, CrashKeeper, Noting, Opening};
pub use counts::{Call, Counted, Counts, CountsError};
pub use sheet::{Sheet, SheetError};
