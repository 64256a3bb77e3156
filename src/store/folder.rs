//! The data folder itself: made, locked, its format checked.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::files::{make_folder, private, write_durably};

/// The format that this program writes and reads.
pub(super) const FORMAT: u32 = 1;

const FORMAT_TITLE: &str = "mainstay store ";
/// The longest format file that is looked at.
const FORMAT_MAX: usize = 64;

/// Where archived logs are in the data folder `path`.
pub(super) fn archive_in(path: &Path) -> PathBuf {
    path.join("archive")
}

/// A data folder that is this node's alone while the value lives.
#[derive(Debug)]
pub(super) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes `path` if need be, with mode 0700, locks it, and checks its format.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |doing| move |source| OpenError::Folder { folder: path.to_owned(), doing, source };
        make_folder(path).map_err(failed("make the folder"))?;
        let lock = private().create(true).truncate(false).open(path.join("lock")).map_err(failed("open the lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed("lock the folder")(error)),
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.check_format()?;
        Ok(folder)
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine has its files.
    pub(super) fn engine(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Where the mark is.
    pub(super) fn mark(&self) -> PathBuf {
        self.path.join("mark")
    }

    /// Where the modules are that clients put in.
    pub(super) fn modules(&self) -> PathBuf {
        self.path.join("modules")
    }

    /// Where archived logs are.
    pub(super) fn archive(&self) -> PathBuf {
        archive_in(&self.path)
    }

    /// Where snapshots are.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    fn check_format(&self) -> Result<(), OpenError> {
        let failed = |doing| move |source| OpenError::Folder { folder: self.path.clone(), doing, source };
        let path = self.path.join("format");
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(FORMAT_MAX)]).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The format is the first file of a new folder, so whatever has an engine has a format.
                if self.engine().exists() {
                    return Err(OpenError::NoFormat(self.path.clone()));
                }
                return write_durably(
                    &path,
                    &path.with_extension("tmp"),
                    format!("{FORMAT_TITLE}{FORMAT}\n").as_bytes(),
                )
                .map_err(failed("write the file \"format\""));
            }
            Err(error) => return Err(failed("read the file \"format\"")(error)),
        };
        let found = text.strip_prefix(FORMAT_TITLE).and_then(|rest| rest.strip_suffix('\n'));
        match found {
            Some(number) if number.parse() == Ok(FORMAT) => Ok(()),
            Some(number) if number.parse::<u32>().is_ok() => {
                let found = number.to_owned();
                Err(OpenError::Format { folder: self.path.clone(), found, ours: FORMAT })
            }
            _ => Err(OpenError::Damaged {
                folder: self.path.clone(),
                what: "the file \"format\"".to_owned(),
                reason: format!("it should hold {:?} and a number, not {text:?}", FORMAT_TITLE.trim_end()),
            }),
        }
    }
}
