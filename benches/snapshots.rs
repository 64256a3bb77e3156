//! What it costs to store and to read a snapshot, first and after 1 % of its pages changed, beside writing the whole file.
//!
//! The states are memory images: a third of the pages zeros, a third words as programs leave them, a third noise. *Whole* is
//! a file of all bytes, hashed, written, synced and renamed, and read and hashed again.
//!
//! `cargo bench --bench snapshots` prints a table and asserts what must hold: after 1 % of the pages changed at most a
//! twentieth more than the changed bytes is written. `MAINSTAY_BENCH_MIB` sets the sizes (`1,16,64`), `MAINSTAY_BENCH_DIR`
//! where the files lie.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark ends where it fails")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mainstay::ids::{BlobHash, ProcessId, Slot};
use mainstay::process::{Record, SnapshotRef};
use mainstay::store::{Memory, Store, StoreOptions};
use tokio::time::Instant;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAGE: usize = 4096;
const ROUNDS: usize = 5;
/// How many times the changed bytes may be written.
const MOST: f64 = 1.05;

/// Where the changed pages lie.
#[derive(Clone, Copy)]
enum Change {
    Scattered,
    InOneRun,
}

fn main() {
    // `cargo test --benches` runs this with another argument: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let sizes = std::env::var("MAINSTAY_BENCH_MIB").unwrap_or_else(|_| "1,16,64".to_owned());
    let place = std::env::var_os("MAINSTAY_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(place).unwrap();
    println!("| state | what | write ms | written | per changed byte | read ms |");
    println!("|---|---|---|---|---|---|");
    for mib in sizes.split(',').map(|mib| mib.trim().parse::<usize>().unwrap()) {
        measure(&folder.path().join(mib.to_string()), mib << 20);
    }
}

fn measure(folder: &Path, length: usize) {
    let options = StoreOptions { data_dir: folder.to_owned(), disk_reserve: 0, engine: Arc::new(Memory::default()) };
    let store = Store::open(options).unwrap();
    let first = image(length);
    let whole = median(|_| (write_whole(folder, &first), read_whole(folder)));
    row(length, "whole file", whole, length as u64, length);
    let full = measure_store(&store, None, |_| first.clone());
    row(length, "first", full.1, full.0.files[0].length, length);
    for (what, change) in [("1 %, scattered", Change::Scattered), ("1 %, in one run", Change::InOneRun)] {
        let pages = length / PAGE / 100;
        let (reference, times) = measure_store(&store, Some(&full.0), |round| changed(&first, change, pages, round));
        let written = reference.files.last().map_or(0, |file| file.length);
        row(length, what, times, written, pages * PAGE);
        assert_eq!(reference.files.len(), 2, "it stands on the first");
        assert!((written as f64) < MOST * (pages * PAGE) as f64, "{written} bytes for {pages} pages");
    }
    store.shutdown().unwrap();
}

/// The reference that was written last, and the median times to write and to read.
fn measure_store(
    store: &Store,
    base: Option<&SnapshotRef>,
    state: impl Fn(usize) -> Arc<[u8]>,
) -> (SnapshotRef, (f64, f64)) {
    let process = ProcessId::parse("bench").unwrap();
    let mut last = None;
    let times = median(|round| {
        let state = state(round);
        let slot = Slot(1 + round as u64);
        let slot = if base.is_some() { slot } else { Slot::ZERO };
        let write = timed(|| {
            let placed = store.place_snapshot(&process, slot, Slot::ZERO, base, state.clone()).unwrap();
            let Record::Snapshot(reference, None) = placed else { return };
            last = Some(reference);
        });
        let reference = last.as_ref().unwrap();
        let mut read = Vec::new();
        let time = timed(|| read = store.read_snapshot(&process, reference).unwrap());
        assert!(read[..] == state[..], "what was written is read");
        (write, time)
    });
    (last.unwrap(), times)
}

fn write_whole(folder: &Path, state: &[u8]) -> f64 {
    timed(|| {
        let (temporary, path) = (folder.join("whole.tmp"), folder.join("whole"));
        std::hint::black_box(BlobHash::of(state));
        let mut file = File::create(&temporary).unwrap();
        file.write_all(state).unwrap();
        file.sync_data().unwrap();
        fs::rename(temporary, path).unwrap();
        File::open(folder).unwrap().sync_all().unwrap();
    })
}

fn read_whole(folder: &Path) -> f64 {
    timed(|| {
        let state = fs::read(folder.join("whole")).unwrap();
        std::hint::black_box(BlobHash::of(&state));
    })
}

/// A memory image of `length` bytes.
fn image(length: usize) -> Arc<[u8]> {
    let mut state = vec![0; length];
    let mut noise = blake3::Hasher::new().finalize_xof();
    for (at, page) in state.chunks_mut(PAGE).enumerate() {
        match at % 3 {
            0 => {}
            1 => {
                for (index, word) in page.chunks_exact_mut(8).enumerate() {
                    // Pointers and small numbers.
                    let value =
                        if index % 3 == 0 { 0x1000 + (at * PAGE + index * 24) as u64 } else { index as u64 % 7 };
                    word.copy_from_slice(&value.to_le_bytes());
                }
            }
            _ => noise.fill(page),
        }
    }
    state.into()
}

/// `state` with so many pages of noise in it, others in each round.
fn changed(state: &[u8], change: Change, pages: usize, round: usize) -> Arc<[u8]> {
    let mut state = state.to_vec();
    let all = state.len() / PAGE;
    let mut noise = blake3::Hasher::new().update(&round.to_le_bytes()).finalize_xof();
    for index in 0..pages {
        let page = match change {
            Change::Scattered => (index * all / pages + round) % all,
            Change::InOneRun => (round * pages + index) % all,
        };
        noise.fill(&mut state[page * PAGE..][..PAGE]);
    }
    state.into()
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1000.0
}

/// The median of each of two times.
fn median(mut round: impl FnMut(usize) -> (f64, f64)) -> (f64, f64) {
    let (mut first, mut second): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(&mut round).unzip();
    for times in [&mut first, &mut second] {
        times.sort_by(f64::total_cmp);
    }
    (first[ROUNDS / 2], second[ROUNDS / 2])
}

fn row(length: usize, what: &str, (write, read): (f64, f64), written: u64, changed: usize) {
    let per = written as f64 / changed as f64;
    println!("| {} MiB | {what} | {write:.1} | {written} | {per:.3} | {read:.1} |", length >> 20);
}
