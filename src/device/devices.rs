//! Every kind of device behind one face.

use std::path::PathBuf;
use std::time::Duration;

use super::exec::{ExecFactory, ExecHost};
use super::lua::LuaFactory;
use super::remote::RemoteFactory;
use super::wasm::{EngineError, WasmFactory};
use super::{Device, DeviceError, DeviceFactory, DeviceInfo, Interrupt, Mode, Ping};
use crate::client::Peers;
use crate::group::WaitTable;
use crate::ids::ProcessId;
use crate::process::{Definition, DeviceKind};

/// Makes devices of every kind.
pub struct Devices {
    lua: LuaFactory,
    wasm: WasmFactory,
    exec: ExecFactory,
    remote: RemoteFactory,
}

impl Devices {
    /// Sets up the engines. Compiled modules are kept in the folder `compiled`; without one they are compiled by each node
    /// anew. Programs run from `host`. In `waits` is who waits for what is computed elsewhere, in `peers` who is asked for that
    /// with a token.
    pub fn start(
        compiled: Option<PathBuf>,
        host: ExecHost,
        waits: WaitTable,
        peers: Peers,
    ) -> Result<Self, EngineError> {
        let (exec, remote) = (ExecFactory::new(host), RemoteFactory::new(waits, peers));
        Ok(Self { lua: LuaFactory, wasm: WasmFactory::start(compiled)?, exec, remote })
    }

    fn of(&self, kind: DeviceKind) -> &dyn DeviceFactory {
        match kind {
            DeviceKind::Lua => &self.lua,
            DeviceKind::Wasm => &self.wasm,
            DeviceKind::Exec => &self.exec,
            DeviceKind::Remote => &self.remote,
        }
    }
}

impl DeviceFactory for Devices {
    fn create(
        &self,
        process: &ProcessId,
        definition: &Definition,
        source: &[u8],
        interrupt: Interrupt,
        mode: Mode,
    ) -> Result<Box<dyn Device>, DeviceError> {
        self.of(definition.specification.device).create(process, definition, source, interrupt, mode)
    }

    fn check(&self, kind: &DeviceKind, source: &[u8]) -> Result<(), DeviceError> {
        self.of(*kind).check(kind, source)
    }

    fn info(&self, kind: DeviceKind) -> DeviceInfo {
        self.of(kind).info(kind)
    }

    fn ping(&self, kind: DeviceKind, process: &ProcessId, time: Duration) -> Ping {
        self.of(kind).ping(kind, process, time)
    }
}
