//! A device that does what it is told: for tests of whatever stands on devices.
//!
//! Its state is the list of the `Data` of every message that it took, its output the number of them. A message whose `Data` is
//! a [`Wish`] has it send something. What a call does besides is planned by process and slot. Calls can be held at a gate, and
//! each is written down.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Call, Device, DeviceError, DeviceFactory, DeviceInfo, Interrupt, Mode, StateView};
use crate::config::limits::LimitKey;
use crate::group::Grouper;
use crate::ids::{ProcessId, Slot};
use crate::process::{Assignment, Cause, Definition, DeviceKind, Entry, Json, Outcome, SentMessage, Spawn};

/// A source whose outputs are never the same twice: the device is not deterministic.
pub const DICE: &str = "dice";
/// A source that does not load.
pub const BROKEN: &str = "broken";
/// A source that answers whatever a process sends it.
pub const ECHO: &str = "echo";
/// A source that spawns another one of its kind for each message.
pub const SPAWNER: &str = "spawner";

/// What a message asks a device to send: its `Data` as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    /// Messages.
    pub messages: Vec<SentMessage>,
    /// Processes.
    pub spawns: Vec<Spawn>,
    /// Known messages for other logs.
    pub assignments: Vec<Assignment>,
}

impl Wish {
    /// As the `Data` of a message.
    pub fn data(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a device with this source sends for a message.
    fn of(source: &str, entry: &Entry) -> Self {
        let message = &entry.message;
        let spawn = || Spawn {
            device: "lua".to_owned(),
            source: Some(source.to_owned()),
            module: None,
            tags: Vec::new(),
            data: "another".to_owned(),
            anchor: String::new(),
        };
        let answer = || SentMessage {
            target: message.from.clone(),
            tags: Vec::new(),
            data: "echo".to_owned(),
            anchor: String::new(),
        };
        match source {
            SPAWNER => Self { spawns: vec![spawn()], ..Self::default() },
            ECHO if message.from != "local" => Self { messages: vec![answer()], ..Self::default() },
            _ => serde_json::from_str(&message.data).unwrap_or_default(),
        }
    }
}

/// How often a held call that obeys looks whether it is interrupted.
const LOOK: Duration = Duration::from_millis(1);

/// What a live call or a dry run does. A call without a plan takes the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Takes the message.
    Take,
    /// Takes the message after this time.
    TakeAfter(Duration),
    /// Answers as if it had taken the message, and leaves the state as it is.
    Look,
    /// Fails by the handler's own error, with these words.
    Fail(&'static str),
    /// Ends at a limit.
    Exceed(LimitKey),
    /// Panics with these words.
    Panic(&'static str),
    /// Meets a fault of the machine, with these words.
    Fault(&'static str),
    /// Has no such call.
    Lack,
    /// Takes the message; whoever asks the device for its size afterwards panics. That is the worker's own thread.
    Poison,
}

/// How a call waits at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It ends when it is interrupted.
    Obeying,
    /// It stays until it is let go, whatever happens.
    Stubborn,
}

/// What was asked of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To run the initialiser.
    Init,
    /// To compute a slot for the first time.
    Compute,
    /// To repeat a slot.
    Replay,
    /// To try a message.
    DryRun,
    /// For a snapshot. The slot is that of the last message taken, or 0.
    Snapshot,
    /// To take the state from a snapshot.
    Restore,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// Whose device.
    pub process: ProcessId,
    /// What for.
    pub asked: Asked,
    /// Which slot it is about.
    pub slot: Slot,
}

#[derive(Debug, Default)]
struct Script {
    plans: HashMap<(ProcessId, Slot), VecDeque<Act>>,
    repeats: HashMap<(ProcessId, Slot), Act>,
    holds: HashMap<ProcessId, VecDeque<Manner>>,
    /// Calls that were held before the gate was last opened go on.
    opened: u64,
    held: usize,
    sizes: HashMap<ProcessId, u64>,
    created: Vec<ProcessId>,
    calls: Vec<Called>,
    throws: u64,
    engine: u64,
    grouper: Option<Grouper>,
    poisoned_engines: usize,
}

impl Script {
    fn info(&self, deterministic: bool) -> DeviceInfo {
        let grouper = self.grouper.clone().unwrap_or(Grouper::Process);
        DeviceInfo { deterministic, engine: format!("fake {}", self.engine), grouper, needs_worker: true }
    }
}

/// The handle by which a test steers fake devices and sees what they did. Clones share it; it is their factory, too.
#[derive(Clone, Debug, Default)]
pub struct Fakes(Arc<(Mutex<Script>, Condvar)>);

impl Fakes {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live calls and dry runs at `slot` do this, one after the other; those after them take the message.
    pub fn plan(&self, process: &ProcessId, slot: u64, acts: impl IntoIterator<Item = Act>) {
        self.script().plans.entry((process.clone(), Slot(slot))).or_default().extend(acts);
    }

