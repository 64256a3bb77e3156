//! From the text of an expression to its fields.

use std::fmt;

use super::fields::Fields;
use crate::cron::error::{CronError, shown};

/// A cron expression: 5 fields, or 6 with the seconds in front.
///
/// A field is `*`, a value, a range `a-b`, either of `*` and a range with a step `/n`, or a list of those with commas. Months
/// and weekdays have names of three letters in any case; Sunday is 0 and 7. As in Vixie cron a day fits when day of month *or*
/// day of week fits, unless one of the two begins with `*`: then both have to.
///
/// Where clocks change: an expression whose hour, minute or second begins with `*` or spans all values follows real time, so
/// hours that do not exist are left out and those that come twice count twice. Any other one is due once for each time it
/// names: at the first instant after the gap where that time does not exist, the first time where it comes twice.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    fields: Fields,
}

/// What a field may hold.
struct Range {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
    /// The value of the first name.
    first_name: u32,
}

const fn numbers(name: &'static str, low: u32, high: u32) -> Range {
    Range { name, low, high, names: &[], first_name: 0 }
}

const SECONDS: Range = numbers("second", 0, 59);
const MINUTES: Range = numbers("minute", 0, 59);
const HOURS: Range = numbers("hour", 0, 23);
const DAYS: Range = numbers("day of month", 1, 31);
const MONTHS: Range = Range {
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    first_name: 1,
    ..numbers("month", 1, 12)
};
const WEEKDAYS: Range =
    Range { names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], ..numbers("day of week", 0, 7) };

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The most days that each month can have, from January on.
const LENGTHS: [u64; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The longest expression, in bytes. One that lists every value of every field is shorter.
const LONGEST: usize = 1000;

impl Expression {
    /// Takes `text` as an expression. Blanks between fields may be any.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > LONGEST {
            return Err(CronError::Fields { found: shown(text), fields: text.split_whitespace().count() });
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let spelled = if text.starts_with('@') { nickname(&text)? } else { &text };
        let parts: Vec<&str> = spelled.split(' ').filter(|part| !part.is_empty()).collect();
        let (second, [minute, hour, day, month, weekday]) = match parts[..] {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday]),
            _ => return Err(CronError::Fields { found: shown(&text), fields: parts.len() }),
        };
        let (seconds, minutes, hours) = (SECONDS.parse(second)?, MINUTES.parse(minute)?, HOURS.parse(hour)?);
        let weekdays = WEEKDAYS.parse(weekday)?;
        let is_free = |range: &Range, part: &str, set: u64| part.starts_with('*') || set == range.all();
        let fields = Fields {
            seconds,
            minutes,
            hours,
            days: DAYS.parse(day)?,
            months: MONTHS.parse(month)?,
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            both_days: day.starts_with('*') || weekday.starts_with('*'),
            runs_on: is_free(&SECONDS, second, seconds)
                || is_free(&MINUTES, minute, minutes)
                || is_free(&HOURS, hour, hours),
        };
        if is_ever_due(&fields) { Ok(Self { text, fields }) } else { Err(CronError::NeverDue { found: shown(&text) }) }
    }

    /// The text, with single blanks.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(in crate::cron) fn fields(&self) -> &Fields {
        &self.fields
    }
}

fn nickname(text: &str) -> Result<&'static str, CronError> {
    let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    known.map(|(_, spelled)| *spelled).ok_or_else(|| CronError::Nickname { found: shown(text) })
}

/// Whether some month has a day that fits. Every month has each weekday four times, so only numbers of days can be too high.
fn is_ever_due(fields: &Fields) -> bool {
    let has_day = |month: u64| (1..=LENGTHS[month as usize - 1]).any(|day| fields.days >> day & 1 == 1);
    let by_number = (1..=12).any(|month| fields.months >> month & 1 == 1 && has_day(month));
    by_number || !fields.both_days
}

impl Range {
    fn all(&self) -> u64 {
        (self.low..=self.high).fold(0, |set, value| set | 1 << value)
    }

    fn parse(&self, field: &str) -> Result<u64, CronError> {
        field.split(',').try_fold(0, |set, part| Ok(set | self.parse_part(part)?))
    }

    fn parse_part(&self, part: &str) -> Result<u64, CronError> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (low, high) = if range == "*" {
            (self.low, self.high)
        } else if let Some((low, high)) = range.split_once('-') {
            let (low, high) = (self.value(low, part, false)?, self.value(high, part, true)?);
            if low > high {
                return Err(self.refused(part, format!("a range that rises, not from {low} down to {high}")));
            }
            (low, high)
        } else {
            let value = self.value(range, part, false)?;
            if step.is_some() {
                let high = self.high;
                return Err(self.refused(part, format!("a step behind a range, as in {value}-{high}/2 or */2")));
            }
            (value, value)
        };
        let step = step.map_or(Ok(1), |step| self.step(step, part))?;
        Ok((low..=high).step_by(step).fold(0, |set, value| set | 1 << value))
    }

    /// The number that a text or name stands for. Sunday at the end of a range is 7.
    fn value(&self, text: &str, part: &str, is_end: bool) -> Result<u32, CronError> {
        if let Some(position) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            let value = self.first_name + u32::try_from(position).unwrap_or(0);
            return Ok(if is_end && value == 0 { self.high } else { value });
        }
        number(text).filter(|value| (self.low..=self.high).contains(value)).ok_or_else(|| {
            let names = match self.names {
                [first, .., last] => format!(" or a name from {first} to {last}"),
                _ => String::new(),
            };
            self.refused(
                part,
                format!("*, a number from {} to {}{names}, a range, or a list of those", self.low, self.high),
            )
        })
    }

    fn step(&self, text: &str, part: &str) -> Result<usize, CronError> {
        let most = self.high - self.low;
        let step = number(text).filter(|step| (1..=most).contains(step)).and_then(|step| usize::try_from(step).ok());
        step.ok_or_else(|| self.refused(part, format!("a step from 1 to {most}")))
    }

    fn refused(&self, part: &str, expected: String) -> CronError {
        CronError::Field { field: self.name, found: shown(part), expected }
    }
}

/// A number of digits alone: `+5` is none.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
