//! Names under which equal executions join, who holds them, and who waits for whom.

pub mod base_line;
mod chain;
mod grouper;
mod outward;
mod registrations;
mod report;
mod waits;

pub use chain::{Chain, ChainError};
pub use grouper::{Asked, BaseName, Group, Grouper, StateName};
pub use outward::{Outward, trials_of};
pub use registrations::{Ended, Found, Held, Incarnation, Member, NotRenamed, Registrations};
pub use report::{Changes, GroupStatus, Report};
pub use waits::{Circle, WaitGraph, WaitGuard, WaitTable};
