//! The actors in virtual time, over a store in memory and devices that do what they are told.

mod deaths;
mod life;
mod outages;
mod places;
mod rig;
mod rivals;
mod waiting;
