//! Pasts computed again and compared.

use std::sync::Arc;
use std::time::Duration;

use super::log::{MemoryLog, process};
use crate::config::limits::LimitKey;
use crate::device::fake::{Act, Asked, BROKEN, DICE, Fakes};
use crate::device::lua::LuaFactory;
use crate::device::{Claimed, DeviceFactory, Difference, Interrupt, Verdict, Verifier, VerifyError, Verifying};
use crate::ids::Slot;
use crate::process::worker::Base;
use crate::process::{Cause, Computed, ErrorStrategy, Json, Outcome};

fn verifier(
    factory: Arc<dyn DeviceFactory>,
    log: &Arc<MemoryLog>,
    slot: u64,
    held: Option<Arc<[u8]>>,
    executes: bool,
) -> (Verifier, Interrupt) {
    let (claimed, interrupt) = (Claimed { process: process(), slot: Slot(slot), executes, held }, Interrupt::default());
    (Verifier::new(claimed, factory, log.clone(), interrupt.clone()), interrupt)
}

/// Turns until it is done; each is one slot.
fn finish(mut verifier: Verifier) -> Result<Verdict, VerifyError> {
    for _ in 0..1000 {
        if let Verifying::Done(verdict) = verifier.turn(Duration::ZERO)? {
            return Ok(*verdict);
        }
    }
    panic!("it does not come to its goal");
}

pub(super) fn verify(
    factory: Arc<dyn DeviceFactory>,
    log: &Arc<MemoryLog>,
    slot: u64,
    held: Option<Arc<[u8]>>,
) -> Result<Verdict, VerifyError> {
    finish(verifier(factory, log, slot, held, false).0)
}

fn recorded(slot: u64, cause: Cause, outcome: Outcome) -> Computed {
    Computed { slot: Slot(slot), definition: Slot::ZERO, cause, outcome }
}

fn counted(output: u64) -> Outcome {
    Outcome { output: Json::from(&output.into()), gas_used: 1, ..Outcome::empty() }
}

/// A log of five messages, all computed by a fake device as it does it.
fn log(source: &str) -> Arc<MemoryLog> {
    let log = MemoryLog::default();
    log.define(source, ErrorStrategy::Ignore);
    log.succeed();
    for (slot, data) in (1..).zip(["a", "b", "c", "d", "e"]) {
        log.send(data);
        log.records().outcomes.push(recorded(slot, Cause::Success, counted(slot)));
    }
    Arc::new(log)
}

fn keep(log: &MemoryLog, slot: u64, bytes: &str) {
    log.keep(&Base { slot: Slot(slot), definition: Slot::ZERO, snapshot: bytes.as_bytes().into() });
}

fn difference(verdict: &Verdict) -> Option<(u64, &str)> {
    verdict.difference.as_ref().map(|Difference { slot, text }| (slot.0, text.as_str()))
}

