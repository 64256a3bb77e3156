//! What a process is sent by the clock, and when: entries, their due times, and the cursor that remembers what was handled.
//!
//! ```text
//! text, JSON, AO's tags → Entry → Plan + Cursor + now → Due (ticks, the next cursor)
//! ```
//!
//! An entry that exists is valid: texts are checked on the way in. Time comes in as Unix milliseconds, nothing here waits.
//! However long a gap is, the work is bounded: ticks are counted, not walked over.

mod ao;
mod cursor;
mod entry;
mod error;
mod expression;
mod form;
mod interval;
mod plan;
mod wall;
mod zone;

#[cfg(test)]
mod tests;

pub use ao::{from_tags, of_process};
pub use cursor::Cursor;
pub use entry::{Entry, EntryHash, Missed, Schedule, check, tick_id};
pub use error::CronError;
pub use expression::Expression;
pub use form::{AtForm, EntryForm};
pub use interval::Interval;
pub use plan::{Due, Plan, Tick};
pub use zone::Zone;
