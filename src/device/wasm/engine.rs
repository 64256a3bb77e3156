//! The engine of a node: how modules are compiled and run, the same for all.

use std::hash::{DefaultHasher, Hash, Hasher};

use wasmtime::{Collector, Config, Engine};

use super::ticker::{AtWork, Ticker};
use super::touched::PageMap;

/// How deep calls may nest within a module, in bytes of stack. Compute threads have some times as much.
pub(super) const STACK_MOST: usize = 1 << 20;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// This machine does not run compiled modules.
    #[error("the WebAssembly engine cannot be set up on this machine: {0}")]
    Setup(String),
    /// No thread is to be had.
    #[error("the thread that watches over WebAssembly calls cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The engine and what watches over its running calls.
pub(super) struct NodeEngine {
    engine: Engine,
    ticker: Ticker,
    fingerprint: u64,
    pages: PageMap,
}

impl NodeEngine {
    /// Sets the engine up. What it runs yields the same on every machine: no threads, no instructions whose results are up to
    /// the hardware, one form of NaN.
    pub(super) fn start() -> Result<Self, EngineError> {
        let mut config = Config::new();
        config
            .consume_fuel(true)
            .epoch_interruption(true)
            .cranelift_nan_canonicalization(true)
            .max_wasm_stack(STACK_MOST)
            .collector(Collector::DeferredReferenceCounting)
            .generate_address_map(false)
            // What a memory holds that was never written to must be zeros.
            .memory_init_cow(false)
            .wasm_memory64(true)
            .wasm_exceptions(true)
            .wasm_gc(false)
            .wasm_function_references(false)
            .wasm_multi_memory(false)
            .wasm_relaxed_simd(false);
        let engine = Engine::new(&config).map_err(|error| EngineError::Setup(format!("{error:#}")))?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        name().hash(&mut hasher);
        let ticked = engine.clone();
        let ticker = Ticker::start(move || ticked.increment_epoch())?;
        Ok(Self { engine, ticker, fingerprint: hasher.finish(), pages: PageMap::open() })
    }

    /// The engine itself.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Has running calls look up from time to time until the answer is dropped.
    pub(super) fn at_work(&self) -> AtWork<'_> {
        self.ticker.at_work()
    }

    /// The system's view of memories.
    pub(super) fn pages(&self) -> &PageMap {
        &self.pages
    }

    /// Differs for engines that do not understand each other's compiled modules, and for loaders that make others of them.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// The engine's name and version, as definitions record it. The second number is that of what modules are provided with and
/// how they are rewritten: it changes with what they can see of either.
pub(super) fn name() -> String {
    format!("wasmtime {VERSION}, host 1")
}

/// The version of the engine that is built in. It tells none itself.
const VERSION: &str = "48.0.8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_built_in() {
        let locked = format!("name = \"wasmtime\"\nversion = \"{VERSION}\"\n");
        assert!(
            include_str!("../../../Cargo.lock").contains(&locked),
            "Cargo.lock has another wasmtime than {VERSION}"
        );
    }
}
