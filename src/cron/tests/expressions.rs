//! Texts of expressions: what they mean and why they are refused.

use proptest::prelude::*;

use super::{at, cron, next_times, shown};
use crate::cron::{Entry, EntryForm, Expression, Zone};

#[test]
fn expressions_mean_what_cron_users_expect() {
    // Thursday.
    let after = at("2026-01-01T00:00:00Z");
    for (text, expected) in [
        ("* * * * *", ["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z", "2026-01-01T00:03:00Z"]),
        ("*/10 * * * * *", ["2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z", "2026-01-01T00:00:30Z"]),
        ("7,5,5 9 * * *", ["2026-01-01T09:05:00Z", "2026-01-01T09:07:00Z", "2026-01-02T09:05:00Z"]),
        ("0 8-20/6 * * *", ["2026-01-01T08:00:00Z", "2026-01-01T14:00:00Z", "2026-01-01T20:00:00Z"]),
        ("0 9 * * MON-FRI", ["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z"]),
        ("0 9 * * fri-sun", ["2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z", "2026-01-04T09:00:00Z"]),
        ("0 0 * * 0", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"]),
        ("0 0 * * 7", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"]),
        ("0 0 31 * *", ["2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"]),
        ("0 0 29 feb *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"]),
        // Either day, where both are restricted; both, where one begins with a star.
        ("0 0 13 * FRI", ["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"]),
        ("0 0 */2 * FRI", ["2026-01-09T00:00:00Z", "2026-01-23T00:00:00Z", "2026-02-13T00:00:00Z"]),
        ("0 0 30 2 MON", ["2026-02-02T00:00:00Z", "2026-02-09T00:00:00Z", "2026-02-16T00:00:00Z"]),
        ("@hourly", ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"]),
        ("@Daily", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]),
        ("@midnight", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]),
        ("@weekly", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"]),
        ("@monthly", ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"]),
        ("@yearly", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
        (" @annually ", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
    ] {
        assert_eq!(shown(next_times(&cron(text, "UTC"), 0, after, 3)), expected, "{text}");
    }
}

#[test]
fn leap_days_are_found_across_2100_also_on_one_weekday() {
    let leap_day = cron("0 0 29 2 *", "UTC");
    assert_eq!(shown(leap_day.next_after(0, at("2096-03-01T00:00:00Z"))), ["2104-02-29T00:00:00Z"]);
    let on_sunday = cron("0 0 29 2 */7", "UTC");
    assert_eq!(shown(on_sunday.next_after(0, at("2088-03-01T00:00:00Z"))), ["2128-02-29T00:00:00Z"]);
}

#[test]
fn a_refusal_names_the_field_what_was_found_and_what_was_expected() {
    for (text, parts) in [
        ("", &["0 fields", "expected 5"][..]),
        ("* * * *", &["4 fields"]),
        ("* * * * * * *", &["7 fields"]),
        ("60 * * * *", &["field minute", "\"60\"", "from 0 to 59"]),
        ("61 * * * * *", &["field second", "\"61\""]),
        ("* 24 * * *", &["field hour", "\"24\"", "from 0 to 23"]),
        ("* * 0 * *", &["field day of month", "from 1 to 31"]),
        ("* * * 13 *", &["field month", "\"13\"", "JAN to DEC"]),
        ("* * * MONDAY *", &["field month", "\"MONDAY\""]),
        ("* * * * 8", &["field day of week", "\"8\"", "SUN to SAT"]),
        ("* * * * JANUARY", &["field day of week"]),
        ("1,,2 * * * *", &["field minute", "\"\""]),
        ("9-5 * * * *", &["rises", "from 9 down to 5"]),
        ("5/10 * * * *", &["\"5/10\"", "5-59/2"]),
        ("*/0 * * * *", &["\"*/0\"", "a step from 1 to 59"]),
        ("*/60 * * * *", &["a step from 1 to 59"]),
        ("*/x * * * *", &["a step"]),
        ("+5 * * * *", &["\"+5\""]),
        ("-5 * * * *", &["\"-5\""]),
        ("1-2-3 * * * *", &["\"1-2-3\""]),
        ("*-3 * * * *", &["\"*-3\""]),
        ("4294967297 * * * *", &["from 0 to 59"]),
        ("0 0 30 2 *", &["never due"]),
        ("0 0 31 4,6,9,11 *", &["never due"]),
        ("@reboot", &["@reboot", "@hourly"]),
        ("@", &["@hourly"]),
    ] {
        let error = Expression::parse(text).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{text:?}: {error:?} lacks {part:?}");
        }
    }
    let long = Expression::parse(&"1,".repeat(100_000)).unwrap_err().to_string();
    assert!(long.len() < 500, "{long}");
}

#[test]
fn zones_are_known_by_name_in_any_case_and_others_are_refused_with_a_hint() {
    for (name, expected) in [
        ("europe/berlin", "Europe/Berlin"),
        ("Asia/Kolkata", "Asia/Kolkata"),
        ("utc", "UTC"),
        ("Australia/Lord_Howe", "Australia/Lord_Howe"),
    ] {
        assert_eq!(Zone::parse(name).unwrap().name(), expected);
    }
    let error = Zone::parse("Europe/Berln").unwrap_err().to_string();
    assert!(error.contains("\"Europe/Berln\"") && error.contains("perhaps Europe/Berlin"), "{error}");
    for name in ["", "Etc/Unknown", "CET-1CEST", "../../etc/passwd", "+01:00", "Berlin\0", &"x".repeat(100_000)] {
        let error = Zone::parse(name).map_err(|error| error.to_string()).expect_err(name);
        assert!(error.len() < 500, "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser_or_the_search(text in "[-*/,0-9 @A-Za-zä]{0,40}", zone in "[A-Za-z_/+-]{0,30}", after: u64) {
        let _ = Zone::parse(&zone);
        if let Ok(entry) = Entry::try_from(EntryForm { cron: Some(text), ..EntryForm::default() }) {
            let next = entry.next_after(0, after);
            prop_assert!(next.is_none_or(|next| next > after));
        }
    }

    #[test]
    fn texts_that_look_like_expressions_break_nothing_either(
        parts in prop::collection::vec(r"(\*|[0-9]{1,2}|[0-9]-[0-9]{1,2}|mon|DEC)(/[0-9]{1,2})?", 4..=7),
        after: u64,
    ) {
        let text = parts.join(" ");
        if let Ok(entry) = Entry::try_from(EntryForm { cron: Some(text), ..EntryForm::default() }) {
            // Whatever was taken is due within the time that is looked at, except at the end of the calendar.
            let after = after % at("2100-01-01T00:00:00Z");
            prop_assert!(entry.next_after(0, after).unwrap() > after);
        }
    }
}
