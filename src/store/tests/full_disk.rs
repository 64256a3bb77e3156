//! A disk that is full or read-only, for real: on a small file system of its own, which takes the right to mount one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::helper::*;
use crate::ids::ProcessId;
use crate::store::contract::{CommitResult, Record};
use crate::store::{Fjall, Store, StoreOptions};

/// A file system of 32 MiB, unmounted at the end.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None`, loudly, where mounting is not permitted and `MAINSTAY_REQUIRE_ALL` does not ask for it.
    fn mount(arguments: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(arguments).arg(folder.path()).output();
        if mounted.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        assert!(std::env::var("MAINSTAY_REQUIRE_ALL").as_deref() != Ok("1"), "mounting failed: {mounted:?}");
        eprintln!("SKIPPED: mounting a file system is not permitted here");
        None
    }

    fn small() -> Option<Self> {
        Self::mount(&["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes the space until `left` bytes are left.
    fn fill(&self, left: u64) {
        let mut file = fs::File::create(self.ballast()).unwrap();
        while crate::store::admission::free_bytes(self.path()).unwrap() > left {
            if file.write_all(&[1; 4096]).is_err() {
                break;
            }
        }
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).output();
    }
}

fn store_on(disk: &Disk, disk_reserve: u64) -> Store {
    Store::open(StoreOptions { data_dir: disk.path().join("data"), disk_reserve, engine: Arc::new(Fjall) }).unwrap()
}

/// A commit of the entry after `last`, with `size` bytes of data.
fn next(store: &Store, process: &ProcessId, last: u64, size: usize) -> CommitResult {
    let Ok(claimed) = try_claim(store, process) else { return CommitResult::Refused("no claim".to_owned()) };
    let mut entry = entry(process, last + 1);
    entry.message.data = "x".repeat(size);
    commit(store, commit_of(process, claimed.epoch, (Some(last), None), vec![Record::Entry(entry)]))
}

#[test]
fn a_disk_that_fills_up_costs_nothing_acknowledged_and_service_comes_back() {
    let Some(disk) = Disk::small() else { return };
    let process = id("p");
    let store = store_on(&disk, 0);
    create(&store, &process, 0);
    let mut last = 0;
    for round in 0..6u64 {
        disk.fill(round * 3000);
        let mut failed = false;
        // More than fits, in pieces that end at ever different places of a page.
        for piece in 0..40 {
            match next(&store, &process, last, 1000 + 777 * piece) {
                CommitResult::Committed => last += 1,
                CommitResult::Unknown(text) | CommitResult::Refused(text) => {
                    assert!(text.contains(disk.path().to_str().unwrap()) || text == "no claim", "{text}");
                    failed = true;
                }
                CommitResult::Fenced => panic!("fenced"),
            }
            let read = slots(&store, &process);
            assert!(read.len() as u64 > last, "round {round}: {read:?} lacks what was acknowledged, {last}");
        }
        assert!(failed, "round {round}: the disk is full");
        assert!(store.is_healthy().is_err());
        disk.free();
        assert!(store.wait_until_healthy(Duration::from_secs(60)));
        let read = slots(&store, &process);
        // Of the commits that were answered `Unknown` one may be there.
        assert!((last..=last + 1).contains(&(read.len() as u64 - 1)), "{} slots, {last} acknowledged", read.len());
        last = read.len() as u64 - 1;
        assert_eq!(next(&store, &process, last, 10), CommitResult::Committed);
        last += 1;
    }
    drop(store);
    assert_eq!(slots(&store_on(&disk, 0), &process), (0..=last).collect::<Vec<_>>());
}

#[test]
fn below_the_reserve_messages_are_refused_and_outcomes_go_on() {
    let Some(disk) = Disk::small() else { return };
    let process = id("p");
    let store = store_on(&disk, 8 << 20);
    let epoch = create(&store, &process, 1);
    disk.fill(6 << 20);
    let more = |at, records| commit(&store, commit_of(&process, epoch, at, records));
    // The disk is looked at now and then; until then messages are still taken.
    let mut last = 1;
    let text = loop {
        match more((Some(last), None), vec![Record::Entry(entry(&process, last + 1))]) {
            CommitResult::Committed => last += 1,
            CommitResult::Refused(text) => break text,
            other => panic!("{other:?}"),
        }
    };
    assert!(text.contains("less than 8 MiB free in") && text.contains("(limit disk_reserve)"), "{text}");
    assert!(text.contains(disk.path().to_str().unwrap()), "{text}");
    assert_eq!(more((Some(last), None), vec![Record::Computed(computed(0))]), CommitResult::Committed);
    assert!(
        store
            .place_snapshot(&process, crate::ids::Slot(0), crate::ids::Slot(0), None, vec![1; 100_000].into())
            .is_err()
    );
    assert_eq!(store.is_healthy(), Ok(()));
    disk.free();
    let start = tokio::time::Instant::now();
    while more((Some(last), Some(0)), vec![Record::Entry(entry(&process, last + 1))]) != CommitResult::Committed {
        assert!(start.elapsed().as_secs() < 60, "messages are not taken again");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_is_told_at_the_start() {
    let Some(disk) = Disk::small() else { return };
    create(&store_on(&disk, 0), &id("p"), 3);
    disk.fill(0);
    let other = disk.path().join("other");
    let error = try_open(&other, Arc::new(Fjall)).err().expect("there is no room for a new store");
    assert!(error.to_string().contains(disk.path().to_str().unwrap()), "{error}");
    // One that is there already either says so or serves what it has.
    match try_open(&disk.path().join("data"), Arc::new(Fjall)) {
        Ok(store) => assert_eq!(slots(&store, &id("p")), [0, 1, 2, 3]),
        Err(error) => assert!(error.to_string().contains(disk.path().to_str().unwrap()), "{error}"),
    }
    disk.free();
    assert_eq!(slots(&store_on(&disk, 0), &id("p")), [0, 1, 2, 3]);
    create(&open(&other, Arc::new(Fjall)), &id("p"), 0);
}

#[test]
fn a_read_only_disk_is_told_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    create(&open(data.path(), Arc::new(Fjall)), &id("p"), 3);
    let Some(disk) = Disk::mount(&["--bind", "-o", "ro", data.path().to_str().unwrap()]) else { return };
    for folder in [disk.path().to_owned(), disk.path().join("new")] {
        let error = try_open(&folder, Arc::new(Fjall)).err().expect("it can't be written").to_string();
        assert!(error.contains(folder.to_str().unwrap()) && error.to_lowercase().contains("read-only"), "{error}");
    }
}
