//! From a file to a [`Config`].

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::alert::AlertsConfig;
use super::health::HealthConfig;
use super::http::HttpConfig;
use super::limits::NodeLimits;
use super::metrics::{AnomalyConfig, MetricsConfig};
use super::node::{LogConfig, NodeConfig, StoreConfig};
use super::origin::Origin;
use super::peer::PeerConfig;
use super::problem::{ConfigError, Place, Problem};
use super::process::{CheckCode, DeviceKind, ProcessConfig, ReadSource};
use super::push::{MonitorConfig, PushConfig, RouteConfig};
use super::reader::{self, Table};
use super::units;
use super::watch::WatchConfig;
use super::workers::WorkersConfig;

/// The file that is taken when none is named and it exists.
pub const DEFAULT_PATH: &str = "./config/mainstay.toml";

/// The configuration in the binary, which is taken when there is no file.
pub const SHIPPED: &str = include_str!("../../config/mainstay.toml");

/// The source files and rule files that [`SHIPPED`] names.
const SHIPPED_SOURCES: &[(&str, &[u8])] = &[
    ("./config/processes/counter.lua", include_bytes!("../../config/processes/counter.lua")),
    ("./config/processes/heartbeat.lua", include_bytes!("../../config/processes/heartbeat.lua")),
    ("./config/processes/ledger.lua", include_bytes!("../../config/processes/ledger.lua")),
    ("./config/alerts.yaml", include_bytes!("../../config/alerts.yaml")),
];

/// The longest configuration file, in bytes.
const LONGEST_CONFIG: u64 = 4 << 20;

/// The longest source file, in bytes.
const LONGEST_SOURCE: u64 = 16 << 20;

/// Everything that is configured. [`Config::default`] is what holds without a single key.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it comes from.
    pub origin: Origin,
    /// Who the node is.
    pub node: NodeConfig,
    /// What is logged.
    pub log: LogConfig,
    /// The HTTP interface.
    pub http: HttpConfig,
    /// How processes are computed.
    pub workers: WorkersConfig,
    /// What one process may use, and how many there may be.
    pub limits: NodeLimits,
    /// What the store keeps.
    pub store: StoreConfig,
    /// How results are pulled.
    pub monitor: MonitorConfig,
    /// How what outcomes send is delivered.
    pub push: PushConfig,
    /// Where messages for other nodes' processes go; the first that fits counts.
    pub routes: Vec<RouteConfig>,
    /// Which servers are asked with which token.
    pub peers: Vec<PeerConfig>,
    /// Which host processes are watched, and how.
    pub watch: WatchConfig,
    /// What is measured.
    pub metrics: MetricsConfig,
    /// Whose values are compared with those before them.
    pub anomalies: Vec<AnomalyConfig>,
    /// What is looked at to see whether it is well.
    pub health: HealthConfig,
    /// Who is told what, and when.
    pub alerts: AlertsConfig,
    /// The processes that the node hosts from its start on.
    pub processes: Vec<ProcessConfig>,
}

impl Config {
    pub(super) fn read(
        root: &mut Table<'_, '_>,
        origin: &Origin,
        sources: &ReadSource<'_>,
        code: &CheckCode<'_>,
    ) -> Self {
        Self {
            origin: origin.clone(),
            node: root.section("node", |table| NodeConfig::read(table, origin)),
            log: root.section("log", LogConfig::read),
            http: root.section("http", HttpConfig::read),
            workers: root.section("workers", WorkersConfig::read),
            limits: root.section("limits", NodeLimits::read),
            store: root.section("store", StoreConfig::read),
            monitor: root.section("monitor", MonitorConfig::read),
            push: root.section("push", PushConfig::read),
            routes: RouteConfig::read_all(root),
            peers: PeerConfig::read_all(root),
            watch: root.section("watch", WatchConfig::read),
            metrics: root.section("metrics", MetricsConfig::read),
            anomalies: AnomalyConfig::read_all(root),
            health: root.section("health", HealthConfig::read),
            alerts: AlertsConfig::read(root, origin, sources),
            processes: ProcessConfig::read_all(root, origin, sources, code),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        reader::defaults(|root| Self::read(root, &Origin::Embedded, &embedded_source, &any_code))
    }
}

/// Loads the configuration at `path`; without one, that at [`DEFAULT_PATH`] if it is there, else [`SHIPPED`]. Code that
/// `code` does not take is a problem among the others.
pub fn load(path: Option<&Path>, code: &CheckCode<'_>) -> Result<Config, ConfigError> {
    match path {
        Some(file) => load_file(file, read_file(file, LONGEST_CONFIG), code),
        None => load_or_shipped(Path::new(DEFAULT_PATH), code),
    }
}

/// Takes whatever a process has as its code.
pub fn any_code(_: DeviceKind, _: &[u8]) -> Result<(), String> {
    Ok(())
}

/// Loads the configuration at `file` if it is there, else [`SHIPPED`].
pub(super) fn load_or_shipped(file: &Path, code: &CheckCode<'_>) -> Result<Config, ConfigError> {
    match read_file(file, LONGEST_CONFIG) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            parse_checked(SHIPPED, &Origin::Embedded, &embedded_source, code)
        }
        read => load_file(file, read, code),
    }
}

fn load_file(file: &Path, read: io::Result<Vec<u8>>, code: &CheckCode<'_>) -> Result<Config, ConfigError> {
    let origin = Origin::File(file.to_owned());
    let sources = |source: &Path| read_file(source, LONGEST_SOURCE);
    match read {
        Ok(bytes) => parse_checked(as_text(&bytes, &origin)?, &origin, &sources, code),
        Err(error) => Err(ConfigError::from(Problem {
            file: origin.to_string(),
            place: None,
            key: String::new(),
            found: error.to_string(),
            expected: "a configuration file that can be read".to_owned(),
            nearest: None,
        })),
    }
}

/// Takes `text` as the configuration from `origin`. Source files and rule files are
/// read by `sources`, which is given their resolved paths; any code will do.
pub fn parse(
    text: &str,
    origin: &Origin,
    sources: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Config, ConfigError> {
    parse_checked(text, origin, sources, &any_code)
}

pub(super) fn parse_checked(
    text: &str,
    origin: &Origin,
    sources: &ReadSource<'_>,
    code: &CheckCode<'_>,
) -> Result<Config, ConfigError> {
    reader::read(&origin.to_string(), text, |root| Config::read(root, origin, sources, code))
}

/// The bytes of the source file that [`SHIPPED`] names by `path`.
pub(super) fn embedded_source(path: &Path) -> io::Result<Vec<u8>> {
    let source = SHIPPED_SOURCES.iter().find(|(name, _)| Path::new(name) == path);
    source.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The bytes of the file at `path`, which has at most `longest` of them.
fn read_file(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        let message = format!("a file longer than {}", units::format_size(longest));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn as_text<'b>(bytes: &'b [u8], origin: &Origin) -> Result<&'b str, ConfigError> {
    str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let column = good.chars().rev().take_while(|character| *character != '\n').count() + 1;
        ConfigError::from(Problem {
            file: origin.to_string(),
            place: Some(Place { line: good.matches('\n').count() + 1, column }),
            key: String::new(),
            found: format!("the byte 0x{:02x}", bytes[error.valid_up_to()]),
            expected: "text in UTF-8".to_owned(),
            nearest: None,
        })
    })
}
