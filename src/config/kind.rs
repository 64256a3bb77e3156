//! The kinds of value that a key can have: what is expected, in words, and how it is read.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::units;

/// Why a value is not of a kind. The value itself and what is expected are told by the reader.
#[derive(Debug, Default)]
pub(super) struct Mismatch {
    /// What is wrong with it, where that isn't plain.
    pub(super) why: Option<String>,
    /// The allowed value that comes nearest.
    pub(super) nearest: Option<String>,
}

impl Mismatch {
    /// A mismatch that needs these words.
    pub(super) fn because(why: impl Display) -> Self {
        Self { why: Some(why.to_string()), nearest: None }
    }
}

type Read<'k, T> = Box<dyn Fn(&DeValue<'_>) -> Result<T, Mismatch> + 'k>;

/// A kind of value.
pub(super) struct Kind<'k, T> {
    pub(super) expected: String,
    pub(super) is_secret: bool,
    read: Read<'k, T>,
}

impl<'k, T: 'k> Kind<'k, T> {
    /// The kind that `expected` describes (as in "expected a whole number") and `read` reads.
    pub(super) fn new(expected: impl Into<String>, read: impl Fn(&DeValue<'_>) -> Result<T, Mismatch> + 'k) -> Self {
        Self { expected: expected.into(), is_secret: false, read: Box::new(read) }
    }

    /// The same kind, for values that no error may repeat.
    pub(super) fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// The same kind, as `make` makes something else of what it reads.
    pub(super) fn map<U: 'k>(self, make: impl Fn(T) -> U + 'k) -> Kind<'k, U> {
        let Self { expected, is_secret, read } = self;
        Kind { expected, is_secret, read: Box::new(move |value| read(value).map(&make)) }
    }

    /// Takes `value` as one of this kind.
    pub(super) fn read(&self, value: &DeValue<'_>) -> Result<T, Mismatch> {
        (self.read)(value)
    }
}

/// A text that `parse` takes.
pub(super) fn parsed<'k, T: 'k>(
    expected: impl Into<String>,
    parse: impl Fn(&str) -> Result<T, Mismatch> + 'k,
) -> Kind<'k, T> {
    Kind::new(expected, move |value| match value {
        DeValue::String(text) => parse(text),
        _ => Err(Mismatch::default()),
    })
}

/// A text for which `holds`.
pub(super) fn text_where<'k>(expected: impl Into<String>, holds: impl Fn(&str) -> bool + 'k) -> Kind<'k, String> {
    parsed(expected, move |text| if holds(text) { Ok(text.to_owned()) } else { Err(Mismatch::default()) })
}

/// Any text.
pub(super) fn text() -> Kind<'static, String> {
    text_where("a text", |_| true)
}

/// A text in one line that can stand for somebody or something in a log: not empty, at most 255 bytes.
pub(super) fn name() -> Kind<'static, String> {
    text_where("a name of 1 to 255 bytes without control characters", |text| {
        (1..=255).contains(&text.len()) && !text.chars().any(char::is_control)
    })
}

/// `true` or `false`.
pub(super) fn flag() -> Kind<'static, bool> {
    Kind::new("true or false", |value| value.as_bool().ok_or_else(Mismatch::default))
}

/// One of these values, by name.
pub(super) fn one_of<T: Copy>(values: &'static [T], name: fn(T) -> &'static str) -> Kind<'static, T> {
    let names: Vec<&str> = values.iter().map(|value| name(*value)).collect();
    parsed(listed(&names), move |text| {
        let found = values.iter().find(|value| name(**value) == text).copied();
        found.ok_or_else(|| Mismatch {
            why: None,
            nearest: nearest(text, names.iter().copied()).map(|name| format!("{name:?}")),
        })
    })
}

/// `"a", "b" or "c"`.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// Integers, in the types that configurations hold.
pub(super) trait Whole: Copy + PartialOrd + Display + TryFrom<i128> + 'static {
    const ONE: Self;
    const MAX: Self;
}

macro_rules! whole {
    ($($type:ty),*) => { $(impl Whole for $type { const ONE: Self = 1; const MAX: Self = <$type>::MAX; })* };
}
whole!(u32, u64, usize);

