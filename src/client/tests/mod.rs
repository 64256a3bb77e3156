//! The client against a server that does as it is told.

mod compute_unit;
mod http;
mod node;
mod receiver;
pub(crate) mod server;
