//! The map of host processes, as a pure state machine: observations and snapshots in, [`HostEvent`](super::HostEvent)s out.

mod entry;
mod graves;
#[cfg(test)]
mod tests;
mod track;

pub use track::{Look, Table, Tracker};