/// A whole number within `range`. A float without a fraction, such as `1e9`, is one too.
pub(super) fn between<T: Whole>(range: RangeInclusive<T>) -> Kind<'static, T> {
    let (least, most) = (*range.start(), *range.end());
    let expected = if most < T::MAX {
        format!("a whole number from {least} to {most}")
    } else {
        format!("a whole number from {least} up")
    };
    Kind::new(expected, move |value| {
        let number = whole_number(value).and_then(|number| T::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(Mismatch::default)
    })
}

/// So many a second, from 1 up: `"100/s"`, or the number alone.
pub(super) fn per_second() -> Kind<'static, u32> {
    Kind::new("so many a second from 1 up, such as \"100/s\"", |value| {
        let number = match value {
            DeValue::String(text) => text.strip_suffix("/s").and_then(|number| number.trim_end().parse::<u32>().ok()),
            _ => whole_number(value).and_then(|number| u32::try_from(number).ok()),
        };
        number.filter(|number| *number > 0).ok_or_else(Mismatch::default)
    })
}

/// A whole number from 1 up.
pub(super) fn positive<T: Whole>() -> Kind<'static, T> {
    between(T::ONE..=T::MAX)
}

fn whole_number(value: &DeValue<'_>) -> Option<i128> {
    match value {
        DeValue::Integer(integer) => integer_of(integer),
        DeValue::Float(float) => {
            let number: f64 = float.as_str().parse().ok()?;
            // Beyond 2^64 no kind has use for it; NaN fails both.
            (number.fract() == 0.0 && number.abs() < 18_446_744_073_709_551_616.0).then_some(number as i128)
        }
        _ => None,
    }
}

fn integer_of(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A finite number above 0, whole or not.
pub(super) fn above_zero() -> Kind<'static, f64> {
    Kind::new("a number above 0", |value| {
        let number: Option<f64> = match value {
            DeValue::Integer(integer) => integer_of(integer).map(|number| number as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite() && *number > 0.0).ok_or_else(Mismatch::default)
    })
}

/// A size in bytes, as a text such as `"64MiB"` or a whole number; at least `least`.
pub(super) fn size(least: u64) -> Kind<'static, u64> {
    let expected = match least {
        0 => r#"a size such as "64MiB""#.to_owned(),
        least => format!(r#"a size from {} up, such as "64MiB""#, units::format_size(least)),
    };
    Kind::new(expected, move |value| {
        let bytes = match value {
            DeValue::String(text) => units::parse_size(text).map_err(Mismatch::because)?,
            DeValue::Integer(integer) => {
                integer_of(integer).and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(Mismatch::default)?
            }
            _ => return Err(Mismatch::default()),
        };
        if bytes < least { Err(Mismatch::default()) } else { Ok(bytes) }
    })
}

/// A duration, as a text such as `"30s"`; at least `least`.
pub(super) fn duration(least: Duration) -> Kind<'static, Duration> {
    let expected = match least {
        Duration::ZERO => r#"a duration such as "30s""#.to_owned(),
        least => format!(r#"a duration from {} up, such as "30s""#, units::format_duration(least)),
    };
    parsed(expected, move |text| {
        let duration = units::parse_duration(text).map_err(Mismatch::because)?;
        if duration < least { Err(Mismatch::default()) } else { Ok(duration) }
    })
}

/// A duration that isn't zero: at least a millisecond.
pub(super) fn interval() -> Kind<'static, Duration> {
    duration(Duration::from_millis(1))
}

/// A socket address.
pub(super) fn address() -> Kind<'static, SocketAddr> {
    parsed(r#"an address and a port, such as "127.0.0.1:8734""#, |text| text.parse().map_err(|_| Mismatch::default()))
}

/// A path, as it is written.
pub(super) fn path() -> Kind<'static, PathBuf> {
    parsed("a path", |text| match text {
        "" => Err(Mismatch::default()),
        text if text.contains('\0') => Err(Mismatch::because("it holds a zero byte")),
        text => Ok(PathBuf::from(text)),
    })
}

/// The candidate that is nearest to `name`, if one is near.
pub(super) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    const LONGEST: usize = 64;
    const NEAR: f64 = 0.6;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    candidates
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(nearness, _)| *nearness >= NEAR)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}
