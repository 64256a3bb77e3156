//! Expressions where clocks change.

use super::{at, cron, next_times, shown};

#[test]
fn what_is_due_on_days_when_clocks_change() {
    for (zone, text, after, expected) in [
        // Forward from 02:00 to 03:00 at 01:00 UTC.
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2025-03-29T00:00:00Z",
            &["2025-03-29T01:30:00Z", "2025-03-30T01:00:00Z", "2025-03-31T00:30:00Z"][..],
        ),
        // Several times of the gap are made up for once, and not apart from what is due at its end anyway.
        (
            "Europe/Berlin",
            "0,20 2,3 * * *",
            "2025-03-29T22:00:00Z",
            &["2025-03-30T01:00:00Z", "2025-03-30T01:20:00Z", "2025-03-31T00:00:00Z"],
        ),
        (
            "Europe/Berlin",
            "*/30 * * * *",
            "2025-03-30T00:00:00Z",
            &["2025-03-30T00:30:00Z", "2025-03-30T01:00:00Z", "2025-03-30T01:30:00Z"],
        ),
        ("Europe/Berlin", "*/30 2 * * *", "2025-03-29T12:00:00Z", &["2025-03-31T00:00:00Z", "2025-03-31T00:30:00Z"]),
        // Back from 03:00 to 02:00 at 01:00 UTC.
        ("Europe/Berlin", "30 2 * * *", "2025-10-25T12:00:00Z", &["2025-10-26T00:30:00Z", "2025-10-27T01:30:00Z"]),
        (
            "Europe/Berlin",
            "30 * * * *",
            "2025-10-26T00:00:00Z",
            &["2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z", "2025-10-26T02:30:00Z"],
        ),
        (
            "Europe/Berlin",
            "*/30 2 * * *",
            "2025-10-25T12:00:00Z",
            &["2025-10-26T00:00:00Z", "2025-10-26T00:30:00Z", "2025-10-26T01:00:00Z", "2025-10-26T01:30:00Z"],
        ),
        ("America/New_York", "30 2 * * *", "2025-03-08T12:00:00Z", &["2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"]),
        ("America/New_York", "30 1 * * *", "2025-11-01T12:00:00Z", &["2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"]),
        // All values of a field are as good as a star.
        (
            "Europe/Berlin",
            "30 0-23 1-31 * *",
            "2025-10-26T00:00:00Z",
            &["2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"],
        ),
        // Half an hour back, from 02:00 to 01:30, at 15:00 UTC; forward again at 15:30 UTC.
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2025-04-05T00:00:00Z",
            &["2025-04-05T14:45:00Z", "2025-04-06T15:15:00Z"],
        ),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2025-10-04T00:00:00Z",
            &["2025-10-04T15:30:00Z", "2025-10-05T15:15:00Z"],
        ),
        (
            "Australia/Lord_Howe",
            "0 * * * *",
            "2025-04-05T13:30:00Z",
            &["2025-04-05T14:00:00Z", "2025-04-05T15:30:00Z", "2025-04-05T16:30:00Z"],
        ),
        // Never changed, but half an hour off.
        ("Asia/Kolkata", "0 9 * * *", "2025-03-30T00:00:00Z", &["2025-03-30T03:30:00Z", "2025-03-31T03:30:00Z"]),
        ("Asia/Kolkata", "0 * * * *", "2025-03-30T00:00:00Z", &["2025-03-30T00:30:00Z", "2025-03-30T01:30:00Z"]),
        // A whole day that was left out: December 30.
        (
            "Pacific/Apia",
            "0 12 * * *",
            "2011-12-29T12:00:00Z",
            &["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"],
        ),
        // Rules go on beyond what tables list.
        ("Europe/Berlin", "0 12 * * *", "2091-07-01T00:00:00Z", &["2091-07-01T10:00:00Z"]),
    ] {
        let entry = cron(text, zone);
        let found = next_times(&entry, 0, at(after), expected.len());
        assert_eq!(shown(found.clone()), expected, "{zone}: {text}");
        let last = *found.last().unwrap();
        assert_eq!(entry.count(0, at(after), last), expected.len() as u64, "{zone}: {text}, counted");
    }
}

#[test]
fn a_day_has_as_many_hours_as_the_clocks_make_it() {
    let hourly = cron("@hourly", "Europe/Berlin");
    for (from, until, hours) in [
        ("2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z", 23),
        ("2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", 25),
        ("2025-07-01T22:00:00Z", "2025-07-02T22:00:00Z", 24),
    ] {
        assert_eq!(hourly.count(0, at(from), at(until)), hours);
    }
    // Each day has one noon, whatever the clocks do.
    let noon = cron("0 12 * * *", "Europe/Berlin");
    assert_eq!(noon.count(0, at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")), 365);
    assert_eq!(noon.count(0, at("2000-01-01T00:00:00Z"), at("2300-01-01T00:00:00Z")), 109_573);
    assert_eq!(noon.count(0, 0, u64::MAX), noon.count(0, 0, at("2299-12-31T23:59:59Z")));
}

#[test]
fn nothing_is_due_after_the_end_of_the_calendar() {
    let entry = cron("* * * * * *", "Pacific/Kiritimati");
    let end = at("2299-12-31T23:59:59Z");
    assert_eq!(entry.next_after(0, end - 1), Some(end));
    for after in [end, end + 1, end + 1_000_000_000_000, u64::MAX] {
        assert_eq!(entry.next_after(0, after), None);
    }
}
