//! [`fjall`] behind [`Engine`].
//!
//! Three things are kept from harm here. A panic inside the engine, which damaged files can cause, becomes an error. A write
//! never enters the engine's own waits for background work, which do not end once that work has failed. And an engine that is
//! opened after a failure stands on a fresh copy of its journal: bytes that a failed sync left in memory alone are written
//! anew, and what the old engine may still write goes nowhere.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fjall::compaction::Leveled;
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode};
use tokio::time::Instant;

use super::{journal, manifest};
use crate::store::contract::Order;
use crate::store::engine::{Engine, EngineError, EngineOpenError, Occasion, Op, OpenEngine, Opened, Space, Visit};
use crate::store::files::{make_folder, sync_folder};

/// Blocks of tables that are kept in memory.
const CACHE: u64 = 8 << 20;
/// What a keyspace gathers in memory before it becomes a table. What was not yet gathered is read again at the next start.
const MEMTABLE: u64 = 4 << 20;
/// The least that the engine takes. It bounds what must be read again at the next start.
const JOURNALS: u64 = 64 << 20;
/// One makes tables of what was gathered while the other merges them; with one alone, memory and journals grow meanwhile.
const THREADS: usize = 2;
/// Tables are merged when there are so many new ones: fewer merges, and reads that look into more tables.
const TABLES: u8 = 8;
const OPEN_FILES: usize = 256;
/// Below the numbers at which the engine makes writers wait.
const SEALED_MAX: usize = 2;
const TABLES_MAX: usize = 18;
/// More than this a keyspace does not gather while the engine's threads are busy.
const MEMTABLE_MAX: u64 = 16 << 20;
/// How long background work may keep a write waiting.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long files of a dropped engine may stay open.
const CLOSING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

/// The engine's keyspaces. Spaces of the same habits share one.
#[derive(Clone, Copy)]
enum Tree {
    Messages,
    Outcomes,
    Ids,
    Small,
    Bytes,
}

const TREES: [(Tree, &str); 5] = [
    (Tree::Messages, "messages"),
    (Tree::Outcomes, "outcomes"),
    (Tree::Ids, "ids"),
    (Tree::Small, "small"),
    (Tree::Bytes, "bytes"),
];

fn tree_of(space: Space) -> Tree {
    match space {
        Space::Messages => Tree::Messages,
        Space::Outcomes => Tree::Outcomes,
        // They come and go as ids do, but the sooner.
        Space::Ids | Space::Outbox => Tree::Ids,
        Space::SnapshotBytes | Space::Blobs | Space::DeadLetters => Tree::Bytes,
        Space::Meta
        | Space::Processes
        | Space::IdsFrom
        | Space::Pending
        | Space::Definitions
        | Space::Halts
        | Space::Snapshots
        | Space::Marks
        | Space::Monitors
        | Space::CronSlots
        | Space::CronCursors
        | Space::Archives => Tree::Small,
    }
}

/// Opens the engine on disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fjall;

impl OpenEngine for Fjall {
    fn open(&self, folder: &Path, mark: u64, occasion: Occasion) -> Result<Opened, EngineOpenError> {
        let failed = |error: io::Error| EngineOpenError::Failed(format!("{}: {error}", folder.display()));
        make_folder(folder).map_err(failed)?;
        // The engine has a keyspace of its own beside these.
        manifest::check(folder, TREES.len() + 1, mark)?;
        if occasion == Occasion::Failure {
            wait_until_closed(folder)?;
        }
        let torn_bytes = journal::check(folder, mark)?;
        if occasion == Occasion::Failure {
            renew_journal(folder).map_err(failed)?;
        }
        let engine = guarded(|| FjallEngine::open(folder)).map_err(|reason| damaged(folder, reason))?;
        let engine = engine.map_err(|error| open_error(folder, error))?;
        // What was found may not be on disk yet, but from here on it is shown and built upon.
        engine.write(&[], true).map_err(|error| EngineOpenError::Failed(error.to_string()))?;
        Ok(Opened { engine: Box::new(engine), torn_bytes })
    }
}

