//! Modules as files: `modules/<hash>`, one for all processes of the node.
//!
//! A process's code lies in its own shard; what is here is what clients put in to make processes of.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::admission::free_bytes;
use super::contract::ReadError;
use super::files::{make_folder, write_durably};
use super::store::Store;
use crate::ids::BlobHash;

/// Tells temporary files apart that are written at once.
static WRITES: AtomicU64 = AtomicU64::new(0);

impl Store {
    /// Keeps a module and returns its name once it is on disk. Blocks. An error names the folder.
    pub fn put_module(&self, bytes: &[u8]) -> Result<BlobHash, String> {
        let shared = self.shared();
        let hash = BlobHash::of(bytes);
        let path = self.module_path(&hash);
        if matches!(self.module(&hash), Ok(Some(_))) {
            return Ok(hash);
        }
        let needed = self.disk_reserve().saturating_add(bytes.len() as u64);
        if free_bytes(shared.folder.path()).is_some_and(|free| free < needed) {
            return Err(shared.text("too little space for a module (limit disk_reserve)"));
        }
        let temporary = path.with_extension(format!("{}.tmp", WRITES.fetch_add(1, Ordering::Relaxed)));
        let written = make_folder(&shared.folder.modules()).and_then(|()| write_durably(&path, &temporary, bytes));
        written.map(|()| hash).map_err(|error| shared.text(&format!("module {hash}: {error}")))
    }

    /// The bytes of the module `hash`, if it is there. Blocks.
    pub fn module(&self, hash: &BlobHash) -> Result<Option<Arc<[u8]>>, ReadError> {
        let path = self.module_path(hash);
        let folder = self.shared().folder.path().display().to_string();
        match fs::read(&path) {
            Ok(bytes) if BlobHash::of(&bytes) == *hash => Ok(Some(bytes.into())),
            Ok(_) => {
                let what = format!("module {}", path.display());
                Err(ReadError::Damaged { folder, what, reason: "its bytes do not have its hash".to_owned() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ReadError::Engine { folder, reason: format!("module {}: {error}", path.display()) }),
        }
    }

    fn module_path(&self, hash: &BlobHash) -> PathBuf {
        self.shared().folder.modules().join(hash.to_string())
    }
}
