//! Sizes and durations as texts.

use std::time::Duration;

/// The units of a size, the largest first.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// The longest duration that is taken. What is longer could not be added to every time of day.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Why a text is not a size or a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text does not begin with a whole number.
    #[error("it does not begin with a whole number")]
    NoNumber,
    /// A number stands alone.
    #[error("it has no unit: B, KiB, MiB, GiB, TiB, KB, MB, GB or TB")]
    NoSizeUnit,
    /// No such unit of size.
    #[error("unknown unit {0:?}: known are B, KiB, MiB, GiB, TiB, KB, MB, GB and TB")]
    SizeUnit(String),
    /// More bytes than there are.
    #[error("it is more than 2^64 bytes")]
    SizeOverflow,
    /// The text is not a duration.
    #[error("{0}")]
    Duration(String),
    /// The duration is longer than [`LONGEST`].
    #[error("it is longer than 100 years")]
    TooLong,
}

/// The bytes of a size such as `64MiB`: a whole number and a unit, perhaps with blanks between.
///
/// `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024; `KB`, `MB`, `GB`, `TB` powers of 1000; `B` are bytes.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    if unit.is_empty() {
        return Err(UnitError::NoSizeUnit);
    }
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(UnitError::SizeUnit(unit.chars().take(20).collect()));
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(*bytes)).ok_or(UnitError::SizeOverflow)
}

/// `bytes` as a size, in the largest unit that needs no fraction.
pub fn format_size(bytes: u64) -> String {
    let fitting = SIZE_UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    let (name, unit) = fitting.unwrap_or(&("B", 1));
    format!("{}{name}", bytes / unit)
}

/// A duration such as `5m`, `1h 30m`, `250ms`; at most [`LONGEST`].
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let duration = humantime::parse_duration(text).map_err(|error| UnitError::Duration(duration_error(error)))?;
    if duration > LONGEST { Err(UnitError::TooLong) } else { Ok(duration) }
}

fn duration_error(error: humantime::DurationError) -> String {
    use humantime::DurationError::{Empty, InvalidCharacter, NumberExpected, NumberOverflow, UnknownUnit};
    match error {
        Empty => "it is empty".to_owned(),
        NumberExpected(_) => "a number is missing".to_owned(),
        InvalidCharacter(at) => format!("character {} does not belong there", at + 1),
        UnknownUnit { unit, .. } if unit.is_empty() => "it has no unit: ms, s, m, h or d".to_owned(),
        UnknownUnit { unit, .. } => {
            format!("unknown unit {:?}: known are ms, s, m, h, d", unit.chars().take(20).collect::<String>())
        }
        NumberOverflow => "it is too large or too fine".to_owned(),
    }
}

/// `duration` as [`parse_duration`] takes it.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests;
