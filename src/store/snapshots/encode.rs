//! From a state to the bytes of a file.

use std::io::{self, Write as _};
use std::ops::Range;

use super::format::{Front, Run, WINDOW_LOG};
use super::pages::{PAGE, PageHash, Pages};
use crate::ids::{BlobHash, ProcessId, Slot};

/// Speed counts more than the last bytes: what a state's pages hold, above all, is gaps and repetition.
const LEVEL: i32 = 1;

/// A state that is to become a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct State<'a> {
    /// Whose it is.
    pub(super) process: &'a ProcessId,
    /// The slot after which it was.
    pub(super) slot: Slot,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
    /// Their hashes.
    pub(super) pages: &'a Pages,
}

/// The state that a file stands on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footing<'a> {
    /// The seal of its file.
    pub(super) seal: BlobHash,
    /// The hashes of its pages.
    pub(super) table: &'a [PageHash],
}

/// A file's bytes, and their seal.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// What the file is known by.
    pub(super) seal: BlobHash,
}

/// The file of `state`: what differs from `footing`, or all of it. The same arguments yield the same bytes. Fails only where
/// memory is short or a state has more than 2³² pages.
pub(super) fn encode(state: State<'_>, footing: Option<Footing<'_>>) -> io::Result<Encoded> {
    let hashes = &state.pages.hashes;
    let runs = changes(hashes, footing.map_or(&[], |footing| footing.table))?;
    let held = runs.iter().filter(|run| !run.is_zeros);
    let front_hashes = held.clone().flat_map(|run| hashes.get(pages_of(run)).unwrap_or_default()).copied().collect();
    let payload = pack(held.filter_map(|run| state.bytes.get(bytes_of(run, state.bytes.len()))))?;
    let front = Front {
        process: state.process.clone(),
        slot: state.slot,
        base: footing.map(|footing| footing.seal),
        length: state.bytes.len() as u64,
        hash: state.pages.whole,
        payload: payload.len() as u64,
        payload_hash: BlobHash::of(&payload),
        runs,
        hashes: front_hashes,
    };
    let (mut bytes, seal) = front.sealed().ok_or_else(too_long)?;
    bytes.extend_from_slice(&payload);
    Ok(Encoded { bytes, seal })
}

/// How many pages of `hashes` are neither zeros nor as in `table`.
pub(super) fn changed(hashes: &[PageHash], table: &[PageHash]) -> usize {
    let before = table.iter().chain(std::iter::repeat(&PageHash::ZEROS));
    hashes.iter().zip(before).filter(|(now, before)| now != before && **now != PageHash::ZEROS).count()
}

/// The runs of pages in which `hashes` differs from `table`, which goes on with zeros.
fn changes(hashes: &[PageHash], table: &[PageHash]) -> io::Result<Vec<Run>> {
    let before = table.iter().chain(std::iter::repeat(&PageHash::ZEROS));
    let mut runs: Vec<Run> = Vec::new();
    for (page, (now, _)) in hashes.iter().zip(before).enumerate().filter(|(_, (now, before))| now != before) {
        let page = u32::try_from(page).map_err(|_| too_long())?;
        let is_zeros = *now == PageHash::ZEROS;
        match runs.last_mut() {
            Some(run) if run.is_zeros == is_zeros && run.first + run.pages == page => run.pages += 1,
            _ => runs.push(Run { first: page, pages: 1, is_zeros }),
        }
    }
    Ok(runs)
}

fn pack<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.set_pledged_src_size(Some(parts.clone().map(|part| part.len() as u64).sum()))?;
    for part in parts {
        encoder.write_all(part)?;
    }
    encoder.finish()
}

fn pages_of(run: &Run) -> Range<usize> {
    let first = run.first as usize;
    first..first.saturating_add(run.pages as usize)
}

/// The bytes of `run` in a state of `length` bytes.
pub(super) fn bytes_of(run: &Run, length: usize) -> Range<usize> {
    let pages = pages_of(run);
    pages.start.saturating_mul(PAGE)..pages.end.saturating_mul(PAGE).min(length)
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the state has too many pages for a snapshot file")
}
