//! Cron expressions: their text, and the sets of times that it names.

mod fields;
mod parse;

pub(super) use fields::{DAY, Fields};
pub use parse::Expression;
