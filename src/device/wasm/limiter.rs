//! How far a module's memory and tables may grow.

use wasmtime::{Error, ResourceLimiter, Result};

use crate::config::limits::LimitKey;
use crate::device::budget::End;

/// The most elements of one table.
const TABLE_MOST: usize = 1 << 20;

/// The call has to end here, whatever the module would do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call has ended")]
pub(super) struct Stopped(pub(super) End);

/// Memory that the system does not give, although the process may have it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no memory to a module that may have it: {0}")]
pub(super) struct NoMemory(String);

/// Ends calls that want more memory than the process may have. A module would else be told that there is none, and each
/// does something else about that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limiter {
    /// The most bytes of memory.
    pub(super) memory: u64,
    /// Whether the growth that was asked for last is within what the module allows itself.
    is_allowed: bool,
}

impl Limiter {
    /// Lets a memory grow to so many bytes.
    pub(super) fn new(memory: u64) -> Self {
        Self { memory, is_allowed: true }
    }

    fn judge(&mut self, desired: usize, maximum: Option<usize>, most: u64) -> Result<bool> {
        self.is_allowed = maximum.is_none_or(|maximum| desired <= maximum);
        if self.is_allowed && desired as u64 > most {
            return Err(Error::new(Stopped(End::Limit(LimitKey::Memory))));
        }
        Ok(true)
    }

    fn failed(&self, error: &Error) -> Result<()> {
        if self.is_allowed { Err(Error::new(NoMemory(format!("{error:#}")))) } else { Ok(()) }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.judge(desired, maximum, self.memory)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed(&error)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.judge(desired, maximum, TABLE_MOST as u64)
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed(&error)
    }
}
