//! The kernel's own word: the process connector, and its records of ends.

mod backend;
mod losses;
mod netlink;
mod records;
mod socket;
mod wire;

pub use backend::Connector;
