//! What the node keeps beside its logs, in a file of its own: read at the start, and nothing else depends on it.

use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::files::write_durably;

/// The longest file that is read, in bytes: far more than any configuration fills.
const LONGEST: u64 = 1 << 30;

/// A file in the data folder.
#[derive(Clone, Debug)]
pub struct KeptFile {
    path: PathBuf,
    /// What is in it, in the plural.
    what: &'static str,
}

/// Why something is not kept, or not there again.
#[derive(Debug, Error)]
pub enum KeptFileError {
    /// The file can't be written.
    #[error(
        "cannot write {path}: {source}; after a restart the {what} go on from what was written before, if anything was"
    )]
    Write {
        /// Which file.
        path: PathBuf,
        /// What was to be in it.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file can't be read.
    #[error("cannot read {path}: {source}; the {what} begin anew")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What was to be in it.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else. It was moved to `aside`, where there was one already in its place.
    #[error("{path}: {source}; it was set aside as {aside}, and the {what} begin anew")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// What was to be in it.
        what: &'static str,
        /// What is wrong with it.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl KeptFile {
    /// That of the series, from one clean stop to the next start.
    pub fn series(data_dir: &Path) -> Self {
        Self { path: data_dir.join("series"), what: "series" }
    }

    /// That of the alerts, so that a restart does not forget who was told what.
    pub fn alerts(data_dir: &Path) -> Self {
        Self { path: data_dir.join("alerts"), what: "alerts" }
    }

    /// Puts `bytes` in the place of what was written before. The file is there whole or not at all, for its owner alone, and
    /// on disk when this returns. Blocks.
    ///
    /// # Errors
    /// It can't be written; the one of before is still there then.
    pub fn write(&self, bytes: &[u8]) -> Result<(), KeptFileError> {
        let written = write_durably(&self.path, &self.path.with_extension("tmp"), bytes);
        written.map_err(|source| KeptFileError::Write { path: self.path.clone(), what: self.what, source })
    }

    /// What was written last, as `parse` reads it; `None`: there is no file. Blocks.
    ///
    /// # Errors
    /// It can't be read, or `parse` does not take it: it is set aside then.
    pub fn read<T, E: StdError + Send + Sync + 'static>(
        &self,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<Option<T>, KeptFileError> {
        let (path, what) = (&self.path, self.what);
        let failed = |source| KeptFileError::Read { path: path.clone(), what, source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
        parse(&bytes).map(Some).map_err(|source| {
            let aside = path.with_extension("damaged");
            // What can't be moved is overwritten by the next that is kept.
            let _ = std::fs::rename(path, &aside);
            KeptFileError::Damaged { path: path.clone(), aside, what, source: source.into() }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::alert::SavedAlerts;
    use crate::stats::{Labels, SeriesStore};

    /// A text that begins with a mark.
    fn parse(bytes: &[u8]) -> Result<String, io::Error> {
        let text = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_prefix("kept "));
        text.map(str::to_owned).ok_or_else(|| io::Error::other("it has no mark"))
    }

    #[test]
    fn what_was_written_is_read_again_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeptFile::series(folder.path());
        assert!(file.read(parse).unwrap().is_none());
        for text in ["kept one", "kept another"] {
            file.write(text.as_bytes()).unwrap();
            assert_eq!(file.read(parse).unwrap().as_deref(), text.strip_prefix("kept "));
        }
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["series"]);
        let mode = std::fs::metadata(folder.path().join("series")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_damaged_is_set_aside_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeptFile::alerts(folder.path());
        for bytes in [&b"kep"[..], b"", b"something else"] {
            file.write(bytes).unwrap();
            let error = file.read(parse).unwrap_err();
            let aside = folder.path().join("alerts.damaged");
            let told = format!("it has no mark; it was set aside as {}, and the alerts begin anew", aside.display());
            assert!(matches!(error, KeptFileError::Damaged { .. }) && error.to_string().ends_with(&told), "{error}");
            assert_eq!(std::fs::read(aside).unwrap(), bytes);
            assert!(file.read(parse).unwrap().is_none());
        }
        std::fs::create_dir(folder.path().join("alerts")).unwrap();
        assert!(matches!(file.read(parse), Err(KeptFileError::Read { .. })));
        assert!(matches!(file.write(b"kept"), Err(KeptFileError::Write { .. })));
    }

    #[test]
    fn neither_series_nor_alerts_are_taken_from_less_than_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut series = SeriesStore::new(10, 10);
        series.record(1_000, "m", &Labels::parse("a=\"x\"").unwrap(), 1.0).unwrap();
        let (series, alerts) = (series.to_bytes(), SavedAlerts::default().to_bytes().unwrap());
        let of_series = |bytes: &[u8]| SeriesStore::from_bytes(bytes, 10, 10).map(|series| series.to_bytes());
        let of_alerts = |bytes: &[u8]| SavedAlerts::from_bytes(bytes).map(|alerts| alerts.to_bytes().unwrap());
        let (series_file, alerts_file) = (KeptFile::series(folder.path()), KeptFile::alerts(folder.path()));
        series_file.write(&series).unwrap();
        alerts_file.write(&alerts).unwrap();
        assert_eq!(series_file.read(of_series).unwrap(), Some(series.clone()));
        assert_eq!(alerts_file.read(of_alerts).unwrap(), Some(alerts.clone()));
        series_file.write(&series[..series.len() - 1]).unwrap();
        alerts_file.write(&alerts[..alerts.len() - 1]).unwrap();
        assert!(matches!(series_file.read(of_series), Err(KeptFileError::Damaged { .. })));
        assert!(matches!(alerts_file.read(of_alerts), Err(KeptFileError::Damaged { .. })));
    }
}
