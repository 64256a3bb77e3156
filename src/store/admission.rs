//! Whether there is room on the disk for new messages: admission stops before writes fail.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// How long one look at the disk serves.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many bytes written make another look necessary.
const LOOK_AFTER: u64 = 4 << 20;

/// Watches the free space of the file system that holds a folder.
#[derive(Debug)]
pub(super) struct Admission {
    folder: PathBuf,
    reserve: u64,
    looked: Option<Instant>,
    written: u64,
    short: bool,
}

impl Admission {
    /// Keeps `reserve` bytes free at `folder`.
    pub(super) fn new(folder: &Path, reserve: u64) -> Self {
        Self { folder: folder.to_owned(), reserve, looked: None, written: 0, short: false }
    }

    /// So many bytes were written since.
    pub(super) fn written(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
    }

    /// Whether new messages may come; the text of a refusal, if not.
    pub(super) fn check(&mut self) -> Result<(), String> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) || self.written >= LOOK_AFTER {
            self.looked = Some(Instant::now());
            self.written = 0;
            // A disk whose space can't be told is not held for full.
            self.short = free_bytes(&self.folder).is_some_and(|free| free < self.reserve);
        }
        if !self.short {
            return Ok(());
        }
        let (reserve, folder) = (shown(self.reserve), self.folder.display());
        Err(format!("less than {reserve} free in {folder} (limit disk_reserve)"))
    }
}

/// The free bytes of the file system that holds `folder`, if it tells.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// `bytes` as a person writes them.
fn shown(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", bytes / unit);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_greater_than_the_disk_refuses_and_names_folder_and_limit() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Admission::new(folder.path(), 1).check(), Ok(()));
        let text = Admission::new(folder.path(), 1 << 60).check().unwrap_err();
        assert!(text.contains("disk_reserve") && text.contains(&folder.path().display().to_string()), "{text}");
    }

    #[test]
    fn sizes_are_shown_in_the_greatest_whole_unit() {
        for (bytes, text) in [(64 << 20, "64 MiB"), (1 << 30, "1 GiB"), (1 << 10, "1 KiB"), (1500, "1500 bytes")] {
            assert_eq!(shown(bytes), text);
        }
    }
}
