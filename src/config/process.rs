//! `[[process]]`.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::cron;
use super::kind::{self, Kind, Mismatch};
use super::limits::LimitOverrides;
use super::origin::Origin;
use super::reader::{Table, in_one_line};
use super::remote::Remote;
use crate::cron::Entry;
use crate::ids::ProcessId;
use crate::tag::Tag;

/// The kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A Lua script.
    Lua,
    /// A WebAssembly module.
    Wasm,
    /// A program of its own, kept as a child host process.
    Exec,
    /// Another node or a compute unit.
    Remote,
}

impl DeviceKind {
    /// Every kind.
    const ALL: &'static [Self] = &[Self::Lua, Self::Wasm, Self::Exec, Self::Remote];

    /// The kinds that anybody may name.
    pub const NAMES: &'static [&'static str] = &["lua", "wasm"];

    /// Kinds that only the configuration may name, never a request or a spawn.
    pub const OPERATOR_ONLY: &'static [&'static str] = &["exec", "remote"];

    /// The kind called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|kind| kind.as_str() == name).copied()
    }

    /// Whether its calls wait for somebody else, so that they need no compute thread.
    pub fn computes_outside(self) -> bool {
        matches!(self, Self::Exec | Self::Remote)
    }

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lua => "lua",
            Self::Wasm => "wasm",
            Self::Exec => "exec",
            Self::Remote => "remote",
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a failed slot does to the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorStrategy {
    /// The error is the slot's outcome, and the next slot is computed.
    #[default]
    Ignore,
    /// The process halts before the slot until an operator resumes it.
    Throw,
}

impl ErrorStrategy {
    /// The strategy's name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Throw => "throw",
        }
    }

    pub(super) fn kind() -> Kind<'static, Self> {
        kind::one_of(&[Self::Ignore, Self::Throw], Self::as_str)
    }
}

/// The code of a process: a file, and what was in it when the configuration was read. For the device `exec` a
/// [`Command`] as JSON, for `remote` a [`Remote`].
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it was read from. For the embedded configuration that is only a name.
    pub path: PathBuf,
    /// The file's bytes.
    pub text: Arc<[u8]>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).field("bytes", &self.text.len()).finish()
    }
}

/// `[[process]]`: a process that the node hosts from its start on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Its id; no other entry has the same.
    pub id: ProcessId,
    /// What computes it.
    pub device: DeviceKind,
    /// Its code.
    pub source: Source,
    /// Names and texts, in the order of the file.
    pub tags: Vec<Tag>,
    /// The limits it sets itself.
    pub limits: LimitOverrides,
    /// What a failed slot does, where it says so.
    pub error_strategy: Option<ErrorStrategy>,
    /// What the clock sends it, those entries included that its tags spell, as [`of_process`](crate::cron::of_process)
    /// makes it.
    pub cron: Vec<Entry>,
}

/// Reads a source file.
pub(super) type ReadSource<'a> = dyn Fn(&Path) -> io::Result<Vec<u8>> + 'a;

/// Whether bytes can be code of a device of this kind; if not, why.
pub type CheckCode<'a> = dyn Fn(DeviceKind, &[u8]) -> Result<(), String> + 'a;

impl ProcessConfig {
    /// Code is only looked at where nothing else is wrong with its process.
    pub(super) fn read_all(
        root: &mut Table<'_, '_>,
        origin: &Origin,
        sources: &ReadSource<'_>,
        code: &CheckCode<'_>,
    ) -> Vec<Self> {
        let mut ids = HashMap::new();
        let read = |table: &mut Table<'_, '_>| {
            let id = table.required("id", process_id());
            table.unique("id", id.as_ref(), &mut ids);
            let device = table.required("device", kind::one_of(DeviceKind::ALL, DeviceKind::as_str));
            let source = read_source(table, device, origin, sources);
            let tags = read_tags(table);
            let limits = table.section("limits", LimitOverrides::read);
            let error_strategy = table.optional("error_strategy", ErrorStrategy::kind());
            let cron = cron::read_all(table, &tags);
            let (device, source) = (device?, source?);
            if table.is_good()
                && let Err(why) = code(device, &source.text)
            {
                let found = in_one_line(&format!("{}: {why}", source.path.display()));
                table.problem(code_key(Some(device)), found, format!("code for device {device}"));
            }
            Some(Self { id: id?, device, source, tags, limits, error_strategy, cron })
        };
        root.tables("process", read).into_iter().flatten().collect()
    }
}

/// The key of what `device` runs: the file `source`, for a program its `command`, for what is computed elsewhere its `url`.
fn code_key(device: Option<DeviceKind>) -> &'static str {
    match device {
        Some(DeviceKind::Exec) => "command",
        Some(DeviceKind::Remote) => "url",
        _ => "source",
    }
}

fn read_source(
    table: &mut Table<'_, '_>,
    device: Option<DeviceKind>,
    origin: &Origin,
    sources: &ReadSource<'_>,
) -> Option<Source> {
    let needed = code_key(device);
    for other in ["source", "command", "url"].into_iter().filter(|key| *key != needed) {
        if let Some(device) = device.filter(|_| table.has(other)) {
            table.problem(other, "a key that this device has no use for", format!("`{needed}` for device {device}"));
        }
    }
    match device {
        Some(DeviceKind::Exec) => Command::read(table, origin),
        Some(DeviceKind::Remote) => Remote::read(table),
        _ => table.required("source", source_file(origin, sources)),
    }
}

pub(super) fn process_id() -> Kind<'static, ProcessId> {
    kind::parsed("an id of 1 to 64 characters of A-Z, a-z, 0-9, _ and -", |text| {
        ProcessId::parse(text).map_err(|_| Mismatch::default())
    })
}

fn source_file<'k>(origin: &'k Origin, sources: &'k ReadSource<'k>) -> Kind<'k, Source> {
    kind::parsed("the path of a file that can be read", |text| {
        if text.is_empty() {
            return Err(Mismatch::default());
        }
        let path = origin.resolve(text);
        let bytes = sources(&path).map_err(|error| Mismatch::because(format!("{}: {error}", path.display())))?;
        Ok(Source { path, text: bytes.into() })
    })
}

/// `tags`, which is a table of texts, or a list of tables with `name` and `value` where a name comes twice.
pub(super) fn read_tags(table: &mut Table<'_, '_>) -> Vec<Tag> {
    if !table.is_list("tags") {
        return table.map("tags", kind::text()).into_iter().map(|(name, value)| Tag { name, value }).collect();
    }
    let read = |table: &mut Table<'_, '_>| {
        let name = table.required("name", kind::text_where("a text that is not empty", |text| !text.is_empty()));
        let value = table.required("value", kind::text());
        Some(Tag { name: name?, value: value? })
    };
    table.tables("tags", read).into_iter().flatten().collect()
}
