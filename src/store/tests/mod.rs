//! The store as a whole.

mod archives;
mod behaviour;
mod beside;
mod disk;
mod faults;
mod full_disk;
mod helper;
mod model;
mod snapshots;
