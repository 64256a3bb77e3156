//! Makes exec devices.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::device::{ExecDevice, info};
use super::host::ExecHost;
use super::session::Role;
use crate::config::Command;
use crate::config::limits::Limits;
use crate::device::{Device, DeviceError, DeviceFactory, DeviceInfo, Interrupt, Mode, Ping};
use crate::ids::ProcessId;
use crate::process::{Definition, DeviceKind};

/// The longest state, whatever the limit says: it is part of the commit of its outcome, and commits have an end.
const STATE_MOST: u64 = 64 << 20;

/// Makes devices that run programs. Clones share their host.
#[derive(Clone, Debug)]
pub struct ExecFactory {
    host: ExecHost,
}

impl ExecFactory {
    /// Devices whose programs run from `host`.
    pub fn new(host: ExecHost) -> Self {
        Self { host }
    }
}

impl DeviceFactory for ExecFactory {
    /// Starts nothing: a program is started by the first call.
    fn create(
        &self,
        process: &ProcessId,
        definition: &Definition,
        source: &[u8],
        interrupt: Interrupt,
        mode: Mode,
    ) -> Result<Box<dyn Device>, DeviceError> {
        let role = Role {
            host: self.host.clone(),
            process: process.clone(),
            command: command(source)?,
            limits: Limits { state_size: definition.limits.state_size.min(STATE_MOST), ..definition.limits.clone() },
            tags: definition.specification.tags.clone().into(),
            interrupt,
            is_own: mode != Mode::Trial,
        };
        Ok(Box::new(ExecDevice::new(role)))
    }

    fn check(&self, _: &DeviceKind, source: &[u8]) -> Result<(), DeviceError> {
        check(source)
    }

    fn info(&self, _: DeviceKind) -> DeviceInfo {
        info()
    }

    fn ping(&self, _: DeviceKind, process: &ProcessId, time: Duration) -> Ping {
        self.host.ping(process, time)
    }
}

/// Looks whether the program is there, as far as that can be told without running it.
pub(in crate::device) fn check(source: &[u8]) -> Result<(), DeviceError> {
    let command = command(source)?;
    let program = command.command.first().map(String::as_str).unwrap_or_default();
    if !command.directory.is_dir() {
        let text = format!("`directory`: there is no folder {}", command.directory.display());
        return Err(DeviceError::Load(text));
    }
    if program.contains('/') {
        let path = command.directory.join(program);
        return if path.is_file() { Ok(()) } else { Err(missing(program, &path.display().to_string())) };
    }
    let path = command.environment.get("PATH").map(String::as_str).unwrap_or_default();
    let mut folders = path.split(':').map(|folder| command.directory.join(folder));
    if folders.any(|folder: PathBuf| folder.join(Path::new(program)).is_file()) {
        return Ok(());
    }
    Err(missing(program, &format!("PATH {path}")))
}

fn command(source: &[u8]) -> Result<Command, DeviceError> {
    let command: Command = serde_json::from_slice(source)
        .map_err(|error| DeviceError::Load(format!("the definition holds no command: {error}")))?;
    match command.command.first() {
        Some(program) if !program.is_empty() => Ok(command),
        _ => Err(DeviceError::Load("the definition's command names no program".to_owned())),
    }
}

fn missing(program: &str, place: &str) -> DeviceError {
    DeviceError::Load(format!("program {program:?} is not at {place}"))
}
