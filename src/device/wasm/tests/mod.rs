//! The device through its own face: modules in, outcomes out.

mod against_node;
mod answers;
mod exceptions;
mod imports;
mod limits;
mod loading;
mod random;
mod state;

use std::sync::{Arc, LazyLock};

use super::WasmFactory;
use crate::config::limits::{LimitKey, Limits};
use crate::device::tests::made::{self, entry};
use crate::device::{Call, Device, DeviceError, DeviceFactory, Interrupt, Mode, StateView};
use crate::ids::{BlobHash, ProcessId};
use crate::process::{Cause, Definition, DeviceKind, Entry, Message, Outcome, Tag};

static FACTORY: LazyLock<WasmFactory> = LazyLock::new(|| WasmFactory::start(None).unwrap());

/// The width of a memory's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Narrow,
    Wide,
}

const WIDTHS: [Width; 2] = [Width::Narrow, Width::Wide];

/// A module of two pages whose parts are `fields`. `PTR` stands for the type of pointers; `$heap` is where `malloc` takes from.
fn module_of(width: Width, fields: &str) -> Vec<u8> {
    let (pointer, of_memory) = match width {
        Width::Narrow => ("i32", ""),
        Width::Wide => ("i64", "i64"),
    };
    let text = format!(
        r#"(module
          {fields}
          (memory (export "memory") {of_memory} 2)
          (global $heap (mut PTR) (PTR.const 65536))
          (func (export "malloc") (param $size PTR) (result PTR)
            (global.get $heap)
            (global.set $heap (PTR.add (global.get $heap) (local.get $size)))))"#
    );
    wat::parse_str(text.replace("PTR", pointer)).unwrap_or_else(|error| panic!("{error}"))
}

/// A module whose `handle` does `body` and answers the text at 16, which begins as `answer`. `fields` stand before it.
fn handler(width: Width, fields: &str, body: &str, answer: &str) -> Vec<u8> {
    let answer = answer.replace('\\', "\\\\").replace('"', "\\\"");
    module_of(
        width,
        &format!(
            r#"{fields}
            (data (PTR.const 16) "{answer}\00")
            (func (export "handle") (param $message PTR) (param $environment PTR) (result PTR)
              {body}
              (PTR.const 16))"#
        ),
    )
}

/// An answer whose output is `output`.
fn answering(output: &str) -> String {
    format!(r#"{{"ok":true,"response":{{"Output":{output},"Messages":[],"Spawns":[],"Assignments":[]}}}}"#)
}

/// A process under test: its device and the slot that comes next.
struct Process {
    device: Box<dyn Device>,
    slot: u64,
}

fn definition(source: &[u8], limits: &Limits) -> Definition {
    let engine = FACTORY.info(DeviceKind::Wasm).engine;
    let mut definition = made::definition(DeviceKind::Wasm, &engine, source, limits);
    definition.specification.tags = vec![Tag::new("Colour", "green")];
    definition
}

fn create(source: &[u8], limits: &Limits, interrupt: Interrupt) -> Result<Process, DeviceError> {
    let id = ProcessId::parse("tested").unwrap();
    let device = FACTORY.create(&id, &definition(source, limits), source, interrupt, Mode::Live)?;
    Ok(Process { device, slot: 1 })
}

fn process_with(source: &[u8], limits: &Limits) -> Process {
    let mut process = create(source, limits, Interrupt::default()).unwrap_or_else(|error| panic!("{error}"));
    // What it says to the process itself is nobody's business here; where it fails, the next call begins anew.
    process.device.init(&entry(0, "", &[]), Mode::Live).unwrap_or_else(|error| panic!("{error}"));
    process
}

fn process(source: &[u8]) -> Process {
    process_with(source, &Limits::default())
}

impl Process {
    fn call_as(&mut self, data: &str, mode: Mode) -> (Cause, Outcome) {
        let entry = entry(self.slot, data, &[]);
        self.slot += 1;
        match self.device.compute(&entry, mode).unwrap_or_else(|error| panic!("{error}")) {
            Call::Done(cause, outcome) => (cause, outcome),
            Call::Interrupted => panic!("interrupted"),
        }
    }

    fn call(&mut self, data: &str) -> (Cause, Outcome) {
        self.call_as(data, Mode::Live)
    }

    /// The output of a call that must succeed.
    fn output(&mut self, data: &str) -> String {
        let (cause, outcome) = self.call(data);
        assert_eq!((cause, outcome.error.as_deref()), (Cause::Success, None), "{data}");
        outcome.output.as_str().to_owned()
    }

    /// The error of a call that must fail for this cause, changing nothing.
    fn failure(&mut self, expected: Cause) -> String {
        let before = self.snapshot();
        let (cause, outcome) = self.call("");
        assert_eq!(cause, expected, "{outcome:?}");
        assert_eq!(self.snapshot(), before, "the call changed the state");
        let Outcome { output, messages, spawns, assignments, error, .. } = outcome;
        assert_eq!((output.as_str(), messages.len(), spawns.len(), assignments.len()), ("null", 0, 0, 0));
        error.unwrap()
    }

    /// The error of a call that must fail by itself.
    fn error(&mut self) -> String {
        self.failure(Cause::Error)
    }

    /// The error of a call that this limit must end.
    fn limit(&mut self, key: LimitKey) -> String {
        let text = self.failure(Cause::Limit(key));
        assert!(text.starts_with(&format!("limit {key}: ")), "{text}");
        text
    }

    fn snapshot(&self) -> Arc<[u8]> {
        self.device.snapshot().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Why a module is not taken.
fn refusal(source: &[u8]) -> String {
    match FACTORY.check(&DeviceKind::Wasm, source) {
        Err(DeviceError::Load(text)) => text,
        other => panic!("it is taken: {other:?}"),
    }
}
