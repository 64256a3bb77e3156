//! Snapshots that are to stand in for the log before them.

use std::sync::Arc;

use super::log::{MemoryLog, process};
use crate::device::fake::{Asked, BROKEN, DICE, Fakes};
use crate::device::{UnfitSnapshot, check_snapshot, recompute_snapshot};
use crate::ids::Slot;
use crate::process::worker::Base;
use crate::process::{Cause, Computed, ErrorStrategy, Json, Outcome, SnapshotRef};

/// A log of three messages with a snapshot of these bytes after the last.
fn log(source: &str, bytes: &str) -> (Arc<MemoryLog>, SnapshotRef) {
    let log = MemoryLog::default();
    log.define(source, ErrorStrategy::Ignore);
    log.succeed();
    for (slot, data) in (1..).zip(["a", "b", "c"]) {
        log.send(data);
        let outcome = Outcome { output: Json::from(&slot.into()), gas_used: 1, ..Outcome::empty() };
        let computed = Computed { slot: Slot(slot), definition: Slot::ZERO, cause: Cause::Success, outcome };
        log.records().outcomes.push(computed);
    }
    log.keep(&Base { slot: Slot(3), definition: Slot::ZERO, snapshot: bytes.as_bytes().into() });
    let snapshot = log.records().snapshots[0].0.clone();
    (Arc::new(log), snapshot)
}

const GOOD: &str = r#"[3,["a","b","c"]]"#;

#[test]
fn a_snapshot_must_be_read_restored_and_come_to_the_same_bytes() {
    type Check = fn(&UnfitSnapshot) -> bool;
    let cases: [(&str, &str, Option<Check>); 5] = [
        ("code", GOOD, None),
        ("code", "damaged", Some(|error| matches!(error, UnfitSnapshot::Restore(_)))),
        ("code", r#"[3, ["a","b","c"]]"#, Some(|error| matches!(error, UnfitSnapshot::Differs(_)))),
        (BROKEN, GOOD, Some(|error| matches!(error, UnfitSnapshot::Restore(_)))),
        // Its bytes are its program's.
        (DICE, r#"[3, ["a","b","c"]]"#, None),
    ];
    for (source, bytes, wrong) in cases {
        let (log, snapshot) = log(source, bytes);
        match (check_snapshot(&process(), &snapshot, &Fakes::default(), log.as_ref()), wrong) {
            (Ok(read), None) => assert_eq!(&read[..], bytes.as_bytes()),
            (Err(error), Some(is_it)) => assert!(is_it(&error), "{source} {bytes}: {error}"),
            (checked, _) => panic!("{source} {bytes}: {checked:?}"),
        }
    }
    let (log, snapshot) = log("code", GOOD);
    let gone = SnapshotRef { slot: Slot(2), ..snapshot };
    let checked = check_snapshot(&process(), &gone, &Fakes::default(), log.as_ref());
    assert!(matches!(checked, Err(UnfitSnapshot::Unreadable(_))), "{checked:?}");
}

#[test]
fn a_log_computed_again_must_come_to_the_snapshot() {
    let recompute = |source: &str, bytes: &str| {
        let (log, snapshot) = log(source, bytes);
        let fakes = Fakes::default();
        let recomputed = recompute_snapshot(&process(), &snapshot, Arc::new(fakes.clone()), log);
        (recomputed, fakes.slots(&process(), Asked::Replay))
    };
    assert_eq!(recompute("code", GOOD), (Ok(true), vec![1, 2, 3]));
    assert_eq!(recompute(DICE, GOOD).0, Ok(false), "there is nothing to compare");
    let (differs, _) = recompute("code", r#"[3,["a","x","c"]]"#);
    assert!(matches!(differs, Err(UnfitSnapshot::Recomputed(ref text)) if text.contains("slot 3")), "{differs:?}");
}
