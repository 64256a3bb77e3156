//! How a message comes into a module, and the answer out.

use wasmtime::{Error, ThrownException, Trap};

use super::engine::STACK_MOST;
use super::host::LongJump;
use super::instance::Instance;
use super::limiter::{NoMemory, Stopped};
use super::load::START;
use super::state::Scratch;
use crate::config::limits::LimitKey;
use crate::device::budget::End;

/// The smallest buffer for messages, in bytes.
const SCRATCH_LEAST: u64 = 4096;

/// How a module ends itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exit {
    /// `exit` with a code.
    #[error("the module exits with code {0}; a process goes on for ever")]
    Code(i64),
    /// `abort`.
    #[error("the module aborts")]
    Abort,
    /// A failed assertion.
    #[error("the module aborts: assertion `{0}` does not hold")]
    Assertion(String),
    /// A C++ exception, by a road that leads nowhere here.
    #[error("the module throws a C++ exception through JavaScript, which there is none of here")]
    Thrown,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A limit, in the words of the outcome if there are better ones than the limit's own.
    Limit(LimitKey, Option<String>),
    /// The module's own doing.
    Error(String),
    /// It was asked to end.
    Interrupted,
    /// The machine's doing.
    Fault(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Some(Stopped(end)) = error.downcast_ref() {
            return match end {
                End::Interrupted => Self::Interrupted,
                End::Limit(key) => Self::Limit(*key, None),
            };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => return Self::Limit(LimitKey::Gas, None),
            // How deep calls can nest is up to the compiler, so no replay may depend on it.
            Some(Trap::StackOverflow) => {
                let text = format!("calls nest too deeply: they need more than {STACK_MOST} bytes of stack");
                return Self::Limit(LimitKey::Memory, Some(text));
            }
            Some(trap) => {
                let text = trap.to_string();
                return Self::Error(format!("the module trapped: {}", text.trim_start_matches("wasm trap: ")));
            }
            None => {}
        }
        if let Some(error) = error.downcast_ref::<NoMemory>() {
            return Self::Fault(error.to_string());
        }
        if error.is::<ThrownException>() {
            return Self::Error("the module threw an exception that nothing in it catches".to_owned());
        }
        match (error.downcast_ref::<Exit>(), error.downcast_ref::<LongJump>()) {
            (Some(exit), _) => Self::Error(exit.to_string()),
            (_, Some(jump)) => Self::Error(jump.to_string()),
            _ => Self::Error(error.root_cause().to_string()),
        }
    }
}

/// Sets the module up: what runs once before the first message.
pub(super) fn set_up(instance: &mut Instance) -> Result<(), Failure> {
    instance.call(START, &[])?;
    instance.call("emscripten_stack_init", &[])?;
    if instance.call("_initialize", &[])?.is_none() {
        instance.call("__wasm_call_ctors", &[])?;
    }
    Ok(())
}

/// Hands `message` and `environment` to the module's `handle`. Its answer is the text that begins at the pointer that comes back.
pub(super) fn handle(
    instance: &mut Instance,
    scratch: &mut Scratch,
    message: &str,
    environment: &str,
) -> Result<u64, Failure> {
    let lengths = [message.len() as u64 + 1, environment.len() as u64 + 1];
    make_room(instance, scratch, lengths.iter().sum())?;
    let places = [scratch.at, scratch.at + lengths[0]];
    for (at, text) in places.iter().zip([message, environment]) {
        let end = instance.length();
        let place = usize::try_from(*at).ok().and_then(|at| instance.data_mut().get_mut(at..=at + text.len()));
        let Some((last, place)) = place.and_then(<[u8]>::split_last_mut) else {
            return Err(Failure::Error(format!("the buffer at {at} lies outside of the memory, which ends at {end}")));
        };
        place.copy_from_slice(text.as_bytes());
        *last = 0;
    }
    let answer = instance.call("handle", &places)?;
    answer.ok_or_else(|| Failure::Fault("the module has no handle".to_owned()))
}

/// Sees to it that the buffer has `wanted` bytes. It is used again by the next call, and doubled when it is too small: many
/// modules have no way to give memory back.
fn make_room(instance: &mut Instance, scratch: &mut Scratch, wanted: u64) -> Result<(), Failure> {
    if scratch.size >= wanted {
        return Ok(());
    }
    let size = wanted.max(SCRATCH_LEAST).next_power_of_two();
    if scratch.size > 0 {
        instance.call("free", &[scratch.at])?;
    }
    let at = instance.call("malloc", &[size])?.unwrap_or_default();
    if at == 0 {
        return Err(Failure::Error(format!("malloc gives no {size} bytes for the message")));
    }
    let end = instance.length();
    if at.checked_add(size).is_none_or(|last| last > end) {
        return Err(Failure::Error(format!(
            "malloc gives {size} bytes at {at} for the message, and the memory ends at {end}"
        )));
    }
    *scratch = Scratch { at, size };
    Ok(())
}

/// The text at `at`, up to its zero byte, which must come within `most` bytes.
pub(super) fn answer(instance: &Instance, at: u64, most: u64) -> Result<&str, Failure> {
    let data = instance.data();
    let rest =
        usize::try_from(at).ok().filter(|at| *at > 0).and_then(|at| data.get(at..)).filter(|rest| !rest.is_empty());
    let Some(rest) = rest else {
        let end = data.len();
        return Err(Failure::Error(format!("handle returned pointer {at}, and the memory ends at {end}")));
    };
    let within = usize::try_from(most).ok().and_then(|most| rest.get(..=most)).unwrap_or(rest);
    let Some(length) = within.iter().position(|byte| *byte == 0) else {
        return Err(match within.len() == rest.len() {
            true => Failure::Error(format!("the answer at {at} has no zero byte at its end")),
            false => Failure::Limit(LimitKey::OutputSize, None),
        });
    };
    let text = within.get(..length).unwrap_or_default();
    std::str::from_utf8(text)
        .map_err(|error| Failure::Error(format!("the answer is not UTF-8 from its byte {} on", error.valid_up_to())))
}
