//! The search for matches: the first one, and one after the other.

use super::error::PatternError;
use super::found::Found;
use super::fuel::{Exhausted, Fuel, Meter};
use super::matcher::Matcher;

/// The first match that begins at byte `from` of the subject, counted from 0, or behind it.
///
/// A pattern that begins with `^` matches at `from` or not at all. There is no match if `from` is beyond the subject's end.
pub fn find(subject: &[u8], pattern: &[u8], from: usize, fuel: &mut dyn Fuel) -> Result<Option<Found>, PatternError> {
    let (anchored, pattern) = split_anchor(pattern);
    search(subject, pattern, from, anchored, None, fuel)
}

/// The first place at byte `from` of the subject, counted from 0, or behind it where `needle` stands. Costs a unit for
/// every byte looked at.
pub fn find_plain(
    subject: &[u8],
    needle: &[u8],
    from: usize,
    fuel: &mut dyn Fuel,
) -> Result<Option<Found>, PatternError> {
    let Some(last) = subject.len().checked_sub(needle.len()) else { return Ok(None) };
    metered(fuel, |meter| {
        for start in from..=last {
            if meter.starts_with(subject.get(start..).unwrap_or_default(), needle)? {
                return Ok(Some(Found { span: start..start + needle.len(), slots: Vec::new() }));
            }
        }
        Ok(None)
    })
}

/// Whether `string.find` has to take `pattern` for more than plain text. Costs a unit for every byte looked at.
pub fn has_specials(pattern: &[u8], fuel: &mut dyn Fuel) -> Result<bool, PatternError> {
    metered(fuel, |meter| {
        for byte in pattern {
            meter.step()?;
            if b"^$*+?.([%-".contains(byte) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// The matches of a pattern one after the other. They do not overlap, and an empty one does not touch the one before it.
#[derive(Clone, Debug)]
pub struct Matches {
    at: usize,
    last_end: Option<usize>,
    anchors: bool,
    ended: bool,
}

impl Matches {
    /// For `string.gmatch`, from byte `from` on, counted from 0. A `^` that begins the pattern stands for itself.
    pub fn gmatch(from: usize) -> Self {
        Self { at: from, last_end: None, anchors: false, ended: false }
    }

    /// For `string.gsub`. A pattern that begins with `^` matches at the subject's begin or not at all.
    pub fn gsub() -> Self {
        Self { at: 0, last_end: None, anchors: true, ended: false }
    }

    /// The next match. After the last one there is none, which is found out anew each time.
    ///
    /// `subject` and `pattern` have to be the same at each call.
    pub fn next(&mut self, subject: &[u8], pattern: &[u8], fuel: &mut dyn Fuel) -> Result<Option<Found>, PatternError> {
        if self.ended {
            return Ok(None);
        }
        let (anchored, pattern) = if self.anchors { split_anchor(pattern) } else { (false, pattern) };
        let found = search(subject, pattern, self.at, anchored, self.last_end, fuel)?;
        if let Some(found) = &found {
            self.at = found.span.end;
            self.last_end = Some(found.span.end);
        }
        self.ended = anchored;
        Ok(found)
    }
}

/// The first match from `from` on, or just there if `anchored`, that does not end at `last_end`.
fn search(
    subject: &[u8],
    pattern: &[u8],
    from: usize,
    anchored: bool,
    last_end: Option<usize>,
    fuel: &mut dyn Fuel,
) -> Result<Option<Found>, PatternError> {
    let last = if anchored { from.min(subject.len()) } else { subject.len() };
    metered(fuel, |meter| {
        let mut matcher = Matcher::new(subject, pattern, meter);
        for start in from..=last {
            let found = matcher.try_at(start)?;
            if found.as_ref().is_some_and(|found| Some(found.span.end) != last_end) {
                return Ok(found);
            }
        }
        Ok(None)
    })
}

/// Whether a pattern begins with an anchor, and the rest of it.
fn split_anchor(pattern: &[u8]) -> (bool, &[u8]) {
    match pattern {
        [b'^', rest @ ..] => (true, rest),
        all => (false, all),
    }
}

/// Does `work` and sees that each of its steps is paid for, however it ends.
fn metered<T>(
    fuel: &mut dyn Fuel,
    work: impl FnOnce(&mut Meter<'_>) -> Result<T, PatternError>,
) -> Result<T, PatternError> {
    let mut meter = Meter::new(fuel);
    let result = work(&mut meter);
    match meter.settle() {
        Ok(()) => result,
        Err(Exhausted) => Err(Exhausted.into()),
    }
}
