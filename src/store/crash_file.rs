//! The counts of crashes in a file, and the place of the notes that they are made of.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::files::write_durably;
use crate::device::crash::CrashKeeper;

/// The longest file that is read, in bytes: more than all the counts that are kept.
const LONGEST: u64 = 4 << 20;

/// The file of the counts, in the data folder.
#[derive(Clone, Debug)]
pub struct CrashFile(PathBuf);

impl CrashFile {
    /// The file of the data folder `folder`.
    pub fn of(folder: &Path) -> Self {
        Self(folder.join("crashes"))
    }

    /// Where threads of the node on the data folder `folder` note what they compute.
    pub fn notes(folder: &Path) -> PathBuf {
        folder.join("at-work")
    }

    fn named(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.0.display())
    }
}

impl CrashKeeper for CrashFile {
    fn read(&self) -> Result<Option<Vec<u8>>, String> {
        let file = match std::fs::File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.named(&error)),
        };
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).map_err(|error| self.named(&error))?;
        Ok(Some(text))
    }

    fn write(&self, text: &[u8]) -> Result<(), String> {
        write_durably(&self.0, &self.0.with_extension("tmp"), text).map_err(|error| self.named(&error))
    }
}
