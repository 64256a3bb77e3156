//! How much of the disk the data folder takes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A block as the system counts them, in bytes.
const BLOCK: u64 = 512;

/// The bytes that `folder` and everything below it take on the disk. What vanishes meanwhile counts for nothing, and links are
/// not followed.
pub(super) fn used_bytes(folder: &Path) -> u64 {
    let mut folders = vec![folder.to_owned()];
    let mut bytes: u64 = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(about) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(about.blocks().saturating_mul(BLOCK));
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_wherever_they_lie_and_links_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let empty = used_bytes(folder.path());
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(folder.path(), deep.join("loop")).unwrap();
        let used = used_bytes(folder.path()) - empty;
        assert!((1 << 20..2 << 20).contains(&used), "{used}");
        assert_eq!(used_bytes(&folder.path().join("nothing")), 0);
    }
}
