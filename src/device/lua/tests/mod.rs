//! The device through its own face: scripts in, outcomes out.

use std::sync::Arc;

use super::LuaFactory;
use crate::config::limits::{LimitKey, Limits};
use crate::device::tests::made::{definition, entry};
use crate::device::{Call, Device, DeviceError, DeviceFactory, Interrupt, Mode, StateView};
use crate::ids::{MessageId, ProcessId};
use crate::process::{Cause, DeviceKind, Outcome, Tag};

mod determinism;
mod freezing;
mod limits;
mod outcomes;
mod patterns;
mod replay;
mod sandbox;
mod scripts;
mod state;

/// A process under test: its device and the slot that comes next.
struct Process {
    device: Box<dyn Device>,
    slot: u64,
}

/// A script that runs the `Data` of each message as code; `state` and `msg` are at hand.
const RUNS_DATA: &str = r#"
function compute(state, msg)
  local code, problem = load(msg.Data, "=code", "t", setmetatable({ state = state, msg = msg }, { __index = _G }))
  if not code then error(problem, 0) end
  return code()
end
"#;

fn limits() -> Limits {
    Limits { gas: 20_000_000, ..Limits::default() }
}

fn create(source: &str, limits: &Limits, interrupt: Interrupt) -> Result<Process, DeviceError> {
    let engine = LuaFactory.info(DeviceKind::Lua).engine;
    let mut definition = definition(DeviceKind::Lua, &engine, source.as_bytes(), limits);
    definition.specification.tags = vec![Tag::new("Colour", "green"), Tag::new("Id", "forged")];
    let id = ProcessId::parse("tested").unwrap();
    Ok(Process { device: LuaFactory.create(&id, &definition, source.as_bytes(), interrupt, Mode::Live)?, slot: 1 })
}

fn process(source: &str) -> Process {
    process_with(source, &limits())
}

fn process_with(source: &str, limits: &Limits) -> Process {
    create(source, limits, Interrupt::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn load_error(source: &str) -> String {
    match create(source, &limits(), Interrupt::default()) {
        Err(DeviceError::Load(text)) => text,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it loaded: {source}"),
    }
}

impl Process {
    fn try_call(&mut self, data: &str, tags: &[(&str, &str)], mode: Mode) -> Call {
        let entry = entry(self.slot, data, tags);
        self.slot += 1;
        self.device.compute(&entry, mode).unwrap_or_else(|error| panic!("{error}"))
    }

    fn call(&mut self, data: &str, tags: &[(&str, &str)]) -> (Cause, Outcome) {
        match self.try_call(data, tags, Mode::Live) {
            Call::Done(cause, outcome) => (cause, outcome),
            Call::Interrupted => panic!("interrupted"),
        }
    }

    /// The output of a call that must succeed.
    fn output(&mut self, data: &str) -> String {
        let (cause, outcome) = self.call(data, &[]);
        assert_eq!((cause, outcome.error.as_deref()), (Cause::Success, None), "{data}");
        outcome.output.as_str().to_owned()
    }

    /// The error of a call that must fail by itself, changing nothing.
    fn error(&mut self, data: &str) -> String {
        let before = self.snapshot();
        let (cause, outcome) = self.call(data, &[]);
        assert_eq!(cause, Cause::Error, "{data}: {outcome:?}");
        assert_eq!(self.snapshot(), before, "{data} changed the state");
        assert_bare(&outcome);
        outcome.error.unwrap()
    }

    /// The limit that ends a call, which must change nothing.
    fn limit(&mut self, data: &str) -> LimitKey {
        let before = self.snapshot();
        let (cause, outcome) = self.call(data, &[]);
        let Cause::Limit(key) = cause else { panic!("{data}: {cause:?} {outcome:?}") };
        assert_eq!(self.snapshot(), before, "{data} changed the state");
        assert_bare(&outcome);
        let text = outcome.error.unwrap();
        assert!(text.starts_with(&format!("limit {key}: ")), "{text}");
        key
    }

    fn snapshot(&self) -> Arc<[u8]> {
        self.device.snapshot().unwrap()
    }

    fn state(&self) -> String {
        let StateView::Json(text) = self.device.state().unwrap() else { panic!("a state of Lua is JSON") };
        text.to_string()
    }
}

/// An outcome with an error has nothing else.
fn assert_bare(outcome: &Outcome) {
    let bare = Outcome::failed(outcome.error.clone().unwrap_or_default(), outcome.gas_used);
    assert_eq!(outcome, &bare);
}
