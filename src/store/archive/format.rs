//! The bytes of an archive file.
//!
//! *Parts* of some hundred slots follow each other, each a frame of its messages and a frame of their outcomes, compressed. The
//! *index* at the end says whose slots they are and holds the hash of each frame; its own hash, the *seal*, so covers the whole
//! file. Numbers are little-endian:
//!
//! ```text
//! magic 8 | version 4 | for each part: frame of messages, frame of outcomes | index
//! index: length of id 1 | id | first slot 8 | last slot 8 | parts 4
//!        | for each part: slots 4, for each of its two frames: length 8, length unpacked 8, hash 32 | seal 32
//! frame, unpacked: for each slot: length 4, value as the store has it
//! ```

use std::io::{self, Read as _};

use crate::ids::{BlobHash, ProcessId, Slot};

/// How a file begins.
pub(super) const BEGINNING: [u8; 12] = *b"mstyarch\x01\0\0\0";

/// A file is written once and kept for good.
const LEVEL: i32 = 9;
/// How far back a frame may refer, as a power of two.
const WINDOW_LOG: u32 = 21;
const SEAL_LEN: usize = 32;
const PART_LEN: usize = 4 + 2 * FRAME_LEN;
const FRAME_LEN: usize = 8 + 8 + 32;

/// Why bytes are not the archive that they should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormatError {
    /// It begins with something else, or with another version.
    #[error("it is not an archive that this program reads")]
    Foreign,
    /// The index is not the one that was sealed.
    #[error("its index does not have its checksum")]
    Index,
    /// A part is not the one that was written.
    #[error("the part that begins with slot {0} does not have its checksum")]
    Part(Slot),
    /// The checksums are good, and it makes no sense all the same.
    #[error("{0}")]
    Nonsense(&'static str),
    /// It cannot be read, or does not unpack.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// Its message.
    Message,
    /// Its outcome.
    Outcome,
}

/// Compressed values of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its length in the file.
    pub(super) length: u64,
    /// Its length unpacked.
    pub(super) unpacked: u64,
    /// The hash of its bytes in the file.
    pub(super) hash: BlobHash,
}

/// Slots in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// How many, one at least.
    pub(super) slots: u32,
    /// Their messages.
    pub(super) messages: Frame,
    /// Their outcomes.
    pub(super) outcomes: Frame,
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// Whose log it is from.
    pub(super) process: ProcessId,
    /// The first slot.
    pub(super) first: Slot,
    /// The last slot.
    pub(super) last: Slot,
    /// Its parts in order.
    pub(super) parts: Vec<Part>,
}

/// Where a frame lies, and which slots it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The first slot of its part.
    pub(super) first: Slot,
    /// How many slots its part has.
    pub(super) slots: u32,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// The frame.
    pub(super) frame: Frame,
}

