//! Bases and trials: loaded, tried on, moved on.

mod crashing;
mod facts;
mod loading;
mod log;
mod past;
mod silence;
mod steering;
mod trying;
