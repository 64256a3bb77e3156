//! Books over runs of a node: what is counted when, and what is forgotten.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Shelf, counted, process};
use crate::device::crash::{Call, Counted, Counts, CrashBook, Opening};
use crate::ids::{ProcessId, Slot};

fn open_where(folder: &Path, shelf: &Shelf, is_over: &dyn Fn(&ProcessId, Slot) -> bool) -> Arc<CrashBook> {
    let sheet = &folder.join("notes");
    Arc::new(CrashBook::open(Opening { sheet, threads: 3, max_crashes: 3, keeper: Box::new(shelf.clone()), is_over }))
}

fn open(folder: &Path, shelf: &Shelf) -> Arc<CrashBook> {
    open_where(folder, shelf, &|_, _| false)
}

/// What is kept of the counts of `name`.
fn kept(shelf: &Shelf, name: &str) -> Vec<Counted> {
    let text = shelf.0.lock().unwrap().clone();
    text.map_or(Vec::new(), |text| Counts::parse(&text).unwrap().of(&process(name)))
}

#[test]
fn an_end_counts_once_against_each_call_that_is_repeated() {
    let (folder, shelf) = (tempfile::tempdir().unwrap(), Shelf::default());
    let book = open(folder.path(), &shelf);
    let held = [(Call::Compute, 5), (Call::Compute, 5), (Call::Trial, 6)]
        .map(|(call, slot)| book.note(&process("a"), call, Slot(slot)));
    // A start that ends before anything else happens counts nothing more.
    for _ in 0..3 {
        let next = open(folder.path(), &shelf);
        assert_eq!(kept(&shelf, "a"), [counted("a", Call::Compute, 5, 1)]);
        let noting = next.begin(&process("a"));
        assert_eq!(noting.given_up(Call::Compute, Slot(5)), None, "once is not too often");
    }
    drop(held);
}

#[test]
fn what_is_over_is_not_counted() {
    let (folder, shelf) = (tempfile::tempdir().unwrap(), Shelf::default());
    let book = open(folder.path(), &shelf);
    let noting = book.note(&process("a"), Call::Compute, Slot(1));
    noting.note(Call::Compute, Slot(2));
    let other = book.note(&process("b"), Call::Replay, Slot(1));
    noting.rest();
    drop(other);
    assert_eq!((kept(&shelf, "a"), kept(&shelf, "b")), (vec![], vec![]));
    drop(open(folder.path(), &shelf));
    assert_eq!(kept(&shelf, "a"), []);

    // A run that was stopped counts nothing, whatever still hangs.
    let book = open(folder.path(), &shelf);
    let hanging = book.note(&process("a"), Call::Compute, Slot(1));
    book.close();
    drop(open(folder.path(), &shelf));
    assert_eq!(kept(&shelf, "a"), []);
    drop(hanging);
}

#[test]
fn at_the_limit_a_call_is_given_up_until_it_is_forgotten() {
    let (folder, shelf) = (tempfile::tempdir().unwrap(), Shelf::default());
    for end in 0..3 {
        let book = open(folder.path(), &shelf);
        let noting = book.note(&process("a"), Call::Replay, Slot(4));
        assert_eq!(noting.given_up(Call::Replay, Slot(4)), None, "after {end} ends");
        std::mem::forget(noting);
    }
    let book = open(folder.path(), &shelf);
    let mut noting = book.begin(&process("a"));
    assert_eq!(noting.given_up(Call::Replay, Slot(4)), Some(3));
    for (call, slot) in [(Call::Replay, 3), (Call::Compute, 4), (Call::Restore, 4)] {
        assert_eq!(noting.given_up(call, Slot(slot)), None, "{call:?} of slot {slot}");
    }
    assert_eq!(book.begin(&process("b")).given_up(Call::Replay, Slot(4)), None);
    noting.survived(Call::Replay, Slot(4));
    assert_eq!(noting.given_up(Call::Replay, Slot(4)), None);
    assert_eq!(kept(&shelf, "a"), []);
}

