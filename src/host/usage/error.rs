//! Why nothing can be read.

use std::io;

/// Why the host's numbers can't be read.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Only Linux keeps these numbers in `/proc`.
    #[error("reading what host processes use is not supported on this system: it needs Linux's /proc")]
    NotSupported,
    /// The folder can't be opened.
    #[error("cannot open {path}: {source}; mount /proc, or remove [[metrics.group]] from the configuration")]
    Open {
        /// Which folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The folder can't be listed, so nobody knows who runs.
    #[error("cannot list the host's processes in /proc: {0}; the next look tries again")]
    List(io::Error),
    /// One of the daemon's own files can't be read.
    #[error("cannot read /proc/self/{file}: {source}; the next look tries again")]
    Own {
        /// Which file.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
}
