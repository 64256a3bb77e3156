use super::*;
use crate::store::snapshots::pages::PAGE;
use proptest::prelude::*;

fn open(folder: &tempfile::TempDir) -> SnapshotFiles {
    SnapshotFiles::open(folder.path(), folder.path().join("snapshots")).unwrap()
}

fn id(text: &str) -> ProcessId {
    ProcessId::parse(text).unwrap()
}

fn write(
    files: &SnapshotFiles,
    process: &ProcessId,
    slot: u64,
    base: Option<&SnapshotRef>,
    bytes: &[u8],
) -> SnapshotRef {
    files.write(process, (Slot(slot), Slot(0)), base, bytes, |_| Ok(())).unwrap()
}

fn path(files: &SnapshotFiles, process: &ProcessId, snapshot: &SnapshotRef) -> PathBuf {
    files.path(process, snapshot.files.last().unwrap())
}

/// Pages that do not compress, and differ from each other and by `seed`.
fn noise(pages: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; pages * PAGE];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// States of which each is the one before with another page changed.
fn states(count: usize) -> Vec<Vec<u8>> {
    let mut state = noise(100, 0);
    let next = |at: usize| {
        state[at * PAGE] ^= 1;
        state.clone()
    };
    (0..count).map(next).collect()
}

#[test]
fn what_was_written_is_read_and_anything_else_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let files = open(&folder);
    let process = id("p");
    let written = write(&files, &process, 3, None, b"state");
    let whole = fs::read(path(&files, &process, &written)).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damages = [
        Vec::new(),
        b"state".to_vec(),
        whole[..whole.len() - 1].to_vec(),
        [whole.as_slice(), b"x"].concat(),
        flipped(0),
        flipped(40),
        flipped(whole.len() - 1),
        fs::read(path(&files, &process, &write(&files, &process, 4, None, b"statf"))).unwrap(),
    ];
    for damage in damages {
        let snapshot = write(&files, &process, 3, None, b"state");
        assert_eq!((files.read(&process, &snapshot).unwrap().as_slice(), &snapshot), (b"state".as_slice(), &written));
        let path = path(&files, &process, &snapshot);
        fs::write(&path, damage).unwrap();
        let before = COUNTERS.snapshots_damaged.get();
        let error = files.read(&process, &snapshot).unwrap_err();
        assert!(matches!(&error, ReadError::Damaged { what, .. } if what.contains(path.to_str().unwrap())), "{error}");
        assert!(COUNTERS.snapshots_damaged.get() > before);
        assert!(!path.exists() && path.with_extension("damaged").exists());
        assert!(matches!(files.read(&process, &snapshot), Err(ReadError::Damaged { .. })), "it is gone");
    }
}

#[test]
fn a_file_costs_what_changed_until_a_full_one_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let files = open(&folder);
    let process = id("p");
    let mut last: Option<SnapshotRef> = None;
    for (slot, state) in (0..).zip(states(20)) {
        let snapshot = write(&files, &process, slot, last.as_ref(), &state);
        let own = snapshot.files.last().unwrap();
        let turn = slot as usize % (1 + SnapshotRef::DELTAS_MAX);
        assert_eq!(snapshot.files.len(), 1 + turn);
        assert_eq!(own.length, fs::metadata(path(&files, &process, &snapshot)).unwrap().len());
        assert_eq!(turn > 0, own.length < 2 * PAGE as u64, "{own:?}");
        assert_eq!(snapshot.hash, BlobHash::of(&state));
        assert_eq!(files.read(&process, &snapshot).unwrap(), state);
        last = Some(snapshot);
    }
}

#[test]
fn deltas_that_come_to_half_of_the_full_one_give_way_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let files = open(&folder);
    let process = id("p");
    let mut state = noise(10, 0);
    let mut last = write(&files, &process, 0, None, &state);
    let mut lengths = Vec::new();
    for slot in 1..=6 {
        state[..2 * PAGE].copy_from_slice(&noise(2, slot));
        last = write(&files, &process, slot, Some(&last), &state);
        assert_eq!(files.read(&process, &last).unwrap(), state);
        lengths.push(last.files.len());
    }
    assert_eq!(lengths, [2, 3, 1, 2, 3, 1]);
    let other = noise(10, 9);
    assert_eq!(write(&files, &process, 7, Some(&last), &other).files.len(), 1, "more than half of the pages changed");
}

