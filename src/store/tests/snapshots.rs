//! Snapshots in files: chains that grow, are cut, break, and outlive failures.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::helper::*;
use crate::ids::{BlobHash, Epoch, ProcessId, Slot};
use crate::process::{SnapshotFile, SnapshotRef};
use crate::store::Store;
use crate::store::contract::{CommitResult, Durability, Record};
use crate::store::engine::OpenEngine;
use crate::store::faulty::{Fault, Faults, Faulty};

/// So many slots are computed before the first snapshot.
const SLOTS: u64 = 40;
const PAGES: usize = 20;
const PAGE: usize = 4096;

/// A state that does not compress; each slot changes another page of it.
fn state(slot: u64) -> Arc<[u8]> {
    let mut bytes = vec![0; PAGES * PAGE];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    for slot in 0..=slot {
        bytes[slot as usize % PAGES * PAGE] ^= slot as u8 + 1;
    }
    bytes.into()
}

/// A process all of whose slots are computed, and the epoch that holds it.
fn computed_process(store: &Store, process: &ProcessId) -> Epoch {
    let epoch = claim(store, process).epoch;
    let mut records = vec![Record::Process(record(process))];
    records.extend((0..SLOTS).map(|slot| Record::Entry(entry(process, slot))));
    records.extend((0..SLOTS).map(|slot| Record::Computed(computed(slot))));
    assert_eq!(commit(store, commit_of(process, epoch, (None, None), records)), CommitResult::Committed);
    epoch
}

fn place(store: &Store, process: &ProcessId, slot: u64, base: Option<&SnapshotRef>) -> SnapshotRef {
    let placed = store.place_snapshot(process, Slot(slot), Slot(0), base, state(slot)).unwrap();
    let Record::Snapshot(reference, None) = placed else { panic!("it lies in the store") };
    reference
}

/// Commits `records` of a process all of whose slots are computed.
fn write(store: &Store, process: &ProcessId, epoch: Epoch, records: Vec<Record>) -> CommitResult {
    let last = Some(SLOTS - 1);
    commit(store, commit_of(process, epoch, (last, last), records))
}

/// The records by which a worker that keeps `kept` snapshots stores a new one beside `stored`, newest first.
fn turn_over(new: &SnapshotRef, stored: &[SnapshotRef], kept: usize) -> Vec<Record> {
    let mut records = vec![Record::Snapshot(new.clone(), None)];
    records.extend(stored.iter().skip(kept - 1).cloned().map(Record::DropSnapshot));
    records
}

/// The snapshot files of a data folder, in order of name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(folder.join("snapshots")).unwrap().flatten();
    let folders = folders.filter(|folder| folder.path().is_dir());
    let mut files: Vec<_> =
        folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap()).map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn wait_for(condition: impl Fn() -> bool) {
    let start = tokio::time::Instant::now();
    while !condition() {
        assert!(start.elapsed().as_secs() < 60, "in vain");
        std::thread::yield_now();
    }
}

/// How many files the snapshots of `process` are made from.
fn needed(store: &Store, process: &ProcessId) -> usize {
    let mut files: Vec<_> = store.snapshots(process).unwrap().into_iter().flat_map(|one| one.files).collect();
    files.sort_by_key(|file| file.slot);
    files.dedup();
    files.len()
}

/// Every snapshot that is referred to can be read and is what it should be.
fn check_all(store: &Store, process: &ProcessId) {
    for snapshot in store.snapshots(process).unwrap() {
        let bytes = store.read_snapshot(process, &snapshot).unwrap();
        assert!(bytes[..] == state(snapshot.slot.0)[..], "slot {}", snapshot.slot);
    }
}

#[test]
fn a_chain_keeps_what_it_stands_on_and_nothing_else() {
    for (name, engine) in engines() {
        for kept in [1, 2, 3] {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path(), engine.clone());
            let process = id(&format!("p{kept}"));
            let epoch = computed_process(&store, &process);
            for slot in 0..30 {
                let stored = store.snapshots(&process).unwrap();
                let new = place(&store, &process, slot, stored.first());
                assert_eq!(new.files.len(), 1 + slot as usize % 9);
                let records = turn_over(&new, &stored, kept);
                assert_eq!(write(&store, &process, epoch, records), CommitResult::Committed);
                flush(&store).unwrap();
                check_all(&store, &process);
                assert_eq!(store.snapshots(&process).unwrap().len(), kept.min(slot as usize + 1));
                assert_eq!(files(folder.path()).len(), needed(&store, &process), "{name}, {kept} kept, slot {slot}");
            }
            let drops = store.snapshots(&process).unwrap().into_iter().map(Record::DropSnapshot).collect();
            assert_eq!(write(&store, &process, epoch, drops), CommitResult::Committed);
            drop(store);
            assert_eq!(files(folder.path()), [] as [PathBuf; 0]);
        }
    }
}

