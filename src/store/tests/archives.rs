//! Logs whose old end is in archives: read as if it were not, whatever happened on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::helper::*;
use crate::ids::{Epoch, ProcessId, Slot};
use crate::process::{ArchiveRef, Computed, Entry, EntryKind, Mark, MarkSource, Origin};
use crate::store::contract::{CommitResult, Order, Page, PageQuery, ReadError, Record};
use crate::store::engine::OpenEngine;
use crate::store::faulty::{Fault, Faults, Faulty};
use crate::store::{Fjall, Memory, Store};

const SLOTS: u64 = 900;
const LONG: Duration = Duration::from_secs(60);
/// Slots that hold definitions, besides slot 0.
const DEFINITIONS: [u64; 3] = [1, 256, 700];

fn entry_of(process: &ProcessId, slot: u64) -> Entry {
    let mut entry = entry(process, slot);
    if DEFINITIONS.contains(&slot) {
        (entry.origin, entry.kind) = (Origin::Node, EntryKind::Definition);
    } else if slot % 10 == 3 {
        entry.origin = Origin::Cron;
        entry.mark = Some(Mark { source: MarkSource::parse("cron").unwrap(), position: (slot, 0) });
    }
    entry
}

/// A process with `slots` computed slots and a snapshot after slot `at`.
fn fill(store: &Store, process: &ProcessId, slots: u64, at: u64) -> Epoch {
    let epoch = claim(store, process).epoch;
    let mut records = vec![Record::Process(record(process))];
    records.extend((0..slots).map(|slot| Record::Entry(entry_of(process, slot))));
    records.extend((0..slots).map(|slot| Record::Computed(computed(slot))));
    let bytes: Arc<[u8]> = b"state".as_slice().into();
    records.push(Record::Snapshot(snapshot_ref(at, &bytes), Some(bytes)));
    assert_eq!(commit(store, commit_of(process, epoch, (None, None), records)), CommitResult::Committed);
    epoch
}

/// Everything that can be read of a log.
#[derive(Debug, PartialEq)]
struct Seen {
    entries: Vec<Entry>,
    outcomes: Vec<Computed>,
    backwards: Vec<Entry>,
    cron: Vec<Computed>,
}

fn whole<T>(read: impl Fn(&PageQuery) -> Result<Page<T>, ReadError>, order: Order) -> Vec<T> {
    let page = read(&page(0, u64::MAX, usize::MAX, order)).unwrap();
    assert!(!page.more);
    page.items
}

fn see(store: &Store, process: &ProcessId) -> Seen {
    Seen {
        entries: whole(|query| store.entries(process, query), Order::Ascending),
        outcomes: whole(|query| store.outcomes(process, query), Order::Ascending),
        backwards: whole(|query| store.entries(process, query), Order::Descending),
        cron: whole(|query| store.cron_outcomes(process, query), Order::Ascending),
    }
}

