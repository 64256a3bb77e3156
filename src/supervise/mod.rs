//! When to try again, when to stop trying so fast, and what is well.

mod backoff;
mod health;
mod pulse;
mod restarts;

pub use backoff::Backoff;
pub use health::{Change, Health, HealthStatus, HealthView, Verdict};
pub use pulse::{AtWork, Pulse, deadline};
pub use restarts::Restarts;
