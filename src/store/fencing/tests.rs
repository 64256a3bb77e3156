use super::*;
use crate::ids::BlobHash;
use crate::process::{
    Cause, Computed, DeadLetter, DeviceKind, Entry, Json, Message, MonitorOrigin, MonitorRecord, MonitorSource, Origin,
    OutboxItem, OutboxKey, Outcome, ProcessOrigin, SentMessage,
};
use crate::store::contract::{ArchiveRef, Durability, Halt, ProcessRecord, SnapshotFile, SnapshotRef, Writer};
use proptest::prelude::*;

fn process() -> ProcessId {
    ProcessId::parse("p").unwrap()
}

fn created(id: &str) -> Record {
    let id = ProcessId::parse(id).unwrap();
    Record::Process(ProcessRecord { id, origin: ProcessOrigin::Api, device: DeviceKind::Lua, created: 0 })
}

fn message(slot: u64) -> Record {
    let text = String::new;
    let id = crate::ids::MessageId::derived(&[&slot.to_be_bytes()]);
    let (from, owner, target, anchor, data) = (text(), text(), text(), text(), text());
    let message = Message { id, from, owner, target, anchor, tags: Vec::new(), data, timestamp: 0 };
    Record::Entry(Entry::of_client(Slot(slot), message))
}

fn outcome_under(slot: u64, definition: u64) -> Record {
    let (slot, definition) = (Slot(slot), Slot(definition));
    Record::Computed(Computed { slot, definition, cause: Cause::Success, outcome: Outcome::empty() })
}

fn outcome(slot: u64) -> Record {
    outcome_under(slot, 0)
}

fn snapshot(slot: u64, definition: u64, files: &[u64], bytes: Option<&[u8]>) -> Record {
    let (hash, size) = (BlobHash::of(b"state"), 5);
    let files = files.iter().map(|slot| SnapshotFile { slot: Slot(*slot), seal: hash, length: 1, state: 5 }).collect();
    let reference = SnapshotRef { slot: Slot(slot), definition: Slot(definition), hash, size, files };
    Record::Snapshot(reference, bytes.map(Into::into))
}

fn archive(first: u64, last: u64) -> Record {
    let seal = BlobHash::of(b"archive");
    Record::Archived(ArchiveRef { first: Slot(first), last: Slot(last), seal, length: 1, index: 1 })
}

fn halt(slot: u64) -> Record {
    Record::Halted(Some(Halt { slot: Slot(slot), error: String::new(), resumed: None }))
}

fn at(scheduled: Option<u64>, computed: Option<u64>) -> Position {
    Position { scheduled: scheduled.map(Slot), computed: computed.map(Slot) }
}

fn commit(epoch: Epoch, expected: Position, records: Vec<Record>) -> Commit {
    let Position { scheduled, computed } = expected;
    Commit {
        process: process(),
        writer: Writer::Worker(epoch),
        scheduled,
        computed,
        records,
        durability: Durability::Sync,
    }
}

