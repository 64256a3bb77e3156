//! The remote device: another node computes, or an AO compute unit, and this node keeps the log.
//!
//! [`RemoteFactory`] makes devices over what all of them share (`host`). `device` takes a slot to its outcome; `node` is how a
//! node is asked for it, `unit` how a compute unit is, and `refusal` what it means when they have none to give.
//!
//! A call waits and computes nothing, so it runs on a thread of its own lane and holds no compute thread.

mod device;
mod factory;
mod host;
mod node;
mod refusal;
mod unit;

#[cfg(test)]
mod tests;

pub use factory::RemoteFactory;
pub(super) use factory::check;
