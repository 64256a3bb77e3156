//! What `string.gsub` makes of a subject and its matches.

use super::class::ESCAPE;
use super::error::PatternError;
use super::found::{Capture, Found};
use super::fuel::Fuel;

/// A subject whose matches are replaced, in their order. A match that is passed over stays as it is.
///
/// Every byte of the result costs a unit of gas, and the result never takes more memory than its room.
#[derive(Debug)]
pub struct Substitution<'s> {
    subject: &'s [u8],
    room: usize,
    text: Vec<u8>,
    /// How much of the subject is in `text`, replaced or not.
    done: usize,
    changed: bool,
}

impl<'s> Substitution<'s> {
    /// Nothing replaced yet. The result may be `room` bytes long.
    pub fn new(subject: &'s [u8], room: usize) -> Self {
        Self { subject, room, text: Vec::new(), done: 0, changed: false }
    }

    /// Replaces a match by what `replacement` says: `%0` is the whole match, `%1` to `%9` are its captures (`%1` the whole
    /// match if the pattern has none), `%%` is a percent sign.
    pub fn expand(&mut self, found: &Found, replacement: &[u8], fuel: &mut dyn Fuel) -> Result<(), PatternError> {
        self.keep_until(found.span.start, fuel)?;
        let mut rest = replacement;
        while let Some(plain) = rest.iter().position(|&byte| byte == ESCAPE) {
            let (before, escape) = rest.split_at(plain);
            self.push(before, fuel)?;
            match escape.get(1) {
                Some(&ESCAPE) => self.push(&[ESCAPE], fuel)?,
                Some(b'0') => self.push_capture(Capture::Span(found.span.clone()), fuel)?,
                Some(&digit @ b'1'..=b'9') => self.push_capture(found.value(usize::from(digit - b'1'))?, fuel)?,
                _ => return Err(PatternError::ReplacementEscape),
            }
            rest = escape.get(2..).unwrap_or_default();
        }
        self.push(rest, fuel)?;
        self.replaced(found);
        Ok(())
    }

    /// Replaces a match by `text`, as a function or a table gave it.
    pub fn replace(&mut self, found: &Found, text: &[u8], fuel: &mut dyn Fuel) -> Result<(), PatternError> {
        self.keep_until(found.span.start, fuel)?;
        self.push(text, fuel)?;
        self.replaced(found);
        Ok(())
    }

    /// The result, or `None` if no match was replaced and it is the subject.
    pub fn finish(mut self, fuel: &mut dyn Fuel) -> Result<Option<Vec<u8>>, PatternError> {
        if !self.changed {
            return Ok(None);
        }
        self.keep_until(self.subject.len(), fuel)?;
        Ok(Some(self.text))
    }

    fn keep_until(&mut self, end: usize, fuel: &mut dyn Fuel) -> Result<(), PatternError> {
        let kept = self.subject.get(self.done..end).unwrap_or_default();
        self.push(kept, fuel)
    }

    fn replaced(&mut self, found: &Found) {
        self.done = found.span.end;
        self.changed = true;
    }

    fn push_capture(&mut self, capture: Capture, fuel: &mut dyn Fuel) -> Result<(), PatternError> {
        match capture {
            Capture::Span(span) => self.push(self.subject.get(span).unwrap_or_default(), fuel),
            Capture::Position(at) => self.push(at.to_string().as_bytes(), fuel),
        }
    }

    fn push(&mut self, bytes: &[u8], fuel: &mut dyn Fuel) -> Result<(), PatternError> {
        fuel.spend(bytes.len() as u64)?;
        let no_room = PatternError::NoRoom { room: self.room };
        let length = self.text.len().saturating_add(bytes.len());
        if length > self.room {
            return Err(no_room);
        }
        if length > self.text.capacity() {
            // Doubled as usual, but never beyond the room.
            let capacity = length.max(self.text.capacity().saturating_mul(2)).min(self.room);
            self.text.try_reserve_exact(capacity - self.text.len()).map_err(|_| no_room)?;
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }
}