#[test]
fn nothing_is_committed_that_stands_on_what_is_not_kept() {
    for (_, engine) in engines() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), engine);
        let process = id("p");
        let epoch = computed_process(&store, &process);
        let first = place(&store, &process, 0, None);
        let early = place(&store, &process, 1, Some(&first));
        let refused = write(&store, &process, epoch, vec![Record::Snapshot(early.clone(), None)]);
        assert_eq!(refused, CommitResult::Fenced, "its base has no reference yet");
        assert_eq!(write(&store, &process, epoch, turn_over(&first, &[], 1)), CommitResult::Committed);
        // Both are in the queue at once, and the first takes the base from under the second.
        let second = place(&store, &process, 2, None);
        let records = [turn_over(&second, std::slice::from_ref(&first), 1), turn_over(&early, &[], 1)];
        let (sender, receiver) = std::sync::mpsc::channel();
        for records in records {
            let sender = sender.clone();
            let last = Some(SLOTS - 1);
            let one = commit_of(&process, epoch, (last, last), records);
            store.commit(one, move |answer| sender.send(answer).unwrap());
        }
        let answers: Vec<_> = receiver.iter().take(2).collect();
        assert_eq!(answers, [CommitResult::Committed, CommitResult::Fenced]);
        flush(&store).unwrap();
        assert_eq!(store.snapshots(&process).unwrap(), [second]);
        check_all(&store, &process);
        // One more stands on what was just committed, perhaps in the batch that is being gathered.
        let third = place(&store, &process, 3, store.snapshots(&process).unwrap().first());
        assert_eq!(third.files.len(), 2);
        assert_eq!(write(&store, &process, epoch, turn_over(&third, &[], 1)), CommitResult::Committed);
    }
}

