//! Lua on a machine that fails at certain slots and with certain code.

use std::sync::Arc;
use std::time::Duration;

use super::log::{MemoryLog, Regular, process};
use crate::device::lua::LuaFactory;
use crate::device::{Call, Device, DeviceError, DeviceFactory, DeviceInfo, Interrupt, Mode, Runner, StateView};
use crate::ids::{ProcessId, Slot};
use crate::process::worker::{Fault, TurnPlan};
use crate::process::{Definition, DeviceKind, Entry, EntryKind, ErrorStrategy};

/// Code with this in it can't be made a device of.
pub(super) const LOST: &str = "-- lost";
/// And with this in it whoever tries panics.
const PANICS: &str = "-- panics";

/// Makes devices that fail, however they are called, at the slots whose place here says so.
#[derive(Clone, Default)]
pub(super) struct Faulty(pub(super) Arc<[bool]>);

impl Faulty {
    fn look(&self, slot: Slot) -> Result<(), DeviceError> {
        match self.0.get(slot.0 as usize) {
            Some(true) => Err(DeviceError::Fault(format!("no memory at slot {slot}"))),
            _ => Ok(()),
        }
    }
}

impl DeviceFactory for Faulty {
    fn create(
        &self,
        process: &ProcessId,
        definition: &Definition,
        source: &[u8],
        interrupt: Interrupt,
        mode: Mode,
    ) -> Result<Box<dyn Device>, DeviceError> {
        let text = String::from_utf8_lossy(source);
        if text.contains(LOST) {
            return Err(DeviceError::Fault("no memory for the code".to_owned()));
        }
        if text.contains(PANICS) {
            std::panic::resume_unwind(Box::new("it cannot be".to_owned()));
        }
        let device = LuaFactory.create(process, definition, source, interrupt, mode)?;
        Ok(Box::new(FaultyDevice { device, machine: self.clone() }))
    }

    fn check(&self, kind: &DeviceKind, source: &[u8]) -> Result<(), DeviceError> {
        LuaFactory.check(kind, source)
    }

    fn info(&self, kind: DeviceKind) -> DeviceInfo {
        LuaFactory.info(kind)
    }
}

struct FaultyDevice {
    device: Box<dyn Device>,
    machine: Faulty,
}

impl Device for FaultyDevice {
    fn init(&mut self, definition: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        self.machine.look(definition.slot)?;
        self.device.init(definition, mode)
    }

    fn compute(&mut self, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        self.machine.look(entry.slot)?;
        self.device.compute(entry, mode)
    }

    fn dry_run(&mut self, entry: &Entry) -> Result<Call, DeviceError> {
        self.device.dry_run(entry)
    }

    fn snapshot(&self) -> Result<Arc<[u8]>, DeviceError> {
        self.device.snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DeviceError> {
        self.device.restore(snapshot)
    }

    fn state(&self) -> Result<StateView, DeviceError> {
        self.device.state()
    }

    fn info(&self) -> DeviceInfo {
        self.device.info()
    }

    fn memory(&self) -> u64 {
        self.device.memory()
    }
}

#[test]
fn a_fault_names_the_slot_that_was_being_computed_and_what_came_before_is_kept() {
    let counter = "function compute(state, msg) return 1 end";
    let cases = [
        (counter, Some(1), 1, Some((Slot(1), EntryKind::Message)), "no memory at slot 1"),
        (counter, Some(0), 0, Some((Slot(0), EntryKind::Definition)), "no memory at slot 0"),
        (LOST, None, 2, Some((Slot(2), EntryKind::Definition)), "no memory for the code"),
        (PANICS, None, 2, Some((Slot(2), EntryKind::Definition)), "panic: it cannot be"),
        (counter, None, 4, None, "the message of slot 4 is missing in the store"),
    ];
    for (second, faulty, computed, at, error) in cases {
        let log = Arc::new(MemoryLog::default());
        log.define(counter, ErrorStrategy::Ignore);
        log.send("x");
        log.define(second, ErrorStrategy::Ignore);
        log.send("x");
        let machine = Faulty((0..4).map(|slot| Some(slot) == faulty).collect());
        let mut runner = Runner::new(process(), Arc::new(machine), log, Interrupt::default());
        let plan = TurnPlan {
            goal: Some(Slot(4)),
            recorded: None,
            retried: None,
            entries: Vec::new(),
            resumed: None,
            wants_state: false,
            wants_snapshot: false,
            is_slow: false,
            room: u64::MAX,
        };
        let done = runner.turn(plan, Duration::from_secs(3600), &Regular);
        assert_eq!((done.computed.len(), done.is_lost, done.position), (computed, true, None), "{error}");
        assert_eq!(done.fault, Some(Fault { error: error.to_owned(), at }));
    }
}