fn check(store: &Store, process: &ProcessId) {
    let slots = || 0..SLOTS;
    let seen = see(store, process);
    assert_eq!(seen.entries, slots().map(|slot| entry_of(process, slot)).collect::<Vec<_>>());
    assert_eq!(seen.outcomes, slots().map(computed).collect::<Vec<_>>());
    assert_eq!(seen.backwards, slots().rev().map(|slot| entry_of(process, slot)).collect::<Vec<_>>());
    assert_eq!(
        seen.cron,
        slots().filter(|slot| entry_of(process, *slot).origin == Origin::Cron).map(computed).collect::<Vec<_>>()
    );
    for slot in [0, 1, 2, 255, 256, 257, 511, 512, 698, 699, 700, 701, SLOTS - 1] {
        assert_eq!(store.entry(process, Slot(slot)).unwrap(), Some(entry_of(process, slot)));
        assert_eq!(store.computed(process, Slot(slot)).unwrap(), Some(computed(slot)));
    }
    assert_eq!(store.entry(process, Slot(SLOTS)).unwrap(), None);
    let head = store.head(process).unwrap().unwrap();
    assert_eq!((head.scheduled.0, head.computed, head.definition.0), (SLOTS - 1, Some(Slot(SLOTS - 1)), 700));
    let known = store.known_id(process, Origin::Client, &message_id(process, 5)).unwrap();
    assert_eq!(known.map(|known| known.slot), Some(Slot(5)), "ids stay known");
    let mark = store.mark(process, &MarkSource::parse("cron").unwrap()).unwrap();
    assert_eq!(mark, Some((893, 0)), "marks stay");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(folders) = std::fs::read_dir(folder.join("archive")) else { return Vec::new() };
    let mut files: Vec<_> = folders
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn an_archived_log_is_read_as_before() {
    for (name, engine) in engines() {
        println!("engine {name}");
        let folder = tempfile::tempdir().unwrap();
        let (process, other) = (id("p"), id("p-1"));
        let store = open(folder.path(), engine.clone());
        fill(&store, &process, SLOTS, 800);
        fill(&store, &other, 50, 40);
        let size = store.archivable(&process, Slot(600)).unwrap();
        assert_eq!(size.slots, 598);
        let done = store.archive_log(&process, Slot(600)).unwrap();
        assert_eq!((done.files, done.slots, done.dropped), (1, 600, size));
        assert!(done.bytes > 0 && done.bytes < size.bytes / 5, "{done:?}");
        check(&store, &process);
        let second = store.archive_log(&process, Slot(799)).unwrap();
        assert_eq!((second.files, second.slots, second.dropped.slots), (1, 199, 198));
        assert_eq!(store.archive_log(&process, Slot(799)).unwrap(), Default::default(), "there is nothing left");
        store.reclaim().unwrap();
        check(&store, &process);
        assert_eq!((slots(&store, &other).len(), store.archives(&other).unwrap()), (50, vec![]));
        let stretches: Vec<_> = store.archives(&process).unwrap().iter().map(|one| (one.first.0, one.last.0)).collect();
        assert_eq!(stretches, [(1, 600), (601, 799)]);
        assert_eq!(store.sweep_archives(), 0);
        // The log goes on.
        let epoch = claim(&store, &process).epoch;
        let next = commit_of(&process, epoch, (Some(SLOTS - 1), None), vec![Record::Entry(entry(&process, SLOTS))]);
        assert_eq!(commit(&store, next), CommitResult::Committed);
        drop(store);
        let store = open(folder.path(), engine);
        assert_eq!(slots(&store, &process), (0..=SLOTS).collect::<Vec<_>>());
        let runner = store.as_reader(&process);
        assert_eq!(runner, (0..=SLOTS).map(Slot).collect::<Vec<_>>(), "runners read the same");
    }
}

impl Store {
    /// The slots as a device's runner reads them.
    fn as_reader(&self, process: &ProcessId) -> Vec<Slot> {
        let (mut read, mut next) = (Vec::new(), Slot::ZERO);
        loop {
            let entries = crate::device::LogReader::entries(self, process, next, Slot(SLOTS)).unwrap();
            let Some(last) = entries.last() else { return read };
            next = last.slot.next();
            read.extend(entries.iter().map(|entry| entry.slot));
        }
    }
}

#[test]
fn only_what_is_sure_may_be_archived_or_leave() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(Memory::default()));
    let process = id("p");
    fill(&store, &process, SLOTS, 800);
    assert!(store.archive_log(&process, Slot(800)).is_err(), "the oldest snapshot's own slot stays");
    assert_eq!(store.sweep_archives(), 1, "its file is a stray one");
    check(&store, &process);
    store.archive_log(&process, Slot(300)).unwrap();
    let epoch = claim(&store, &process).epoch;
    let archive = |first, last| {
        Record::Archived(ArchiveRef {
            first: Slot(first),
            last: Slot(last),
            seal: crate::ids::BlobHash([0; 32]),
            length: 9,
            index: 9,
        })
    };
    let bad = [
        archive(1, 400),
        archive(302, 400),
        archive(301, 800),
        archive(301, 300),
        archive(0, 400),
        Record::DropArchived(Slot(301)),
        Record::DropArchived(Slot(256)),
        Record::DropArchived(Slot(0)),
    ];
    for record in bad {
        let text = format!("{record:?}");
        let last = Some(SLOTS - 1);
        let answer = commit(&store, commit_of(&process, epoch, (last, last), vec![record]));
        assert_eq!(answer, CommitResult::Fenced, "{text}");
    }
    check(&store, &process);
}

