//! The store as a whole.

mod behaviour;
mod disk;
mod faults;
mod full_disk;
mod helper;
mod model;
