//! When an expression is due by the clocks of a time zone.
//!
//! Time is cut into stretches with one offset each. Within a stretch, wall time runs evenly; only at its borders is there
//! something to decide. See [`Expression`] for what is decided.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::expression::{DAY, Expression, Fields};
use super::interval::LAST;
use super::zone::{Stretch, Zone};
use crate::clock::Millis;

/// How far ahead a due time is looked for, in seconds: 40 years. Leap days may lie 8 years apart, and one may fall into a gap.
const HORIZON: i64 = 40 * 366 * DAY;

/// The second after the last one that is looked at.
const END: i64 = (LAST / 1000) as i64 + 1;

/// The first due time after `after`; `None` after the end of the year 2299.
pub(super) fn next_after(expression: &Expression, zone: &Zone, after: Millis) -> Option<Millis> {
    let fields = expression.fields();
    let mut from = second_after(after);
    let end = from.saturating_add(HORIZON).min(END);
    while from < end {
        let stretch = zone.stretch(from)?;
        if stretch.start == Some(from) && is_due_in_gap(fields, &stretch) {
            return millis(from);
        }
        let until = stretch.end.unwrap_or(end).min(end);
        let first = first_time(fields, &stretch, from);
        if let Some(wall) = next_wall(fields, first + stretch.offset, until + stretch.offset) {
            return millis(wall - stretch.offset);
        }
        from = until;
    }
    None
}

/// How many due times lie after `after`, up to and with `until`.
pub(super) fn count(expression: &Expression, zone: &Zone, after: Millis, until: Millis) -> u64 {
    let fields = expression.fields();
    let (mut from, end) = (second_after(after), second_after(until).min(END));
    let mut sum = 0;
    while from < end {
        let Some(stretch) = zone.stretch(from) else { break };
        let until = stretch.end.unwrap_or(end).min(end);
        let (first, offset) = (first_time(fields, &stretch, from), stretch.offset);
        sum += count_walls(fields, first + offset, until + offset);
        let is_counted = first == from && next_wall(fields, from + offset, from + offset + 1).is_some();
        if stretch.start == Some(from) && !is_counted && is_due_in_gap(fields, &stretch) {
            sum += 1;
        }
        from = until;
    }
    sum
}

fn second_after(time: Millis) -> i64 {
    i64::try_from(time / 1000).unwrap_or(i64::MAX).saturating_add(1)
}

fn millis(second: i64) -> Option<Millis> {
    Millis::try_from(second).ok()?.checked_mul(1000)
}

/// The first second from `from` on whose wall time counts: where wall times come twice, only the first of them does.
fn first_time(fields: &Fields, stretch: &Stretch, from: i64) -> i64 {
    match stretch.start {
        Some(start) if !fields.runs_on => from.max(start + (stretch.offset_before - stretch.offset).max(0)),
        _ => from,
    }
}

/// Whether a wall time that was left out right before the stretch makes up for it at its start.
fn is_due_in_gap(fields: &Fields, stretch: &Stretch) -> bool {
    let Some(start) = stretch.start else { return false };
    !fields.runs_on && next_wall(fields, start + stretch.offset_before, start + stretch.offset).is_some()
}

/// The first wall second that fits, from `from` on and before `until`. Wall seconds count from 1970 as if it were UTC.
fn next_wall(fields: &Fields, from: i64, until: i64) -> Option<i64> {
    if from >= until {
        return None;
    }
    let mut day = from.div_euclid(DAY);
    if let Some(second) =
        fields.next_in_day(from.rem_euclid(DAY)).filter(|_| Month::of(day).is_some_and(|m| m.fits(fields, day)))
    {
        return Some(day * DAY + second).filter(|found| *found < until);
    }
    day += 1;
    let mut month = Month::of(day)?;
    while day * DAY < until {
        let days = month.days(fields) >> (day - month.first + 1);
        if days != 0 {
            let found = (day + i64::from(days.trailing_zeros())) * DAY + fields.next_in_day(0)?;
            return (found < until).then_some(found);
        }
        month = month.next()?;
        day = month.first;
    }
    None
}

/// How many wall seconds fit, from `from` on and before `until`.
fn count_walls(fields: &Fields, from: i64, until: i64) -> u64 {
    if from >= until {
        return 0;
    }
    let (first, last) = (from.div_euclid(DAY), until.div_euclid(DAY));
    let before = |second: i64, day: i64| {
        let fits = Month::of(day).is_some_and(|month| month.fits(fields, day));
        if fits { fields.count_in_day(second.rem_euclid(DAY)) } else { 0 }
    };
    // Whole days from the first to the last, less what lies before `from`, and what lies before `until`.
    (count_days(fields, first, last) * fields.count_in_day(DAY) + before(until, last))
        .saturating_sub(before(from, first))
}

/// How many days fit, from `first` on and before `end`. Days count from 1970-01-01.
fn count_days(fields: &Fields, first: i64, end: i64) -> u64 {
    let (mut day, mut sum) = (first, 0);
    let Some(mut month) = Month::of(day) else { return 0 };
    while day < end {
        let last = end.min(month.first + month.length);
        let days = month.days(fields) >> (day - month.first + 1) & ((1 << (last - day)) - 1);
        sum += u64::from(days.count_ones());
        let Some(next) = month.next() else { break };
        (day, month) = (last, next);
    }
    sum
}

/// A month of the calendar.
#[derive(Clone, Copy)]
struct Month {
    year: i16,
    month: i8,
    /// Its first day, counted from 1970-01-01.
    first: i64,
    /// Its number of days.
    length: i64,
}

impl Month {
    /// The month that `day` lies in.
    fn of(day: i64) -> Option<Self> {
        let date = Offset::UTC.to_datetime(Timestamp::from_second(day.checked_mul(DAY)?).ok()?).date();
        let first = day - i64::from(date.day()) + 1;
        Some(Self { year: date.year(), month: date.month(), first, length: i64::from(date.days_in_month()) })
    }

    fn next(self) -> Option<Self> {
        let (year, month) = if self.month == 12 { (self.year.checked_add(1)?, 1) } else { (self.year, self.month + 1) };
        let length = i64::from(Date::new(year, month, 1).ok()?.days_in_month());
        Some(Self { year, month, first: self.first + self.length, length })
    }

    /// The days that fit, as bits from 1.
    fn days(&self, fields: &Fields) -> u64 {
        // 1970-01-01 was a Thursday.
        fields.days_of(i64::from(self.month), self.length, (self.first + 4).rem_euclid(7))
    }

    fn fits(&self, fields: &Fields, day: i64) -> bool {
        self.days(fields) >> (day - self.first + 1) & 1 == 1
    }
}
