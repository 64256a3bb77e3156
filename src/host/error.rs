//! Why the host's processes can't be watched.

use std::io;

/// Why a watch can't start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No `/proc`.
    #[error("cannot read {path}: {source}; mount it, or set enabled = false under [watch]")]
    Proc {
        /// Which folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The process connector can't be used.
    #[error(
        "the process connector cannot start: {0}; set backend = \"poll\" under [watch] to look through /proc instead"
    )]
    Connector(String),
    /// Polling can't be used.
    #[error("polling /proc cannot start: {doing}: {source}")]
    Poll {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A thread can't be started.
    #[error("cannot start the watch's {thread} thread: {source}")]
    Thread {
        /// Which.
        thread: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The reader failed while it ran.
    #[error("reading the events of the kernel failed: {doing}: {source}")]
    Read {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A thread ended by a panic.
    #[error("the watch's {0} thread panicked: {1}")]
    Panicked(&'static str, String),
}
