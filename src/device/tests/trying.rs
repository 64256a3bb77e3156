//! Messages tried on bases.

use std::sync::Arc;

use proptest::prelude::*;

use super::log::{MemoryLog, message, process};
use crate::config::limits::LimitKey;
use crate::device::fake::{Act, Asked, Fakes};
use crate::device::lua::LuaFactory;
use crate::device::{BaseState, Call, DeviceFactory, Interrupt, Mode, Trial, TrialError, Tried};
use crate::ids::Slot;
use crate::process::worker::Base;
use crate::process::{Cause, Entry, EntryKind, ErrorStrategy, Origin};

/// A base of a process that has taken nothing.
fn base(factory: &dyn DeviceFactory, log: &MemoryLog, source: &str) -> Arc<BaseState> {
    log.define(source, ErrorStrategy::Ignore);
    let (definition, interrupt) = (super::log::definition(source, ErrorStrategy::Ignore), Interrupt::default());
    let device = factory.create(&process(), &definition, source.as_bytes(), interrupt, Mode::Live).unwrap();
    let base = Base { slot: Slot::ZERO, definition: Slot::ZERO, snapshot: device.snapshot().unwrap() };
    Arc::new(BaseState::read(log, &process(), &base).unwrap())
}

/// A trial of fakes, with the loads that its base took left out of the counts.
struct Rig {
    fakes: Fakes,
    log: MemoryLog,
    trial: Trial,
    interrupt: Interrupt,
    messages: u64,
}

impl Rig {
    fn new() -> Self {
        let (fakes, log, interrupt) = (Fakes::default(), MemoryLog::default(), Interrupt::default());
        let base = base(&fakes, &log, "code");
        let trial = Trial::open(Arc::new(fakes.clone()), base, interrupt.clone()).unwrap();
        Self { fakes, log, trial, interrupt, messages: 0 }
    }

    /// Devices that were made for trials.
    fn made(&self) -> usize {
        self.fakes.created().len() - 1
    }

    fn restores(&self) -> usize {
        self.fakes.slots(&process(), Asked::Restore).len()
    }

    fn resolve(&mut self, act: Act, keeps_result: bool) -> Result<Tried, TrialError> {
        self.messages += 1;
        self.fakes.plan(&process(), self.trial.base().slot.0 + 1, [act]);
        self.trial.resolve(message(self.messages, &format!("message {}", self.messages)), keeps_result)
    }

    fn output(&mut self, act: Act, keeps_result: bool) -> String {
        self.resolve(act, keeps_result).unwrap().outcome.output.as_str().to_owned()
    }
}

#[test]
fn a_base_is_loaded_once_for_whatever_is_tried_on_it() {
    let mut rig = Rig::new();
    let reads = rig.log.records().reads;
    assert_eq!((rig.made(), rig.restores()), (1, 1));
    for _ in 0..5 {
        assert_eq!(rig.output(Act::Take, false), "1");
    }
    assert_eq!(rig.made(), 1);
    assert_eq!(rig.log.records().reads, reads, "nothing of it is read again");
    assert_eq!(rig.fakes.slots(&process(), Asked::DryRun), [1; 5]);
    assert!(rig.trial.memory() > 0);
}

#[test]
fn a_call_costs_a_restore_only_after_one_that_changed_the_state() {
    let cases = [
        ("a read", Act::Look, 0),
        ("a failure", Act::Fail("no"), 0),
        ("a limit", Act::Exceed(LimitKey::Gas), 0),
        ("a write", Act::Take, 1),
    ];
    for (what, act, restores) in cases {
        let mut rig = Rig::new();
        for number in 0..3 {
            rig.resolve(act.clone(), false).unwrap();
            assert_eq!(rig.restores(), 1 + number * restores, "{what}: only before the next call");
        }
        assert_eq!(rig.output(Act::Look, false), "1", "{what} left something behind");
        assert_eq!((rig.made(), rig.restores()), (1, 1 + 3 * restores), "{what}");
    }
}

#[test]
fn a_result_that_is_kept_is_the_next_base() {
    let mut rig = Rig::new();
    let first = rig.trial.base().clone();
    for number in 1..=3 {
        let tried = rig.resolve(Act::Take, true).unwrap();
        let after = tried.after.unwrap();
        assert_eq!((after.slot, tried.outcome.output.as_str()), (Slot(number), number.to_string().as_str()));
        assert!(Arc::ptr_eq(&after, rig.trial.base()));
        assert_ne!(after.state_hash(), first.state_hash());
        assert_eq!(after.definition_hash, first.definition_hash);
    }
    assert_eq!((rig.made(), rig.restores()), (1, 1), "the device stands there already");
    assert_eq!(rig.output(Act::Take, false), "4");
    assert_eq!(rig.output(Act::Look, false), "4", "the trial before left nothing");
    assert_eq!(rig.restores(), 2);
    assert_eq!(first.slot, Slot::ZERO, "a base never changes");
}

#[test]
fn a_result_equal_to_the_base_differs_by_the_slot_only() {
    let mut rig = Rig::new();
    let first = rig.trial.base().clone();
    let after = rig.resolve(Act::Look, true).unwrap().after.unwrap();
    assert_eq!((after.slot, after.state_hash()), (Slot(1), first.state_hash()));
    assert!(Arc::ptr_eq(&after.snapshot, &first.snapshot), "the bytes are held once");
}