#[test]
fn a_file_goes_only_once_its_drop_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let store = open(folder.path(), Arc::new(Faulty::new(engines()[0].1.clone(), faults.clone())));
    let process = id("p");
    let epoch = computed_process(&store, &process);
    let first = place(&store, &process, 0, None);
    assert_eq!(write(&store, &process, epoch, turn_over(&first, &[], 1)), CommitResult::Committed);
    let syncs = faults.syncs();
    let last = Some(SLOTS - 1);
    let lazy = commit_of(&process, epoch, (last, last), vec![Record::DropSnapshot(first)]);
    let lazy = crate::process::Commit { durability: Durability::Lazy, ..lazy };
    assert_eq!(commit(&store, lazy), CommitResult::Committed);
    assert_eq!(faults.syncs(), syncs + 1);
    flush(&store).unwrap();
    assert_eq!(files(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn great_snapshots_are_files_and_a_damaged_one_is_set_aside() {
    for (_, engine) in engines() {
        let folder = tempfile::tempdir().unwrap();
        let process = id("p");
        let store = open(folder.path(), engine.clone());
        let epoch = computed_process(&store, &process);
        let full = place(&store, &process, 0, None);
        assert_eq!(write(&store, &process, epoch, turn_over(&full, &[], 3)), CommitResult::Committed);
        let other = place(&store, &process, 1, None);
        assert_eq!(write(&store, &process, epoch, turn_over(&other, &[], 3)), CommitResult::Committed);
        let delta = place(&store, &process, 2, Some(&other));
        assert_eq!(write(&store, &process, epoch, turn_over(&delta, &[], 3)), CommitResult::Committed);
        // Without a reference: what a crash leaves behind, on its own and on another.
        place(&store, &process, 3, Some(&delta));
        place(&store, &id("q"), 7, None);
        assert_eq!(files(folder.path()).len(), 5);
        drop(store);
        std::fs::write(folder.path().join("snapshots/left.tmp"), b"x").unwrap();
        let store = open(folder.path(), engine.clone());
        let found = store.snapshots(&process).unwrap();
        assert_eq!(found, [delta.clone(), other, full]);
        // The sweep runs beside; ending the store waits for it or stops it.
        wait_for(|| files(folder.path()).len() == 3);
        check_all(&store, &process);
        let damaged = files(folder.path()).into_iter().find(|path| path.to_str().unwrap().contains("p-1-")).unwrap();
        std::fs::write(&damaged, vec![2; 99_999]).unwrap();
        assert!(store.read_snapshot(&process, &found[0]).unwrap_err().to_string().contains("damaged"));
        assert!(damaged.with_extension("damaged").exists() && !damaged.exists());
        assert!(store.read_snapshot(&process, &found[1]).is_err());
        assert_eq!(store.read_snapshot(&process, &found[2]).unwrap()[..], state(0)[..]);
        let next = place(&store, &process, 4, Some(&delta));
        assert_eq!(next.files.len(), 1, "nothing stands on what is damaged");
        let epoch = claim(&store, &process).epoch;
        assert_eq!(write(&store, &process, epoch, turn_over(&next, &found, 1)), CommitResult::Committed);
        check_all(&store, &process);
        drop(store);
        assert_eq!(files(folder.path()).len(), 2, "the newest, and what was set aside");
    }
}

#[test]
fn one_that_takes_the_place_of_another_of_its_slot_stays_and_nothing_of_the_other_does() {
    let small: Arc<[u8]> = b"small".as_slice().into();
    for (_, engine) in engines() {
        for (old_is_filed, new_is_filed) in [(true, true), (true, false), (false, true), (false, false)] {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path(), engine.clone());
            let process = id(&format!("p-{old_is_filed}-{new_is_filed}"));
            let epoch = computed_process(&store, &process);
            let take = |is_filed: bool| {
                let bytes = if is_filed { state(3) } else { small.clone() };
                match store.place_snapshot(&process, Slot(3), Slot(0), None, bytes).unwrap() {
                    Record::Snapshot(reference, bytes) => (reference.clone(), Record::Snapshot(reference, bytes)),
                    other => panic!("{other:?}"),
                }
            };
            let (old, record) = take(old_is_filed);
            assert_eq!(write(&store, &process, epoch, vec![record]), CommitResult::Committed);
            for file in files(folder.path()) {
                std::fs::write(file, "damaged").unwrap();
            }
            assert_eq!(store.read_snapshot(&process, &old).is_err(), old_is_filed);
            let (new, record) = take(new_is_filed);
            let records = vec![Record::DropSnapshot(old.clone()), record];
            assert_eq!(write(&store, &process, epoch, records), CommitResult::Committed);
            flush(&store).unwrap();
            let case = format!("old in a file: {old_is_filed}, new in a file: {new_is_filed}");
            assert_eq!(store.snapshots(&process).unwrap(), std::slice::from_ref(&new), "{case}");
            let expected = if new_is_filed { state(3) } else { small.clone() };
            assert!(store.read_snapshot(&process, &new).unwrap()[..] == expected[..], "{case}");
            let sound = files(folder.path()).iter().filter(|path| path.extension().is_none()).count();
            assert_eq!(sound, usize::from(new_is_filed), "{case}");
            let inline = SnapshotRef { files: Vec::new(), ..old };
            assert_eq!(store.read_snapshot(&process, &inline).is_ok(), !new_is_filed && !old_is_filed, "{case}");
        }
    }
}

/// A step of the life of snapshots.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A snapshot is written and committed.
    Store { kept: usize, fault: Fault },
    /// A snapshot is written, and the node is killed before its commit.
    Leave,
    /// The store ends and begins again; a kill at this moment leaves the same. `is_early`: files that the last commits dropped
    /// are there still.
    Restart { is_early: bool },
    /// Bytes of a file rot.
    Rot(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![6 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After)];
    prop_oneof![
        12 => (1..4usize, fault).prop_map(|(kept, fault)| Step::Store { kept, fault }),
        2 => Just(Step::Leave),
        3 => any::<bool>().prop_map(|is_early| Step::Restart { is_early }),
        1 => (0..4usize).prop_map(Step::Rot),
    ]
}

struct Life {
    folder: tempfile::TempDir,
    engine: Arc<dyn OpenEngine>,
    faults: Faults,
    store: Option<Store>,
    process: ProcessId,
    epoch: Epoch,
    slot: u64,
    /// What the folder held before the last commit.
    before: Vec<(PathBuf, Vec<u8>)>,
    rotten: Vec<SnapshotFile>,
}