    /// Each repeat of `slot` does this, after it has passed the gate as a live call does. Repeats without a plan take the
    /// message, whatever the live call did.
    pub fn plan_repeats(&self, process: &ProcessId, slot: u64, act: Act) {
        self.script().repeats.insert((process.clone(), Slot(slot)), act);
    }

    /// The next live call or dry run of `process` waits at the gate. Each further use of this holds one call more.
    pub fn hold(&self, process: &ProcessId, manner: Manner) {
        self.script().holds.entry(process.clone()).or_default().push_back(manner);
    }

    /// Waits until `calls` calls stand at the gate, `patience` at most; whether they do. Blocks.
    pub fn wait_until_held(&self, calls: usize, patience: Duration) -> bool {
        let wait = self.0.1.wait_timeout_while(self.script(), patience, |script| script.held < calls);
        wait.unwrap_or_else(PoisonError::into_inner).0.held >= calls
    }

    /// Every call at the gate goes on. None is held until [`Fakes::hold`] is used again.
    pub fn let_go(&self) {
        let mut script = self.script();
        script.opened += 1;
        script.holds.clear();
        self.0.1.notify_all();
    }

    /// Devices of `process` say from now on that they hold so many bytes.
    pub fn set_size(&self, process: &ProcessId, bytes: u64) {
        self.script().sizes.insert(process.clone(), bytes);
    }

    /// The factory has another version from now on.
    pub fn upgrade(&self) {
        self.script().engine += 1;
    }

    /// The factory's devices name their groups by this from now on; before, by the process.
    pub fn set_grouper(&self, grouper: Grouper) {
        self.script().grouper = Some(grouper);
    }

    /// The next so many askers for a kind's facts panic. Each worker asks once, on its own thread, when it takes a
    /// process over.
    pub fn poison_engine(&self, times: usize) {
        self.script().poisoned_engines = times;
    }

    /// The processes that devices were created for, in order.
    pub fn created(&self) -> Vec<ProcessId> {
        self.script().created.clone()
    }

    /// Every call that was made, in order.
    pub fn calls(&self) -> Vec<Called> {
        self.script().calls.clone()
    }

    /// The slots of `process` that this was asked for, in order.
    pub fn slots(&self, process: &ProcessId, asked: Asked) -> Vec<u64> {
        let script = self.script();
        let calls = script.calls.iter().filter(|call| call.process == *process && call.asked == asked);
        calls.map(|call| call.slot.0).collect()
    }

    fn note(&self, process: &ProcessId, asked: Asked, slot: Slot) {
        self.script().calls.push(Called { process: process.clone(), asked, slot });
    }

    /// What the call is to do, once it has passed the gate. `None`: it was interrupted there.
    fn pass(&self, process: &ProcessId, slot: Slot, mode: Mode, interrupt: &Interrupt) -> Option<Act> {
        let mut script = self.script();
        let repeat = script.repeats.get(&(process.clone(), slot)).cloned();
        if mode == Mode::Replay && repeat.is_none() {
            return Some(Act::Take);
        }
        if let Some(manner) = script.holds.get_mut(process).and_then(VecDeque::pop_front) {
            let arrived = script.opened;
            script.held += 1;
            self.0.1.notify_all();
            let mut is_interrupted = false;
            while script.opened == arrived && !is_interrupted {
                let wait = self.0.1.wait_timeout(script, LOOK);
                script = wait.unwrap_or_else(PoisonError::into_inner).0;
                is_interrupted = manner == Manner::Obeying && interrupt.is_raised();
            }
            script.held -= 1;
            if is_interrupted {
                return None;
            }
        }
        if mode == Mode::Replay {
            return repeat;
        }
        let plan = script.plans.get_mut(&(process.clone(), slot)).and_then(VecDeque::pop_front);
        Some(plan.unwrap_or(Act::Take))
    }

