//! A module's bytes on their way to the engine.
//!
//! `survey` validates a module and refuses what the device does not serve, `exceptions` turns the old form of exception
//! handling into the one that the engine knows, and `assemble` puts the module together again, with everything that a
//! snapshot holds exported under names of its own ([`GLOBALS`],
//! [`TABLES`], [`FUNCTIONS`], [`MEMORY`], [`START`]).

mod assemble;
mod error;
mod exceptions;
mod labels;
mod nesting;
mod survey;

pub use error::LoadError;

/// The longest module, in bytes.
pub const MODULE_MOST: usize = 32 << 20;

/// Begins the names that the loader gives out.
pub(super) const RESERVED: &str = "mainstay:";
/// Mutable globals: this and their index.
pub(super) const GLOBALS: &str = "mainstay:global:";
/// Tables that the code changes: this and their index.
pub(super) const TABLES: &str = "mainstay:table:";
/// Functions that such tables can hold: this and their index.
pub(super) const FUNCTIONS: &str = "mainstay:function:";
/// The start function, which is run once for a process and not for each instance of its module.
pub(super) const START: &str = "mainstay:start";
/// The memory.
pub(super) const MEMORY: &str = "mainstay:memory";

/// Checks the module `bytes` and brings it into the form that the engine takes. `is_provided` says whether an import of this
/// module and name is there.
pub(super) fn prepare(bytes: &[u8], is_provided: impl Fn(&str, &str) -> bool) -> Result<Vec<u8>, LoadError> {
    if bytes.len() > MODULE_MOST {
        return Err(LoadError::TooLarge { size: bytes.len(), most: MODULE_MOST });
    }
    let survey = survey::Survey::of(bytes, is_provided)?;
    assemble::assemble(bytes, &survey)
}
