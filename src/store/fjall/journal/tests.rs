use super::*;
use proptest::prelude::*;

/// A batch as the engine writes it: a number of the store's, if any, and one more item.
fn batch(engine_number: u64, number: Option<u64>, value: &[u8]) -> Vec<u8> {
    let mut items = Vec::new();
    let mut push = |key: &[u8], value: &[u8]| {
        items.extend([2, 0, 0]);
        items.extend(7u64.to_le_bytes());
        items.extend((key.len() as u16).to_le_bytes());
        items.extend((value.len() as u32).to_le_bytes());
        items.extend((value.len() as u32).to_le_bytes());
        items.extend(key);
        items.extend(value);
    };
    if let Some(number) = number {
        push(&NUMBER_KEY, &number.to_be_bytes());
    }
    push(b"some key", value);
    let mut bytes = vec![1];
    bytes.extend((1 + u32::from(number.is_some())).to_le_bytes());
    bytes.extend(engine_number.to_le_bytes());
    bytes.extend(&items);
    bytes.push(3);
    let mut hash = Xxh3::new();
    hash.update(&items);
    bytes.extend(hash.digest().to_le_bytes());
    bytes.extend(END_WORD);
    bytes
}

/// A journal of the batches `numbers`, and where each of them ends.
fn journal(numbers: impl IntoIterator<Item = u64>) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for number in numbers {
        bytes.extend(batch(100 + 2 * number, Some(number), &[b'v'; 40]));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// What [`check`] says of journal files with these contents, and their lengths afterwards.
fn checked(files: &[&[u8]], mark: u64) -> (Result<u64, EngineOpenError>, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    // Numbers of one digit and of two, which sort differently as text.
    let paths: Vec<_> = (0..files.len()).map(|at| folder.path().join(format!("{}.jnl", 8 + at))).collect();
    for (path, bytes) in paths.iter().zip(files) {
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(folder.path().join("lock"), b"").unwrap();
    let result = check(folder.path(), mark);
    (result, paths.iter().map(|path| std::fs::metadata(path).unwrap().len()).collect())
}

#[test]
fn the_form_is_the_engines_own() {
    let folder = tempfile::tempdir().unwrap();
    let database = fjall::Database::builder(folder.path()).open().unwrap();
    let tree = database.keyspace("small", fjall::KeyspaceCreateOptions::default).unwrap();
    for number in 5..9u64 {
        let mut batch = database.batch();
        batch.insert(&tree, NUMBER_KEY, number.to_be_bytes());
        batch.insert(&tree, b"some key", vec![7; 100_000]);
        batch.remove(&tree, b"another");
        batch.commit().unwrap();
    }
    tree.insert(b"no", b"number").unwrap();
    tree.clear().unwrap();
    drop((tree, database));
    let path = files(folder.path()).unwrap().pop().unwrap();
    let journal = read(File::open(path).unwrap()).unwrap();
    assert_eq!((journal.batches, journal.torn_bytes(), journal.gap), (Some((5, 8)), 0, None));
    assert!(journal.whole > 400_000);
}

#[test]
fn whole_journals_pass_with_zeros_behind_them() {
    let (first, second) = (journal(3..6).0, journal(6..8).0);
    let padded = [&first[..], &[0; 5000]].concat();
    let empty = [0; 1000];
    for files in [
        &[][..],
        &[&first[..]],
        &[&padded],
        &[&first, &second],
        &[&padded, &second],
        &[&first, &empty, &second],
        &[&empty],
    ] {
        let lengths: Vec<_> = files.iter().map(|file| file.len() as u64).collect();
        assert_eq!(checked(files, 5), (Ok(0), lengths));
    }
}

#[test]
fn what_is_missing_up_to_the_mark_is_told_and_nothing_is_changed() {
    let (bytes, ends) = journal(1..11);
    let later = journal(11..13).0;
    let beyond = journal(12..13).0;
    let cut = &bytes[..ends[4] + 20];
    let gap = [&bytes[..ends[2]], &bytes[ends[3]..]].concat();
    let table: [(&[&[u8]], u64, &str); 6] = [
        (&[cut], 6, "its last batch is 5, but batch 6 was on disk"),
        (&[&bytes[..ends[4]]], 6, "its last batch is 5, but batch 6 was on disk"),
        (&[cut, &later], 5, "is damaged: it can be read up to"),
        (&[&bytes, &beyond], 5, "batch 12 follows batch 10"),
        (&[&gap], 1, "batch 5 follows batch 3"),
        (&[&bytes[ends[4]..ends[4] + 80]], 9, "its last batch is 5, but batch 9 was on disk"),
    ];
    for (files, mark, expected) in table {
        let lengths: Vec<_> = files.iter().map(|file| file.len() as u64).collect();
        let (result, after) = checked(files, mark);
        let text = result.unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} lacks {expected:?}");
        assert_eq!(after, lengths);
    }
}

#[test]
fn a_torn_tail_after_the_mark_is_cut_off_and_counted() {
    let (bytes, ends) = journal(1..7);
    let cut = [&bytes[..ends[4] + 40], &[0; 500]].concat();
    assert_eq!(checked(&[&cut], 5), (Ok(40), vec![ends[4] as u64]));
    // A failing engine may have begun another file after the torn one.
    assert_eq!(checked(&[&cut, &[0; 300]], 5), (Ok(40), vec![ends[4] as u64, 300]));
    // A tail whose end reached the disk and whose middle did not.
    let mut holed = bytes.clone();
    let middle = ends[4] + 70;
    holed[middle..middle + 10].fill(0);
    assert_eq!(checked(&[&holed], 5), (Ok((ends[5] - ends[4]) as u64), vec![ends[4] as u64]));
    // Nothing whole before it: the store itself has to tell.
    assert_eq!(checked(&[&bytes[..6]], 5), (Ok(6), vec![0]));
}

#[test]
fn an_engine_number_that_falls_back_is_no_batch() {
    let bytes = [batch(10, Some(1), b"a"), batch(9, Some(2), b"b")].concat();
    assert!(matches!(checked(&[&bytes], 2).0, Err(EngineOpenError::Behind { found: 1, mark: 2 })));
}

proptest! {
    #[test]
    fn any_cut_and_any_flip_is_either_torn_or_told(at in 0..900usize, bit in 0..8u8, cut in any::<bool>(), mark in 0..9u64) {
        let (bytes, ends) = journal(1..9);
        let at = at % bytes.len();
        let mut changed = bytes.clone();
        if cut {
            changed.truncate(at);
        } else {
            changed[at] ^= 1 << bit;
        }
        // Batches that are certainly as they were.
        let untouched = ends.iter().filter(|end| **end <= at).count() as u64;
        let (result, lengths) = checked(&[&changed], mark);
        match result {
            Ok(_) => {
                let left = read_bytes(&changed[..lengths[0] as usize]);
                let last = left.batches.map_or(0, |(_, last)| last);
                // All up to the mark is there, unless not even one batch is, of which only the store itself can tell.
                prop_assert!(last >= mark.min(8) || left.batches.is_none());
                prop_assert!(last >= untouched);
            }
            Err(EngineOpenError::Behind { found, .. }) => {
                prop_assert!(found < mark && found >= untouched);
                prop_assert_eq!(lengths[0], changed.len() as u64);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

fn read_bytes(bytes: &[u8]) -> Journal {
    let mut file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut file, bytes).unwrap();
    file.rewind().unwrap();
    read(file).unwrap()
}
