//! Mainstay hosts long-lived, message-driven processes with a durable log each.
//!
//! The modules stand on floors; each uses its own floor and those below it. `ARCHITECTURE.md` draws the house.

pub mod clock;
pub mod config;
pub mod ids;
pub mod logging;
pub mod metrics;
pub mod group;
pub mod process;
pub mod supervise;
pub mod device;
pub mod store;
pub mod actors;
pub mod http;