#[test]
fn a_slot_with_an_outcome_is_forgotten_and_one_that_is_replayed_is_not() {
    let (folder, shelf) = (tempfile::tempdir().unwrap(), Shelf::default());
    let book = open(folder.path(), &shelf);
    let held = [(Call::Compute, 1), (Call::Compute, 2), (Call::Replay, 1)]
        .map(|(call, slot)| book.note(&process("a"), call, Slot(slot)));
    drop(open_where(folder.path(), &shelf, &|_, slot| slot <= Slot(1)));
    assert_eq!(kept(&shelf, "a"), [counted("a", Call::Compute, 2, 1), counted("a", Call::Replay, 1, 1)]);
    drop(held);
}

#[test]
fn snapshots_of_one_process_are_one_suspect() {
    let mut counts = Counts::default();
    for run in 1..=3 {
        counts.count(run, &[counted("a", Call::Snapshot, run * 10, 1)]);
    }
    assert_eq!(counts.of(&process("a")), [counted("a", Call::Snapshot, 30, 3)]);
}

#[test]
fn where_more_threads_note_than_there_are_cells_the_last_are_not_noted() {
    let (folder, shelf) = (tempfile::tempdir().unwrap(), Shelf::default());
    let book = open(folder.path(), &shelf);
    let held: Vec<_> = (0..5).map(|slot| book.note(&process("a"), Call::Compute, Slot(slot))).collect();
    drop(open(folder.path(), &shelf));
    assert_eq!(kept(&shelf, "a"), [0, 1, 2].map(|slot| counted("a", Call::Compute, slot, 1)));
    drop(held);
    // A cell is free again with the thread that held it.
    let again = book.note(&process("a"), Call::Compute, Slot(9));
    again.rest();
}

#[test]
fn a_book_of_nothing_notes_nothing() {
    let book = Arc::new(CrashBook::default());
    let mut noting = book.note(&process("a"), Call::Compute, Slot(1));
    assert_eq!(noting.given_up(Call::Compute, Slot(1)), None);
    noting.survived(Call::Compute, Slot(1));
    book.close();
}

proptest! {
    /// Against a plain count: of each call, the runs since it was forgotten last.
    #[test]
    fn counts_are_the_ends_since_the_last_time_that_all_was_well(
        runs in prop::collection::vec((prop::collection::vec((0..3usize, 0..3u64), 0..4), prop::option::of((0..3usize, 0..3u64))), 0..12),
    ) {
        let calls = [Call::Compute, Call::Replay, Call::Restore];
        let (mut counts, mut model) = (Counts::default(), std::collections::BTreeMap::new());
        for (run, (ended, well)) in (1u64..).zip(&runs) {
            let noted: Vec<_> = ended.iter().map(|(call, slot)| counted("a", calls[*call], *slot, 1)).collect();
            counts.count(run, &noted);
            counts.count(run, &noted);
            for call in ended.iter().collect::<std::collections::BTreeSet<_>>() {
                *model.entry(*call).or_insert(0) += 1;
            }
            if let Some(well) = well {
                let is_well = |one: &Counted| (one.call, one.slot) == (calls[well.0], Slot(well.1));
                prop_assert_eq!(counts.forget(is_well), model.remove(well).is_some());
            }
            counts = Counts::parse(&counts.to_text().unwrap()).unwrap();
        }
        for (call, slot) in (0..3).flat_map(|call| (0..3).map(move |slot| (call, slot))) {
            let expected = model.get(&(call, slot)).copied().unwrap_or(0);
            prop_assert_eq!(counts.crashes(&process("a"), calls[call], Slot(slot)), expected);
        }
    }

    #[test]
    fn any_text_is_counts_or_an_error(text in prop::collection::vec(any::<u8>(), 0..80), cut in 0..200usize) {
        prop_assert!(Counts::parse(&text).is_err());
        let mut counts = Counts::default();
        counts.count(1, &[counted("a", Call::Compute, 1, 1)]);
        let whole = counts.to_text().unwrap();
        let cut = cut.min(whole.len() - 1);
        prop_assert!(Counts::parse(&whole[..cut]).is_err());
    }
}

#[test]
fn counts_are_bounded_and_the_oldest_go() {
    let mut counts = Counts::default();
    for run in 1..=5000 {
        counts.count(run, &[counted("a", Call::Compute, run, 1)]);
    }
    let left = counts.of(&process("a"));
    assert_eq!((left.len(), left[0].slot, left[4095].slot), (4096, Slot(905), Slot(5000)));
}
