//! What lies beside the logs: marks, outboxes, dead letters, monitors, cron cursors and slots.

use std::sync::Arc;
use std::time::Duration;

use super::helper::*;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::{
    Assignment, Cause, Computed, DeadLetter, Entry, Json, Mark, MarkSource, MonitorOrigin, MonitorRecord,
    MonitorSource, Origin, OutboxItem, OutboxKey, Outcome, PushChain, Sent, SentMessage,
};
use crate::store::contract::{CommitResult, Order, Record};
use crate::store::{Memory, Store, StoreOptions};

/// Runs `test` on a new store of each engine, with a function that opens it again.
fn on_both(test: impl Fn(Store, &dyn Fn() -> Store)) {
    for (name, engine) in engines() {
        let folder = tempfile::tempdir().unwrap();
        println!("engine {name}");
        let open_it = || open(folder.path(), engine.clone());
        test(open_it(), &open_it);
    }
}

fn source(text: &str) -> MarkSource {
    MarkSource::parse(text).unwrap()
}

fn key(slot: u64, index: u32) -> OutboxKey {
    OutboxKey { slot: Slot(slot), index }
}

fn sent(target: &str) -> SentMessage {
    SentMessage { target: target.to_owned(), tags: Vec::new(), data: "d".to_owned(), anchor: String::new() }
}

fn inline(target: &str) -> OutboxItem {
    OutboxItem::Inline { message: sent(target), id: MessageId::derived(&[target.as_bytes()]) }
}

/// The outcome of `slot`, which sends a message to each of `targets`.
fn sending(slot: u64, targets: &[&str]) -> Computed {
    let messages = targets.iter().map(|target| sent(target)).collect();
    Computed {
        slot: Slot(slot),
        definition: Slot(0),
        cause: Cause::Success,
        outcome: Outcome { messages, ..Outcome::empty() },
    }
}

fn letter(of: &str, number: u64) -> DeadLetter {
    DeadLetter {
        id: MessageId::derived(&[of.as_bytes(), &number.to_be_bytes()]),
        source: id(of),
        slot: Slot(number),
        index: 0,
        target: "q".to_owned(),
        message: Json::parse("{\"Target\":\"q\"}".to_owned()).unwrap(),
        error: "not found".to_owned(),
        attempts: 20,
        since: 1000,
    }
}

fn monitor(of: &str) -> MonitorRecord {
    MonitorRecord {
        stopped: false,
        process: id(of),
        rate: Duration::from_millis(1500),
        cursor: Some("7".to_owned()),
        asked_from: Some("3".to_owned()),
        source: MonitorSource::Url("http://localhost:1/x".to_owned()),
        sequence: 9,
        started: 1000,
        origin: MonitorOrigin::Request,
    }
}

fn keep(store: &Store, process: &ProcessId, records: Vec<Record>) {
    assert_eq!(commit(store, keeping(process, records)), CommitResult::Committed);
}

#[test]
fn an_entry_moves_the_mark_of_its_source_and_stays_out_of_the_index() {
    on_both(|store, reopen| {
        let process = id("p");
        let epoch = create(&store, &process, 0);
        let marked = |slot, name: &str, position| {
            let mark = Some(Mark { source: source(name), position });
            let push = Some(PushChain { depth: 2, budget: 3, root: message_id(&process, 9) });
            Entry { origin: Origin::Push, mark, push, ..entry(&process, slot) }
        };
        let entries = [marked(1, "a", (3, 1)), marked(2, "~cron:x", (5, 0)), marked(3, "a", (4, 0))];
        let mut records: Vec<_> = entries.iter().cloned().map(Record::Entry).collect();
        records.extend([Record::Mark(source("~cron:y"), (6, 6)), Record::Mark(source("~cron:z"), (7, 7))]);
        records.push(Record::DropMark(source("~cron:y")));
        assert_eq!(commit(&store, commit_of(&process, epoch, (Some(0), None), records)), CommitResult::Committed);
        drop(store);
        let store = reopen();
        for expected in &entries {
            assert_eq!(store.entry(&process, expected.slot).unwrap().as_ref(), Some(expected));
            assert_eq!(store.known_id(&process, Origin::Push, &expected.message.id).unwrap(), None);
        }
        let mark = |process: &ProcessId, name: &str| store.mark(process, &source(name)).unwrap();
        assert_eq!((mark(&process, "a"), mark(&process, "~cron:y")), (Some((4, 0)), None));
        assert_eq!(mark(&id("q"), "a"), None);
        let named = |beginning: &str, limit| store.marks(&process, beginning, limit).unwrap();
        let [a, x, z] = [("a", (4, 0)), ("~cron:x", (5, 0)), ("~cron:z", (7, 7))].map(|(name, at)| (source(name), at));
        assert_eq!(named("", 9), [a, x.clone(), z.clone()]);
        assert_eq!((named("~cron:", 9), named("~cron:", 1), named("b", 9)), (vec![x.clone(), z], vec![x], vec![]));
    });
}

