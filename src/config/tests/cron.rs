//! `[[process.cron]]`.

use std::path::Path;

use super::super::*;
use super::lines_of;
use crate::cron::{Entry, Schedule, from_tags};
use crate::tag::Tag;

const PROCESS: &str = "[[process]]\nid = 'a'\ndevice = 'lua'\nsource = 'a.lua'\n";

/// The entries of one process with these further lines.
fn entries(lines: &str) -> Vec<Entry> {
    let sources = |_: &Path| Ok(Vec::new());
    let config = parse(&format!("{PROCESS}{lines}"), &Origin::File("n.toml".into()), &sources);
    config.unwrap_or_else(|error| panic!("{lines}: {error}")).processes.remove(0).cron
}

/// The same as JSON.
fn from_json(entries: &[&str]) -> Vec<Entry> {
    let entries = entries.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    crate::cron::of_process(entries, &[]).unwrap()
}

#[test]
fn what_is_read_is_what_stands_there() {
    let full =
        r#"{"every":"10s","tags":[{"name":"B","value":"1"},{"name":"A","value":"2"}],"data":"d","missed":"all"}"#;
    let zoned = r#"{"cron":"0 9 * * MON-FRI","timezone":"Europe/Berlin","missed":"none"}"#;
    let once = r#"{"at":1893456000000}"#;
    for (lines, expected) in [
        ("", vec![]),
        ("cron = []", vec![]),
        ("cron = [{ every = '10s', tags = { B = '1', A = '2' }, data = 'd', missed = 'all' }]", vec![full]),
        (
            "[[process.cron]]\ncron = ' 0 9 * * MON-FRI'\ntimezone = 'europe/berlin'\nmissed = 'none'\n[[process.cron]]\n\
             every = '10000ms'\ndata = 'd'\nmissed = 'all'\ntags = [{ name = 'B', value = '1' }, { name = 'A', value = \
             '2' }]",
            vec![zoned, full],
        ),
        ("cron = [{ at = '2030-01-01T00:00:00Z' }]", vec![once]),
        ("cron = [{ at = 2030-01-01T01:00:00+01:00, missed = 'latest' }]", vec![once]),
        ("cron = [{ at = 1_893_456_000_000 }]", vec![once]),
    ] {
        assert_eq!(entries(lines), from_json(&expected), "{lines}");
    }
}

#[test]
fn the_order_of_the_list_makes_no_difference() {
    let [one, other] = ["{ every = '1h' }", "{ cron = '@daily' }"];
    let (here, there) = (entries(&format!("cron = [{one}, {other}]")), entries(&format!("cron = [{other}, {one}]")));
    assert_eq!((here.len(), &here), (2, &there));
    assert!(here.is_sorted_by_key(Entry::content_hash));
}

#[test]
fn tags_as_ao_has_them_are_entries_too() {
    let tags = "tags = { Cron-Interval = '10-minutes', Cron-Tag-Action = 'Tick' }\n";
    let spelt = from_tags(&[Tag::new("Cron-Interval", "10-minutes"), Tag::new("Cron-Tag-Action", "Tick")]).unwrap();
    assert_eq!(entries(tags), spelt);
    let both = entries(&format!("{tags}cron = [{{ at = 1 }}]"));
    assert!(both.len() == 2 && both.contains(&spelt[0]));
    assert!(both.iter().any(|entry| entry.schedule == Schedule::At(1)));
}

