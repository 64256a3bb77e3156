//! Intervals: texts, multiples, calendar months.

use proptest::prelude::*;

use super::{at, every, next_times, shown};
use crate::cron::{Entry, EntryForm, Interval};

#[test]
fn texts_of_intervals_come_back_in_their_shortest_form() {
    for (text, expected) in [
        ("10ms", "10ms"),
        ("1500ms", "1500ms"),
        ("1h 30m", "90m"),
        ("1 week", "7d"),
        ("86400s", "1d"),
        ("1month", "1month"),
        ("3 months", "3months"),
        ("2M", "2months"),
        (" 1 y ", "12months"),
        ("100years", "1200months"),
    ] {
        let interval = Interval::parse(text).unwrap();
        assert_eq!(interval.to_string(), expected);
        assert_eq!(Interval::parse(expected), Ok(interval));
    }
}

#[test]
fn texts_that_are_no_intervals_are_refused_with_the_reason() {
    for (text, reason) in [
        ("", "empty"),
        ("5", "no unit"),
        ("5 lightyears", "unknown unit"),
        ("9ms", "shorter than 10 ms"),
        ("0s", "shorter than 10 ms"),
        ("20ms 1us", "finer than milliseconds"),
        ("101 years", "longer than 100 years"),
        ("99999999d", "longer than 100 years"),
        ("0 months", "zero"),
        ("1month 2d", "stand alone"),
        ("1.5 years", "stand alone"),
        ("month", "stand alone"),
        ("99999999999999999999 months", "stand alone"),
    ] {
        let form = EntryForm { every: Some(text.to_owned()), ..EntryForm::default() };
        let error = Entry::try_from(form).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("`every`"), "{text:?}: {error}");
    }
}

#[test]
fn months_are_counted_from_the_origin_and_end_with_the_month() {
    for (text, origin, expected) in [
        (
            "1 month",
            "2027-01-31T08:00:00.25Z",
            ["2027-02-28T08:00:00.25Z", "2027-03-31T08:00:00.25Z", "2027-04-30T08:00:00.25Z"],
        ),
        ("1 month", "2028-01-30T00:00:00Z", ["2028-02-29T00:00:00Z", "2028-03-30T00:00:00Z", "2028-04-30T00:00:00Z"]),
        ("1 year", "2028-02-29T00:00:00Z", ["2029-02-28T00:00:00Z", "2030-02-28T00:00:00Z", "2031-02-28T00:00:00Z"]),
        ("2 years", "2026-12-31T23:59:59Z", ["2028-12-31T23:59:59Z", "2030-12-31T23:59:59Z", "2032-12-31T23:59:59Z"]),
    ] {
        let origin = at(origin);
        assert_eq!(shown(next_times(&every(text), origin, origin, 3)), expected, "{text}");
    }
}

#[test]
fn an_interval_is_never_due_at_its_origin_or_before() {
    for entry in [every("10s"), every("1 month")] {
        let origin = at("2026-01-01T00:00:00Z");
        let first = entry.next_after(origin, origin).unwrap();
        for after in [0, origin - 1, origin, first - 1] {
            assert_eq!(entry.next_after(origin, after), Some(first));
            assert_eq!(entry.count(origin, after, first), 1);
        }
        assert_eq!(entry.count(origin, 0, first - 1), 0);
    }
}

proptest! {
    #[test]
    fn fixed_intervals_are_due_at_the_next_multiple(millis in 10..10_000_000_000u64, origin in 0..1u64 << 42, after in 0..1u64 << 42) {
        let entry = every(&format!("{millis}ms"));
        let next = entry.next_after(origin, after).unwrap();
        prop_assert!(next > after && next > origin);
        prop_assert_eq!((next - origin) % millis, 0);
        prop_assert!(next - millis <= after || next - millis == origin, "one between was left out");
        prop_assert_eq!(entry.count(origin, after, next), 1);
        prop_assert_eq!(entry.count(origin, after, next - 1), 0);
    }

    #[test]
    fn months_are_due_one_after_the_other(months in 1..50u32, origin in 0..1u64 << 41, after in 0..1u64 << 42) {
        let entry = every(&format!("{months}months"));
        let (mut number, mut expected) = (0, origin);
        while expected <= after || number == 0 {
            number += 1;
            let start = jiff::Timestamp::from_millisecond(origin as i64).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let moved = start.checked_add(jiff::Span::new().months(number * i64::from(months))).unwrap();
            expected = moved.timestamp().as_millisecond() as u64;
        }
        prop_assert_eq!(entry.next_after(origin, after), Some(expected));
        prop_assert_eq!(entry.count(origin, origin, expected), number as u64);
        prop_assert_eq!(entry.count(origin, origin, expected - 1), number as u64 - 1);
    }

    #[test]
    fn no_times_overflow(text in prop_oneof!["10ms", "1d", "1month", "100years"], origin: u64, after: u64, until: u64) {
        let entry = every(&text);
        prop_assert!(entry.next_after(origin, after).is_none_or(|next| next > after));
        entry.count(origin, after, until);
    }
}
