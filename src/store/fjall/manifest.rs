//! Checks the engine's own lists of files before the engine trusts them.
//!
//! The engine takes a list without a look at its checksum, removes tables that the list does not name, removes a keyspace
//! whose list is gone, and begins anew where its version file is gone. Each of these would lose data without a word.
//!
//! A keyspace `keyspaces/<number>` has a file `current`: `u64` number of the list `v<number>`, `u128` XXH3 of that file, kind
//! 0 of checksum, all little-endian.

use std::fs;
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use crate::store::engine::EngineOpenError;

const VERSION: [u8; 4] = *b"FJL\x03";
const CURRENT_LENGTH: usize = 25;

/// Checks the engine in `folder`, which should have `keyspaces` keyspaces. One that never had a batch on disk (`mark` 0) may
/// be unfinished.
pub(super) fn check(folder: &Path, keyspaces: usize, mark: u64) -> Result<(), EngineOpenError> {
    let is_finished = mark > 0;
    match fs::read(folder.join("version")) {
        Ok(version) if version == VERSION => {}
        Ok(_) => return Err(damaged(&folder.join("version"), "it is not version 3 of the engine")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_finished => return Ok(()),
        Err(error) => return Err(damaged(&folder.join("version"), error)),
    }
    let folder = folder.join("keyspaces");
    let mut found = 0;
    for entry in fs::read_dir(&folder).map_err(|error| damaged(&folder, error))? {
        let entry = entry.map_err(|error| damaged(&folder, error))?;
        // The engine takes every name for a number and gives up on others.
        if entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()).is_none() {
            return Err(damaged(&entry.path(), "it does not belong there"));
        }
        found += 1;
        check_keyspace(&entry.path(), is_finished)?;
    }
    if is_finished && found < keyspaces {
        return Err(damaged(&folder, format!("it has {found} keyspaces, not {keyspaces}")));
    }
    Ok(())
}

fn check_keyspace(folder: &Path, is_finished: bool) -> Result<(), EngineOpenError> {
    let path = folder.join("current");
    let current = match fs::read(&path) {
        Ok(current) => current,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_finished => return Ok(()),
        Err(error) => return Err(damaged(&path, error)),
    };
    let current: [u8; CURRENT_LENGTH] =
        current.try_into().map_err(|_| damaged(&path, format!("it has not {CURRENT_LENGTH} bytes")))?;
    let (number, rest) = current.split_at(8);
    let number = number.try_into().map(u64::from_le_bytes).unwrap_or_default();
    let list = folder.join(format!("v{number}"));
    let bytes = fs::read(&list).map_err(|error| damaged(&list, error))?;
    if rest[..16] != xxh3_128(&bytes).to_le_bytes() || rest[16] != 0 {
        return Err(damaged(&list, "its checksum is not that of the file \"current\""));
    }
    Ok(())
}

fn damaged(path: &Path, reason: impl ToString) -> EngineOpenError {
    EngineOpenError::Damaged { what: path.display().to_string(), reason: reason.to_string() }
}