#[test]
fn records_must_go_on_where_the_log_ends() {
    let (none, start, some) = (at(None, None), at(Some(0), None), at(Some(4), Some(1)));
    let far = at(Some(9), Some(9));
    let forget = |slot| Record::ForgetId(Origin::Client, crate::ids::MessageId::derived(&[]), Slot(slot));
    let source = crate::process::MarkSource::parse("q").unwrap();
    // (position, records) → the position after, or `None`: fenced.
    let table: Vec<(Position, Vec<Record>, Option<Position>)> = vec![
        (none, vec![], Some(none)),
        (none, vec![created("p"), message(0)], Some(start)),
        (none, vec![created("p"), message(0), outcome(0), message(1)], Some(at(Some(1), Some(0)))),
        (none, vec![created("p")], None),
        (none, vec![message(0)], None),
        (none, vec![message(0), created("p")], None),
        (none, vec![created("q"), message(0)], None),
        (none, vec![created("p"), created("p"), message(0)], None),
        (none, vec![created("p"), message(1)], None),
        (none, vec![Record::Halted(None)], None),
        (none, vec![forget(0)], None),
        (start, vec![created("p")], None),
        (some, vec![message(5), message(6)], Some(at(Some(6), Some(1)))),
        (some, vec![message(4)], None),
        (some, vec![message(6)], None),
        (some, vec![message(5), message(5)], None),
        (some, vec![outcome(2), outcome(3), outcome(4)], Some(at(Some(4), Some(4)))),
        (some, vec![outcome(1)], None),
        (some, vec![outcome(3)], None),
        (some, vec![outcome(2), outcome(2)], None),
        (some, vec![outcome(2), outcome(3), outcome(4), outcome(5)], None),
        (some, vec![message(5), outcome(2), outcome(3), outcome(4), outcome(5)], Some(at(Some(5), Some(5)))),
        (some, vec![outcome_under(2, 4)], Some(at(Some(4), Some(2)))),
        (some, vec![outcome_under(2, 5)], None),
        (some, vec![snapshot(1, 0, &[1], None)], Some(some)),
        (some, vec![snapshot(1, 0, &[], Some(b"state"))], Some(some)),
        (some, vec![snapshot(2, 0, &[2], None)], None),
        (some, vec![outcome(2), snapshot(2, 0, &[2], None)], Some(at(Some(4), Some(2)))),
        (some, vec![snapshot(2, 0, &[2], None), outcome(2)], None),
        (some, vec![snapshot(1, 5, &[1], None)], None),
        (some, vec![snapshot(1, 0, &[], None)], None),
        (some, vec![snapshot(1, 0, &[1], Some(b"state"))], None),
        (start, vec![snapshot(0, 0, &[0], None)], None),
        (some, vec![snapshot(1, 0, &[0, 1], None)], Some(some)),
        (some, vec![snapshot(1, 0, &[0], None)], None),
        (some, vec![snapshot(1, 0, &[1, 0, 1], None)], None),
        (some, vec![snapshot(1, 0, &[1, 1], None)], None),
        (far, vec![snapshot(9, 0, &[0, 1, 2, 3, 4, 5, 6, 7, 9], None)], Some(far)),
        (far, vec![snapshot(9, 0, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], None)], None),
        (some, vec![halt(2)], Some(some)),
        (some, vec![halt(1)], None),
        (some, vec![halt(3)], None),
        (at(Some(1), Some(1)), vec![halt(2)], None),
        (some, vec![Record::Halted(None), outcome(2)], Some(at(Some(4), Some(2)))),
        (some, vec![Record::Mark(source.clone(), (1, 1)), Record::DropMark(source.clone())], Some(some)),
        (none, vec![Record::Mark(source.clone(), (1, 1))], None),
        (none, vec![Record::DropMark(source)], None),
        (some, vec![Record::CronCursor(None)], Some(some)),
        (none, vec![created("p"), message(0), Record::CronCursor(Some(String::new()))], Some(start)),
        (none, vec![Record::CronCursor(Some(String::new()))], None),
        (some, vec![Record::IdsPassed(Slot(4))], Some(some)),
        (some, vec![Record::IdsPassed(Slot(5))], None),
        (far, vec![archive(1, 8)], Some(far)),
        (far, vec![archive(0, 8)], None),
        (far, vec![archive(5, 4)], None),
        (far, vec![archive(1, 9)], None),
        (none, vec![archive(1, 1)], None),
        (far, vec![Record::DropArchived(Slot(8))], Some(far)),
        (far, vec![Record::DropArchived(Slot(9))], None),
        (far, vec![Record::DropArchived(Slot(0))], None),
        (some, vec![forget(4)], Some(some)),
        (some, vec![forget(5)], None),
    ];
    for (position, records, expected) in table {
        let shown = format!("{records:?} at {position:?}");
        assert_eq!(judge(position, &commit(Epoch(1), position, records)).ok(), expected, "{shown}");
    }
}

/// What a keeper writes; the last two are of a process of its own.
fn kept(owner: &str) -> [Record; 6] {
    let (key, id) = (OutboxKey { slot: Slot(9), index: 1 }, crate::ids::MessageId::derived(&[]));
    let (text, owner) = (String::new, ProcessId::parse(owner).unwrap());
    let message = SentMessage { target: text(), tags: Vec::new(), data: text(), anchor: text() };
    let letter = DeadLetter {
        id: id.clone(),
        source: owner.clone(),
        slot: Slot(9),
        index: 1,
        target: text(),
        message: Json::null(),
        error: text(),
        attempts: 1,
        since: 0,
    };
    let monitor = MonitorRecord {
        stopped: false,
        process: owner,
        rate: std::time::Duration::from_secs(1),
        cursor: None,
        asked_from: None,
        source: MonitorSource::Local,
        sequence: 0,
        started: 0,
        origin: MonitorOrigin::Cron,
    };
    [
        Record::Sent(key),
        Record::Outbox(key, OutboxItem::Inline { message, id: id.clone() }),
        Record::DropDeadLetter(id),
        Record::DropMonitor,
        Record::DeadLetter(Box::new(letter)),
        Record::Monitor(Box::new(monitor)),
    ]
}

#[test]
fn a_keeper_writes_what_no_worker_does_and_the_other_way_round() {
    let by_keeper = |records| Commit { writer: Writer::Keeper, ..commit(Epoch(0), at(None, None), records) };
    let source = crate::process::MarkSource::parse("q").unwrap();
    let workers = [
        created("p"),
        message(0),
        outcome(0),
        Record::Blob(BlobHash::of(b""), b"".as_slice().into()),
        Record::Halted(None),
        snapshot(0, 0, &[0], None),
        archive(1, 1),
        Record::DropArchived(Slot(1)),
        Record::IdsPassed(Slot(0)),
        Record::Mark(source.clone(), (0, 0)),
        Record::DropMark(source),
        Record::CronCursor(None),
    ];
    let mut heads = Heads::default();
    for record in &workers {
        assert!(heads.admit(&by_keeper(vec![record.clone()])).is_err(), "{record:?}");
        assert!(heads.admit(&by_keeper(vec![kept("p")[0].clone(), record.clone()])).is_err(), "{record:?}");
    }
    let held = at(Some(0), Some(0));
    for is_held in [false, true] {
        let epoch = if is_held { heads.claim(&process(), held, false) } else { Epoch(0) };
        for record in kept("p") {
            let admitted = heads.admit(&by_keeper(vec![record.clone()])).unwrap();
            assert_eq!((admitted.before, admitted.marks), (admitted.after, false));
            assert!(heads.admit(&commit(epoch, held, vec![record])).is_err());
        }
    }
    for record in &kept("q")[4..] {
        assert!(heads.admit(&by_keeper(vec![record.clone()])).is_err(), "{record:?} is of another process");
    }
}

