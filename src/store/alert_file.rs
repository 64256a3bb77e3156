//! The alerts of the node in a file, so that a restart does not forget who was told what.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::files::write_durably;
use crate::alert::{RestoreError, SavedAlerts};

/// The longest file that is read, in bytes: far more than any configuration fills.
const LONGEST: u64 = 1 << 30;

/// The file of the alerts, in the data folder.
#[derive(Clone, Debug)]
pub struct AlertFile(PathBuf);

/// Why alerts are not saved or not there again. Nothing else depends on them.
#[derive(Debug, Error)]
pub enum AlertFileError {
    /// The file can't be written.
    #[error("cannot write {path}: {source}; after a restart alerts would go on from before")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file can't be read.
    #[error("cannot read {path}: {source}; alerts begin anew")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no alerts. It was moved to `aside`, where there was one already in its place.
    #[error("{path}: {source}; it was set aside as {aside}, and alerts begin anew")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// What is wrong with it.
        source: RestoreError,
    },
}

impl AlertFile {
    /// The file of this data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("alerts"))
    }

    /// Puts `bytes` in the place of what was written before. The file is there whole or not at all, for its owner alone, and
    /// on disk when this returns. Blocks.
    ///
    /// # Errors
    /// It can't be written; the one of before is still there then.
    pub fn write(&self, bytes: &[u8]) -> Result<(), AlertFileError> {
        let written = write_durably(&self.0, &self.0.with_extension("tmp"), bytes);
        written.map_err(|source| AlertFileError::Write { path: self.0.clone(), source })
    }

    /// The alerts that were written last; `None`: there is no file. Blocks.
    ///
    /// # Errors
    /// It can't be read, or holds something else, and is set aside then.
    pub fn read(&self) -> Result<Option<SavedAlerts>, AlertFileError> {
        let failed = |source| AlertFileError::Read { path: self.0.clone(), source };
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
        SavedAlerts::from_bytes(&bytes).map(Some).map_err(|source| {
            let aside = self.0.with_extension("damaged");
            // What can't be moved is overwritten with the next alert.
            let _ = std::fs::rename(&self.0, &aside);
            AlertFileError::Damaged { path: self.0.clone(), aside, source }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn bytes() -> Vec<u8> {
        SavedAlerts::default().to_bytes().unwrap()
    }

    #[test]
    fn what_was_written_is_read_again_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = AlertFile::of(folder.path());
        assert!(file.read().unwrap().is_none());
        for _ in 0..2 {
            file.write(&bytes()).unwrap();
            assert_eq!(file.read().unwrap().unwrap().to_bytes().unwrap(), bytes());
        }
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["alerts"]);
        let mode = std::fs::metadata(folder.path().join("alerts")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_damaged_is_set_aside_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = AlertFile::of(folder.path());
        let whole = bytes();
        for bytes in [&whole[..whole.len() - 1], b"", b"something else"] {
            file.write(bytes).unwrap();
            let error = file.read().unwrap_err();
            assert!(matches!(error, AlertFileError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("alerts.damaged"), "{error}");
            assert_eq!(std::fs::read(folder.path().join("alerts.damaged")).unwrap(), bytes);
            assert!(file.read().unwrap().is_none());
        }
        std::fs::create_dir(folder.path().join("alerts")).unwrap();
        assert!(matches!(file.read(), Err(AlertFileError::Read { .. })));
        assert!(matches!(file.write(&whole), Err(AlertFileError::Write { .. })));
    }
}
