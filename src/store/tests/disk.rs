//! The engine on disk, and what happens to its files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::helper::*;
use crate::ids::{BlobHash, Slot};
use crate::metrics::COUNTERS;
use crate::store::contract::{Commit, CommitResult, Durability, Order, Record};
use crate::store::engine::OpenEngine;
use crate::store::{Fjall, OpenError, Store};

fn fjall() -> Arc<dyn OpenEngine> {
    Arc::new(Fjall)
}

/// A data folder whose process `p` has the slots 0..=9, and the newest journal file.
fn filled() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), fjall());
    create(&store, &id("p"), 9);
    drop(store);
    // Opened once more, the journal is no longer than what it holds.
    drop(open(folder.path(), fjall()));
    let journal = folder.path().join("store/0.jnl");
    (folder, journal)
}

/// The error of opening `folder`, which must name the folder.
fn refused(folder: &Path) -> OpenError {
    let error = try_open(folder, fjall()).err().expect("it should be refused");
    assert!(error.to_string().contains(folder.to_str().unwrap()), "{error} does not name {folder:?}");
    error
}

fn set_length(path: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_journal_cut_in_half_is_refused_until_the_operator_says_otherwise() {
    let (folder, journal) = filled();
    let length = fs::metadata(&journal).unwrap().len();
    assert!(length < 1 << 20, "the journal is trimmed");
    set_length(&journal, length / 2);
    for _ in 0..2 {
        assert!(matches!(refused(folder.path()), OpenError::Behind { .. }));
        assert_eq!(fs::metadata(&journal).unwrap().len(), length / 2, "a refusal changes nothing");
    }
    fs::remove_file(folder.path().join("mark")).unwrap();
    let left = slots(&open(folder.path(), fjall()), &id("p"));
    assert!(left.len() < 10 && left == (0..left.len() as u64).collect::<Vec<_>>(), "{left:?}");
}

#[test]
fn a_journal_that_is_gone_is_refused() {
    let (folder, journal) = filled();
    fs::remove_file(journal).unwrap();
    assert!(matches!(refused(folder.path()), OpenError::Behind { found: 0, .. }));
}

#[test]
fn a_torn_tail_after_the_last_synced_batch_is_cut_off_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let image = tempfile::tempdir().unwrap();
    let process = id("p");
    let store = open(folder.path(), fjall());
    let epoch = create(&store, &process, 1);
    let lazy = commit_of(&process, epoch, (Some(1), None), vec![Record::Computed(computed(0))]);
    let lazy = Commit { durability: Durability::Lazy, ..lazy };
    assert_eq!(commit(&store, lazy), CommitResult::Committed);
    // What a kill at this moment leaves.
    copy(folder.path(), image.path());
    drop(store);
    let whole = tempfile::tempdir().unwrap();
    copy(image.path(), whole.path());
    assert_eq!(open(whole.path(), fjall()).head(&process).unwrap().unwrap().computed, Some(Slot(0)));

    let journal = image.path().join("store/0.jnl");
    let bytes = fs::read(&journal).unwrap();
    let data = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    set_length(&journal, data - 3);
    let before = COUNTERS.store_torn_bytes.get();
    let store = open(image.path(), fjall());
    assert!(COUNTERS.store_torn_bytes.get() > before);
    assert_eq!(slots(&store, &process), [0, 1]);
    let head = store.head(&process).unwrap().unwrap();
    assert_eq!(head.computed, None);
    // And the log goes on from there.
    let epoch = claim(&store, &process).epoch;
    let next = commit_of(&process, epoch, (Some(1), None), vec![Record::Entry(entry(&process, 2))]);
    assert_eq!(commit(&store, next), CommitResult::Committed);
    drop(store);
    assert_eq!(slots(&open(image.path(), fjall()), &process), [0, 1, 2]);
}

#[test]
fn great_values_that_only_the_journal_has_do_not_stop_writing() {
    let folder = tempfile::tempdir().unwrap();
    let process = id("p");
    let store = open(folder.path(), fjall());
    let epoch = create(&store, &process, 0);
    let bytes = vec![7; 20 << 20];
    let hash = BlobHash::of(&bytes);
    let blob = Record::Blob(hash, bytes.into());
    assert_eq!(commit(&store, commit_of(&process, epoch, (Some(0), None), vec![blob])), CommitResult::Committed);
    drop(store);
    let store = open(folder.path(), fjall());
    let epoch = claim(&store, &process).epoch;
    let next = commit_of(&process, epoch, (Some(0), None), vec![Record::Entry(entry(&process, 1))]);
    assert_eq!(commit(&store, next), CommitResult::Committed);
    assert_eq!(store.blob(&process, &hash).unwrap().map(|bytes| bytes.len()), Some(20 << 20));
}

#[test]
fn garbage_behind_the_journal_is_cut_off() {
    let (folder, journal) = filled();
    let bytes = [fs::read(&journal).unwrap(), b"\x01garbage that no batch begins with".to_vec()].concat();
    fs::write(&journal, bytes).unwrap();
    assert_eq!(slots(&open(folder.path(), fjall()), &id("p")).len(), 10);
}

