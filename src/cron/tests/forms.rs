//! Entries as JSON, as AO's tags, and by hash.

use super::{at, cron, every};
use crate::cron::{CronError, Cursor, Entry, EntryHash, Missed, Schedule, check, from_tags, of_process, tick_id};
use crate::ids::ProcessId;
use crate::tag::Tag;

#[test]
fn json_survives_and_is_stable() {
    for (text, stored) in [
        (r#"{"every":"1h 30m"}"#, r#"{"every":"90m","missed":"latest"}"#),
        (r#"{"every":"1 year","missed":"none"}"#, r#"{"every":"12months","missed":"none"}"#),
        (r#"{"cron":" 0  9 * * MON "}"#, r#"{"cron":"0 9 * * MON","missed":"latest"}"#),
        (
            r#"{"missed":"all","cron":"@daily","timezone":"europe/berlin","data":"x","tags":[{"name":"a","value":"b"}]}"#,
            r#"{"cron":"@daily","timezone":"Europe/Berlin","tags":[{"name":"a","value":"b"}],"data":"x","missed":"all"}"#,
        ),
        (r#"{"at":1893456000000}"#, r#"{"at":1893456000000,"missed":"latest"}"#),
        (r#"{"at":"2030-01-01T01:00:00+01:00"}"#, r#"{"at":1893456000000,"missed":"latest"}"#),
    ] {
        let entry: Entry = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), stored);
        let again: Entry = serde_json::from_str(stored).unwrap();
        assert_eq!(again, entry);
        assert_eq!(again.content_hash(), entry.content_hash());
    }
}

#[test]
fn json_that_is_no_entry_is_refused_with_the_reason() {
    for (text, reason) in [
        ("{}", "exactly one of"),
        (r#"{"every":"1s","at":5}"#, "this one has 2"),
        (r#"{"every":"1s","timezone":"UTC"}"#, "goes with `cron` only"),
        (r#"{"cron":"* * * * *","timezone":"Mars/Base"}"#, "\"Mars/Base\""),
        (r#"{"at":0}"#, "not after 1970"),
        (r#"{"at":"1969-12-31T00:00:00Z"}"#, "not after 1970"),
        (r#"{"at":18446744073709551615}"#, "after the year 2299"),
        (r#"{"at":"tomorrow"}"#, "2030-01-01T09:00:00Z"),
        (r#"{"at":"2030-01-01T00:00:00"}"#, "2030-01-01T09:00:00Z"),
        (r#"{"every":"1s","tags":[{"name":"","value":"v"}]}"#, "has no name"),
        (r#"{"every":"1s","missed":"some"}"#, "some"),
        (r#"{"every":"1s","data":"","tag":[]}"#, "tag"),
    ] {
        let error = serde_json::from_str::<Entry>(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
    pairs.iter().map(|(name, value)| Tag::new(*name, *value)).collect()
}

#[test]
fn ao_tags_become_entries_with_the_tags_that_follow() {
    let found = from_tags(&tags(&[
        ("Type", "Process"),
        ("Cron-Interval", "10-minutes"),
        ("Cron-Tag-Action", "Tick"),
        ("Name", "x"),
        ("Cron-Tag-Level", "1"),
        ("cron-interval", "1-Month"),
        ("cron-tag-Action", "Bill"),
        ("Cron-Interval", "2-hours"),
    ]))
    .unwrap();
    let expected = [
        Entry { tags: tags(&[("Action", "Tick"), ("Level", "1")]), ..every("10m") },
        Entry { tags: tags(&[("Action", "Bill")]), ..every("1 month") },
        every("2h"),
    ];
    assert_eq!(found, expected);
    assert_eq!(from_tags(&tags(&[("Type", "Process"), ("Cron", "x")])), Ok(Vec::new()));
}

#[test]
fn every_ao_unit_is_known_in_singular_and_plural() {
    for (unit, expected) in [
        ("second", "1s"),
        ("minute", "1m"),
        ("hour", "1h"),
        ("day", "1d"),
        ("week", "7d"),
        ("month", "1month"),
        ("year", "12months"),
    ] {
        for text in [format!("1-{unit}"), format!("1-{unit}s")] {
            assert_eq!(from_tags(&tags(&[("Cron-Interval", &text)])), Ok(vec![every(expected)]), "{text}");
        }
    }
    assert_eq!(from_tags(&tags(&[("Cron-Interval", "500-milliseconds")])), Ok(vec![every("500ms")]));
}

#[test]
fn ao_tags_that_make_no_entry_are_refused_with_the_reason() {
    for (pairs, reason) in [
        (&[("Cron-Interval", "5-blocks")][..], "blocks of a chain"),
        (&[("Cron-Interval", "5-fortnights")], "\"fortnights\" is not known"),
        (&[("Cron-Interval", "0-minutes")], "zero"),
        (&[("Cron-Interval", "0-months")], "zero"),
        (&[("Cron-Interval", "1-millisecond")], "shorter than 10 ms"),
        (&[("Cron-Interval", "18446744073709551615-weeks")], "longer than 100 years"),
        (&[("Cron-Interval", "99999999999999999999-seconds")], "longer than 100 years"),
        (&[("Cron-Interval", "18446744073709551615-years")], "longer than 100 years"),
        (&[("Cron-Interval", "5 minutes")], "10-minutes"),
        (&[("Cron-Interval", "-5-minutes")], "10-minutes"),
        (&[("Cron-Interval", "five-minutes")], "10-minutes"),
        (&[("Cron-Interval", "5-")], "the unit \"\""),
        (&[("Cron-Interval", "")], "10-minutes"),
        (&[("Cron-Tag-Action", "x")], "\"Cron-Tag-Action\" comes before"),
        (&[("Cron-Interval", "5-minutes"), ("Cron-Tag-", "x")], "names no tag"),
        (&[("Cron-Interval", "60-minutes"), ("Cron-Interval", "1-hour")], "are the same"),
    ] {
        let error = from_tags(&tags(pairs)).unwrap_err().to_string();
        assert!(error.contains(reason), "{pairs:?}: {error}");
    }
}

#[test]
fn the_hash_tells_entries_apart_by_everything_they_hold() {
    let tagged = |pairs| Entry { tags: tags(pairs), ..every("10s") };
    let different = [
        every("10s"),
        every("11s"),
        every("1month"),
        every("12months"),
        cron("* * * * *", "UTC"),
        cron("* * * * *", "Asia/Kolkata"),
        cron("0 * * * *", "UTC"),
        Entry { schedule: Schedule::At(10_000), ..every("10s") },
        Entry { data: "x".to_owned(), ..every("10s") },
        Entry { missed: Missed::All, ..every("10s") },
        Entry { missed: Missed::None, ..every("10s") },
        tagged(&[("a", "b")]),
        tagged(&[("ab", "")]),
        tagged(&[("a", "b"), ("c", "d")]),
        tagged(&[("c", "d"), ("a", "b")]),
        Entry { data: "a".to_owned(), tags: tags(&[("b", "")]), ..every("10s") },
    ];
    let hashes: std::collections::BTreeSet<_> = different.iter().map(Entry::content_hash).collect();
    assert_eq!(hashes.len(), different.len());
    assert_eq!(every("60s").content_hash(), every("1m").content_hash());
    // Stored cursors and ids of messages depend on it.
    assert_eq!(every("10s").content_hash().to_string(), "fAZsB_FBcViXD9ZvEJGAi30CDYDi9lkWu-fGECtNxLE");
}

#[test]
fn a_list_has_at_most_100_entries_and_no_equal_ones() {
    let list = |number: u64| (0..number).map(|n| every(&format!("{}s", n + 1))).collect::<Vec<_>>();
    assert_eq!(check(&list(100)), Ok(()));
    assert_eq!(check(&list(101)), Err(CronError::TooMany { found: 101, most: 100 }));
    let twice = [every("60s"), every("1h"), every("1m")];
    assert_eq!(check(&twice), Err(CronError::Duplicate { hash: every("1m").content_hash() }));
}

#[test]
fn the_entries_of_a_process_are_those_of_its_list_and_its_tags_in_one_order() {
    let spelt = tags(&[("Name", "x"), ("Cron-Interval", "1-hour")]);
    let found = of_process(vec![every("10s"), every("20s")], &spelt).unwrap();
    assert_eq!(of_process(vec![every("1h"), every("20s"), every("10s")], &[]).as_ref(), Ok(&found));
    assert!(found.len() == 3 && found.is_sorted_by_key(Entry::content_hash));
    let twice = Err(CronError::Duplicate { hash: every("1h").content_hash() });
    assert_eq!(of_process(vec![every("60m")], &spelt), twice);
    let many: Vec<_> = (0..100).map(|n| every(&format!("{}s", n + 1))).collect();
    assert_eq!(of_process(many, &spelt), Err(CronError::TooMany { found: 101, most: 100 }));
}

#[test]
fn a_tick_has_one_id_and_no_other_tick_has_it() {
    let process = |name: &str| ProcessId::parse(name).unwrap();
    let (a, b) = (EntryHash([1; 32]), EntryHash([2; 32]));
    let due = at("2026-01-01T00:00:00Z");
    assert_eq!(tick_id(&process("p"), a, due), tick_id(&process("p"), a, due));
    let ids = [
        tick_id(&process("p"), a, due),
        tick_id(&process("q"), a, due),
        tick_id(&process("p"), b, due),
        tick_id(&process("p"), a, due + 1),
    ];
    let different: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
    assert_eq!(ids[0].as_str(), "axobWI6a-5hNvF1z_UAnQNJUkkZK12VCgxgHzWSTpgU");
}

#[test]
fn texts_that_are_no_cursors_are_refused() {
    let hash = EntryHash([7; 32]);
    for text in [
        "".to_owned(),
        "cron2".to_owned(),
        "cron1;".to_owned(),
        "cron1;x,1,2".to_owned(),
        format!("cron1;{hash}"),
        format!("cron1;{hash},1"),
        format!("cron1;{hash},1,2,3"),
        format!("cron1;{hash},1,2,3,4,5"),
        format!("cron1;{hash},1,-2"),
        format!("cron1;{hash},1,99999999999999999999"),
        format!("cron1;{hash},1,2;{hash},1,2"),
        format!("cron1;{hash},{}", "1,".repeat(100_000)),
    ] {
        let error = text.parse::<Cursor>().map_err(|error| error.to_string()).expect_err(&text);
        assert!(error.starts_with("this is not a cursor") && error.len() < 500, "{error}");
    }
    assert_eq!("cron1".parse::<Cursor>(), Ok(Cursor::default()));
    for good in [format!("cron1;{hash},1,2"), format!("cron1;{hash},1,2,3,4")] {
        assert_eq!(good.parse::<Cursor>().unwrap().to_string(), good);
    }
}
