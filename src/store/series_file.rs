//! The series of the node in a file, from one clean stop to the next start.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::files::write_durably;
use crate::stats::{RestoreError, SeriesStore};

/// The longest file that is read, in bytes: some ten times what the default limits can fill.
const LONGEST: u64 = 1 << 30;

/// The file of the series, in the data folder.
#[derive(Clone, Debug)]
pub struct SeriesFile(PathBuf);

/// Why series are not saved or not there again. Nothing else depends on them.
#[derive(Debug, Error)]
pub enum SeriesFileError {
    /// The file can't be written.
    #[error("cannot write {path}: {source}; the series of before the stop will be missing")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file can't be read.
    #[error("cannot read {path}: {source}; series begin anew")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no series. It was moved to `aside`, where there was one already in its place.
    #[error("{path}: {source}; it was set aside as {aside}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// What is wrong with it.
        source: RestoreError,
    },
}

impl SeriesFile {
    /// The file of this data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("series"))
    }

    /// Writes every series. The file is there whole or not at all, for its owner alone. Blocks.
    ///
    /// # Errors
    /// It can't be written; the one of before is still there then.
    pub fn write(&self, bytes: &[u8]) -> Result<(), SeriesFileError> {
        let written = write_durably(&self.0, &self.0.with_extension("tmp"), bytes);
        written.map_err(|source| SeriesFileError::Write { path: self.0.clone(), source })
    }

    /// The series that were written last, within these bounds; `None`: there is no file. Blocks.
    ///
    /// # Errors
    /// It can't be read, or holds something else, and is set aside then.
    pub fn read(&self, capacity: usize, max_series: usize) -> Result<Option<SeriesStore>, SeriesFileError> {
        let failed = |source| SeriesFileError::Read { path: self.0.clone(), source };
        let bytes = match File::open(&self.0) {
            Ok(file) => read_all(file).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        SeriesStore::from_bytes(&bytes, capacity, max_series).map(Some).map_err(|source| {
            let aside = self.0.with_extension("damaged");
            // What can't be moved is overwritten at the next stop.
            let _ = std::fs::rename(&self.0, &aside);
            SeriesFileError::Damaged { path: self.0.clone(), aside, source }
        })
    }
}

fn read_all(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::stats::Labels;

    fn series(value: f64) -> SeriesStore {
        let mut series = SeriesStore::new(10, 10);
        series.record(1_000, "m", &Labels::parse("a=\"x\"").unwrap(), value).unwrap();
        series
    }

    #[test]
    fn what_was_written_is_read_again_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = SeriesFile::of(folder.path());
        assert!(file.read(10, 10).unwrap().is_none());
        for value in [1.0, 2.0] {
            file.write(&series(value).to_bytes()).unwrap();
            let read = file.read(10, 10).unwrap().unwrap();
            assert_eq!(read.to_bytes(), series(value).to_bytes());
        }
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["series"]);
        let mode = std::fs::metadata(folder.path().join("series")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_damaged_is_set_aside_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = SeriesFile::of(folder.path());
        let mut bytes = series(1.0).to_bytes();
        bytes.truncate(bytes.len() - 1);
        for bytes in [&bytes[..], b"", b"something else"] {
            file.write(bytes).unwrap();
            let error = file.read(10, 10).unwrap_err();
            assert!(matches!(error, SeriesFileError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("series.damaged"), "{error}");
            assert_eq!(std::fs::read(folder.path().join("series.damaged")).unwrap(), bytes);
            assert!(file.read(10, 10).unwrap().is_none());
        }
        std::fs::create_dir(folder.path().join("series")).unwrap();
        assert!(matches!(file.read(10, 10), Err(SeriesFileError::Read { .. })));
        assert!(matches!(file.write(&bytes), Err(SeriesFileError::Write { .. })));
    }
}
