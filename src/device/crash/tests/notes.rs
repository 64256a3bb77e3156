//! The sheet: what is noted is read again, and nothing else is.

use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::counted;
use crate::device::crash::cell::{self, Owner, WORDS};
use crate::device::crash::sheet::{Left, Sheet, left, parse};
use crate::device::crash::{Call, Counted, SheetError};

fn any_call() -> impl Strategy<Value = Call> {
    (0..6u8).prop_map(|code| Call::from_code(code).unwrap())
}

fn any_noted() -> impl Strategy<Value = Counted> {
    ("[A-Za-z0-9_-]{1,64}", any_call(), any::<u64>()).prop_map(|(name, call, slot)| counted(&name, call, slot, 1))
}

fn note(sheet: &Sheet, at: usize, one: &Counted) {
    let (words, owner) = (sheet.cell(at).unwrap(), Owner::new(&one.process));
    cell::own(words, &owner);
    cell::write(words, &owner, one.call, one.slot);
}

proptest! {
    #[test]
    fn what_was_noted_last_is_read_again(notes in prop::collection::vec((0..4usize, prop::option::of(any_noted())), 0..20)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        let sheet = Sheet::create(&path, 7, 4).unwrap();
        let mut expected = [const { None }; 4];
        for (at, one) in notes {
            match &one {
                Some(one) => note(&sheet, at, one),
                None => cell::clear(sheet.cell(at).unwrap()),
            }
            expected[at] = one;
        }
        let calls = expected.into_iter().flatten().collect();
        prop_assert_eq!(left(&path).unwrap(), Some(Left { run: 7, was_stopped: false, calls }));
    }

    #[test]
    fn a_cell_with_any_bit_changed_is_no_note(one in any_noted(), word in 0..WORDS, bit in 0..64u32) {
        let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let owner = Owner::new(&one.process);
        cell::own(&words, &owner);
        cell::write(&words, &owner, one.call, one.slot);
        let mut read: Vec<u64> = words.iter().map(|word| word.load(std::sync::atomic::Ordering::Relaxed)).collect();
        prop_assert_eq!(cell::read(&read), Some(one.clone()));
        read[word] ^= 1 << bit;
        let is_of_the_note = word < 3 || (word - 3) * 8 < one.process.as_str().len();
        // What lies behind the id, and is no part of it, says nothing.
        if let Some(other) = cell::read(&read) {
            prop_assert!(!is_of_the_note || (word - 3) * 8 + 8 > one.process.as_str().len());
            prop_assert_eq!(other, one);
        }
    }

    #[test]
    fn any_bytes_are_notes_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600), is_ours in any::<bool>()) {
        let mut bytes = bytes;
        if is_ours {
            let head: Vec<u8> = [u64::from_le_bytes(*b"mainwork"), 1].iter().flat_map(|word| word.to_ne_bytes()).collect();
            bytes.splice(..bytes.len().min(head.len()), head);
        }
        if let Ok(left) = parse(&bytes) {
            prop_assert!(is_ours);
            prop_assert!(left.calls.is_empty(), "chance seals nothing");
        }
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    assert!(left(&path).unwrap().is_none());
    drop(Sheet::create(&path, 1, 2).unwrap());
    let whole = std::fs::read(&path).unwrap();
    let mut newer = whole.clone();
    newer[8..16].copy_from_slice(&2u64.to_ne_bytes());
    for cut in 0..whole.len() {
        // Whole cells less are a smaller sheet.
        let is_smaller = cut > 0 && cut % (WORDS * 8) == 0;
        assert_eq!(parse(&whole[..cut]).is_ok(), is_smaller, "cut at {cut}");
    }
    assert!(matches!(parse(&newer), Err(SheetError::Version(2))));
    assert!(matches!(parse(&[b'x'; 4096]), Err(SheetError::Foreign)));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(left(&path), Err(SheetError::Read(_))));
    assert!(Sheet::create(&path, 1, 2).is_err());
}

#[test]
fn a_sheet_is_its_owners_alone_and_takes_the_place_of_the_one_before() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    let first = Sheet::create(&path, 1, 1).unwrap();
    note(&first, 0, &counted("a", Call::Compute, 1, 1));
    let second = Sheet::create(&path, 2, 1).unwrap();
    // Whoever still holds the first harms nobody.
    note(&first, 0, &counted("b", Call::Compute, 2, 1));
    assert_eq!(left(&path).unwrap(), Some(Left { run: 2, was_stopped: false, calls: Vec::new() }));
    second.stop();
    assert!(left(&path).unwrap().unwrap().was_stopped);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["notes"]);
}
