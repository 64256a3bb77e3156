//! Bases, trials and verifications: loaded, tried on, moved on, computed again.

mod answered;
mod crashing;
mod facts;
mod faulty;
mod loading;
mod log;
pub(super) mod made;
mod past;
mod restoring;
mod silence;
mod steering;
mod trying;
mod verifying;
