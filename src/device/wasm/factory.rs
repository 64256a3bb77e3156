//! Makes WebAssembly devices.

use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::{ExternType, Linker, Module};

use super::compiled::Compiled;
use super::device::{Program, WasmDevice, info};
use super::engine::{EngineError, NodeEngine};
use super::host;
use super::load::{LoadError, MEMORY, prepare};
use super::text::process_tags;
use crate::device::{Device, DeviceError, DeviceFactory, DeviceInfo, Interrupt, Mode};
use crate::ids::ProcessId;
use crate::process::{Definition, DeviceKind};

/// Bytes of a memory's page.
const PAGE: u64 = 64 << 10;

/// Makes devices that run WebAssembly modules.
pub struct WasmFactory {
    engine: Arc<NodeEngine>,
    compiled: Compiled,
}

impl WasmFactory {
    /// Sets up the engine. Compiled modules are kept in `folder`; without one they are compiled anew by each node.
    pub fn start(folder: Option<PathBuf>) -> Result<Self, EngineError> {
        Ok(Self { engine: Arc::new(NodeEngine::start()?), compiled: Compiled::new(folder) })
    }
}

/// The module `source` as the engine gets it: valid, with exceptions in the standard form and what a snapshot holds exported.
pub fn rewritten(source: &[u8]) -> Result<Vec<u8>, LoadError> {
    prepare(source, host::is_provided)
}

/// Whether `source` is a module that is taken.
pub(in crate::device) fn check(source: &[u8]) -> Result<(), DeviceError> {
    rewritten(source).map(drop).map_err(|error| DeviceError::Load(error.to_string()))
}

impl DeviceFactory for WasmFactory {
    fn create(
        &self,
        process: &ProcessId,
        definition: &Definition,
        source: &[u8],
        interrupt: Interrupt,
        _: Mode,
    ) -> Result<Box<dyn Device>, DeviceError> {
        let load = |error: &dyn std::fmt::Display| DeviceError::Load(error.to_string());
        let hash = definition.specification.source;
        let used = self.compiled.get(&self.engine, hash, source, host::is_provided);
        let used = used.map_err(|error| load(&error))?;
        let (is_wide, least) = memory(&used.module);
        let most = definition.limits.memory;
        if least > most {
            return Err(load(&format!("limit memory: the module begins with {least} bytes, and may have {most}")));
        }
        let mut linker = Linker::new(self.engine.engine());
        host::link(&mut linker, &used.module).map_err(|error| load(&format!("{error:#}")))?;
        let linked = linker.instantiate_pre(&used.module).map_err(|error| load(&format!("{error:#}")))?;
        Ok(Box::new(WasmDevice::new(Program {
            process: process.clone(),
            engine: self.engine.clone(),
            hash,
            _module: used,
            linked,
            is_wide,
            limits: definition.limits.clone(),
            tags: process_tags(&definition.specification.tags, &hash),
            interrupt,
        })))
    }

    fn check(&self, _: &DeviceKind, source: &[u8]) -> Result<(), DeviceError> {
        check(source)
    }

    fn info(&self, _: DeviceKind) -> DeviceInfo {
        info()
    }
}

/// Whether a module's pointers have 64 bits, and the bytes that its memory begins with.
fn memory(module: &Module) -> (bool, u64) {
    match module.get_export(MEMORY) {
        Some(ExternType::Memory(memory)) => (memory.is_64(), memory.minimum().saturating_mul(PAGE)),
        _ => (false, 0),
    }
}