#[test]
fn a_crash_at_any_write_leaves_log_or_archive_whole() {
    // The record of the archive is one write, and what leaves the log takes four; each is met before and after it took effect.
    for at in 0..6 {
        for fault in [Fault::Before, Fault::After] {
            let folder = tempfile::tempdir().unwrap();
            let (faults, memory) = (Faults::default(), Memory::default());
            let engine: Arc<dyn OpenEngine> = Arc::new(Faulty::new(Arc::new(memory.clone()), faults.clone()));
            let store = open(folder.path(), engine);
            let process = id("p");
            fill(&store, &process, SLOTS, 800);
            flush(&store).unwrap();
            faults.next(std::iter::repeat_n(Fault::None, at).chain([fault]));
            let failed = store.archive_log(&process, Slot(799));
            assert_eq!(failed.is_err(), at < 5, "write {at}: {failed:?}");
            assert!(store.wait_until_healthy(LONG));
            check(&store, &process);
            drop(store);
            let store = open(folder.path(), Arc::new(memory));
            check(&store, &process);
            let is_recorded = !store.archives(&process).unwrap().is_empty();
            assert_eq!(store.sweep_archives(), usize::from(!is_recorded), "write {at}, {fault:?}");
            check(&store, &process);
            let again = store.archive_log(&process, Slot(799)).unwrap();
            assert_eq!(again.files, u64::from(!is_recorded));
            check(&store, &process);
            assert_eq!(files(folder.path()).len(), 1);
            assert_eq!(store.archivable(&process, Slot(799)).unwrap(), Default::default(), "nothing is left over");
        }
    }
}

#[test]
fn what_was_never_named_or_recorded_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(Fjall));
    let process = id("p");
    fill(&store, &process, SLOTS, 800);
    let path = folder.path().join(format!("archive/{:02x}", process.shard().0));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("p-1.tmp"), "half a file").unwrap();
    std::fs::write(path.join("p-1-799.log"), "another").unwrap();
    check(&store, &process);
    store.archive_log(&process, Slot(799)).unwrap();
    check(&store, &process);
    assert_eq!(files(folder.path()), [path.join("p-1-799.log")]);
}

#[test]
fn a_damaged_archive_is_named_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(Memory::default()));
    let process = id("p");
    fill(&store, &process, SLOTS, 800);
    store.archive_log(&process, Slot(799)).unwrap();
    let path = files(folder.path()).pop().unwrap();
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[14] ^= 1;
    for (bytes, what) in [(Some(&flipped[..]), "checksum"), (Some(&good[..99]), "another length"), (None, "gone")] {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let names = |error: String, slot: &str| {
            assert!(error.contains(slot) && error.contains(path.to_str().unwrap()) && error.contains(what), "{error}");
        };
        names(store.entry(&process, Slot(2)).unwrap_err().to_string(), "slot 2 ");
        names(store.entries(&process, &page(0, 9, 9, Order::Ascending)).unwrap_err().to_string(), "slot 1 ");
        let backwards = store.outcomes(&process, &page(0, 900, 900, Order::Descending));
        // The changed byte is in the first messages.
        assert_eq!(backwards.is_ok(), what == "checksum");
        assert_eq!(
            store.entry(&process, Slot(256)).unwrap(),
            Some(entry_of(&process, 256)),
            "definitions are in the log"
        );
        let rest = store.entries(&process, &page(800, 900, 900, Order::Ascending)).unwrap();
        assert_eq!(rest.items.len(), 100);
    }
    std::fs::write(&path, good).unwrap();
    check(&store, &process);
}

#[test]
fn a_hole_behind_the_archive_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    let store = open(folder.path(), Arc::new(memory.clone()));
    let process = id("p");
    fill(&store, &process, SLOTS, 800);
    store.archive_log(&process, Slot(600)).unwrap();
    let key = crate::store::keys::slot(&process, Slot(601));
    let hole = crate::store::engine::Op::Delete { space: crate::store::engine::Space::Messages, key };
    crate::store::engine::Engine::write(&memory, &[hole], true).unwrap();
    for order in [Order::Ascending, Order::Descending] {
        let error = store.entries(&process, &page(590, 610, 100, order)).unwrap_err().to_string();
        assert!(error.contains("comes where another should"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn pages_are_the_same_before_and_after(
        cuts in proptest::collection::vec(1..130u64, 1..4),
        queries in proptest::collection::vec((0..150u64, 0..170u64, 0..60usize, 0..3000u64, any::<bool>()), 40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), Arc::new(Memory::default()));
        let process = id("p");
        fill(&store, &process, 150, 140);
        let ask = |store: &Store| -> Vec<_> {
            queries.iter().map(|(first, last, limit, bytes, is_descending)| {
                let order = if *is_descending { Order::Descending } else { Order::Ascending };
                let query = PageQuery { first: Slot(*first), last: Slot(*last), limit: *limit, bytes: *bytes, order };
                (store.entries(&process, &query), store.outcomes(&process, &query), store.cron_outcomes(&process, &query))
            }).collect()
        };
        let before = ask(&store);
        for cut in cuts {
            store.archive_log(&process, Slot(cut)).unwrap();
            prop_assert_eq!(&ask(&store), &before);
        }
    }
}
