//! Series as bytes, for a file that outlives the program.
//!
//! The bytes are a mark with the version, the number of series, the series, and a checksum of all that. A series is its
//! metric, its labels and its samples; a time stands there as the change of its distance to the one before, a value as
//! what changed in its bits, both as numbers of seven bits a byte: a steady counter takes some four bytes a sample.

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use super::labels::{MAX_LABELS, MAX_NAME, MAX_VALUE};
use super::{Labels, Sample, Series, SeriesStore};

#[cfg(test)]
mod tests;

const MARK: &[u8; 7] = b"mainsts";
const VERSION: u8 = 1;
const CHECKSUM: usize = 8;

/// Why bytes are no saved series. Whoever gets one begins with an empty store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// They begin with something else.
    #[error("the bytes are not saved series")]
    Foreign,
    /// Another version of the program wrote them.
    #[error("the series are saved in version {found} of the format, not {VERSION}")]
    Version {
        /// The version that was found.
        found: u8,
    },
    /// They are not as they were written.
    #[error("the saved series are damaged (their checksum is wrong)")]
    Damaged,
    /// They are as they were written, but say nothing that can be.
    #[error("the saved series make no sense at byte {at}")]
    Malformed {
        /// How many bytes made sense.
        at: usize,
    },
}

impl SeriesStore {
    /// Every series as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MARK.to_vec();
        bytes.push(VERSION);
        put_number(&mut bytes, self.len() as u64);
        for (metric, labels, series) in self.iter() {
            put_text(&mut bytes, metric);
            put_number(&mut bytes, labels.len() as u64);
            for (name, value) in labels.iter() {
                put_text(&mut bytes, name);
                put_text(&mut bytes, value);
            }
            put_samples(&mut bytes, series);
        }
        let checksum = xxh3_64(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// A store with the bounds given here and the series that [`SeriesStore::to_bytes`] wrote.
    ///
    /// Series beyond `max_series` are left out and counted as losses, samples beyond `capacity` are left out from the oldest on.
    /// No more memory is used than for a full store.
    ///
    /// # Errors
    /// The bytes are foreign, of another version, damaged or malformed.
    pub fn from_bytes(bytes: &[u8], capacity: usize, max_series: usize) -> Result<Self, RestoreError> {
        let mut store = Self::new(capacity, max_series);
        let mut reader = Reader::checked(bytes)?;
        let count = reader.number()?;
        for _ in 0..count {
            let metric = reader.text(MAX_NAME)?;
            let labels = reader.labels()?;
            let mut series = Series::new(capacity);
            reader.samples(&mut series)?;
            if series.is_empty() {
                return Err(reader.malformed());
            }
            // What is refused is counted by the store.
            let _ = store.insert(metric, &labels, series);
        }
        if reader.rest.is_empty() { Ok(store) } else { Err(reader.malformed()) }
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

fn put_samples(bytes: &mut Vec<u8>, series: &Series) {
    let samples = series.since(0);
    put_number(bytes, samples.len() as u64);
    let mut state = State::default();
    for sample in samples {
        let (time, value) = state.changes(sample);
        put_number(bytes, time);
        put_number(bytes, value);
    }
}

/// Seven bits a byte, the lowest first; all bytes but the last have the eighth bit set.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// What one sample is written against: the one before.
#[derive(Default)]
struct State {
    time: u64,
    step: u64,
    bits: u64,
}

impl State {
    fn changes(&mut self, (time, value): Sample) -> (u64, u64) {
        let step = time.wrapping_sub(self.time);
        let bend = step.wrapping_sub(self.step) as i64;
        // Whole numbers differ in the upper bytes only; turned round, those are small numbers.
        let changed = (value.to_bits() ^ self.bits).swap_bytes();
        *self = Self { time, step, bits: value.to_bits() };
        (((bend << 1) ^ (bend >> 63)) as u64, changed)
    }

    fn sample(&mut self, time: u64, value: u64) -> Sample {
        let bend = ((time >> 1) as i64) ^ -((time & 1) as i64);
        self.step = self.step.wrapping_add(bend as u64);
        self.time = self.time.wrapping_add(self.step);
        self.bits ^= value.swap_bytes();
        (self.time, f64::from_bits(self.bits))
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    /// A reader of what stands between the version and the checksum, once both are found right.
    fn checked(bytes: &'a [u8]) -> Result<Self, RestoreError> {
        let after = bytes.strip_prefix(MARK).ok_or(RestoreError::Foreign)?;
        let (&version, after) = after.split_first().ok_or(RestoreError::Damaged)?;
        if version != VERSION {
            return Err(RestoreError::Version { found: version });
        }
        let (rest, checksum) = after.split_last_chunk::<CHECKSUM>().ok_or(RestoreError::Damaged)?;
        let sealed = &bytes[..bytes.len() - CHECKSUM];
        if xxh3_64(sealed) != u64::from_le_bytes(*checksum) {
            return Err(RestoreError::Damaged);
        }
        Ok(Self { rest, len: sealed.len() })
    }

    fn malformed(&self) -> RestoreError {
        RestoreError::Malformed { at: self.len - self.rest.len() }
    }

    fn number(&mut self) -> Result<u64, RestoreError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or_else(|| self.malformed())?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.malformed())
    }

    fn text(&mut self, max: usize) -> Result<&'a str, RestoreError> {
        let len = usize::try_from(self.number()?).ok().filter(|len| *len <= max).ok_or_else(|| self.malformed())?;
        let (text, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.malformed())?;
        let text = std::str::from_utf8(text).map_err(|_| self.malformed())?;
        self.rest = rest;
        Ok(text)
    }

    fn labels(&mut self) -> Result<Labels, RestoreError> {
        let count = self.number()?;
        if count > MAX_LABELS as u64 {
            return Err(self.malformed());
        }
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((self.text(MAX_NAME)?.to_owned(), self.text(MAX_VALUE)?.to_owned()));
        }
        Labels::from_pairs(pairs).map_err(|_| self.malformed())
    }

    fn samples(&mut self, series: &mut Series) -> Result<(), RestoreError> {
        let count = self.number()?;
        let mut state = State::default();
        for _ in 0..count {
            let (time, value) = (self.number()?, self.number()?);
            let (time, value) = state.sample(time, value);
            if !value.is_finite() || series.last().is_some_and(|(last, _)| time <= last) {
                return Err(self.malformed());
            }
            series.push(time, value);
        }
        Ok(())
    }
}
