//! `[[health.check]]`.

use std::collections::HashMap;
use std::time::Duration;

use super::kind::{self, Kind, Mismatch};
use super::process::process_id;
use super::reader::Table;
use super::receiver::url;
use crate::ids::ProcessId;

/// `[health]`: what is looked at again and again to see whether it is well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthConfig {
    /// The checks.
    pub checks: Vec<CheckConfig>,
}

/// `[[health.check]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckConfig {
    /// Its name; no other check has the same.
    pub name: String,
    /// What is looked at, and how.
    pub target: CheckTarget,
    /// The time from one look to the next.
    pub interval: Duration,
    /// How long a look may take.
    pub timeout: Duration,
    /// So many failures in a row make it unhealthy.
    pub failure_threshold: u32,
    /// So many successes in a row make it healthy again.
    pub success_threshold: u32,
    /// The time before the first look.
    pub initial_delay: Duration,
    /// Whether the node isn't ready while it is unhealthy.
    pub critical: bool,
    /// What is done when it becomes unhealthy, besides telling.
    pub on_failure: OnFailure,
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckTarget {
    /// Whether the worker of a process answers. One without a worker is well.
    Worker(ProcessId),
    /// Whether a `GET` is answered with 2xx.
    Http(String),
    /// Whether a connection to a host and port can be made.
    Tcp(String),
    /// Whether a host process runs whose name fits this glob.
    HostProcess(String),
}

impl CheckTarget {
    /// The kind's name in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Worker(_) => CheckKind::Worker,
            Self::Http(_) => CheckKind::Http,
            Self::Tcp(_) => CheckKind::Tcp,
            Self::HostProcess(_) => CheckKind::HostProcess,
        }
        .as_str()
    }
}

/// What is done when a check becomes unhealthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It is told.
    #[default]
    Log,
    /// The worker is stopped and started again, too.
    Restart,
}

impl OnFailure {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Restart => "restart",
        }
    }
}

#[derive(Clone, Copy)]
enum CheckKind {
    Worker,
    Http,
    Tcp,
    HostProcess,
}

impl CheckKind {
    const ALL: &'static [Self] = &[Self::Worker, Self::Http, Self::Tcp, Self::HostProcess];

    fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::HostProcess => "host_process",
        }
    }

    fn target(self) -> Kind<'static, CheckTarget> {
        match self {
            Self::Worker => process_id().map(CheckTarget::Worker),
            Self::Http => url().map(CheckTarget::Http),
            Self::Tcp => host_and_port().map(CheckTarget::Tcp),
            Self::HostProcess => {
                let glob = "the name of a host process, of 1 to 255 bytes, with * for any characters and ? for one";
                kind::text_where(glob, |text| (1..=255).contains(&text.len())).map(CheckTarget::HostProcess)
            }
        }
    }
}

impl HealthConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        let mut names = HashMap::new();
        Self { checks: table.tables("check", |table| check(table, &mut names)).into_iter().flatten().collect() }
    }
}

fn check(table: &mut Table<'_, '_>, names: &mut HashMap<String, String>) -> Option<CheckConfig> {
    let name = table.required("name", kind::name());
    table.unique("name", name.as_ref(), names);
    let kind = table.required("kind", kind::one_of(CheckKind::ALL, CheckKind::as_str));
    // What a target is depends on the kind; without that, it is only known that one is there.
    let target = match kind {
        Some(kind) => table.required("target", kind.target()),
        None => table.required("target", kind::text()).and(None),
    };
    let on_failure = table.or(
        "on_failure",
        OnFailure::default(),
        kind::one_of(&[OnFailure::Log, OnFailure::Restart], OnFailure::as_str),
    );
    if let (OnFailure::Restart, Some(kind @ (CheckKind::Http | CheckKind::Tcp | CheckKind::HostProcess))) =
        (on_failure, kind)
    {
        table.problem(
            "on_failure",
            format!("\"restart\" beside kind {:?}", kind.as_str()),
            "\"log\", or kind \"worker\"",
        );
    }
    let interval = table.or("interval", Duration::from_secs(5), kind::duration(Duration::from_millis(10)));
    let timeout = table.or("timeout", Duration::from_secs(3), kind::interval());
    let failure_threshold = table.or("failure_threshold", 3, kind::between(1..=1_000_000));
    let success_threshold = table.or("success_threshold", 1, kind::between(1..=1_000_000));
    let initial_delay = table.or("initial_delay", Duration::ZERO, kind::duration(Duration::ZERO));
    let critical = table.or("critical", false, kind::flag());
    Some(CheckConfig {
        name: name?,
        target: target?,
        interval,
        timeout,
        failure_threshold,
        success_threshold,
        initial_delay,
        critical,
        on_failure,
    })
}

fn host_and_port() -> Kind<'static, String> {
    kind::parsed("a host and a port, such as \"db.example:5432\" or \"[::1]:5432\"", |text| {
        let (host, port) = text.rsplit_once(':').ok_or_else(Mismatch::default)?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
                (1..=253).contains(&host.len()) && host.bytes().all(fits)
            }
        };
        if is_port && is_host { Ok(text.to_owned()) } else { Err(Mismatch::default()) }
    })
}
