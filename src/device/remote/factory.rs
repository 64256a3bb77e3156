//! Makes remote devices.

use super::device::{RemoteDevice, Role, info};
use super::host::RemoteHost;
use crate::client::{Endpoint, Peers};
use crate::config::Remote;
use crate::device::{Device, DeviceError, DeviceFactory, DeviceInfo, Interrupt, Mode};
use crate::group::WaitTable;
use crate::ids::ProcessId;
use crate::process::{Definition, DeviceKind};

/// Makes devices for what is computed elsewhere. Clones share their connections.
#[derive(Clone, Debug)]
pub struct RemoteFactory {
    host: RemoteHost,
}

impl RemoteFactory {
    /// Devices that know in `waits` who waits for them, and in `peers` who is asked with a token. Nothing is started.
    pub fn new(waits: WaitTable, peers: Peers) -> Self {
        Self { host: RemoteHost::new(waits, peers) }
    }
}

impl DeviceFactory for RemoteFactory {
    /// Asks nobody: the first call does.
    fn create(
        &self,
        process: &ProcessId,
        definition: &Definition,
        source: &[u8],
        interrupt: Interrupt,
        _: Mode,
    ) -> Result<Box<dyn Device>, DeviceError> {
        let role = Role {
            host: self.host.clone(),
            process: process.clone(),
            remote: remote(source)?,
            limits: definition.limits.clone(),
            interrupt,
        };
        Ok(Box::new(RemoteDevice::new(role)))
    }

    /// Looks whether the address can be asked, without asking it.
    fn check(&self, _: &DeviceKind, source: &[u8]) -> Result<(), DeviceError> {
        check(source)
    }

    fn info(&self, _: DeviceKind) -> DeviceInfo {
        info()
    }
}

/// Whether `source` names an address that can be asked.
pub(in crate::device) fn check(source: &[u8]) -> Result<(), DeviceError> {
    remote(source).map(drop)
}

fn remote(source: &[u8]) -> Result<Remote, DeviceError> {
    let remote: Remote = serde_json::from_slice(source)
        .map_err(|error| DeviceError::Load(format!("the definition names no place to compute at: {error}")))?;
    Endpoint::parse(&remote.url).map_err(|error| DeviceError::Load(format!("`url`: {error}")))?;
    Ok(remote)
}
