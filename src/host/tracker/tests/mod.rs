//! The tracker, by tables and by property.

mod looks;
mod property;
mod rules;
mod world;