#[test]
fn a_failure_is_an_outcome_and_no_base() {
    let cases = [
        (Act::Fail("no"), Cause::Error, "no", 1),
        (Act::Exceed(LimitKey::Gas), Cause::Limit(LimitKey::Gas), "limit gas: it is told to exceed it", 1),
        (Act::Panic("ouch"), Cause::Panic, "panic: ouch", 2),
    ];
    for (act, cause, error, made) in cases {
        let mut rig = Rig::new();
        let tried = rig.resolve(act.clone(), true).unwrap();
        assert_eq!((tried.cause, tried.outcome.error.as_deref()), (cause, Some(error)));
        assert!(tried.after.is_none() && rig.trial.base().slot == Slot::ZERO);
        assert_eq!(rig.made(), 1, "not before the next call: {act:?}");
        assert_eq!(rig.output(Act::Take, true), "1");
        assert_eq!(rig.made(), made, "{act:?}");
    }
}

#[test]
fn after_a_fault_of_the_machine_the_device_is_made_anew() {
    let mut rig = Rig::new();
    assert_eq!(rig.output(Act::Take, true), "1");
    let refused = rig.resolve(Act::Fault("no disk"), true).unwrap_err();
    let text = "a copy of process tried after slot 1 cannot be used: no disk";
    assert_eq!(refused, TrialError::Failed(text.to_owned()));
    assert_eq!(rig.output(Act::Take, true), "2", "the base is as before");
    assert_eq!((rig.made(), rig.restores()), (2, 2));
}

#[test]
fn a_device_without_dry_runs_says_so() {
    let mut rig = Rig::new();
    let refused = rig.resolve(Act::Lack, false).unwrap_err();
    assert_eq!(refused, TrialError::NotSupported("device fake does not support this".to_owned()));
}

#[test]
fn code_that_does_not_load_opens_no_trial() {
    let (fakes, log) = (Fakes::default(), MemoryLog::default());
    let mut broken = base(&fakes, &log, "code");
    Arc::get_mut(&mut broken).unwrap().source = crate::device::fake::BROKEN.as_bytes().into();
    let Err(refused) = Trial::open(Arc::new(fakes), broken, Interrupt::default()) else { panic!("it opened") };
    assert_eq!(refused.to_string(), "a copy of process tried after slot 0 cannot be used: line 1: it is broken");
}

#[test]
fn an_interrupted_call_is_none() {
    let mut rig = Rig::new();
    rig.interrupt.raise();
    for _ in 0..2 {
        assert_eq!(rig.resolve(Act::Take, true).unwrap_err(), TrialError::Interrupted);
    }
    let (base, factory) = (rig.trial.base().clone(), Arc::new(rig.fakes.clone()));
    let Err(refused) = Trial::open(factory.clone(), base.clone(), rig.interrupt.clone()) else { panic!("it opened") };
    assert_eq!(refused, TrialError::Interrupted);
    let mut next = Trial::open(factory, base, Interrupt::default()).unwrap();
    assert_eq!(next.resolve(message(9, "x"), false).unwrap().outcome.output.as_str(), "1");
}

/// A script whose calls read, write, fail, run too long and do several of these.
const OPERATIONS: &str = r#"
print("loaded")
function compute(state, msg)
  state.calls = state.calls or {}
  for verb, what in msg.Data:gmatch("(%a+) (%w+)") do
    print(verb)
    if verb == "add" then state.calls[#state.calls + 1] = what .. math.random(1000) .. msg.Slot end
    if verb == "pop" then table.remove(state.calls) end
    if verb == "fail" then error(what, 0) end
    if verb == "loop" then while true do end end
    if verb == "send" then send { Target = what, Data = tostring(#state.calls) } end
  end
  return state.calls
end
"#;

fn operations() -> impl Strategy<Value = String> {
    let verb = prop::sample::select(vec!["add", "add", "add", "pop", "look", "fail", "loop", "send"]);
    let one = (verb, prop::sample::select(vec!["a", "b", "c"])).prop_map(|(verb, what)| format!("{verb} {what}"));
    prop::collection::vec(one, 0..4).prop_map(|operations| operations.join(", "))
}

/// Tries messages, some of which are kept; computes on a second device just those. All that is seen of both is equal.
fn compare(factory: Arc<dyn DeviceFactory>, source: &str, messages: &[(String, bool)]) -> Result<(), TestCaseError> {
    let log = MemoryLog::default();
    let first = base(factory.as_ref(), &log, source);
    let mut trial = Trial::open(factory.clone(), first.clone(), Interrupt::default()).unwrap();
    let mut worker =
        factory.create(&process(), &first.definition, source.as_bytes(), Interrupt::default(), Mode::Live).unwrap();
    for (number, (data, keeps_result)) in messages.iter().enumerate() {
        let (slot, message) = (trial.base().slot.next(), message(number as u64, data));
        let before = worker.snapshot().unwrap();
        let entry = Entry {
            slot,
            origin: Origin::Client,
            kind: EntryKind::Message,
            message: message.clone(),
            mark: None,
            push: None,
        };
        let Call::Done(cause, outcome) = worker.compute(&entry, Mode::Live).unwrap() else {
            panic!("nobody interrupts");
        };
        let tried = trial.resolve(message, *keeps_result).unwrap();
        prop_assert_eq!((&tried.cause, &tried.outcome), (&cause, &outcome));
        prop_assert_eq!(tried.after.is_some(), *keeps_result && cause == Cause::Success);
        if !keeps_result {
            worker.restore(&before).unwrap();
        }
        prop_assert_eq!(&trial.base().snapshot, &worker.snapshot().unwrap());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_of_kept_results_is_what_computing_makes_of_them(
        messages in prop::collection::vec((operations(), any::<bool>()), 1..10),
    ) {
        compare(Arc::new(Fakes::default()), "code", &messages)?;
        compare(Arc::new(LuaFactory), OPERATIONS, &messages)?;
    }
}
