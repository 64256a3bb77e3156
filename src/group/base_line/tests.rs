//! A line without a shell: what goes in and what must come out.

mod property;
mod rules;

use std::cell::Cell;
use std::rc::Rc;

use super::{BaseLine, Effect, EndReason, LineOptions, Note, Ran, Resolved, Stop, Wanted};
use crate::ids::{GroupName, ProcessId};
use crate::process::RequestError;
use crate::process::worker::Waiting;

/// Somebody who asked. The number of a request is that of its asker and its message, too.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asker {
    number: usize,
    is_gone: Rc<Cell<bool>>,
}

impl Waiting for Asker {
    fn is_gone(&self) -> bool {
        self.is_gone.get()
    }
}

type Line = BaseLine<usize, Asker, String>;
type Step = Effect<usize, Asker, String>;

fn name(number: u8) -> GroupName {
    GroupName::hashed(&ProcessId::parse("counter").unwrap(), &[number; 32])
}

fn asker(number: usize) -> Asker {
    Asker { number, is_gone: Rc::default() }
}

fn wanted(number: usize, group: u8) -> Wanted<usize, Asker> {
    Wanted { group: name(group), message: number, is_trial: false, reply: asker(number) }
}

fn trial(number: usize, group: u8) -> Wanted<usize, Asker> {
    Wanted { is_trial: true, ..wanted(number, group) }
}

fn ran(outcome: &str, moved_to: Option<u8>) -> Ran<String> {
    Ran { outcome: outcome.to_owned(), failure: None, moved_to: moved_to.map(name) }
}

fn failing() -> Ran<String> {
    Ran { failure: Some(halted()), ..ran("failed", None) }
}

/// What the shell makes of a call that failed. Which refusal it is makes no difference to the line.
fn halted() -> RequestError {
    RequestError::Conflict("the base halted".to_owned())
}

fn machine() -> RequestError {
    RequestError::Internal("the device could not be made".to_owned())
}

const MOVING: LineOptions = LineOptions { is_static: false, halts_on_error: false, queue_max: 8 };
const STATIC: LineOptions = LineOptions { is_static: true, ..MOVING };
const HALTING: LineOptions = LineOptions { halts_on_error: true, ..MOVING };
