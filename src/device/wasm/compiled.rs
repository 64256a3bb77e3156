//! Modules as machine code: in memory as long as somebody uses them, and on disk.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use tracing::{debug, info, warn};
use wasmtime::Module;

use super::engine::NodeEngine;
use super::load::{LoadError, prepare};
use crate::ids::BlobHash;

/// All compiled modules on disk may take so many bytes; beyond that the ones written first go.
const DISK_MOST: u64 = 1 << 30;
/// What a file's checksum is of, beside its content.
const CONTEXT: &str = "mainstay 2026 compiled WebAssembly module";
/// The end of a file's name.
const EXTENSION: &str = "compiled";
/// Bytes of the checksum, at the end of a file.
const CHECKSUM: usize = 32;

/// Why a module cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompileError {
    /// It is not taken.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// The engine does not take it.
    #[error("the module does not compile: {0}")]
    Engine(String),
}

/// The compiled modules of a node. Each is compiled by one thread, once; others wait.
pub(super) struct Compiled {
    folder: Option<PathBuf>,
    known: Mutex<HashMap<BlobHash, Weak<Place>>>,
}

/// Where one module is, or will be.
#[derive(Default)]
struct Place(Mutex<Option<Module>>);

/// A module in use.
#[derive(Clone)]
pub(super) struct InUse {
    /// The module.
    pub(super) module: Module,
    /// Keeps it known to others.
    _place: Arc<Place>,
}

impl Compiled {
    /// Keeps compiled modules in `folder`, which is made when there is one; without a folder, in memory only.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, known: Mutex::default() }
    }

    /// The module whose bytes are `source`, compiled.
    pub(super) fn get(
        &self,
        engine: &NodeEngine,
        hash: BlobHash,
        source: &[u8],
        is_provided: impl Fn(&str, &str) -> bool,
    ) -> Result<InUse, CompileError> {
        let place = self.place(hash);
        let mut held = place.0.lock().unwrap_or_else(PoisonError::into_inner);
        let module = match &*held {
            Some(module) => module.clone(),
            None => {
                let module = self.make(engine, hash, source, is_provided)?;
                *held = Some(module.clone());
                module
            }
        };
        drop(held);
        Ok(InUse { module, _place: place })
    }

    fn place(&self, hash: BlobHash) -> Arc<Place> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = known.get(&hash).and_then(Weak::upgrade) {
            return place;
        }
        known.retain(|_, place| place.strong_count() > 0);
        let place = Arc::new(Place::default());
        known.insert(hash, Arc::downgrade(&place));
        place
    }

    fn make(
        &self,
        engine: &NodeEngine,
        hash: BlobHash,
        source: &[u8],
        is_provided: impl Fn(&str, &str) -> bool,
    ) -> Result<Module, CompileError> {
        let file = self.folder.as_ref().map(|folder| folder.join(file_name(engine, hash)));
        if let Some(module) = file.as_deref().and_then(|file| read(engine, file)) {
            return Ok(module);
        }
        let began = tokio::time::Instant::now();
        let prepared = prepare(source, is_provided)?;
        let module = Module::from_binary(engine.engine(), &prepared);
        let module = module.map_err(|error| CompileError::Engine(format!("{error:#}")))?;
        info!(target: "compute", event = "module_compiled", module = %hash, size = source.len(), took = ?began.elapsed());
        if let (Some(folder), Some(file)) = (&self.folder, &file) {
            match module.serialize() {
                Ok(code) => {
                    if let Err(error) = write(folder, file, &code) {
                        untold(file, &error);
                    }
                }
                Err(error) => untold(file, &io::Error::other(format!("{error:#}"))),
            }
        }
        Ok(module)
    }
}

/// Without the file the module is compiled again next time, no more.
fn untold(path: &Path, error: &io::Error) {
    warn!(target: "compute", event = "module_not_kept", path = %path.display(), %error,
        "compiled modules cannot be kept on disk; they are compiled again after a restart");
}

fn file_name(engine: &NodeEngine, hash: BlobHash) -> String {
    format!("{hash}-{:016x}.{EXTENSION}", engine.fingerprint())
}

fn checksum(file: &Path, code: &[u8]) -> blake3::Hash {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name).update(code);
    hasher.finalize()
}

/// The module in a file that this node wrote. None, if there is no such file or it is not as it was written.
fn read(engine: &NodeEngine, file: &Path) -> Option<Module> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!(target: "compute", event = "module_unreadable", path = %file.display(), %error, "compiling it again");
            return None;
        }
    };
    let (code, sum) = bytes.split_last_chunk::<CHECKSUM>()?;
    if checksum(file, code) != *sum {
        warn!(target: "compute", event = "module_damaged", path = %file.display(), "compiling it again");
        return None;
    }
    #[expect(
        unsafe_code,
        reason = "machine code is taken from a folder that is the node's alone, after a look at its checksum"
    )]
    // SAFETY: the bytes are what `Module::serialize` gave this or an equal engine: the checksum covers the file's content and
    // its name, which holds the engine's fingerprint.
    let module = unsafe { Module::deserialize(engine.engine(), code) };
    match module {
        Ok(module) => Some(module),
        Err(error) => {
            debug!(target: "compute", event = "module_stale", path = %file.display(), error = %format!("{error:#}"));
            None
        }
    }
}

/// Writes a file as a whole or not at all, and makes room for it.
fn write(folder: &Path, file: &Path, code: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    make_room(folder, (code.len() + CHECKSUM) as u64)?;
    let temporary = file.with_extension("new");
    let mut out = File::create(&temporary)?;
    out.write_all(code)?;
    out.write_all(checksum(file, code).as_bytes())?;
    out.sync_all()?;
    fs::rename(&temporary, file)
}

/// Removes the files that were written first until there is room for `wanted` bytes more.
fn make_room(folder: &Path, wanted: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut held: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if held.saturating_add(wanted) <= DISK_MOST {
            break;
        }
        fs::remove_file(&path)?;
        held -= size;
    }
    Ok(())
}
