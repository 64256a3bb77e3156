//! Bases of slots, loaded from a log.

use std::sync::Arc;
use std::time::Duration;

use super::log::{MemoryLog, Regular, process};
use crate::device::fake::{Asked, DICE, Fakes};
use crate::device::{BaseError, BaseLoader, BaseState, DeviceFactory, Interrupt, Loading};
use crate::ids::Slot;
use crate::process::worker::Base;
use crate::process::{Cause, ErrorStrategy, Outcome};

/// Turns until it is done; each is one slot.
pub(super) fn load(
    factory: Arc<dyn DeviceFactory>,
    log: &Arc<MemoryLog>,
    slot: u64,
) -> Result<(Arc<BaseState>, usize), BaseError> {
    let mut loader = BaseLoader::new(process(), Slot(slot), factory, log.clone(), Interrupt::default());
    let mut turns = 1;
    loop {
        match loader.turn(Duration::ZERO, &Regular)? {
            Loading::More => turns += 1,
            Loading::Done(base) => return Ok((base, turns)),
        }
        assert!(turns < 1000, "it does not come to its goal");
    }
}

/// A log of five messages, all computed.
fn log(source: &str) -> Arc<MemoryLog> {
    let log = MemoryLog::default();
    log.define(source, ErrorStrategy::Ignore);
    log.succeed();
    for data in ["a", "b", "c", "d", "e"] {
        log.send(data);
        log.succeed();
    }
    Arc::new(log)
}

fn snapshot(slot: u64, bytes: &str) -> Base {
    Base { slot: Slot(slot), definition: Slot::ZERO, snapshot: bytes.as_bytes().into() }
}

#[test]
fn a_base_is_loaded_from_the_newest_snapshot_at_or_below_it() {
    let log = log("code");
    for base in [snapshot(1, r#"[1,["a"]]"#), snapshot(3, r#"[3,["a","b","c"]]"#)] {
        log.keep(&base);
    }
    let states = ["[0,[]]", r#"[1,["a"]]"#, r#"[2,["a","b"]]"#, r#"[3,["a","b","c"]]"#, r#"[4,["a","b","c","d"]]"#];
    let replays: [&[u64]; 5] = [&[], &[], &[2], &[], &[4]];
    for (slot, (state, replayed)) in states.iter().zip(replays).enumerate() {
        let fakes = Fakes::default();
        let (base, turns) = load(Arc::new(fakes.clone()), &log, slot as u64).unwrap();
        assert_eq!((base.slot, std::str::from_utf8(&base.snapshot).unwrap()), (Slot(slot as u64), *state));
        assert_eq!(fakes.slots(&process(), Asked::Replay), replayed);
        assert_eq!(fakes.slots(&process(), Asked::Compute), [0u64; 0], "nothing is computed");
        assert_eq!((fakes.created().len(), turns), (1, 1));
    }
}

#[test]
fn a_snapshot_that_cannot_be_used_gives_way_to_the_one_before() {
    let log = log("code");
    log.keep(&snapshot(1, r#"[1,["a"]]"#));
    log.keep(&snapshot(3, "damaged"));
    let fakes = Fakes::default();
    let (base, turns) = load(Arc::new(fakes.clone()), &log, 4).unwrap();
    assert_eq!(&*base.snapshot, br#"[4,["a","b","c","d"]]"#);
    assert_eq!(fakes.slots(&process(), Asked::Replay), [2, 3, 4]);
    assert_eq!(turns, 3, "each of these turns has time for one slot");
}

#[test]
fn what_is_not_computed_is_no_base() {
    let log = log("code");
    log.send("f");
    for slot in [6, 7, u64::MAX] {
        let refused = load(Arc::new(Fakes::default()), &log, slot).unwrap_err();
        assert_eq!(refused, BaseError::NotComputed { process: process(), slot: Slot(slot) });
        let text = format!("slot {slot} of process tried is not computed, so there is no state after it");
        assert!(refused.to_string().starts_with(&text), "{refused}");
    }
}

#[test]
fn a_device_that_is_never_the_same_twice_needs_the_very_snapshot() {
    let log = log(DICE);
    log.keep(&snapshot(3, r#"[3,["a","b","c"]]"#));
    let fakes = Fakes::default();
    let (base, _) = load(Arc::new(fakes.clone()), &log, 3).unwrap();
    assert_eq!(&*base.snapshot, br#"[3,["a","b","c"]]"#);
    for (slot, at) in [(0, 0), (2, 0), (4, 4), (5, 4)] {
        let Err(BaseError::NotSupported(text)) = load(Arc::new(fakes.clone()), &log, slot) else {
            panic!("slot {slot}")
        };
        assert!(text.contains(&format!("so slot {at} cannot be repeated on the way to slot {slot};")), "{text}");
    }
    assert_eq!(fakes.slots(&process(), Asked::Replay), [0u64; 0]);
    // A slot that changed nothing need not be repeated.
    log.records().outcomes[4].cause = Cause::Error;
    assert_eq!(load(Arc::new(fakes), &log, 4).unwrap().0.snapshot, base.snapshot);
}

#[test]
fn a_process_whose_code_never_loaded_has_no_base() {
    let log = MemoryLog::default();
    log.define(crate::device::fake::BROKEN, ErrorStrategy::Ignore);
    log.succeed();
    let failed = Outcome::failed("line 1: it is broken", 0);
    log.records().outcomes[0].cause = Cause::Load;
    log.records().outcomes[0].outcome = failed;
    let refused = load(Arc::new(Fakes::default()), &Arc::new(log), 0).unwrap_err();
    assert_eq!(refused, BaseError::NoState("process tried has no state: line 1: it is broken".to_owned()));
}

#[test]
fn an_interrupt_ends_the_loading() {
    let (fakes, log, interrupt) = (Fakes::default(), log("code"), Interrupt::default());
    let mut loader = BaseLoader::new(process(), Slot(5), Arc::new(fakes.clone()), log, interrupt.clone());
    assert!(matches!(loader.turn(Duration::ZERO, &Regular), Ok(Loading::More)));
    assert!(loader.memory() > 0);
    interrupt.raise();
    for _ in 0..2 {
        assert!(matches!(loader.turn(Duration::ZERO, &Regular), Err(BaseError::Interrupted(_))));
    }
    assert_eq!(loader.memory(), 0, "what was loaded is let go");
}

#[test]
fn a_log_with_a_hole_is_a_fault_and_no_panic() {
    let log = log("code");
    log.records().entries.truncate(3);
    let refused = load(Arc::new(Fakes::default()), &log, 4).unwrap_err();
    let text = "base of process tried after slot 4: the message of slot 3 is missing in the store";
    assert_eq!(refused, BaseError::Failed(text.to_owned()));
}
