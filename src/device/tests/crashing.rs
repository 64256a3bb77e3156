//! What a runner does about calls under which the node ended too often.

use std::sync::Arc;
use std::time::Duration;

use super::log::{MemoryLog, Regular, process};
use crate::device::crash::{Call, Counted, CrashBook};
use crate::device::lua::LuaFactory;
use crate::device::{BaseError, BaseLoader, Interrupt, Runner};
use crate::ids::Slot;
use crate::process::worker::{Base, TurnDone, TurnPlan};
use crate::process::{Cause, ErrorStrategy, StateView};

const LONG: Duration = Duration::from_secs(3600);
const COUNTER: &str = "function compute(state, msg) state.count = (state.count or 0) + 1 return state.count end";

/// A definition and three messages; those up to `computed` have outcomes, and there is a snapshot after slot 1.
fn log(computed: Option<u64>) -> Arc<MemoryLog> {
    let log = Arc::new(MemoryLog::default());
    log.define(COUNTER, ErrorStrategy::Throw);
    ["a", "b", "c"].into_iter().for_each(|data| log.send(data));
    if let Some(last) = computed {
        let done = turn(&log, &Arc::default(), last, 0);
        assert_eq!(done.fault, None);
        let kept = turn(&log, &Arc::default(), last.min(1), 0).snapshot.unwrap().unwrap();
        log.keep(&kept);
        log.records().outcomes.extend(done.computed);
    }
    log
}

/// A turn of a new worker towards `goal`, for which `recorded` slots have outcomes.
fn turn(log: &Arc<MemoryLog>, book: &Arc<CrashBook>, goal: u64, recorded: u64) -> TurnDone {
    let runner = Runner::new(process(), Arc::new(LuaFactory), log.clone(), Interrupt::default());
    let plan = TurnPlan {
        goal: Some(Slot(goal)),
        recorded: recorded.checked_sub(1).map(Slot),
        retried: None,
        entries: Vec::new(),
        resumed: None,
        wants_state: true,
        wants_snapshot: true,
        is_slow: false,
        room: u64::MAX,
    };
    runner.with_crashes(book.clone()).turn(plan, LONG, &Regular)
}

fn suspect(call: Call, slot: u64, crashes: u32) -> Arc<CrashBook> {
    CrashBook::of_suspects(&[Counted { process: process(), slot: Slot(slot), call, crashes }], 3)
}

#[test]
fn a_slot_is_computed_until_the_node_ended_too_often_and_then_passed_over() {
    for (crashes, is_given_up) in [(1, false), (2, false), (3, true), (4, true)] {
        let done = turn(&log(None), &suspect(Call::Compute, 2, crashes), 3, 0);
        let causes: Vec<_> = done.computed.iter().map(|one| one.cause).collect();
        let second = if is_given_up { Cause::Crashed } else { Cause::Success };
        assert_eq!(causes, [Cause::Success, Cause::Success, second, Cause::Success]);
        let expected = format!("crashed: the node ended {crashes} times while it computed this slot");
        assert_eq!(done.computed[2].outcome.error, is_given_up.then_some(expected));
        let count = if is_given_up { "2" } else { "3" };
        assert_eq!(done.computed[3].outcome.output.as_str(), count, "the state is that of before");
        assert!(done.halt.is_none(), "nobody is to resume it, whatever the strategy for errors");
    }
}

#[test]
fn a_slot_that_cannot_be_replayed_halts_its_process_and_no_base_is_made_past_it() {
    let log = log(Some(3));
    let book = suspect(Call::Replay, 2, 3);
    let done = turn(&log, &book, 3, 4);
    let halt = done.halt.unwrap();
    assert_eq!((halt.slot, done.position, done.fault), (Slot(2), Some(Slot(1)), None));
    assert!(done.state.is_none() && done.snapshot.is_none(), "nobody is told what there is instead");
    assert!(halt.error.contains("ended 3 times") && halt.error.contains("slot 2"), "{}", halt.error);
    let load = |slot| {
        let loader = BaseLoader::new(process(), Slot(slot), Arc::new(LuaFactory), log.clone(), Interrupt::default());
        loader.with_crashes(book.clone()).turn(LONG, &Regular)
    };
    assert!(load(1).is_ok());
    let Err(BaseError::Failed(error)) = load(2) else { panic!("it is made") };
    assert!(error.contains("ended 3 times"), "{error}");
    book.forget(&process(), Call::Replay, Slot(2));
    assert!(load(2).is_ok());
}