    /// Returns after `time`. Blocks.
    fn linger(&self, time: Duration) {
        let began = tokio::time::Instant::now();
        let mut script = self.script();
        while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            script = self.0.1.wait_timeout(script, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Ends the thread's present work with a panic that nothing is written about.
fn panic_with(text: &str) -> ! {
    std::panic::resume_unwind(Box::new(text.to_owned()))
}

impl DeviceFactory for Fakes {
    fn create(
        &self,
        process: &ProcessId,
        _: &Definition,
        source: &[u8],
        interrupt: Interrupt,
        _: Mode,
    ) -> Result<Box<dyn Device>, DeviceError> {
        self.check(&DeviceKind::Lua, source)?;
        self.script().created.push(process.clone());
        Ok(Box::new(Fake {
            fakes: self.clone(),
            process: process.clone(),
            interrupt,
            source: String::from_utf8_lossy(source).into_owned(),
            taken: Vec::new(),
            last: Slot::ZERO,
            is_poisoned: false,
        }))
    }

    fn check(&self, _: &DeviceKind, source: &[u8]) -> Result<(), DeviceError> {
        let is_broken = source == BROKEN.as_bytes();
        if is_broken { Err(DeviceError::Load("line 1: it is broken".to_owned())) } else { Ok(()) }
    }

    fn info(&self, _: DeviceKind) -> DeviceInfo {
        let mut script = self.script();
        if script.poisoned_engines > 0 {
            script.poisoned_engines -= 1;
            drop(script);
            panic_with("the engine is poisoned");
        }
        script.info(true)
    }
}

/// One fake device.
struct Fake {
    fakes: Fakes,
    process: ProcessId,
    interrupt: Interrupt,
    source: String,
    taken: Vec<String>,
    last: Slot,
    is_poisoned: bool,
}

impl Fake {
    /// Does what is planned for the call.
    fn act(&mut self, asked: Asked, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        self.fakes.note(&self.process, asked, entry.slot);
        let Some(act) = self.fakes.pass(&self.process, entry.slot, mode, &self.interrupt) else {
            return Ok(Call::Interrupted);
        };
        match act {
            Act::Take => {}
            Act::TakeAfter(time) => self.fakes.linger(time),
            Act::Look => return Ok(self.answer(self.taken.len() + 1, entry)),
            Act::Fail(text) => return Ok(Call::Done(Cause::Error, Outcome::failed(text, 1))),
            Act::Exceed(key) => {
                let text = format!("limit {key}: it is told to exceed it");
                return Ok(Call::Done(Cause::Limit(key), Outcome::failed(text, 1)));
            }
            Act::Panic(text) => panic_with(text),
            Act::Fault(text) => return Err(DeviceError::Fault(text.to_owned())),
            Act::Lack => return Err(DeviceError::NotSupported("fake")),
            Act::Poison => self.is_poisoned = true,
        }
        Ok(self.take(entry))
    }

    fn take(&mut self, entry: &Entry) -> Call {
        self.taken.push(entry.message.data.clone());
        self.last = entry.slot;
        self.answer(self.taken.len(), entry)
    }

    /// The answer to a message by a state that holds so many.
    fn answer(&self, taken: usize, entry: &Entry) -> Call {
        let number = if self.is_deterministic() {
            taken as u64
        } else {
            let mut script = self.fakes.script();
            script.throws += 1;
            script.throws
        };
        let output = Json::from(&serde_json::Value::from(number));
        let Wish { messages, spawns, assignments } = Wish::of(&self.source, entry);
        Call::Done(Cause::Success, Outcome { output, gas_used: 1, messages, spawns, assignments, error: None })
    }

    fn is_deterministic(&self) -> bool {
        self.source != DICE
    }
}

impl Device for Fake {
    fn init(&mut self, definition: &Entry, _: Mode) -> Result<Call, DeviceError> {
        self.fakes.note(&self.process, Asked::Init, definition.slot);
        Ok(Call::Done(Cause::Success, Outcome::empty()))
    }

    fn compute(&mut self, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        if self.interrupt.is_raised() {
            return Ok(Call::Interrupted);
        }
        let asked = if mode == Mode::Replay { Asked::Replay } else { Asked::Compute };
        self.act(asked, entry, mode)
    }

    fn dry_run(&mut self, entry: &Entry) -> Result<Call, DeviceError> {
        if self.interrupt.is_raised() {
            return Ok(Call::Interrupted);
        }
        self.act(Asked::DryRun, entry, Mode::Trial)
    }

    fn snapshot(&self) -> Result<Arc<[u8]>, DeviceError> {
        self.fakes.note(&self.process, Asked::Snapshot, self.last);
        let bytes = serde_json::to_vec(&(&self.last, &self.taken));
        bytes.map(Arc::from).map_err(|error| DeviceError::Fault(error.to_string()))
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DeviceError> {
        let state = serde_json::from_slice(snapshot);
        (self.last, self.taken) = state.map_err(|error| DeviceError::Restore(error.to_string()))?;
        self.fakes.note(&self.process, Asked::Restore, self.last);
        Ok(())
    }

    fn state(&self) -> Result<StateView, DeviceError> {
        let text = serde_json::to_string(&self.taken).map_err(|error| DeviceError::Fault(error.to_string()))?;
        Ok(StateView::Json(text.into()))
    }

    fn info(&self) -> DeviceInfo {
        self.fakes.script().info(self.is_deterministic())
    }

    fn memory(&self) -> u64 {
        if self.is_poisoned {
            panic_with("the device is poisoned");
        }
        self.fakes.script().sizes.get(&self.process).copied().unwrap_or(1024)
    }
}
