//! Files and folders that survive a crash whole.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Whether a few bytes can be brought to disk in `folder`.
pub(super) fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let mut file = private().create(true).truncate(true).open(&path)?;
    // Enough that a full disk has to find room for it.
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    drop(file);
    std::fs::remove_file(path)
}

/// Makes `path` and its parents with mode 0700; what is there already stays as it is.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that after a crash is there whole or not at all. `temporary` lies in the same folder.
pub(super) fn write_durably(path: &Path, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = write_and_rename(temporary, path, bytes);
    if written.is_err() {
        let _ = std::fs::remove_file(temporary);
    }
    written
}

fn write_and_rename(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private().create(true).truncate(true).open(temporary)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    drop(file);
    std::fs::rename(temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Brings the names in `folder` to disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Options to write a file that is its owner's alone.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