/// The engine's threads may hold its journal for a moment longer than the engine itself lives.
fn wait_until_closed(folder: &Path) -> Result<(), EngineOpenError> {
    let Ok(folder) = fs::canonicalize(folder) else { return Ok(()) };
    let start = Instant::now();
    let is_open = || {
        let files = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| file.starts_with(&folder))
    };
    while is_open() {
        if start.elapsed() > CLOSING {
            return Err(EngineOpenError::Failed("files of the failed engine are still open".to_owned()));
        }
        std::thread::park_timeout(PAUSE);
    }
    Ok(())
}

/// Replaces the newest journal by a copy that is on disk. Where there is no room for one, the journal itself must do.
fn renew_journal(folder: &Path) -> io::Result<()> {
    let Some(path) = journal::files(folder)?.pop() else { return Ok(()) };
    // The engine refuses strange names in its own folder.
    let Some(parent) = folder.parent() else { return Ok(()) };
    let temporary = parent.join("journal.tmp");
    match copy_journal(&path, &temporary) {
        Ok(()) => {
            fs::rename(&temporary, &path)?;
            sync_folder(folder)?;
            sync_folder(parent)
        }
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            if error.kind() == io::ErrorKind::StorageFull { Ok(()) } else { Err(error) }
        }
    }
}

fn copy_journal(path: &Path, temporary: &Path) -> io::Result<()> {
    let length = journal::whole_bytes(path)?;
    let mut copy = File::create(temporary)?;
    io::copy(&mut File::open(path)?.take(length), &mut copy)?;
    copy.sync_all()
}

fn damaged(folder: &Path, reason: String) -> EngineOpenError {
    EngineOpenError::Damaged { what: folder.display().to_string(), reason }
}

fn open_error(folder: &Path, error: fjall::Error) -> EngineOpenError {
    match error {
        fjall::Error::Locked => EngineOpenError::InUse,
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error))
            if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound) =>
        {
            EngineOpenError::Failed(format!("{}: {error}", folder.display()))
        }
        error => damaged(folder, plain(&error)),
    }
}

struct FjallEngine {
    // Before the database, so that the last handle of each file is the database's own.
    trees: Vec<Keyspace>,
    database: Database,
}

impl FjallEngine {
    fn open(folder: &Path) -> fjall::Result<Self> {
        let database = Database::builder(folder)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .max_cached_files(Some(OPEN_FILES))
            .worker_threads(THREADS)
            .open()?;
        let strategy = Arc::new(Leveled::default().with_l0_threshold(TABLES));
        let options =
            || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE).compaction_strategy(strategy.clone());
        let trees = TREES.iter().map(|(_, name)| database.keyspace(name, options)).collect::<Result<_, _>>()?;
        Ok(Self { trees, database })
    }

    fn tree(&self, space: Space) -> Result<&Keyspace, EngineError> {
        self.trees.get(tree_of(space) as usize).ok_or_else(|| EngineError::Failed("the engine is not open".to_owned()))
    }

    /// Waits while background work is behind, as long as there is hope.
    fn wait_for_room(&self) -> Result<(), EngineError> {
        let not_written = |error: fjall::Error| EngineError::NotWritten(plain(&error));
        let is_behind =
            |tree: &&Keyspace| tree.sealed_memtable_count() > SEALED_MAX || tree.l0_table_count() > TABLES_MAX;
        let is_great = |tree: &&Keyspace| tree.tree.active_memtable().size() > MEMTABLE_MAX;
        // What was found at the start is not made a table by itself, however much it is.
        for tree in self.trees.iter().filter(is_great) {
            tree.rotate_memtable().map_err(not_written)?;
        }
        let start = Instant::now();
        while self.trees.iter().any(|tree| is_behind(&tree)) {
            // Fails once background work has.
            self.database.persist(PersistMode::Buffer).map_err(not_written)?;
            if start.elapsed() > PATIENCE {
                return Err(EngineError::NotWritten("the disk does not keep up".to_owned()));
            }
            std::thread::park_timeout(PAUSE);
        }
        Ok(())
    }

    /// Makes tables of everything that was gathered, and merges those of the logs, which forgets what was deleted.
    fn merge(&self) -> Result<(), EngineError> {
        for tree in &self.trees {
            tree.rotate_memtable().map_err(write_error)?;
        }
        let start = Instant::now();
        while self.trees.iter().any(|tree| tree.sealed_memtable_count() > 0) {
            // Fails once background work has.
            self.database.persist(PersistMode::Buffer).map_err(write_error)?;
            if start.elapsed() > PATIENCE {
                return Err(EngineError::Failed("the disk does not keep up".to_owned()));
            }
            std::thread::park_timeout(PAUSE);
        }
        for space in [Space::Messages, Space::Outcomes] {
            self.tree(space)?.major_compact().map_err(write_error)?;
        }
        Ok(())
    }

    fn commit(&self, ops: &[Op], sync: bool) -> Result<(), EngineError> {
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        if ops.is_empty() {
            return self.database.persist(mode).map_err(write_error);
        }
        let mut batch = self.database.batch().durability(Some(mode));
        for op in ops {
            match op {
                Op::Put { space, key, value } => {
                    batch.insert(self.tree(*space)?, full_key(*space, key), value.as_slice())
                }
                Op::Delete { space, key } => batch.remove(self.tree(*space)?, full_key(*space, key)),
            }
        }
        batch.commit().map_err(write_error)
    }
}

