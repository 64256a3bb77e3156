//! The HTTP face: wire types, routes, refusals. It knows the hub and no store.

mod bodies;
mod chain;
mod error;
mod events;
mod face;
mod groups;
mod guard;
mod hang_up;
mod health;
mod metrics;
mod modules;
mod monitor_wire;
mod monitors;
mod processes;
mod query;
mod server;
mod timing;
mod wire;

pub use error::ApiError;
pub use face::{Face, Observed};
pub use server::{app, serve};
