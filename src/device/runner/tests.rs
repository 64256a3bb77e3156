//! Whether a turn is slow.

use super::*;
use crate::device::fake::Fakes;
use crate::ids::BlobHash;
use crate::process::SnapshotRef;

/// A log with nothing in it, which takes its time to be read.
struct Empty(Duration);

impl LogReader for Empty {
    fn entries(&self, _: &ProcessId, _: Slot, _: Slot) -> Result<Vec<Entry>, String> {
        let began = thread_cpu_time();
        while thread_cpu_time() - began < self.0 {}
        Ok(Vec::new())
    }
    fn outcomes(&self, _: &ProcessId, _: Slot, _: Slot) -> Result<Vec<Computed>, String> {
        Ok(Vec::new())
    }
    fn entry(&self, _: &ProcessId, _: Slot) -> Result<Option<Entry>, String> {
        Ok(None)
    }
    fn blob(&self, _: &ProcessId, _: BlobHash) -> Result<Option<Arc<[u8]>>, String> {
        Ok(None)
    }
    fn snapshots(&self, _: &ProcessId) -> Result<Vec<SnapshotRef>, String> {
        Ok(Vec::new())
    }
    fn read_snapshot(&self, _: &ProcessId, _: &SnapshotRef) -> Result<Arc<[u8]>, String> {
        Err("there is none".to_owned())
    }
}

struct Overflow;

impl Seat for Overflow {
    fn has_overrun(&self) -> bool {
        true
    }
}

#[test]
fn a_process_is_slow_by_the_time_that_it_takes_itself_not_by_the_thread_it_sits_on() {
    let length = Duration::from_millis(5);
    for (takes, is_slow) in [(Duration::ZERO, false), (length * 4, true)] {
        let process = ProcessId::parse("a").unwrap();
        let log = Arc::new(Empty(takes));
        let mut runner = Runner::new(process, Arc::new(Fakes::default()), log, Interrupt::default());
        let plan = TurnPlan {
            goal: Some(Slot::ZERO),
            recorded: None,
            retried: None,
            entries: Vec::new(),
            resumed: None,
            wants_state: false,
            wants_snapshot: false,
            is_slow: true,
            room: u64::MAX,
        };
        let done = runner.turn(plan, length, &Overflow);
        assert!(done.fault.is_some(), "slot 0 is missing");
        assert_eq!(done.is_slow, is_slow, "after {takes:?}");
    }
}