impl Engine for FjallEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let tree = self.tree(space)?;
        let value = guarded(|| tree.get(full_key(space, key))).map_err(EngineError::Damaged)?;
        Ok(value.map_err(read_error)?.map(|value| value.to_vec()))
    }

    fn range(&self, space: Space, keys: Range<&[u8]>, order: Order, visit: Visit<'_>) -> Result<(), EngineError> {
        if keys.start >= keys.end {
            return Ok(());
        }
        let tree = self.tree(space)?;
        let range = || {
            let mut items = tree.range(full_key(space, keys.start)..full_key(space, keys.end));
            loop {
                let item = match order {
                    Order::Ascending => items.next(),
                    Order::Descending => items.next_back(),
                };
                let Some(item) = item else { return Ok(()) };
                let (key, value) = item.into_inner()?;
                if let ControlFlow::Break(()) = visit(key.get(1..).unwrap_or_default(), &value) {
                    return Ok(());
                }
            }
        };
        guarded(range).map_err(EngineError::Damaged)?.map_err(read_error)
    }

    fn write(&self, ops: &[Op], sync: bool) -> Result<(), EngineError> {
        guarded(|| self.wait_for_room().and_then(|()| self.commit(ops, sync))).map_err(EngineError::Failed)?
    }

    fn reclaim(&self) -> Result<(), EngineError> {
        guarded(|| self.merge()).map_err(EngineError::Failed)?
    }
}

/// Spaces share keyspaces, so each key begins with its space.
fn full_key(space: Space, key: &[u8]) -> Vec<u8> {
    [&[space as u8], key].concat()
}

fn read_error(error: fjall::Error) -> EngineError {
    match &error {
        fjall::Error::Io(_) | fjall::Error::Storage(LsmError::Io(_)) => EngineError::Failed(plain(&error)),
        _ => EngineError::Damaged(plain(&error)),
    }
}

fn write_error(error: fjall::Error) -> EngineError {
    match error {
        // It was poisoned before this write, by an earlier one or by background work.
        fjall::Error::Poisoned => EngineError::NotWritten(plain(&error)),
        error => EngineError::Failed(plain(&error)),
    }
}

/// What a person can read of an engine's error.
fn plain(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write or background work failed".to_owned(),
        fjall::Error::Storage(LsmError::ChecksumMismatch { .. }) => "a checksum does not fit".to_owned(),
        fjall::Error::Storage(error) => format!("{error:?}"),
        error => format!("{error:?}"),
    }
}

/// What `call` returns, or the text of its panic.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        format!("the engine gave up: {}", text.unwrap_or("it did not say why"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fjall::journal::NUMBER_KEY;
    use crate::store::keys::SEQUENCE;

    #[test]
    fn the_number_key_is_that_of_the_sequence() {
        assert_eq!(full_key(Space::Meta, SEQUENCE), NUMBER_KEY);
    }

    #[test]
    fn every_tree_is_at_its_own_place() {
        for (place, (tree, _)) in TREES.iter().enumerate() {
            assert_eq!(*tree as usize, place);
        }
    }
}
