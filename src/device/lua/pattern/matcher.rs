//! The matcher: tries a pattern at one place of the subject, with backtracking.

use super::class::{ESCAPE, Set, Single};
use super::error::PatternError;
use super::found::{Found, Slot};
use super::fuel::{Exhausted, Meter};

/// Most captures of a pattern.
const MAX_CAPTURES: usize = 32;

/// Most matches within each other: captures, and items that are optional or repeated, are matched by recursion. It bounds
/// the stack.
const MAX_DEPTH: u32 = 200;

/// Where a match ends, if there is one.
type Match = Result<Option<usize>, PatternError>;

/// What follows an item that matches one byte.
enum Next {
    /// To go on at this place of the subject with this place of the pattern.
    On(usize, usize),
    /// To end like this.
    End(Option<usize>),
}

/// Tries a pattern, which has no anchor before it, at places of a subject.
pub(super) struct Matcher<'a, 'm, 'f> {
    subject: &'a [u8],
    pattern: &'a [u8],
    meter: &'m mut Meter<'f>,
    slots: Vec<Slot>,
    depth: u32,
}

impl<'a, 'm, 'f> Matcher<'a, 'm, 'f> {
    pub(super) fn new(subject: &'a [u8], pattern: &'a [u8], meter: &'m mut Meter<'f>) -> Self {
        Self { subject, pattern, meter, slots: Vec::new(), depth: 0 }
    }

    /// The match that begins exactly at `start`. Without one, the matcher is as it was; after an error it is of no use.
    pub(super) fn try_at(&mut self, start: usize) -> Result<Option<Found>, PatternError> {
        let end = self.run(start, 0)?;
        Ok(end.map(|end| Found { span: start..end, slots: std::mem::take(&mut self.slots) }))
    }

    /// Matches the rest of the pattern from `p` with the rest of the subject from `s`.
    fn run(&mut self, s: usize, p: usize) -> Match {
        if self.depth == MAX_DEPTH {
            return Err(PatternError::TooComplex);
        }
        self.depth += 1;
        let end = self.items(s, p);
        self.depth -= 1;
        end
    }

    fn items(&mut self, mut s: usize, mut p: usize) -> Match {
        loop {
            self.meter.step()?;
            let Some(&item) = self.pattern.get(p) else { return Ok(Some(s)) };
            match (item, self.pattern.get(p + 1)) {
                (b'(', Some(b')')) => return self.capture(Slot::Position(s), s, p + 2),
                (b'(', _) => return self.capture(Slot::Open { start: s }, s, p + 1),
                (b')', _) => return self.close_capture(s, p + 1),
                (b'$', None) => return Ok((s == self.subject.len()).then_some(s)),
                (ESCAPE, Some(b'b')) => {
                    let Some(end) = self.balanced(s, p + 2)? else { return Ok(None) };
                    (s, p) = (end, p + 4);
                }
                (ESCAPE, Some(b'f')) => {
                    let Some(next) = self.frontier(s, p + 2)? else { return Ok(None) };
                    p = next;
                }
                (ESCAPE, Some(digit @ b'0'..=b'9')) => {
                    let Some(end) = self.back_reference(s, *digit)? else { return Ok(None) };
                    (s, p) = (end, p + 2);
                }
                _ => match self.single(item, s, p + 1)? {
                    Next::On(next_s, next_p) => (s, p) = (next_s, next_p),
                    Next::End(end) => return Ok(end),
                },
            }
        }
    }

    /// Matches an item that stands for one byte, and what says how often; `p` is behind the item's first byte.
    fn single(&mut self, first: u8, s: usize, p: usize) -> Result<Next, PatternError> {
        let (single, after) = Single::parse(first, self.pattern, p, self.meter)?;
        let suffix = self.pattern.get(after);
        if !self.matches(single, s)? {
            return Ok(match suffix {
                Some(b'*' | b'?' | b'-') => Next::On(s, after + 1),
                _ => Next::End(None),
            });
        }
        match suffix {
            Some(b'?') => Ok(match self.run(s + 1, after + 1)? {
                None => Next::On(s, after + 1),
                end => Next::End(end),
            }),
            Some(b'+') => self.longest(single, s + 1, after + 1).map(Next::End),
            Some(b'*') => self.longest(single, s, after + 1).map(Next::End),
            Some(b'-') => self.shortest(single, s, after + 1).map(Next::End),
            _ => Ok(Next::On(s + 1, after)),
        }
    }