#[test]
fn what_stands_on_a_damaged_file_is_damaged_and_the_next_one_is_full() {
    for at in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let files = open(&folder);
        let process = id("p");
        let mut chain: Vec<SnapshotRef> = Vec::new();
        let states = states(4);
        for (slot, state) in (0..3).zip(&states) {
            let next = write(&files, &process, slot, chain.last(), state);
            chain.push(next);
        }
        let broken = path(&files, &process, &chain[at]);
        let mut bytes = fs::read(&broken).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&broken, bytes).unwrap();
        for (slot, snapshot) in chain.iter().enumerate().rev() {
            assert_eq!(files.read(&process, snapshot).is_ok(), slot < at, "slot {slot}, damage at {at}");
        }
        assert!(broken.with_extension("damaged").exists() && !broken.exists());
        let next = write(&files, &process, 3, chain.last(), &states[3]);
        assert_eq!((next.files.len(), files.read(&process, &next).unwrap()), (1, states[3].clone()));
    }
}

#[test]
fn a_base_whose_front_is_not_what_it_was_is_of_no_use() {
    let states = states(2);
    for damage in [0, 9, 30, 200] {
        let folder = tempfile::tempdir().unwrap();
        let files = open(&folder);
        let process = id("p");
        let base = write(&files, &process, 0, None, &states[0]);
        let broken = path(&files, &process, &base);
        let mut bytes = fs::read(&broken).unwrap();
        bytes[damage] ^= 1;
        fs::write(&broken, bytes).unwrap();
        assert_eq!(write(&files, &process, 1, Some(&base), &states[1]).files.len(), 1, "byte {damage}");
    }
    let folder = tempfile::tempdir().unwrap();
    let files = open(&folder);
    let base = write(&files, &id("p"), 0, None, &states[0]);
    fs::create_dir_all(files.folder(id("q").shard())).unwrap();
    fs::copy(path(&files, &id("p"), &base), path(&files, &id("q"), &base)).unwrap();
    assert_eq!(write(&files, &id("q"), 1, Some(&base), &states[1]).files.len(), 1, "another process's");
}

#[test]
fn where_there_is_no_room_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let files = open(&folder);
    let state = noise(50, 1);
    let no_room = |length| {
        assert!(length > state.len() as u64, "noise does not compress");
        Err(io::Error::other("full"))
    };
    assert!(files.write(&id("p"), (Slot(0), Slot(0)), None, &state, no_room).is_err());
    assert_eq!(fs::read_dir(&files.root).unwrap().count(), 0);
}

#[test]
fn a_sweep_spares_what_is_kept_what_is_new_and_what_was_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let before = open(&folder);
    let (kept, left) = (id("kept"), id("left-0-x"));
    let old = [&kept, &left].map(|process| path(&before, process, &write(&before, process, 7, None, b"old")));
    let aside = old[1].with_extension("damaged");
    let unfinished = old[1].with_extension("3.tmp");
    fs::write(&aside, b"").unwrap();
    fs::write(&unfinished, b"").unwrap();
    let files = open(&folder);
    let new = path(&files, &left, &write(&files, &left, 8, None, b"new"));
    let known = old[0].file_name().unwrap().to_str().unwrap().to_owned();
    let is_kept = |process: &ProcessId, slot: Slot, seal: &str| format!("{process}-{slot}-{seal}") == known;
    assert_eq!(files.sweep(is_kept, || true), 0, "told to stop");
    let files = open(&folder);
    fs::write(&new, b"").unwrap();
    let again = write(&files, &left, 8, None, b"new");
    assert_eq!(files.sweep(is_kept, || false), 2);
    let exist = [&old[0], &old[1], &aside, &unfinished, &new].map(|path| path.exists());
    assert_eq!(exist, [true, false, true, false, true]);
    files.remove(&left, &again.files[0]);
    files.remove(&left, &again.files[0]);
    assert!(!new.exists());
    assert_eq!(files.sweep(|_, _, _| false, || false), 0, "only what was there at the start is swept");
}

proptest! {
    #[test]
    fn names_of_files_tell_what_they_hold(process in "[A-Za-z0-9_-]{1,64}", slot in any::<u64>(), seal in "[A-Za-z0-9_-]{16}") {
        let name = format!("{process}-{slot}-{seal}");
        prop_assert_eq!(parse(&name), Some((id(&process), Slot(slot), seal.as_str())));
        let damaged = format!("{name}.damaged");
        prop_assert_eq!(parse(&damaged), None);
    }

    #[test]
    fn no_name_makes_the_sweep_stumble(name in ".{0,100}") {
        let _ = parse(&name);
    }
}
