//! Bases against what a worker held: for logs with snapshots, failures, changes of definition, halts, skips, slots that were
//! given up and slots that the machine failed at.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::faulty::{Faulty, LOST};
use super::loading::load;
use super::log::{MemoryLog, Regular, process};
use super::verifying::verify;
use crate::device::crash::{Call, Counted, CrashBook};
use crate::device::{BaseError, BaseState, Interrupt, Runner};
use crate::ids::Slot;
use crate::process::worker::{Base, Fault, TurnDone, TurnPlan};
use crate::process::{Cause, Computed, EntryKind, ErrorStrategy, Outcome};

/// What a process may be: `picky` fails where the others don't, `spoilt` fails to begin, `broken` does not load, and with
/// `lost` the machine fails.
const SOURCES: [(&str, &str); 5] = [
    ("plain", "function init(state) state.made = 'plain' end NAME = 'plain' PICKY = false"),
    ("picky", "function init(state) state.made = 'picky' end NAME = 'picky' PICKY = true"),
    ("spoilt", "function init(state) state.made = 'spoilt' error('spoilt', 0) end NAME = 'spoilt' PICKY = true"),
    ("broken", "this is no Lua"),
    ("lost", LOST),
];

const COMPUTE: &str = r#"
function compute(state, msg)
  state[#state + 1] = msg.Data .. msg.Slot .. NAME .. math.random(100)
  if msg.Data == "fail" or msg.Data == "pick" and PICKY then error("failed", 0) end
  if msg.Data == "loop" then while true do end end
  if msg.Data == "look" then state[#state] = nil end
  return #state
end
"#;

#[derive(Clone, Debug)]
enum Step {
    Define(usize, ErrorStrategy),
    Send(&'static str),
}

/// One log and what is to happen on the way through it.
#[derive(Clone, Debug)]
struct Story {
    steps: Vec<Step>,
    /// For each halt: whether it is skipped, else how many slots further the newest definition may be that it is tried under.
    halts: Vec<Option<u64>>,
    /// Before which slots the worker is another one.
    restarts: Vec<bool>,
    /// Which slots meet another worker when they are tried again after a halt.
    leaves: Vec<bool>,
    /// After which slots a snapshot is kept in the end.
    kept: Vec<bool>,
    /// Under which slots the node ended too often.
    crashed: Vec<bool>,
    /// At which slots the machine fails.
    faulty: Vec<bool>,
}

fn story() -> impl Strategy<Value = Story> {
    let strategy = prop::sample::select(vec![ErrorStrategy::Ignore, ErrorStrategy::Throw]);
    let define = (0..SOURCES.len(), strategy).prop_map(|(source, strategy)| Step::Define(source, strategy)).boxed();
    let words = vec!["add", "add", "add", "look", "fail", "pick", "pick", "loop"];
    let send = prop::sample::select(words).prop_map(Step::Send);
    let steps = (define.clone(), prop::collection::vec(prop_oneof![1 => define, 3 => send], 1..14));
    let steps = steps.prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    });
    let halts = prop::collection::vec(prop::option::of(0..6u64), 1..6);
    let flags = || prop::collection::vec(any::<bool>(), 16);
    let rare = || prop::collection::vec(prop::bool::weighted(0.15), 16);
    let workers = (flags(), flags());
    (steps, halts, workers, flags(), rare(), rare()).prop_map(|(steps, halts, workers, kept, crashed, faulty)| Story {
        steps,
        halts,
        restarts: workers.0,
        leaves: workers.1,
        kept,
        crashed,
        faulty,
    })
}

impl Story {
    /// Nobody leaves, and nothing goes wrong but what the code does.
    fn quiet(steps: Vec<Step>, halts: &[Option<u64>]) -> Self {
        let none = || vec![false; 16];
        let [restarts, leaves, kept, crashed, faulty] = [none(), none(), none(), none(), none()];
        Self { steps, halts: halts.to_vec(), restarts, leaves, kept, crashed, faulty }
    }
}

/// The places below 16 that are named.
fn at(slots: &[usize]) -> Vec<bool> {
    (0..16).map(|slot| slots.contains(&slot)).collect()
}

fn written(steps: &[Step]) -> Arc<MemoryLog> {
    let log = MemoryLog::default();
    for step in steps {
        match step {
            Step::Define(source, strategy) => log.define(&format!("{}{COMPUTE}", SOURCES[*source].1), *strategy),
            Step::Send(data) => log.send(data),
        }
    }
    Arc::new(log)
}

/// A book in which the node ended too often under these slots.
fn book(crashed: &[bool]) -> Arc<CrashBook> {
    let slots = (0u64..).zip(crashed).filter(|(_, crashed)| **crashed);
    let suspect = |slot| Counted { process: process(), slot: Slot(slot), call: Call::Compute, crashes: 3 };
    let suspects: Vec<_> = slots.map(|(slot, _)| suspect(slot)).collect();
    CrashBook::of_suspects(&suspects, 3)
}

/// The process's worker: a runner and what a core decides.
struct Worker {
    log: Arc<MemoryLog>,
    machine: Faulty,
    book: Arc<CrashBook>,
    runner: Runner,
    /// The definition of the last outcome.
    in_force: Slot,
}

fn runner(log: &Arc<MemoryLog>, machine: &Faulty, book: &Arc<CrashBook>) -> Runner {
    let runner = Runner::new(process(), Arc::new(machine.clone()), log.clone(), Interrupt::default());
    runner.with_crashes(book.clone())
}

/// To be taken to `goal`, with a snapshot.
fn plan(goal: Slot) -> TurnPlan {
    TurnPlan {
        goal: Some(goal),
        recorded: None,
        retried: None,
        entries: Vec::new(),
        resumed: None,
        wants_state: false,
        wants_snapshot: true,
        is_slow: false,
        room: u64::MAX,
    }
}

impl Worker {
    fn of(story: &Story) -> Self {
        let (log, machine) = (written(&story.steps), Faulty(story.faulty.clone().into()));
        let book = book(&story.crashed);
        let runner = runner(&log, &machine, &book);
        Self { log, machine, book, runner, in_force: Slot::ZERO }
    }

    /// Another worker takes over.
    fn restart(&mut self) {
        self.runner = runner(&self.log, &self.machine, &self.book);
    }

    fn turn(&mut self, goal: Slot, resumed: Option<(Slot, Slot)>) -> TurnDone {
        let plan = TurnPlan { recorded: self.log.computed(), resumed, ..plan(goal) };
        let mut done = self.runner.turn(plan, Duration::from_secs(3600), &Regular);
        for computed in std::mem::take(&mut done.computed) {
            self.in_force = computed.definition;
            self.log.records().outcomes.push(computed);
        }
        done
    }

    /// Takes the process past `slot`, whatever it takes. The state then.
    /// On the way a halt may find it gone: `leaves`.
    fn pass(
        &mut self,
        slot: Slot,
        halts: &mut impl Iterator<Item = Option<u64>>,
        leaves: bool,
    ) -> Result<Base, String> {
        let mut resumed = None;
        loop {
            let done = self.turn(slot, resumed);
            if let Some(Fault { error, at }) = done.fault {
                let Some((at, kind)) = at else { panic!("slot {slot}: {error}") };
                assert_eq!(at, slot, "{error}");
                self.skip(slot, if kind == EntryKind::Definition { Cause::Load } else { Cause::Skipped }, &error);
                resumed = None;
                continue;
            }
            let Some(halt) = done.halt else {
                assert_eq!(done.position, Some(slot));
                return done.snapshot.unwrap().map_err(|error| error.to_string());
            };
            match halts.next().flatten().filter(|_| resumed.is_none()) {
                Some(further) => {
                    resumed = Some((slot, self.newest_definition(slot.0 + further)));
                    if leaves {
                        self.restart();
                    }
                }
                None => {
                    self.skip(halt.slot, Cause::Skipped, &halt.error);
                    resumed = None;
                }
            }
        }
    }

    fn newest_definition(&self, last: u64) -> Slot {
        let records = self.log.records();
        let definitions = records.entries.iter().filter(|entry| entry.kind == EntryKind::Definition);
        definitions.map(|entry| entry.slot).rfind(|slot| slot.0 <= last).unwrap()
    }

    fn skip(&mut self, slot: Slot, cause: Cause, why: &str) {
        let outcome = Outcome::failed(format!("skipped: {why}"), 0);
        let skipped = Computed { slot, definition: self.in_force, cause, outcome };
        self.log.records().outcomes.push(skipped);
    }
}

fn held(base: &Base, log: &MemoryLog) -> BaseState {
    BaseState::read(log, &process(), base).unwrap()
}

fn compare(story: &Story) -> Result<Vec<Cause>, TestCaseError> {
    let mut worker = Worker::of(story);
    let (log, machine) = (worker.log.clone(), worker.machine.clone());
    let mut halts = story.halts.iter().copied().cycle();
    let mut states = Vec::new();
    for slot in 0..story.steps.len() {
        if story.restarts[slot] {
            worker.restart();
        }
        states.push(worker.pass(Slot(slot as u64), &mut halts, story.leaves[slot]));
    }
    for (state, _) in states.iter().zip(&story.kept).filter(|(_, is_kept)| **is_kept) {
        if let Ok(base) = state {
            log.keep(base);
        }
    }
    for (slot, state) in states.iter().enumerate() {
        match (state, load(Arc::new(machine.clone()), &log, slot as u64)) {
            (Ok(state), Ok((base, _))) => {
                let expected = held(state, &log);
                prop_assert_eq!(base.slot, state.slot);
                prop_assert_eq!(&base.snapshot, &state.snapshot, "the state after slot {}", slot);
                prop_assert_eq!(&base.definition, &expected.definition, "the definition after slot {}", slot);
                prop_assert_eq!(base.definition_hash, expected.definition_hash);
            }
            (Err(why), Err(BaseError::NoState(told))) => prop_assert_eq!(why, &told),
            (state, loaded) => prop_assert!(false, "slot {}: {:?}, but loaded {:?}", slot, state, loaded),
        }
        let held = state.as_ref().ok().map(|state| state.snapshot.clone());
        let verdict = verify(Arc::new(machine.clone()), &log, slot as u64, held).unwrap();
        prop_assert_eq!(verdict.difference, None, "slot {}", slot);
        prop_assert_eq!(verdict.with_worker, state.is_ok());
    }
    let records = log.records();
    for (outcome, crashed) in records.outcomes.iter().zip(&story.crashed) {
        prop_assert_eq!(outcome.cause == Cause::Crashed, *crashed, "slot {}", outcome.slot);
    }
    Ok(records.outcomes.iter().map(|outcome| outcome.cause).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn the_base_of_a_slot_is_what_the_worker_held_after_it(story in story()) {
        let causes = compare(&story)?;
        let [restarts, leaves] = [at(&[]), at(&[])];
        prop_assert_eq!(causes, compare(&Story { restarts, leaves, ..story })?, "who computes makes no difference");
    }
}

#[test]
fn a_message_that_a_later_definition_was_to_save_leaves_that_one_in_force_or_not_as_replay_has_it() {
    let throw = |source| Step::Define(source, ErrorStrategy::Throw);
    let story = |last, halts: &[Option<u64>]| {
        Story::quiet(vec![throw(1), Step::Send("pick"), Step::Send("add"), throw(0), last], halts)
    };
    let causes = compare(&story(Step::Send("add"), &[Some(2)])).unwrap();
    assert_eq!(causes, [Cause::Success; 5], "it is tried again under later code and succeeds");
    let mut fails = story(Step::Send("add"), &[Some(2), None]);
    fails.steps[1] = Step::Send("fail");
    let causes = compare(&fails).unwrap();
    assert_eq!(causes[1], Cause::Skipped, "it is tried again under later code in vain, and skipped");
    fails.steps[3] = Step::Define(0, ErrorStrategy::Ignore);
    let causes = compare(&fails).unwrap();
    assert_eq!(causes[1], Cause::Error, "it is tried again under later code that takes failures as they come");
}

#[test]
fn a_message_that_fails_again_under_a_definition_that_was_given_up_leaves_that_one_in_force() {
    let steps = vec![
        Step::Define(0, ErrorStrategy::Throw),
        Step::Define(1, ErrorStrategy::Ignore),
        Step::Send("fail"),
        Step::Send("pick"),
    ];
    let story = Story { crashed: at(&[1]), ..Story::quiet(steps, &[Some(0)]) };
    let causes = compare(&story).unwrap();
    assert_eq!(causes, [Cause::Success, Cause::Crashed, Cause::Error, Cause::Error]);
}

#[test]
fn what_the_machine_failed_at_is_passed_over_and_a_definition_that_never_began_is_none() {
    let throw = |source| Step::Define(source, ErrorStrategy::Throw);
    let story = |first, faulty: &[usize]| {
        let steps = vec![first, Step::Send("add"), throw(0), Step::Send("add"), throw(4), Step::Send("add")];
        Story { faulty: at(faulty), ..Story::quiet(steps, &[None]) }
    };
    let never_began = [Cause::Load, Cause::Error, Cause::Success, Cause::Success, Cause::Load, Cause::Success];
    assert_eq!(compare(&story(throw(4), &[])).unwrap(), never_began, "code that no device can be made of");
    assert_eq!(compare(&story(throw(1), &[0])).unwrap(), never_began, "a beginning that the machine fails at");
    let causes = compare(&story(throw(1), &[1, 3])).unwrap();
    let skipped = [Cause::Success, Cause::Skipped, Cause::Success, Cause::Skipped, Cause::Load, Cause::Success];
    assert_eq!(causes, skipped);
}

#[test]
fn a_definition_that_halted_stays_halted_under_code_that_does_not_load() {
    let throw = |source| Step::Define(source, ErrorStrategy::Throw);
    for (steps, halted, under) in [(vec![throw(2), throw(3)], 0, 1), (vec![throw(3), throw(2), throw(3)], 1, 2)] {
        for restarts in [false, true] {
            let mut worker = Worker::of(&Story::quiet(steps.clone(), &[None]));
            let halt = worker.turn(Slot(halted), None).halt.unwrap();
            assert_eq!((halt.slot, halt.error.as_str()), (Slot(halted), "spoilt"));
            if restarts {
                worker.restart();
            }
            let again = worker.turn(Slot(halted), Some((Slot(halted), Slot(under)))).halt.unwrap();
            assert!(again.slot == halt.slot && again.error.contains("does not load"), "{}", again.error);
            assert_eq!(worker.log.records().outcomes.len() as u64, halted, "restarts: {restarts}");
        }
    }
}

#[test]
fn a_turn_that_ends_on_the_way_to_a_state_does_not_say_that_there_is_none() {
    let ignore = |source| Step::Define(source, ErrorStrategy::Ignore);
    let mut worker = Worker::of(&Story::quiet(vec![ignore(3), Step::Send("add"), ignore(0), ignore(3)], &[None]));
    let mut told = |goal, length| {
        let plan = TurnPlan { recorded: worker.log.computed(), ..plan(Slot(goal)) };
        let done = worker.runner.turn(plan, length, &Regular);
        worker.log.records().outcomes.extend(done.computed);
        done.snapshot.map(|snapshot| snapshot.is_ok())
    };
    assert_eq!([told(2, Duration::ZERO), told(2, Duration::ZERO)], [None; 2]);
    assert_eq!(told(2, Duration::ZERO), Some(true));
    let mut worker = Worker::of(&Story::quiet(vec![ignore(3)], &[None]));
    assert!(worker.turn(Slot(0), None).snapshot.unwrap().is_err(), "at the goal there is none");
}