    /// Whether the subject has a byte at `s` and `single` matches it.
    #[inline]
    fn matches(&mut self, single: Single<'a>, s: usize) -> Result<bool, Exhausted> {
        match self.subject.get(s) {
            Some(&byte) => single.matches(byte, self.meter),
            None => Ok(false),
        }
    }

    /// Repeats `single` as often as it goes, then ever less until the rest of the pattern matches.
    fn longest(&mut self, single: Single<'a>, s: usize, p: usize) -> Match {
        let mut end = s;
        while self.matches(single, end)? {
            self.meter.step()?;
            end += 1;
        }
        for at in (s..=end).rev() {
            if let Some(end) = self.run(at, p)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Repeats `single` ever more until the rest of the pattern matches.
    fn shortest(&mut self, single: Single<'a>, mut s: usize, p: usize) -> Match {
        loop {
            if let Some(end) = self.run(s, p)? {
                return Ok(Some(end));
            }
            if !self.matches(single, s)? {
                return Ok(None);
            }
            s += 1;
        }
    }

    /// Begins a capture. If the rest does not match, it was never there.
    fn capture(&mut self, slot: Slot, s: usize, p: usize) -> Match {
        if self.slots.len() == MAX_CAPTURES {
            return Err(PatternError::TooManyCaptures);
        }
        self.slots.push(slot);
        let end = self.run(s, p)?;
        if end.is_none() {
            self.slots.pop();
        }
        Ok(end)
    }

    /// Ends the innermost capture that is open. If the rest does not match, it is open again.
    fn close_capture(&mut self, s: usize, p: usize) -> Match {
        let open = self.slots.iter().enumerate().rev().find_map(|(index, slot)| match *slot {
            Slot::Open { start } => Some((index, start)),
            _ => None,
        });
        let Some((index, start)) = open else { return Err(PatternError::UnopenedCapture) };
        self.set(index, Slot::Closed { start, end: s });
        let end = self.run(s, p)?;
        if end.is_none() {
            self.set(index, Slot::Open { start });
        }
        Ok(end)
    }

    fn set(&mut self, index: usize, to: Slot) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = to;
        }
    }

    /// `%b`: from an opening byte to the closing byte that balances it; `p` is where the two are named.
    fn balanced(&mut self, s: usize, p: usize) -> Match {
        let Some(&[open, close]) = self.pattern.get(p..p + 2) else { return Err(PatternError::BalanceArguments) };
        let Some((&first, rest)) = self.subject.get(s..).and_then(<[u8]>::split_first) else { return Ok(None) };
        if first != open {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for (offset, &byte) in rest.iter().enumerate() {
            self.meter.step()?;
            // The closing byte goes first: `%bxx` is from one x to the next.
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(s + 1 + offset + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f`: where the byte before is not in the set and the byte here is; beyond both ends the subject is zero. Gives the
    /// place in the pattern behind the set.
    fn frontier(&mut self, s: usize, p: usize) -> Match {
        if self.pattern.get(p) != Some(&b'[') {
            return Err(PatternError::FrontierSet);
        }
        let (set, next) = Set::parse(self.pattern, p + 1, self.meter)?;
        let before = s.checked_sub(1).and_then(|before| self.subject.get(before)).copied().unwrap_or(0);
        let here = self.subject.get(s).copied().unwrap_or(0);
        let crossed = !set.contains(before, self.meter)? && set.contains(here, self.meter)?;
        Ok(crossed.then_some(next))
    }

    /// `%1` to `%9`: the bytes of a capture once more. A position never matches.
    fn back_reference(&mut self, s: usize, digit: u8) -> Match {
        let number = usize::from(digit - b'0');
        match number.checked_sub(1).and_then(|index| self.slots.get(index)) {
            None | Some(Slot::Open { .. }) => Err(PatternError::CaptureIndex(number)),
            Some(Slot::Position(_)) => Ok(None),
            Some(&Slot::Closed { start, end }) => {
                let (subject, text) = (self.subject, self.subject.get(start..end).unwrap_or_default());
                let again = self.meter.starts_with(subject.get(s..).unwrap_or_default(), text)?;
                Ok(again.then_some(s + (end - start)))
            }
        }
    }
}
