//! Lua 5.4's patterns over byte strings, on a matcher that spends gas.
//!
//! What matches, what is captured and how a bad pattern is refused is as in Lua's own string library, byte by byte. That
//! library runs in C, where no instruction hook fires; here each step of the matcher costs a unit of gas, so a pattern that
//! would run for hours ends where its gas does. The gas of a call is a function of its arguments alone.
//!
//! [`find`] serves `string.find` and `string.match`, [`find_plain`] the plain `string.find`, [`Matches`] `string.gmatch`
//! and, with a [`Substitution`], `string.gsub`.

mod class;
mod error;
mod found;
mod fuel;
mod matcher;
mod search;
mod substitution;

#[cfg(test)]
mod tests;

pub use error::PatternError;
pub use found::{Capture, Found};
pub use fuel::{Exhausted, Fuel};
pub use search::{Matches, find, find_plain, has_specials};
pub use substitution::Substitution;