#[test]
fn it_begins_at_the_newest_snapshot_strictly_before_and_compares_the_one_at_the_slot() {
    let log = log("code");
    for (slot, bytes) in [(1, r#"[1,["a"]]"#), (3, r#"[3,["a","b","c"]]"#), (4, "damaged")] {
        keep(&log, slot, bytes);
    }
    let cases: [(u64, Option<u64>, &[u64], bool); 4] = [
        (0, None, &[], false),
        (1, None, &[1], true),
        (3, Some(1), &[2, 3], true),
        // The damaged one before it is passed over.
        (5, Some(3), &[4, 5], false),
    ];
    for (slot, from, repeated, with_snapshot) in cases {
        let fakes = Fakes::default();
        let verdict = verify(Arc::new(fakes.clone()), &log, slot, None).unwrap();
        let from = from.map(Slot);
        let outcomes = Slot::after(Some(Slot(slot))).0 - Slot::after(from).0;
        let expected = Verdict { from, outcomes, with_snapshot, ..Verdict::default() };
        assert_eq!(verdict, expected, "slot {slot}");
        assert_eq!(fakes.slots(&process(), Asked::Replay), repeated);
        assert_eq!(fakes.slots(&process(), Asked::Compute), [0u64; 0]);
    }
}

#[test]
fn a_state_that_differs_is_caught_and_its_place_named() {
    let log = log("code");
    keep(&log, 3, r#"[3,["a","x","c"]]"#);
    let verdict = verify(Arc::new(Fakes::default()), &log, 3, None).unwrap();
    let text = r#"state, against the snapshot: byte 9 of 17 bytes; state[1]: stored "x", recomputed "b""#;
    assert_eq!(difference(&verdict), Some((3, text)));

    let held = |bytes: &str| Some(bytes.as_bytes().into());
    let verdict = verify(Arc::new(Fakes::default()), &log, 2, held(r#"[2,["a","b"]]"#)).unwrap();
    assert_eq!((difference(&verdict), verdict.with_worker), (None, true));
    let verdict = verify(Arc::new(Fakes::default()), &log, 2, held(r#"[2,["a"]]"#)).unwrap();
    let text = "state, against what the worker holds: byte 7 of 9 bytes stored, 13 recomputed; state[1]: stored nothing, \
                recomputed \"b\"";
    assert_eq!(difference(&verdict), Some((2, text)));
    // What is no state at all is told by its bytes.
    let verdict = verify(Arc::new(Fakes::default()), &log, 2, held("rubbish")).unwrap();
    let text = "state, against what the worker holds: byte 0 of 7 bytes stored, 13 recomputed";
    assert_eq!(difference(&verdict), Some((2, text)));
}

#[test]
fn the_first_outcome_that_differs_is_caught_whichever_side_it_differs_on() {
    let log = log("code");
    log.records().outcomes[4].outcome.gas_used = 2;
    let verdict = verify(Arc::new(Fakes::default()), &log, 5, None).unwrap();
    assert_eq!(difference(&verdict), Some((4, "GasUsed: stored 2, recomputed 1")));
    assert_eq!(verdict.outcomes, 4, "those before it are equal");
    assert_eq!(difference(&verify(Arc::new(Fakes::default()), &log, 3, None).unwrap()), None);

    for (act, expected) in [
        (Act::Fail("boom"), r#"Error: stored null, recomputed "boom""#),
        (Act::Panic("boom"), r#"Error: stored null, recomputed "panic: boom""#),
        (Act::Exceed(LimitKey::Gas), r#"Error: stored null, recomputed "limit gas: it is told to exceed it""#),
    ] {
        let fakes = Fakes::default();
        fakes.plan_repeats(&process(), 2, act);
        assert_eq!(difference(&verify(Arc::new(fakes), &log, 5, None).unwrap()), Some((2, expected)));
    }
    // A call that leaves the state as it was shows in what follows.
    let fakes = Fakes::default();
    fakes.plan_repeats(&process(), 2, Act::Look);
    let verdict = verify(Arc::new(fakes), &log, 5, None).unwrap();
    assert_eq!(difference(&verdict), Some((3, "Output: stored 3, recomputed 2")));
}

#[test]
fn failures_are_repeated_if_they_did_not_depend_on_the_machine() {
    let causes = [
        (Cause::Error, true),
        (Cause::Limit(LimitKey::Gas), true),
        (Cause::Limit(LimitKey::OutputSize), true),
        (Cause::Limit(LimitKey::ComputeTime), false),
        (Cause::Limit(LimitKey::Memory), false),
        (Cause::Panic, false),
        (Cause::Skipped, false),
    ];
    for (cause, is_repeated) in causes {
        let log = log("code");
        log.records().outcomes[3] = recorded(3, cause, Outcome::failed("boom", 1));
        for (slot, output) in [(4, 3), (5, 4)] {
            log.records().outcomes[slot].outcome = counted(output);
        }
        let fakes = Fakes::default();
        fakes.plan_repeats(&process(), 3, Act::Fail("boom"));
        let verdict = verify(Arc::new(fakes.clone()), &log, 5, None).unwrap();
        let taken = u64::from(!is_repeated);
        assert_eq!(verdict, Verdict { outcomes: 6 - taken, taken, ..Verdict::default() }, "{cause:?}");
        let expected: &[u64] = if is_repeated { &[1, 2, 3, 4, 5] } else { &[1, 2, 4, 5] };
        assert_eq!(fakes.slots(&process(), Asked::Replay), expected, "{cause:?}");

        let fakes = Fakes::default();
        fakes.plan_repeats(&process(), 3, Act::Fail("bang"));
        let verdict = verify(Arc::new(fakes), &log, 5, None).unwrap();
        let differs = is_repeated.then_some((3, r#"Error: stored "boom", recomputed "bang""#));
        assert_eq!(difference(&verdict), differs, "{cause:?}");
    }
}

#[test]
fn a_device_that_is_never_the_same_twice_is_called_again_only_where_that_is_wanted() {
    let log = log(DICE);
    keep(&log, 2, r#"[2,["a","b"]]"#);
    for (slot, at) in [(0, 0), (1, 0), (3, 3)] {
        let fakes = Fakes::default();
        let refused = verify(Arc::new(fakes.clone()), &log, slot, None).unwrap_err();
        assert_eq!(refused, VerifyError::NotRepeatable { process: process(), slot: Slot(at) });
        assert!(refused.to_string().contains("execute=true"), "{refused}");
        assert_eq!(fakes.slots(&process(), Asked::Compute), [0u64; 0]);
    }
    // Not even where every outcome would be taken as it is.
    log.records().outcomes[3].cause = Cause::Skipped;
    let refused = verify(Arc::new(Fakes::default()), &log, 3, None).unwrap_err();
    assert_eq!(refused, VerifyError::NotRepeatable { process: process(), slot: Slot(3) });

    let fakes = Fakes::default();
    let (verifier, _) = verifier(Arc::new(fakes.clone()), &log, 5, None, true);
    let verdict = finish(verifier).unwrap();
    assert_eq!(difference(&verdict), Some((4, "Output: stored 4, recomputed 1")));
    assert_eq!(fakes.slots(&process(), Asked::Compute), [4], "it is a call under all limits, and no replay");
}

#[test]
fn code_that_loads_no_more_is_a_difference_and_code_that_never_did_is_none() {
    let log = log("code");
    log.records().outcomes.truncate(5);
    log.records().entries.truncate(5);
    log.define(BROKEN, ErrorStrategy::Ignore);
    let load = |text: &str| Computed {
        cause: Cause::Load,
        outcome: Outcome::failed(text, 0),
        ..recorded(5, Cause::Load, Outcome::empty())
    };
    log.records().outcomes.push(load("line 1: it is broken"));
    let verdict = verify(Arc::new(Fakes::default()), &log, 5, None).unwrap();
    assert_eq!(verdict, Verdict { outcomes: 5, taken: 1, ..Verdict::default() });

    log.records().outcomes[5] = Computed { definition: Slot(5), ..recorded(5, Cause::Success, Outcome::empty()) };
    let verdict = verify(Arc::new(Fakes::default()), &log, 5, None).unwrap();
    let text = "the definition of slot 5 loaded and does not load now: line 1: it is broken";
    assert_eq!(difference(&verdict), Some((5, text)));
}

#[test]
fn the_outcome_of_a_later_definition_is_compared_too() {
    let log = log("code");
    log.define("other code", ErrorStrategy::Ignore);
    let outcome = Outcome { gas_used: 3, ..Outcome::empty() };
    log.records().outcomes.push(Computed { definition: Slot(6), ..recorded(6, Cause::Success, outcome) });
    let verdict = verify(Arc::new(Fakes::default()), &log, 6, None).unwrap();
    assert_eq!(difference(&verdict), Some((6, "GasUsed: stored 3, recomputed 0")));
}

#[test]
fn a_process_without_a_working_definition_says_the_same_again() {
    let log = MemoryLog::default();
    log.define(BROKEN, ErrorStrategy::Ignore);
    log.send("a");
    let load = "the definition does not load: line 1: it is broken";
    let error = format!("the process has no working definition: {load}");
    let message = Computed { definition: Slot(1), ..recorded(1, Cause::Error, Outcome::failed(error, 0)) };
    log.records().outcomes.extend([recorded(0, Cause::Load, Outcome::failed(load, 0)), message]);
    let log = Arc::new(log);
    let verdict = verify(Arc::new(Fakes::default()), &log, 1, None).unwrap();
    assert_eq!(verdict, Verdict { outcomes: 1, taken: 1, ..Verdict::default() });
    log.records().outcomes[1].outcome.error = Some("another".to_owned());
    let verdict = verify(Arc::new(Fakes::default()), &log, 1, None).unwrap();
    assert_eq!(verdict.difference.map(|difference| difference.slot), Some(Slot(1)));
}

#[test]
fn an_initialiser_that_fails_is_compared() {
    let log = MemoryLog::default();
    log.define("function init() error('spoilt', 0) end function compute() end", ErrorStrategy::Ignore);
    log.records().outcomes.push(recorded(0, Cause::Error, Outcome::failed("another", 0)));
    let log = Arc::new(log);
    let verdict = verify(Arc::new(LuaFactory), &log, 0, None).unwrap();
    assert_eq!(difference(&verdict), Some((0, r#"Error: stored "another", recomputed "spoilt""#)));
}

#[test]
fn it_goes_on_turn_by_turn_and_ends_where_it_is_interrupted() {
    let log = log("code");
    let (mut going, interrupt) = verifier(Arc::new(Fakes::default()), &log, 5, None, false);
    for expected in 1..=3 {
        let Ok(Verifying::More(next)) = going.turn(Duration::ZERO) else { panic!("turn {expected}") };
        assert_eq!(next, Slot(expected));
    }
    interrupt.raise();
    assert_eq!(going.turn(Duration::ZERO).unwrap_err(), VerifyError::Interrupted(process()));
}

#[test]
fn what_fails_is_said_and_nothing_panics() {
    let log = log("code");
    let fakes = Fakes::default();
    fakes.plan_repeats(&process(), 2, Act::Fault("the machine is ill"));
    let refused = verify(Arc::new(fakes), &log, 5, None).unwrap_err();
    assert_eq!(refused.to_string(), "verification of process tried up to slot 5: the machine is ill");
    log.records().entries.truncate(3);
    let refused = verify(Arc::new(Fakes::default()), &log, 4, None).unwrap_err();
    let text = "verification of process tried up to slot 4: the message of slot 3 is missing in the store";
    assert_eq!(refused.to_string(), text);
    log.records().blobs.clear();
    assert!(matches!(verify(Arc::new(Fakes::default()), &log, 1, None), Err(VerifyError::Failed(_))));
}