#[test]
fn what_an_outcome_sends_waits_in_order_until_it_is_taken_out() {
    on_both(|store, reopen| {
        let process = id("p");
        let epoch = create(&store, &process, 2);
        let both = ["c", "d"].map(str::to_owned).to_vec();
        let assignments = vec![Assignment { processes: both, message: "m".to_owned() }];
        let mut last = sending(2, &["e"]);
        last.outcome.assignments = assignments;
        let failed = Computed { cause: Cause::Error, ..sending(0, &["x"]) };
        let records = [failed, sending(1, &["a", "b"]), last.clone()].map(Record::Computed).to_vec();
        assert_eq!(commit(&store, commit_of(&process, epoch, (Some(2), None), records)), CommitResult::Committed);
        drop(store);
        let store = reopen();
        let keys = |after, limit| {
            let items = store.outbox(&process, after, limit).unwrap();
            items.into_iter().map(|(key, item)| (key.slot.0, key.index, item.target().to_owned())).collect::<Vec<_>>()
        };
        let all = [(1, 0, "a"), (1, 1, "b"), (2, 0, "e"), (2, 1, "c"), (2, 2, "d")];
        let all = all.map(|(slot, index, target)| (slot, index, target.to_owned()));
        assert_eq!(keys(None, 9), all);
        assert_eq!(
            (keys(None, 2), keys(Some(key(1, 0)), 2), keys(Some(key(2, 2)), 2)),
            (all[..2].to_vec(), all[1..3].to_vec(), vec![])
        );
        assert_eq!(last.sent(2), Some(Sent::Assignment { message: "m", process: "d" }));
        for _ in 0..2 {
            keep(&store, &process, vec![Record::Sent(key(1, 1)), Record::Sent(key(7, 7))]);
            assert_eq!((keys(None, 9).len(), store.outbox_len(&process).unwrap()), (4, 4));
        }
        assert_eq!(store.head(&process).unwrap().unwrap().computed, Some(Slot(2)));
    });
}

#[test]
fn sources_are_listed_once_each_however_much_waits() {
    on_both(|store, _| {
        let names = ["a", "a-", "ab", "b", "zz", "A_9"];
        let items = || (0..20).map(|index| Record::Outbox(key(1, index), inline("q"))).collect::<Vec<_>>();
        for name in names {
            keep(&store, &id(name), items());
        }
        let mut expected = names.map(id).to_vec();
        expected.sort_by_key(|id| (id.shard(), id.clone()));
        assert_eq!(store.outbox_sources(None, 10).unwrap(), expected);
        let mut walked: Vec<ProcessId> = Vec::new();
        while let Some(next) = store.outbox_sources(walked.last(), 1).unwrap().pop() {
            walked.push(next);
        }
        assert_eq!(walked, expected);
        keep(&store, &id("ab"), (0..20).map(|index| Record::Sent(key(1, index))).collect());
        assert_eq!((store.outbox_sources(None, 10).unwrap().len(), store.outbox_len(&id("a")).unwrap()), (5, 20));
        assert_eq!(store.outbox(&id("a"), None, 1).unwrap(), [(key(1, 0), inline("q"))]);
        assert_eq!(store.outbox_sources(None, 0).unwrap(), []);
    });
}

#[test]
fn dead_letters_and_monitors_of_any_process_are_kept_until_they_are_dropped() {
    on_both(|store, reopen| {
        let mut letters = [letter("p", 1), letter("p", 2), letter("q", 1)];
        for one in &letters {
            keep(&store, &one.source, vec![Record::DeadLetter(Box::new(one.clone()))]);
        }
        for name in ["p", "p-", "q"] {
            keep(&store, &id(name), vec![Record::Monitor(Box::new(monitor(name)))]);
        }
        letters.sort_by(|a, b| a.id.cmp(&b.id));
        drop(store);
        let store = reopen();
        assert_eq!(store.process_count(), 0);
        assert_eq!(store.dead_letters(None, 9).unwrap(), letters);
        assert_eq!(store.dead_letters(Some(&letters[0].id), 1).unwrap(), letters[1..2]);
        assert_eq!(store.dead_letter(&letters[2].id).unwrap().as_ref(), Some(&letters[2]));
        let names = |after: Option<&str>, limit| {
            let found = store.monitors(after.map(id).as_ref(), limit).unwrap();
            found.into_iter().map(|one| one.process.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            (names(None, 9), names(Some("p"), 1)),
            (vec!["p".into(), "p-".into(), "q".into()], vec!["p-".into()])
        );
        assert_eq!(store.monitor(&id("p")).unwrap(), Some(monitor("p")));
        keep(&store, &id("p"), vec![Record::DropMonitor]);
        keep(&store, &letters[0].source, vec![Record::DropDeadLetter(letters[0].id.clone())]);
        assert_eq!((store.monitor(&id("p")).unwrap(), names(None, 9).len()), (None, 2));
        assert_eq!(store.dead_letter(&letters[0].id).unwrap(), None);
        assert_eq!(store.dead_letters(None, 9).unwrap(), letters[1..]);
    });
}

#[test]
fn a_keeper_needs_no_claim_and_harms_none() {
    on_both(|store, _| {
        let process = id("p");
        let epoch = create(&store, &process, 1);
        keep(&store, &process, vec![Record::Outbox(key(1, 0), inline("q")), Record::Sent(key(1, 0))]);
        let log = keeping(&process, vec![Record::Sent(key(1, 0)), Record::Entry(entry(&process, 2))]);
        assert_eq!(commit(&store, log), CommitResult::Fenced);
        let next = commit_of(&process, epoch, (Some(1), None), vec![Record::Computed(computed(0))]);
        assert_eq!(commit(&store, next), CommitResult::Committed, "the worker holds it still");
        let outbox = commit_of(&process, epoch, (Some(1), Some(0)), vec![Record::Sent(key(1, 0))]);
        assert_eq!(commit(&store, outbox), CommitResult::Fenced);
        assert_eq!(store.pending(None, 9).unwrap(), [process]);
    });
}

#[test]
fn when_space_is_short_nothing_new_is_put_out_and_what_waits_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        data_dir: folder.path().to_owned(),
        disk_reserve: u64::MAX,
        engine: Arc::new(Memory::default()),
    };
    let store = Store::open(options).unwrap();
    let put = keeping(&id("p"), vec![Record::Outbox(key(1, 0), inline("q"))]);
    assert!(matches!(commit(&store, put), CommitResult::Refused(text) if text.contains("disk_reserve")));
    keep(&store, &id("p"), vec![Record::Sent(key(1, 0)), Record::DeadLetter(Box::new(letter("p", 1)))]);
}

