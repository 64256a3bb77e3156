//! `[node]`, `[log]` and `[store]`.

use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::kind::{self, Kind, Mismatch};
use super::origin::Origin;
use super::reader::Table;

/// `[node]`: who the node is and where its data lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// What the node calls itself.
    pub name: String,
    /// The folder of everything that the node stores.
    pub data_dir: PathBuf,
    /// How long running work may take to end when the node stops.
    pub shutdown_grace: Duration,
}

impl NodeConfig {
    pub(super) fn read(table: &mut Table<'_, '_>, origin: &Origin) -> Self {
        Self {
            name: table.optional("name", kind::name()).unwrap_or_else(host_name),
            data_dir: match table.optional("data_dir", kind::path()) {
                Some(path) => origin.resolve(path),
                None => origin.default_data_dir(),
            },
            shutdown_grace: table.or("shutdown_grace", Duration::from_secs(10), kind::duration(Duration::ZERO)),
        }
    }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Several lines an event, coloured, for a person.
    Pretty,
    /// One line an event, for a person.
    Compact,
    /// One JSON object an event.
    Json,
}

impl LogFormat {
    /// The format's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Compact => "compact",
            Self::Json => "json",
        }
    }
}

/// `[log]`: what is logged to standard output, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The format; if none is given, [`LogFormat::Pretty`] on a terminal and [`LogFormat::Json`] elsewhere.
    pub format: Option<LogFormat>,
    /// Which events are logged, as a filter that [`EnvFilter`] takes.
    pub filter: String,
}

impl LogConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        const FORMATS: &[LogFormat] = &[LogFormat::Pretty, LogFormat::Compact, LogFormat::Json];
        Self {
            format: table.optional("format", kind::one_of(FORMATS, LogFormat::as_str)),
            filter: table.or("filter", "info".to_owned(), filter()),
        }
    }
}

fn filter() -> Kind<'static, String> {
    kind::parsed(r#"a filter such as "info,store=debug""#, |text| {
        EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(Mismatch::because)
    })
}

/// `[store]`: what the store keeps. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Free space of the disk below which nothing new is taken in.
    pub disk_reserve: u64,
    /// Snapshots that each process keeps.
    pub snapshots_kept: usize,
}

impl StoreConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            disk_reserve: table.or("disk_reserve", 64 << 20, kind::size(0)),
            snapshots_kept: table.or("snapshots_kept", 2, kind::positive()),
        }
    }
}