impl Index {
    /// Its bytes, with the seal at the end; the seal once more. `None`: a length does not fit its field.
    pub(super) fn sealed(&self) -> Option<(Vec<u8>, BlobHash)> {
        let mut bytes = Vec::with_capacity(128 + self.parts.len() * PART_LEN);
        bytes.push(u8::try_from(self.process.as_str().len()).ok()?);
        bytes.extend_from_slice(self.process.as_str().as_bytes());
        bytes.extend_from_slice(&self.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.last.0.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.parts.len()).ok()?.to_le_bytes());
        for part in &self.parts {
            bytes.extend_from_slice(&part.slots.to_le_bytes());
            for frame in [&part.messages, &part.outcomes] {
                bytes.extend_from_slice(&frame.length.to_le_bytes());
                bytes.extend_from_slice(&frame.unpacked.to_le_bytes());
                bytes.extend_from_slice(&frame.hash.0);
            }
        }
        let seal = BlobHash::of(&bytes);
        bytes.extend_from_slice(&seal.0);
        Some((bytes, seal))
    }

    /// The index of these bytes, and its seal. Allocates no more than they are long.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, BlobHash), FormatError> {
        let (sealed, seal) = bytes.split_last_chunk::<SEAL_LEN>().ok_or(FormatError::Index)?;
        let seal = BlobHash(*seal);
        if BlobHash::of(sealed) != seal {
            return Err(FormatError::Index);
        }
        let short = FormatError::Nonsense("its index ends early");
        let index = Self::parse_sealed(sealed).ok_or(short)?;
        let slots: u64 = index.parts.iter().map(|part| u64::from(part.slots)).sum();
        let is_whole = index.last.0.checked_sub(index.first.0).and_then(|more| more.checked_add(1)) == Some(slots);
        if is_whole && index.parts.iter().all(|part| part.slots > 0) {
            Ok((index, seal))
        } else {
            Err(FormatError::Nonsense("its parts do not hold its slots"))
        }
    }

    fn parse_sealed(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first()?;
        let (process, mut rest) = rest.split_at_checked(usize::from(*length))?;
        let process = ProcessId::parse(std::str::from_utf8(process).ok()?).ok()?;
        let [first, last] = [u64_of(&mut rest)?, u64_of(&mut rest)?].map(Slot);
        let parts = u32_of(&mut rest)? as usize;
        // Nothing is allocated on a mere promise.
        if parts.checked_mul(PART_LEN) != Some(rest.len()) {
            return None;
        }
        let parts = (0..parts).map(|_| part_of(&mut rest)).collect::<Option<_>>()?;
        Some(Self { process, first, last, parts })
    }

    /// The frame that holds what there is of `slot`.
    pub(super) fn place(&self, kind: Kind, slot: Slot) -> Option<Place> {
        let (mut first, mut offset) = (self.first, BEGINNING.len() as u64);
        for Part { slots, messages, outcomes } in &self.parts {
            let next = Slot(first.0.checked_add(u64::from(*slots))?);
            if (first..next).contains(&slot) {
                let (offset, frame) = match kind {
                    Kind::Message => (offset, messages),
                    Kind::Outcome => (offset.checked_add(messages.length)?, outcomes),
                };
                return Some(Place { first, slots: *slots, offset, frame: *frame });
            }
            (first, offset) = (next, offset.checked_add(messages.length)?.checked_add(outcomes.length)?);
        }
        None
    }
}

/// Adds `value` to what is to become a frame. `None`: it is too long.
pub(super) fn append(unpacked: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    unpacked.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
    unpacked.extend_from_slice(value);
    Some(())
}

/// The bytes of a frame.
pub(super) fn pack(unpacked: &[u8]) -> io::Result<(Vec<u8>, Frame)> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.set_pledged_src_size(Some(unpacked.len() as u64))?;
    io::Write::write_all(&mut encoder, unpacked)?;
    let bytes = encoder.finish()?;
    let frame = Frame { length: bytes.len() as u64, unpacked: unpacked.len() as u64, hash: BlobHash::of(&bytes) };
    Ok((bytes, frame))
}

/// The values of a frame, one for each slot.
pub(super) fn unpack(bytes: &[u8], place: &Place) -> Result<Vec<Vec<u8>>, FormatError> {
    let Place { first, slots, frame, .. } = place;
    if bytes.len() as u64 != frame.length || BlobHash::of(bytes) != frame.hash {
        return Err(FormatError::Part(*first));
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?.single_frame();
    decoder.window_log_max(WINDOW_LOG)?;
    let mut unpacked = Vec::new();
    decoder.take(frame.unpacked.saturating_add(1)).read_to_end(&mut unpacked)?;
    let values = values_of(&unpacked).filter(|values| values.len() as u64 == u64::from(*slots));
    values.ok_or(FormatError::Nonsense("a part does not hold a value for each slot"))
}

fn values_of(mut unpacked: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    while !unpacked.is_empty() {
        let length = u32_of(&mut unpacked)? as usize;
        let (value, rest) = unpacked.split_at_checked(length)?;
        values.push(value.to_vec());
        unpacked = rest;
    }
    Some(values)
}

fn part_of(bytes: &mut &[u8]) -> Option<Part> {
    Some(Part { slots: u32_of(bytes)?, messages: frame_of(bytes)?, outcomes: frame_of(bytes)? })
}

fn frame_of(bytes: &mut &[u8]) -> Option<Frame> {
    Some(Frame { length: u64_of(bytes)?, unpacked: u64_of(bytes)?, hash: BlobHash(take(bytes)?) })
}

fn u32_of(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

fn u64_of(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}
