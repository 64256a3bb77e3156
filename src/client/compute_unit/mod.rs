//! AO compute units: who computes processes that another network hosts.

mod outcome;
mod page;
mod parts;
mod unit;

pub use outcome::RemoteOutcome;
pub use page::{CronPage, CronResult};
pub use unit::{ComputeUnit, ComputeUnitError};
