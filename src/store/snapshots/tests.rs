use super::*;
use proptest::prelude::*;

fn open(folder: &tempfile::TempDir) -> SnapshotFiles {
    SnapshotFiles::open(folder.path(), folder.path().join("snapshots")).unwrap()
}

fn id(text: &str) -> ProcessId {
    ProcessId::parse(text).unwrap()
}

#[test]
fn what_was_written_is_read_and_anything_else_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let files = open(&folder);
    let process = id("p");
    for damage in [Vec::new(), b"stat".to_vec(), b"statf".to_vec(), b"state and more".to_vec()] {
        let snapshot = files.write(&process, Slot(3), Slot(0), b"state").unwrap();
        assert_eq!(files.read(&process, &snapshot).unwrap(), b"state");
        let path = files.path(&process, &snapshot);
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
fn a_sweep_spares_what_is_kept_what_is_new_and_what_was_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let before = open(&folder);
    let (kept, left) = (id("kept"), id("left-0-x"));
    let old = [&kept, &left].map(|process| {
        let snapshot = before.write(process, Slot(7), Slot(0), b"old").unwrap();
        before.path(process, &snapshot)
    });
    let aside = old[1].with_extension("damaged");
    let unfinished = old[1].with_extension("3.tmp");
    fs::write(&aside, b"").unwrap();
    fs::write(&unfinished, b"").unwrap();
    let files = open(&folder);
    let new = files.write(&left, Slot(8), Slot(0), b"new").unwrap();
    let new = files.path(&left, &new);
    let known = old[0].file_name().unwrap().to_str().unwrap().to_owned();
    let is_kept = |process: &ProcessId, slot: Slot, hash: &str| format!("{process}-{slot}-{hash}") == known;
    assert_eq!(files.sweep(is_kept, || true), 0, "told to stop");
    let files = open(&folder);
    fs::write(&new, b"").unwrap();
    let again = files.write(&left, Slot(8), Slot(0), b"new").unwrap();
    assert_eq!(files.sweep(is_kept, || false), 2);
    let exist = [&old[0], &old[1], &aside, &unfinished, &new].map(|path| path.exists());
    assert_eq!(exist, [true, false, true, false, true]);
    files.remove(&left, &again);
    files.remove(&left, &again);
    assert!(!new.exists());
    assert_eq!(files.sweep(|_, _, _| false, || false), 0, "only what was there at the start is swept");
}

proptest! {
    #[test]
    fn names_of_files_tell_what_they_hold(process in "[A-Za-z0-9_-]{1,64}", slot in any::<u64>(), hash in "[A-Za-z0-9_-]{16}") {
        let name = format!("{process}-{slot}-{hash}");
        prop_assert_eq!(parse(&name), Some((id(&process), Slot(slot), hash.as_str())));
        let damaged = format!("{name}.damaged");
        prop_assert_eq!(parse(&damaged), None);
    }

    #[test]
    fn no_name_makes_the_sweep_stumble(name in ".{0,100}") {
        let _ = parse(&name);
    }
}
