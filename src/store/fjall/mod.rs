//! The engine on disk: `fjall`, and what this project has to know of its files.

mod engine;
mod journal;
mod manifest;

pub use engine::Fjall;