impl Life {
    fn new(engine: Arc<dyn OpenEngine>) -> Self {
        let (folder, faults, process) = (tempfile::tempdir().unwrap(), Faults::default(), id("p"));
        let engine: Arc<dyn OpenEngine> = Arc::new(Faulty::new(engine, faults.clone()));
        let store = open(folder.path(), engine.clone());
        let epoch = computed_process(&store, &process);
        let store = Some(store);
        Self { folder, engine, faults, store, process, epoch, slot: 0, before: Vec::new(), rotten: Vec::new() }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Store { kept, fault } => self.keep(kept, fault),
            Step::Leave => {
                let stored = self.store().snapshots(&self.process).unwrap();
                let slot = self.next();
                place(self.store(), &self.process, slot, stored.first());
            }
            Step::Restart { is_early } => self.restart(is_early),
            Step::Rot(at) => {
                let all = self.store().snapshots(&self.process).unwrap().into_iter().flat_map(|one| one.files);
                let Some(file) = all.clone().nth(at) else { return };
                let name = format!("p-{}-{}", file.slot, &file.seal.to_string()[..16]);
                let path = files(self.folder.path()).into_iter().find(|path| path.ends_with(&name));
                if let Some(path) = path {
                    let mut bytes = std::fs::read(&path).unwrap();
                    *bytes.last_mut().unwrap() ^= 1;
                    std::fs::write(&path, bytes).unwrap();
                }
                self.rotten.push(file);
            }
        }
        self.check();
    }

    fn next(&mut self) -> u64 {
        self.slot += 1;
        self.slot - 1
    }

    fn keep(&mut self, kept: usize, fault: Fault) {
        let stored = self.store().snapshots(&self.process).unwrap();
        let slot = self.next();
        let new = place(self.store(), &self.process, slot, stored.first());
        self.before =
            files(self.folder.path()).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        flush(self.store()).unwrap();
        self.faults.next((fault != Fault::None).then_some(fault));
        let answer = write(self.store(), &self.process, self.epoch, turn_over(&new, &stored, kept));
        assert_eq!(answer == CommitResult::Committed, fault == Fault::None, "{answer:?}");
        if fault != Fault::None {
            assert!(self.store().wait_until_healthy(Duration::from_secs(60)));
            self.epoch = claim(self.store(), &self.process).epoch;
        }
        flush(self.store()).unwrap();
        let newest = self.store().snapshots(&self.process).unwrap().first().map(|one| one.slot);
        assert_eq!(newest == Some(Slot(slot)), fault != Fault::Before);
    }

    fn restart(&mut self, is_early: bool) {
        self.store = None;
        self.faults.heal();
        for (path, bytes) in self
            .before
            .drain(..)
            .filter(|(path, _)| is_early && !path.exists() && !path.with_extension("damaged").exists())
        {
            std::fs::write(path, bytes).unwrap();
        }
        self.store = Some(open(self.folder.path(), self.engine.clone()));
        self.epoch = claim(self.store(), &self.process).epoch;
        let sound = |path: &&PathBuf| path.extension().is_none();
        let kept: Vec<SnapshotFile> =
            self.store().snapshots(&self.process).unwrap().into_iter().flat_map(|one| one.files).collect();
        wait_for(|| {
            let names = files(self.folder.path());
            names.iter().filter(sound).all(|path| {
                let is_of =
                    |file: &SnapshotFile| path.ends_with(format!("p-{}-{}", file.slot, &file.seal.to_string()[..16]));
                kept.iter().any(is_of)
            })
        });
    }

    /// What stands on sound files alone can be read; what does not, cannot.
    fn check(&self) {
        for snapshot in self.store().snapshots(&self.process).unwrap() {
            let is_sound = !snapshot.files.iter().any(|file| self.rotten.contains(file));
            match self.store().read_snapshot(&self.process, &snapshot) {
                Ok(bytes) => {
                    assert!(is_sound, "slot {} was read from rotten files", snapshot.slot);
                    assert_eq!(BlobHash::of(&bytes), BlobHash::of(&state(snapshot.slot.0)));
                }
                Err(error) => assert!(!is_sound, "{error}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn no_life_breaks_a_chain_that_is_kept(
        on_disk in prop::bool::weighted(0.3),
        steps in proptest::collection::vec(any_step(), 1..SLOTS as usize),
    ) {
        let mut life = Life::new(engines()[usize::from(on_disk)].1.clone());
        for step in steps {
            life.take(step);
        }
        life.take(Step::Restart { is_early: true });
    }
}
