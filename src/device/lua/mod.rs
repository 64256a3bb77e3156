//! The Lua device: Lua 5.4 scripts in a sandbox whose results are a function of the log alone.
//!
//! [`LuaFactory`] makes devices. `device` runs one call from start to end; `vm` is the script in its sandbox, which `prelude/`
//! builds from `native` (on Lua's own interface) and `library` (on the safe one); `source` is a script's text on its way to
//! the compiler; `codec` is the state as bytes, and `json` those bytes as JSON; `message` is
//! a message as a table; [`pattern`] is Lua's pattern matching.

mod codec;
mod device;
mod factory;
mod json;
mod library;
mod message;
mod native;
pub mod pattern;
mod source;
mod vm;

#[cfg(test)]
mod tests;

pub use factory::LuaFactory;
pub(super) use factory::check;
