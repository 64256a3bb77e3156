//! Every kind of device behind one face.

use std::path::PathBuf;
use std::time::Duration;

use super::exec::{self, ExecFactory, ExecHost};
use super::lua::{self, LuaFactory};
use super::remote::{self, RemoteFactory};
use super::wasm::{self, EngineError, WasmFactory};
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

/// Whether `source` can be code of a device of this kind at all, as [`DeviceFactory::check`] says. Nothing is set up for it.
///
/// # Errors
/// [`DeviceError::Load`], which says why it cannot.
pub fn check_code(kind: DeviceKind, source: &[u8]) -> Result<(), DeviceError> {
    match kind {
        DeviceKind::Lua => lua::check(source),
        DeviceKind::Wasm => wasm::check(source),
        DeviceKind::Exec => exec::check(source),
        DeviceKind::Remote => remote::check(source),
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
        check_code(*kind, source)
    }

    fn info(&self, kind: DeviceKind) -> DeviceInfo {
        self.of(kind).info(kind)
    }

    fn ping(&self, kind: DeviceKind, process: &ProcessId, time: Duration) -> Ping {
        self.of(kind).ping(kind, process, time)
    }
}
