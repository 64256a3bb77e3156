//! Files and their damages.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::draft::Draft;
use super::files::{OpenFile, path_of, sweep};
use super::format::{FormatError, Index, Kind};
use crate::ids::{ProcessId, Slot};
use crate::process::ArchiveRef;

fn process() -> ProcessId {
    ProcessId::parse("p-1").unwrap()
}

fn write(root: &Path, first: u64, values: &[(Vec<u8>, Vec<u8>)]) -> ArchiveRef {
    let mut draft = Draft::begin(root, &process(), Slot(first)).unwrap();
    for (slot, (message, outcome)) in (first..).zip(values) {
        draft.push(Slot(slot), message, outcome).unwrap();
    }
    draft.finish().unwrap()
}

fn read(path: &Path, archive: &ArchiveRef, kind: Kind, slot: Slot) -> Result<Option<Vec<u8>>, FormatError> {
    let file = OpenFile::open(path, &process(), archive)?;
    let Some(place) = file.place(kind, slot) else { return Ok(None) };
    let values = file.values(&place)?;
    Ok(values.get((slot.0 - place.first.0) as usize).cloned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_written_is_read_and_damage_is_an_error(
        first in 1..1000u64,
        // More than a part has slots, and values that fill one.
        lengths in proptest::collection::vec((0..40usize, 0..40usize), 1..600),
        great in proptest::option::of(0..600usize),
        (at, bit) in (any::<proptest::sample::Index>(), 0..8u8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let value = |seed: usize, length: usize| vec![seed as u8; length];
        let mut values: Vec<_> =
            lengths.iter().enumerate().map(|(at, (a, b))| (value(at, *a), value(at + 7, *b))).collect();
        if let Some((message, _)) = great.and_then(|great| values.get_mut(great)) {
            *message = value(3, 2 << 20);
        }
        let archive = write(folder.path(), first, &values);
        prop_assert_eq!((archive.first.0, archive.last.0), (first, first + values.len() as u64 - 1));
        let path = path_of(folder.path(), &process(), archive.first, archive.last);
        prop_assert_eq!(fs::metadata(&path).unwrap().len(), archive.length);
        for (slot, (message, outcome)) in (first..).map(Slot).zip(&values) {
            if slot.0 % 50 == 0 || slot == archive.last {
                prop_assert_eq!(read(&path, &archive, Kind::Message, slot).unwrap(), Some(message.clone()));
                prop_assert_eq!(read(&path, &archive, Kind::Outcome, slot).unwrap(), Some(outcome.clone()));
            }
        }
        for outside in [Slot(first - 1), archive.last.next()] {
            prop_assert_eq!(read(&path, &archive, Kind::Message, outside).unwrap(), None);
        }

        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[at.index(whole.len())] ^= 1 << bit;
        fs::write(&path, &flipped).unwrap();
        let slots = || (archive.first.0..=archive.last.0).map(Slot);
        let is_found = slots().any(|slot| {
            [Kind::Message, Kind::Outcome].into_iter().any(|kind| read(&path, &archive, kind, slot).is_err())
        });
        prop_assert!(is_found, "a changed byte is found by whoever reads everything");
        fs::write(&path, &whole[..at.index(whole.len())]).unwrap();
        prop_assert!(slots().take(1).all(|slot| read(&path, &archive, Kind::Message, slot).is_err()));
    }

    #[test]
    fn an_index_is_read_from_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        // Sealed, too, so that what is behind the checksum meets nonsense.
        let sealed = [bytes.as_slice(), &crate::ids::BlobHash::of(&bytes).0].concat();
        let _ = Index::parse(&bytes);
        if let Ok((index, _)) = Index::parse(&sealed) {
            let _ = index.place(Kind::Outcome, index.last);
        }
    }
}

#[test]
fn an_unfinished_file_goes_and_a_stray_one_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let values = vec![(vec![1], vec![2]); 3];
    let kept = write(&root, 1, &values);
    let stray = write(&root, 4, &values);
    let draft = Draft::begin(&root, &process(), Slot(7)).unwrap();
    let count = || fs::read_dir(path_of(&root, &process(), Slot(1), Slot(3)).parent().unwrap()).unwrap().count();
    assert_eq!(count(), 3);
    drop(draft);
    assert_eq!(count(), 2);
    std::mem::forget(Draft::begin(&root, &process(), Slot(7)).unwrap());
    let is_kept = |id: &ProcessId, first, last| *id == process() && (first, last) == (kept.first, kept.last);
    assert_eq!(sweep(&root, is_kept), 2);
    assert!(!path_of(&root, &process(), stray.first, stray.last).exists());
    assert_eq!(
        read(&path_of(&root, &process(), kept.first, kept.last), &kept, Kind::Message, Slot(2)).unwrap(),
        Some(vec![1])
    );
}
