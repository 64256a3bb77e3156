//! Names under which equal executions join, and who holds them.

mod registrations;

pub use registrations::{Held, Incarnation, Registrations};
