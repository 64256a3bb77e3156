//! Mainstay hosts long-lived, message-driven processes with a durable log each.
//!
//! The modules stand on floors; each uses its own floor and those below it. `ARCHITECTURE.md` draws the house.

pub mod actors;
pub mod alert;
pub mod cli;
pub mod client;
pub mod clock;
pub mod compact;
pub mod config;
pub mod cron;
pub mod device;
pub mod export;
pub mod glob;
pub mod group;
pub mod host;
pub mod http;
pub mod ids;
pub mod logging;
pub mod metrics;
pub mod monitor;
pub mod node;
pub mod process;
pub mod push;
pub mod stats;
pub mod store;
pub mod supervise;
pub mod tag;
pub mod units;
