//! The WebAssembly device: core modules with the AO module interface, whose results are a function of the log alone.
//!
//! [`WasmFactory`] makes devices. A module's bytes go through `load` (validated, brought into the form that the engine takes,
//! what it holds made visible from outside) and `compiled` (machine code, kept on disk); `instance` is one module at work,
//! with `host` for what it imports and `limiter` for how far it may grow; `abi` is how a message comes in and an answer out,
//! in `text` and `answer`; `state` is what a process keeps, as bytes, and `touched` saves looks at empty memory; `device` runs one call from start to end.

mod abi;
mod answer;
mod compiled;
mod device;
mod engine;
mod factory;
mod host;
mod instance;
mod limiter;
mod load;
mod state;
mod text;
mod ticker;
mod touched;

#[cfg(test)]
mod tests;

pub use engine::EngineError;
pub(super) use factory::check;
pub use factory::{WasmFactory, rewritten};
pub use load::{LoadError, MODULE_MOST};
