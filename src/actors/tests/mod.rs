//! The actors in virtual time, over a store in memory and devices that do what they are told.

mod base_ends;
mod bases;
mod deaths;
mod group_monitor;
mod life;
mod outages;
mod places;
mod recursion;
mod rig;
mod rivals;
mod sharing;
mod soak;
mod waiting;
