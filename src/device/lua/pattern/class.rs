//! The items of a pattern that match one byte: a literal, `.`, a class such as `%a`, a set such as `[a-z_]`.

use super::error::PatternError;
use super::fuel::{Exhausted, Meter};

/// What gives the byte after it its special or its plain meaning.
pub(super) const ESCAPE: u8 = b'%';

/// What matches one byte.
#[derive(Clone, Copy)]
pub(super) enum Single<'p> {
    Any,
    Byte(u8),
    /// By the byte after `%`.
    Class(u8),
    Set(Set<'p>),
}

impl<'p> Single<'p> {
    /// The item that begins with `first`, the byte before `at`, and where the next one begins.
    pub(super) fn parse(
        first: u8,
        pattern: &'p [u8],
        at: usize,
        meter: &mut Meter<'_>,
    ) -> Result<(Self, usize), PatternError> {
        match first {
            ESCAPE => {
                let class = *pattern.get(at).ok_or(PatternError::EndsWithEscape)?;
                Ok((Self::Class(class), at + 1))
            }
            b'[' => Set::parse(pattern, at, meter).map(|(set, next)| (Self::Set(set), next)),
            b'.' => Ok((Self::Any, at)),
            byte => Ok((Self::Byte(byte), at)),
        }
    }

    /// Whether `byte` matches. Only a set costs steps, one for each of its members that is looked at.
    #[inline]
    pub(super) fn matches(self, byte: u8, meter: &mut Meter<'_>) -> Result<bool, Exhausted> {
        match self {
            Self::Any => Ok(true),
            Self::Byte(own) => Ok(own == byte),
            Self::Class(class) => Ok(in_class(byte, class)),
            Self::Set(set) => set.contains(byte, meter),
        }
    }
}

/// The bytes that a set names, or all others.
#[derive(Clone, Copy)]
pub(super) struct Set<'p> {
    negated: bool,
    members: &'p [u8],
}

impl<'p> Set<'p> {
    /// The set whose `[` is the byte before `at`, and where the next item begins. A step for each member.
    pub(super) fn parse(pattern: &'p [u8], at: usize, meter: &mut Meter<'_>) -> Result<(Self, usize), PatternError> {
        let negated = pattern.get(at) == Some(&b'^');
        let start = if negated { at + 1 } else { at };
        let mut end = start;
        loop {
            meter.step()?;
            // The first member is one even if it is a `]`.
            match pattern.get(end) {
                None => return Err(PatternError::OpenSet),
                Some(&ESCAPE) => end += 2,
                Some(_) => end += 1,
            }
            if pattern.get(end) == Some(&b']') {
                let members = pattern.get(start..end).ok_or(PatternError::OpenSet)?;
                return Ok((Self { negated, members }, end + 1));
            }
        }
    }

    /// Whether `byte` is in the set. A step for each member looked at.
    pub(super) fn contains(self, byte: u8, meter: &mut Meter<'_>) -> Result<bool, Exhausted> {
        let mut rest = self.members;
        loop {
            meter.step()?;
            let (found, after) = match rest {
                [] => return Ok(self.negated),
                [ESCAPE, class, after @ ..] => (in_class(byte, *class), after),
                // Only a range that takes the first of two `%` leaves the second alone at the end. Lua then takes
                // the closing bracket for what it escapes.
                [ESCAPE] => (byte == b']', &[][..]),
                [low, b'-', high, after @ ..] => ((*low..=*high).contains(&byte), after),
                [own, after @ ..] => (*own == byte, after),
            };
            if found {
                return Ok(!self.negated);
            }
            rest = after;
        }
    }
}

/// Whether `byte` is in the class `%class`, in the C locale. What is no letter of a class stands for itself.
fn in_class(byte: u8, class: u8) -> bool {
    let member = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        // Undocumented since 5.2, and still there.
        b'z' => byte == 0,
        _ => return byte == class,
    };
    member == class.is_ascii_lowercase()
}
