//! What decides how messages leave: in which order, when again, when no more, under which name, and how far a chain may go.

pub mod chain;
mod congestion;
mod gates;
mod lane;
mod names;
mod pushing;
mod route;
mod source;
mod timers;
mod trouble;
mod types;

pub use chain::{ChainLimits, Refused};
pub use congestion::Congestion;
pub use names::{child_id, message_id};
pub use pushing::Pushing;
pub use route::Routes;
pub use types::{Destination, Effect, Failure, Found, Note, PushOptions, Target};