#[test]
fn the_folder_is_private_locked_and_of_one_format() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    let store = open(&folder, fjall());
    for made in [parent.path().join("a"), folder.clone()] {
        assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
    }
    assert!(matches!(refused(&folder), OpenError::InUse(_)));
    drop(store);
    let format = folder.join("format");
    fs::write(&format, "mainstay store 3\n").unwrap();
    assert!(refused(&folder).to_string().contains("holds format 3, this program reads 1"));
    fs::write(&format, "something else").unwrap();
    assert!(matches!(refused(&folder), OpenError::Damaged { .. }));
    fs::remove_file(&format).unwrap();
    assert!(matches!(refused(&folder), OpenError::NoFormat(_)));
    fs::write(&format, "mainstay store 1\n").unwrap();
    fs::write(folder.join("mark"), "x").unwrap();
    assert!(matches!(refused(&folder), OpenError::Damaged { .. }));
    fs::write(folder.join("store/keyspaces/stray"), "x").unwrap();
    fs::remove_file(folder.join("mark")).unwrap();
    assert!(matches!(refused(&folder), OpenError::Damaged { .. }));
    let file = parent.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(refused(&file), OpenError::Folder { .. }));
}

#[test]
fn one_process_can_open_it_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    for last in 0..8 {
        let store = open(folder.path(), fjall());
        if last == 0 {
            create(&store, &id("p"), 0);
        } else {
            let epoch = claim(&store, &id("p")).epoch;
            let next = commit_of(&id("p"), epoch, (Some(last - 1), None), vec![Record::Entry(entry(&id("p"), last))]);
            assert_eq!(commit(&store, next), CommitResult::Committed);
        }
        assert_eq!(slots(&store, &id("p")).len() as u64, last + 1);
    }
}

/// Writes enough that every keyspace has tables, and some of it is in the journal alone.
fn grown(folder: &Path) {
    let process = id("p");
    let store = open(folder, fjall());
    let epoch = create(&store, &process, 0);
    for batch in 0..24 {
        let first = batch * 10 + 1;
        let records = (first..first + 10).flat_map(|slot| {
            let mut entry = entry(&process, slot);
            entry.message.data = format!("{slot} ").repeat(10_000);
            [Record::Entry(entry), Record::Computed(computed(slot - 1))]
        });
        let at = (Some(first - 1), first.checked_sub(2));
        assert_eq!(commit(&store, commit_of(&process, epoch, at, records.collect())), CommitResult::Committed);
    }
    drop(store);
    drop(open(folder, fjall()));
}

/// Reads everything; an error must be of damage or of the engine. Returns whether all of it was right.
fn reads_are_right_or_errors(store: &Store) -> bool {
    let process = id("p");
    let query = page(0, u64::MAX, usize::MAX, Order::Ascending);
    let (entries, outcomes) = (store.entries(&process, &query), store.outcomes(&process, &query));
    if let Ok(page) = &entries {
        assert_eq!(page.items.len(), 241);
        for (slot, entry) in (0..).zip(&page.items) {
            assert_eq!(entry.slot.0, slot);
            assert!(slot == 0 || entry.message.data == format!("{slot} ").repeat(10_000));
        }
    }
    if let Ok(page) = &outcomes {
        assert_eq!(page.items, (0..240).map(computed).collect::<Vec<_>>());
    }
    let head = store.head(&process);
    if let Ok(head) = &head {
        let head = head.as_ref().expect("the process is there");
        assert_eq!((head.scheduled, head.computed), (Slot(240), Some(Slot(239))));
    }
    entries.is_ok() && outcomes.is_ok() && head.is_ok()
}

#[test]
fn damaged_files_are_refused_or_read_as_errors_never_as_something_else() {
    let sound = tempfile::tempdir().unwrap();
    grown(sound.path());
    let files: Vec<_> = walk(sound.path()).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
    assert!(files.iter().any(|path| path.to_str().unwrap().contains("tables")), "there are tables");
    let untouched = tempfile::tempdir().unwrap();
    copy(sound.path(), untouched.path());
    assert!(reads_are_right_or_errors(&open(untouched.path(), fjall())));
    let (mut refusals, mut errors, mut harmless) = (0, 0, 0);
    for path in &files {
        let name = path.strip_prefix(sound.path()).unwrap();
        let length = fs::metadata(path).unwrap().len();
        for damage in damages(length) {
            let folder = tempfile::tempdir().unwrap();
            copy(sound.path(), folder.path());
            let target = folder.path().join(name);
            match damage {
                Damage::Flip(place) => {
                    let mut bytes = fs::read(&target).unwrap();
                    bytes[place as usize] ^= 0x11;
                    fs::write(&target, bytes).unwrap();
                }
                Damage::Half => set_length(&target, length / 2),
                Damage::Gone => fs::remove_file(&target).unwrap(),
            }
            let fate = match try_open(folder.path(), fjall()) {
                Err(error) => {
                    assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
                    refusals += 1;
                    error.to_string()
                }
                Ok(store) if reads_are_right_or_errors(&store) => {
                    harmless += 1;
                    "harmless".to_owned()
                }
                Ok(_) => {
                    errors += 1;
                    "errors when read".to_owned()
                }
            };
            println!("{} {damage:?}: {fate}", name.display());
        }
    }
    println!("{} files: {refusals} refusals, {errors} read errors, {harmless} harmless", files.len());
    assert!(refusals > 0 && errors > 0);
}

#[derive(Debug)]
enum Damage {
    Flip(u64),
    Half,
    Gone,
}

/// Flips at the begin, the end and some places between of a file of `length` bytes; half of it; none of it.
fn damages(length: u64) -> impl Iterator<Item = Damage> {
    let places = [0, length / 7, length / 3, length * 2 / 3, length - 1];
    places.into_iter().map(Damage::Flip).chain([Damage::Half, Damage::Gone])
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let (folders, mut files): (Vec<_>, Vec<_>) =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| walk(folder)));
    files
}

fn copy(from: &Path, to: &Path) {
    for path in walk(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
    // Folders without files belong to an engine too.
    for name in fs::read_dir(from.join("store/keyspaces")).unwrap() {
        let tables = to.join("store/keyspaces").join(name.unwrap().file_name()).join("tables");
        fs::create_dir_all(tables).unwrap();
    }
}