#[test]
fn the_log_must_stand_where_the_writer_thinks_wherever_it_adds_something() {
    let actual = at(Some(4), Some(1));
    let places = [at(Some(3), Some(1)), at(Some(5), Some(1)), at(Some(4), None), at(Some(4), Some(2)), at(None, None)];
    for expected in places {
        for records in [vec![message(5)], vec![outcome(2)], vec![message(5), outcome(2)], vec![Record::Halted(None)]] {
            let adds = |wanted: fn(&Record) -> bool| records.iter().any(wanted);
            let is_misplaced = (adds(|record| matches!(record, Record::Entry(_)))
                && expected.scheduled != Some(Slot(4)))
                || (adds(|record| matches!(record, Record::Computed(_))) && expected.computed != Some(Slot(1)));
            let verdict = judge(actual, &commit(Epoch(1), expected, records.clone()));
            match is_misplaced {
                true => assert_eq!(verdict, Err(Fence::Position { actual, expected }), "{records:?}"),
                false => assert!(verdict.is_ok(), "{records:?} at {expected:?}: {verdict:?}"),
            }
        }
    }
}

#[test]
fn only_the_newest_epoch_writes_and_none_does_after_everyone_was_forgotten() {
    let mut heads = Heads::default();
    let (position, next) = (at(Some(0), None), |epoch, position| commit(epoch, position, vec![outcome(0)]));
    assert_eq!(heads.admit(&next(Epoch(0), position)), Err(Fence::Epoch(Epoch(0))), "nobody holds it");
    let first = heads.claim(&process(), position, false);
    let second = heads.claim(&process(), position, false);
    assert!(second > first);
    assert_eq!(heads.admit(&next(first, position)), Err(Fence::Epoch(first)));
    let after = at(Some(0), Some(0));
    assert_eq!(heads.admit(&next(second, position)), Ok(Admitted { before: position, after, marks: false }));
    heads.release(&process(), first);
    assert_eq!(
        heads.admit(&commit(second, after, Vec::new())),
        Ok(Admitted { before: after, after, marks: false }),
        "a late release of an old epoch"
    );
    heads.forget_all();
    assert_eq!(heads.admit(&commit(second, after, Vec::new())), Err(Fence::Epoch(second)));
    let third = heads.claim(&process(), after, false);
    assert!(third > second, "an epoch is never given out twice");
    heads.release(&process(), third);
    assert_eq!(heads.admit(&commit(third, after, Vec::new())), Err(Fence::Epoch(third)));
}

fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        Just(created("p")),
        (0..6u64).prop_map(message),
        (0..6u64, 0..3u64).prop_map(|(slot, definition)| outcome_under(slot, definition)),
        (0..6u64).prop_map(|slot| snapshot(slot, 0, &[slot], None)),
        (0..6u64).prop_map(halt),
    ]
}

proptest! {
    /// What is admitted is exactly what leaves a log without holes, doubles, or outcomes without messages.
    #[test]
    fn admitted_commits_build_a_sound_log(commits in proptest::collection::vec(proptest::collection::vec(any_record(), 0..4), 0..40)) {
        let mut heads = Heads::default();
        let epoch = heads.claim(&process(), Position::default(), false);
        let (mut position, mut messages, mut outcomes) = (Position::default(), Vec::new(), Vec::new());
        let mut is_marked = false;
        for records in commits {
            let admitted = heads.admit(&commit(epoch, position, records.clone()));
            let Ok(Admitted { before, after, marks }) = admitted else { continue };
            prop_assert_eq!(before, position);
            position = after;
            prop_assert_eq!(marks, after.is_pending() && !is_marked);
            is_marked |= marks;
            for record in records {
                match record {
                    Record::Entry(entry) => messages.push(entry.slot.0),
                    Record::Computed(computed) => {
                        prop_assert!(messages.contains(&computed.slot.0) && messages.contains(&computed.definition.0));
                        outcomes.push(computed.slot.0);
                    }
                    Record::Snapshot(snapshot, _) => prop_assert!(outcomes.contains(&snapshot.slot.0)),
                    _ => {}
                }
            }
            prop_assert_eq!(&messages, &(0..messages.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(&outcomes, &(0..outcomes.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(position.scheduled.map(|slot| slot.0), messages.last().copied());
            prop_assert_eq!(position.computed.map(|slot| slot.0), outcomes.last().copied());
            prop_assert_eq!(position.is_pending(), outcomes.len() < messages.len());
        }
        prop_assert_eq!(heads.release(&process(), epoch), is_marked && !position.is_pending());
    }
}