#[test]
fn every_problem_has_exactly_its_line() {
    // What follows a process's first four lines, and the lines that it gives, without the file's name and the process.
    let table: &[(&str, &[&str])] = &[
        ("cron = 5", &["5:8: cron: found a number, expected a list of tables"]),
        ("cron = ['10s']", &["5:9: cron[0]: found a text, expected a table"]),
        ("cron = [{}]", &["5:9: cron[0].every: found nothing, expected one of every, cron and at"]),
        (
            "cron = [{ every = '1s', at = 5 }]",
            &["5:30: cron[0].at: found at beside every, expected one of every, cron and at"],
        ),
        (
            "cron = [{ every = '1s', timezone = 'UTC' }]",
            &["5:36: cron[0].timezone: found a time zone beside every, expected one beside cron only"],
        ),
        (
            "[[process.cron]]\nevery = '1ms'\n[[process.cron]]\nevery = 5\n[[process.cron]]\nevery = '3 months 2 days'",
            &[
                "6:9: cron[0].every: found \"1ms\" (it is shorter than 10 ms), expected an interval such as \"90s\", \
                 \"1h 30m\" or \"1 month\"",
                "8:9: cron[1].every: found 5, expected an interval such as \"90s\", \"1h 30m\" or \"1 month\"",
                "10:9: cron[2].every: found \"3 months 2 days\" (months and years stand alone behind one whole number, as \
                 in \"3 months\"), expected an interval such as \"90s\", \"1h 30m\" or \"1 month\"",
            ],
        ),
        (
            "cron = [{ cron = '61 * * * *', timezone = 'Europe/Berlim', data = 5, missed = 'lates', evry = '1s' }]",
            &[
                "5:18: cron[0].cron: found \"61 * * * *\" (the field minute has \"61\", expected *, a number from 0 to 59, a range, or a list of \
                 those), \
                 expected minute, hour, day of month, month and day of week, such as \"0 9 * * MON-FRI\"",
                "5:43: cron[0].timezone: found \"Europe/Berlim\", expected the IANA name of a time zone, such as \
                 \"Europe/Berlin\"; did you mean \"Europe/Berlin\"?",
                "5:67: cron[0].data: found 5, expected a text",
                "5:79: cron[0].missed: found \"lates\", expected \"latest\", \"all\" or \"none\"; did you mean \"latest\"?",
                "5:88: cron[0].evry: found an unknown key, expected one of every, cron, timezone, at, tags, data, missed; \
                 did you mean every?",
            ],
        ),
        (
            "cron = [{ at = 'tomorrow' }, { at = 0 }, { at = 2030-01-01 }, { at = true }]",
            &[
                "5:16: cron[0].at: found \"tomorrow\" (expected Unix milliseconds as a number, or a text such as \
                 2030-01-01T09:00:00Z), expected a point in time such as \"2030-01-01T09:00:00Z\"",
                "5:37: cron[1].at: found 0, expected a point in time such as \"2030-01-01T09:00:00Z\"",
                "5:49: cron[2].at: found 2030-01-01 (expected Unix milliseconds as a number, or a text such as \
                 2030-01-01T09:00:00Z), expected a point in time such as \"2030-01-01T09:00:00Z\"",
                "5:70: cron[3].at: found true, expected a point in time such as \"2030-01-01T09:00:00Z\"",
            ],
        ),
        (
            "cron = [{ every = '60s' }, { every = 'x' }, { every = '1m' }]",
            &[
                "5:38: cron[1].every: found \"x\" (a number is missing), expected an interval such as \"90s\", \"1h 30m\" \
                 or \"1 month\"",
                "5:55: cron[2].every: found the same entry as process[0].cron[0], expected each entry once",
            ],
        ),
        (
            "cron = [{ every = '60s' }]\ntags = { Cron-Interval = '1-minute' }",
            &["6:8: tags: found a cron entry that is there already, expected each entry once"],
        ),
        (
            "tags = { Cron-Interval = '5-blocks' }",
            &[
                "5:8: tags: found what makes no cron entries (tag Cron-Interval: \"5-blocks\" is not taken: blocks of a \
               chain are not followed here; take a unit of time), expected cron tags as AO has them, such as \
               Cron-Interval = \"10-minutes\"",
            ],
        ),
    ];
    for (lines, expected) in table {
        let found: Vec<_> =
            lines_of(&format!("{PROCESS}{lines}")).iter().map(|line| line.replacen("process[0].", "", 1)).collect();
        let found: Vec<_> = found.iter().map(|line| line.trim_start_matches("n.toml:")).collect();
        assert_eq!(found, *expected, "\n{lines}");
    }
}

#[test]
fn there_are_at_most_100_with_those_of_the_tags() {
    let list = |number: u64| {
        let entries: Vec<_> = (1..=number).map(|number| format!("{{ every = '{number}s' }}")).collect();
        format!("cron = [{}]\n", entries.join(", "))
    };
    assert_eq!(entries(&list(100)).len(), 100);
    let tag = "tags = { Cron-Interval = '1-day' }\n";
    for lines in [list(101), format!("{tag}{}", list(100))] {
        let found = lines_of(&format!("{PROCESS}{lines}"));
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with("found 101 entries with those of the tags, expected at most 100"), "{}", found[0]);
    }
}