#[test]
fn the_processes_with_cron_entries_are_those_that_have_a_cursor() {
    on_both(|store, reopen| {
        let epochs = ["b", "a", "a-", "c"].map(|name| (id(name), create(&store, &id(name), 0)));
        let set = |number: usize, text: Option<&str>| {
            let (process, epoch) = &epochs[number];
            let records = vec![Record::CronCursor(text.map(str::to_owned))];
            assert_eq!(commit(&store, commit_of(process, *epoch, (Some(0), None), records)), CommitResult::Committed);
        };
        for (number, text) in [(0, "cron1"), (1, "cron1;x"), (2, "cron1"), (1, "cron1;y")] {
            set(number, Some(text));
        }
        set(2, None);
        // To take away what is not there does no harm.
        set(3, None);
        assert_eq!(commit(&store, keeping(&id("a"), vec![Record::CronCursor(None)])), CommitResult::Fenced);
        drop(store);
        let store = reopen();
        let cursors = ["a", "a-", "b", "c"].map(|name| store.cron_cursor(&id(name)).unwrap());
        assert_eq!(cursors, [Some("cron1;y".to_owned()), None, Some("cron1".to_owned()), None]);
        let listed = |after: Option<&str>, limit| store.cron_processes(after.map(id).as_ref(), limit).unwrap();
        assert_eq!(listed(None, 9), [id("a"), id("b")]);
        assert_eq!((listed(None, 1), listed(Some("a"), 9), listed(None, 0)), (vec![id("a")], vec![id("b")], vec![]));
    });
}

#[test]
fn a_page_of_cron_outcomes_holds_those_of_cron_slots_alone() {
    on_both(|store, _| {
        let process = id("p");
        let epoch = create(&store, &process, 0);
        let crons = [2, 3, 5, 7, 8];
        let entries = (1..=8).map(|slot| {
            let origin = if crons.contains(&slot) { Origin::Cron } else { Origin::Client };
            Record::Entry(Entry { origin, ..entry(&process, slot) })
        });
        let records = entries.chain((0..=7).map(|slot| Record::Computed(computed(slot)))).collect();
        assert_eq!(commit(&store, commit_of(&process, epoch, (Some(0), None), records)), CommitResult::Committed);
        // (first, last, limit, order) → (slots, more); slot 8 has no outcome yet.
        type Case<'a> = (u64, u64, usize, Order, &'a [u64], bool);
        let table: [Case<'_>; 8] = [
            (0, u64::MAX, 100, Order::Ascending, &[2, 3, 5, 7], false),
            (0, u64::MAX, 4, Order::Ascending, &[2, 3, 5, 7], false),
            (0, u64::MAX, 3, Order::Ascending, &[2, 3, 5], true),
            (3, 6, 100, Order::Ascending, &[3, 5], false),
            (0, u64::MAX, 2, Order::Descending, &[7, 5], true),
            (4, 4, 9, Order::Ascending, &[], false),
            (8, 9, 9, Order::Ascending, &[], false),
            (0, 9, 0, Order::Ascending, &[], false),
        ];
        for (first, last, limit, order, expected, more) in table {
            let found = store.cron_outcomes(&process, &page(first, last, limit, order)).unwrap();
            let slots: Vec<_> = found.items.iter().map(|one| one.slot.0).collect();
            assert_eq!((&slots[..], found.more), (expected, more), "{first} {last} {limit} {order:?}");
        }
        assert_eq!(store.cron_outcomes(&id("q"), &page(0, 9, 9, Order::Ascending)).unwrap().items, []);
    });
}
