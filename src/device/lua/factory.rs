//! Makes Lua devices.

use super::device::{LuaDevice, Script, info};
use super::vm;
use crate::device::{Device, DeviceError, DeviceFactory, DeviceInfo, Interrupt, Mode};
use crate::ids::ProcessId;
use crate::process::{Definition, DeviceKind};

/// Makes devices that run Lua scripts.
#[derive(Clone, Copy, Debug, Default)]
pub struct LuaFactory;

impl DeviceFactory for LuaFactory {
    fn create(
        &self,
        process: &ProcessId,
        definition: &Definition,
        source: &[u8],
        interrupt: Interrupt,
        mode: Mode,
    ) -> Result<Box<dyn Device>, DeviceError> {
        let script = Script {
            process: process.clone(),
            source: source.into(),
            limits: definition.limits.clone(),
            tags: definition.specification.tags.clone(),
            interrupt,
        };
        Ok(Box::new(LuaDevice::new(script, mode)?))
    }

    fn check(&self, _: &DeviceKind, source: &[u8]) -> Result<(), DeviceError> {
        check(source)
    }

    fn info(&self, _: DeviceKind) -> DeviceInfo {
        info()
    }
}

/// Whether `source` is a script.
pub(in crate::device) fn check(source: &[u8]) -> Result<(), DeviceError> {
    vm::compile(source).map_err(|error| DeviceError::Load(error.to_string()))
}
