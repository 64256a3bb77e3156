//! What a match found.

use std::ops::Range;

use super::error::PatternError;

/// A capture of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Bytes of the subject.
    Span(Range<usize>),
    /// Where an empty capture, `()`, stands: a place in the subject, counted from 1.
    Position(usize),
}

/// A capture while it is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Open {
        start: usize,
    },
    Closed {
        start: usize,
        end: usize,
    },
    /// Counted from 0.
    Position(usize),
}

/// A match: where it is, and what it captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes of the subject that the whole pattern matched.
    pub span: Range<usize>,
    pub(super) slots: Vec<Slot>,
}

impl Found {
    /// The captures that the pattern has, at most 32: what `string.find` returns after its two positions.
    ///
    /// An item is [`PatternError::UnfinishedCapture`] if the pattern never closes that capture. Lua finds this only when
    /// it looks at the capture, so a substitution that never does is right.
    pub fn captures(&self) -> impl Iterator<Item = Result<Capture, PatternError>> + '_ {
        (0..self.slots.len()).map(|index| self.value(index))
    }

    /// The captures or, if the pattern has none, the whole match: what `string.match` and `string.gmatch` return and what
    /// `string.gsub` gives to a function.
    pub fn values(&self) -> impl Iterator<Item = Result<Capture, PatternError>> + '_ {
        (0..self.slots.len().max(1)).map(|index| self.value(index))
    }

    /// The first of [`Found::values`]: what `string.gsub` looks up in a table.
    pub fn first(&self) -> Result<Capture, PatternError> {
        self.value(0)
    }

    /// One of the values, counted from 0.
    pub(super) fn value(&self, index: usize) -> Result<Capture, PatternError> {
        match self.slots.get(index) {
            Some(&Slot::Closed { start, end }) => Ok(Capture::Span(start..end)),
            Some(&Slot::Position(at)) => Ok(Capture::Position(at + 1)),
            Some(Slot::Open { .. }) => Err(PatternError::UnfinishedCapture),
            None if index == 0 => Ok(Capture::Span(self.span.clone())),
            None => Err(PatternError::CaptureIndex(index + 1)),
        }
    }
}
