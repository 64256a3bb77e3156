//! The actors in virtual time, over a store in memory and devices that do what they are told.

mod alert_memory;
mod alerts;
mod base_ends;
mod bases;
mod cron;
mod deaths;
mod frozen;
mod group_monitor;
mod health;
mod inside;
mod letters;
mod life;
mod monitors;
mod outages;
mod outside;
mod places;
mod posting;
mod pushing;
mod recursion;
mod rig;
mod rivals;
mod sharing;
mod soak;
mod spawning;
mod verifying;
mod waiting;
mod watching;

pub(super) use rig::bare;
