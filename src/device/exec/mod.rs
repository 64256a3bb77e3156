//! The exec device: any program, kept as a child host process, that is spoken to by JSON-RPC 2.0 in lines.
//!
//! [`ExecFactory`] makes devices of what the node's programs share ([`ExecHost`]). `device` takes a slot from the note of its
//! attempt (`note`) to its outcome; `session` is a program that knows its process; `child` is the host process,
//! `talk` a request and its answer (`rpc`, `lines`), `stderr` what it says besides. `family` is a process group of the system;
//! [`launch`] is what runs before a program does, [`guard`] what outlives the node to end them, `guardian` the way to it.
//!
//! A call waits and computes nothing, so it runs on a thread of its own lane and holds no compute thread.

mod child;
mod device;
mod factory;
mod family;
pub mod guard;
mod guardian;
mod host;
pub mod launch;
pub mod lines;
pub mod note;
mod pause;
pub mod rpc;
mod session;
mod stderr;
mod talk;

#[cfg(test)]
mod tests;

pub use factory::ExecFactory;
pub(super) use factory::check;
pub use host::{ExecHost, ExecOptions};