#[test]
fn a_slot_that_was_replayed_after_all_is_no_suspect_any_more() {
    let (log, book) = (log(Some(3)), suspect(Call::Replay, 2, 2));
    let done = turn(&log, &book, 3, 4);
    assert_eq!((done.position, done.fault), (Some(Slot(3)), None));
    for _ in 0..2 {
        // With what was counted before, these would be too many.
        assert_eq!(book.begin(&process()).given_up(Call::Replay, Slot(2)), None);
    }
    assert!(book.is_empty());
}

#[test]
fn a_snapshot_that_cannot_be_restored_leaves_the_one_before_it() {
    let log = log(Some(3));
    let before = log.records().reads;
    let done = turn(&log, &suspect(Call::Restore, 1, 3), 3, 4);
    let without = log.records().reads - before;
    assert_eq!((done.position, done.fault), (Some(Slot(3)), None));
    assert_eq!(done.unfit, [], "it may be good");
    let before = log.records().reads;
    let done = turn(&log, &Arc::default(), 3, 4);
    assert_eq!((done.position, done.fault), (Some(Slot(3)), None));
    let with = log.records().reads - before;
    assert!(without > with, "from slot 0 on it reads more: {without} times, not {with}");
}

#[test]
fn snapshots_that_are_tried_in_vain_are_brought_back_as_unfit() {
    let log = log(Some(3));
    let base = turn(&log, &Arc::default(), 3, 4).snapshot.unwrap().unwrap();
    let [before, newest] = [2, 3].map(Slot);
    log.keep(&Base { slot: before, snapshot: b"damaged".as_slice().into(), ..base.clone() });
    log.keep(&Base { slot: newest, ..base });
    let unfit = |unreadable: &[Slot], recorded: u64| {
        log.records().unreadable = unreadable.to_vec();
        let done = turn(&log, &Arc::default(), 3, recorded);
        assert_eq!((done.position, done.fault), (Some(Slot(3)), None));
        done.unfit.iter().map(|snapshot| snapshot.slot.0).collect::<Vec<_>>()
    };
    assert!(unfit(&[], 4).is_empty());
    assert_eq!(unfit(&[newest], 4), [3, 2], "one cannot be read and one is no state");
    assert_eq!(unfit(&[newest], 3), [2], "what is beyond the log is not tried");
    assert_eq!(unfit(&[Slot(1), newest], 4), [3, 2, 1]);
}

#[test]
fn where_snapshots_end_the_node_none_is_taken_and_the_rest_goes_on() {
    let done = turn(&log(None), &suspect(Call::Snapshot, 1, 3), 3, 0);
    assert_eq!(done.computed.len(), 4);
    assert!(done.snapshot.unwrap().unwrap_err().to_string().contains("ended 3 times"));
    assert_eq!(done.state.unwrap().unwrap(), StateView::Json(r#"{"count":3}"#.into()));
}

#[test]
fn a_definition_that_is_given_up_leaves_the_code_before_it_in_force() {
    let log = log(None);
    log.define("function compute() return 'new' end", ErrorStrategy::Ignore);
    log.send("d");
    let done = turn(&log, &suspect(Call::Compute, 4, 3), 5, 0);
    assert_eq!((done.computed[4].cause, done.computed[5].definition), (Cause::Crashed, Slot(0)));
    assert_eq!(done.computed[5].outcome.output.as_str(), "4");
    let state = done.state.unwrap().unwrap();
    log.records().outcomes.extend(done.computed);
    // Code that is never made can't fail to load.
    log.records().blobs.retain(|_, source| source.as_ref() == COUNTER.as_bytes());
    let again = turn(&log, &Arc::default(), 5, 6);
    assert_eq!((again.fault, again.state.unwrap().unwrap()), (None, state));
}

#[test]
fn a_first_definition_that_is_given_up_is_none() {
    let log = log(None);
    let book = suspect(Call::Compute, 0, 3);
    let done = turn(&log, &book, 3, 0);
    assert_eq!(done.computed[0].cause, Cause::Crashed);
    let error = done.computed[1].outcome.error.clone().unwrap();
    assert!(error.contains("no working definition") && error.contains("ended 3 times"), "{error}");
    let before: Vec<_> = done.computed.iter().map(|one| one.outcome.clone()).collect();
    log.records().outcomes.extend(done.computed.into_iter().take(2));
    let again = turn(&log, &book, 3, 2);
    let after: Vec<_> = again.computed.iter().map(|one| one.outcome.clone()).collect();
    assert_eq!(after, before[2..], "a restart changes no words");
}
