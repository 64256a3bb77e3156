//! Durations as Prometheus writes them: `5m`, `1h30m`.

use std::time::Duration;

use crate::units::LONGEST;

/// The units, the longest first, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 60 * 60 * 1000),
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// What is expected of a duration, in words.
pub(super) const EXPECTED: &str =
    "a duration such as 5m or 1h30m, with the units y, w, d, h, m, s, ms in this order, of at most 100 years";

/// The duration that `text` is: whole numbers, each with a unit, longer units first; or `0`.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total, mut units) = (text, 0u64, UNITS.as_slice());
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let at = units.iter().position(|(unit, _)| *unit == &after[..letters])?;
        total = number.checked_mul(units[at].1)?.checked_add(total)?;
        units = &units[at + 1..];
        rest = &after[letters..];
    }
    let duration = Duration::from_millis(total);
    (!text.is_empty() && duration <= LONGEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_with_the_longer_units_first() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1y1w1d1h1m1s1ms", Some(31_536_000_000 + 604_800_000 + 86_400_000 + 3_661_001)),
            ("100y", Some(3_153_600_000_000)),
            ("100y1ms", None),
            ("", None),
            ("5", None),
            ("m", None),
            ("30m1h", None),
            ("1m1m", None),
            ("1.5h", None),
            ("-5m", None),
            ("5 m", None),
            ("5M", None),
            ("5mä", None),
            ("99999999999999999999s", None),
            ("18446744073709551615y", None),
        ] {
            assert_eq!(parse(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
