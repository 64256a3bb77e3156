//! The wall times that an expression names, as sets of bits.

/// Seconds of a day.
pub(in crate::cron) const DAY: i64 = 86_400;

/// What the fields of an expression allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cron) struct Fields {
    /// Bits 0 to 59.
    pub seconds: u64,
    /// Bits 0 to 59.
    pub minutes: u64,
    /// Bits 0 to 23.
    pub hours: u64,
    /// Bits 1 to 31.
    pub days: u64,
    /// Bits 1 to 12.
    pub months: u64,
    /// Bits 0 (Sunday) to 6.
    pub weekdays: u64,
    /// Whether one of the day fields begins with `*`, so that a day has to fit both; else it fits either.
    pub both_days: bool,
    /// Whether it is due in step with real time where clocks change: its seconds, minutes or hours are not restricted to
    /// some of the day, as in `*/5 * * * *`.
    pub runs_on: bool,
}

/// The bits below `bit`.
fn below(bit: i64) -> u64 {
    if bit >= 64 { u64::MAX } else { (1 << bit.max(0)) - 1 }
}

fn has(set: u64, bit: i64) -> bool {
    (0..64).contains(&bit) && set >> bit & 1 == 1
}

fn first_from(set: u64, bit: i64) -> Option<i64> {
    let rest = set & !below(bit);
    (rest != 0).then(|| i64::from(rest.trailing_zeros()))
}

fn count(set: u64) -> u64 {
    u64::from(set.count_ones())
}

impl Fields {
    /// The days that fit, as bits from 1, in a month (1 to 12) of `length` days that begins at `weekday` (0 is Sunday).
    pub fn days_of(&self, month: i64, length: i64, weekday: i64) -> u64 {
        if !has(self.months, month) {
            return 0;
        }
        let by_weekday = (1..=length).filter(|day| has(self.weekdays, (weekday + day - 1) % 7));
        let by_weekday = by_weekday.fold(0, |days, day| days | 1 << day);
        let days = if self.both_days { self.days & by_weekday } else { self.days | by_weekday };
        days & below(length + 1) & !1
    }

    /// The first second of the day that fits, from `second` on.
    pub fn next_in_day(&self, second: i64) -> Option<i64> {
        let (hour, minute, rest) = (second / 3600, second / 60 % 60, second % 60);
        let first_minute = || first_from(self.minutes, 0);
        let first_second = || first_from(self.seconds, 0);
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(found) = first_from(self.seconds, rest)
            {
                return Some(hour * 3600 + minute * 60 + found);
            }
            if let Some(found) = first_from(self.minutes, minute + 1) {
                return Some(hour * 3600 + found * 60 + first_second()?);
            }
        }
        let hour = first_from(self.hours, hour + 1)?;
        Some(hour * 3600 + first_minute()? * 60 + first_second()?)
    }

    /// How many seconds of the day fit and lie before `second`.
    pub fn count_in_day(&self, second: i64) -> u64 {
        let (hour, minute, rest) = (second / 3600, second / 60 % 60, second % 60);
        let (minutes, seconds) = (count(self.minutes), count(self.seconds));
        let mut sum = count(self.hours & below(hour)) * minutes * seconds;
        if has(self.hours, hour) {
            sum += count(self.minutes & below(minute)) * seconds;
            if has(self.minutes, minute) {
                sum += count(self.seconds & below(rest));
            }
        }
        sum
    }
}
