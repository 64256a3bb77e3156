//! Why a store can't be opened.

use std::io;
use std::path::PathBuf;

use super::contract::ReadError;
use super::engine::EngineOpenError;

/// Why a data folder can't be used. Every text names the folder and what to do. `main` exits with 74.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum OpenError {
    #[error("data folder {}: cannot {doing}: {source}; check that the disk is mounted, writable and not full, and that \
             the folder belongs to the user who runs this", folder.display())]
    Folder { folder: PathBuf, doing: &'static str, source: io::Error },
    #[error("data folder {} is in use by another node; stop that one, or set another data_dir", .0.display())]
    InUse(PathBuf),
    #[error("data folder {} holds format {found}, this program reads {ours}; use the program that wrote it, or set another \
             data_dir", folder.display())]
    Format { folder: PathBuf, found: String, ours: u32 },
    #[error("data folder {} holds a store but no file \"format\"; restore the folder from a backup, or set another \
             data_dir", .0.display())]
    NoFormat(PathBuf),
    #[error("data folder {}: {what} is damaged: {reason}; check the disk, then restore the folder from a backup, or set \
             another data_dir", folder.display())]
    Damaged { folder: PathBuf, what: String, reason: String },
    #[error("data folder {} has lost data: its last batch is {found}, but batch {mark} was on disk; check the disk, then \
             restore the folder from a backup, or remove its file \"mark\" to go on without what is lost", folder.display())]
    Behind { folder: PathBuf, found: u64, mark: u64 },
    #[error("data folder {}: the store can't be opened: {reason}; check the disk", folder.display())]
    Engine { folder: PathBuf, reason: String },
}

impl OpenError {
    /// `error` of the engine in `folder`.
    pub(super) fn of_engine(folder: PathBuf, error: EngineOpenError) -> Self {
        match error {
            EngineOpenError::InUse => Self::InUse(folder),
            EngineOpenError::Damaged { what, reason } => Self::Damaged { folder, what, reason },
            EngineOpenError::Behind { found, mark } => Self::Behind { folder, found, mark },
            EngineOpenError::Failed(reason) => Self::Engine { folder, reason },
        }
    }

    /// A first read of the store in `folder` failed.
    pub(super) fn of_read(folder: PathBuf, error: ReadError) -> Self {
        match error {
            ReadError::Engine { reason, .. } => Self::Engine { folder, reason },
            ReadError::Damaged { what, reason, .. } => Self::Damaged { folder, what, reason },
        }
    }
}
