//! `[watch]` and `[[watch.route]]`.

use std::time::Duration;

use super::kind::{self, Kind, Mismatch};
use super::process::process_id;
use super::reader::Table;
use crate::ids::ProcessId;

/// How host processes are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendKind {
    /// The best that this machine and these privileges allow.
    #[default]
    Auto,
    /// The kernel's process connector.
    Connector,
    /// Looking through `/proc` again and again.
    Poll,
}

impl BackendKind {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Connector => "connector",
            Self::Poll => "poll",
        }
    }
}

/// `[watch]`: which host processes are watched, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchConfig {
    /// Whether the node watches at all.
    pub enabled: bool,
    /// How.
    pub backend: BackendKind,
    /// What the names of events begin with.
    pub prefix: String,
    /// Globs of names, one of which must fit; empty: any name does.
    pub include: Vec<String>,
    /// Globs of names, none of which may fit.
    pub exclude: Vec<String>,
    /// Users whose processes are watched; empty: everybody's.
    pub uid: Vec<u32>,
    /// The host process whose children are watched; `None`: any.
    pub parent: Option<i32>,
    /// Whether threads of the kernel are watched.
    pub kernel_threads: bool,
    /// How often `/proc` is looked through.
    pub poll_interval: Duration,
    /// Whether the thread that reads events asks for real-time priority.
    pub realtime: bool,
    /// Events that wait to be delivered at most; further ones are counted and dropped.
    pub queue: usize,
    /// Events that become messages.
    pub routes: Vec<WatchRoute>,
}

/// `[[watch.route]]`: events that become messages of a hosted process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRoute {
    /// A glob over the whole name of the event.
    pub event: String,
    /// The hosted process.
    pub process: ProcessId,
}

impl WatchConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        let backends =
            kind::one_of(&[BackendKind::Auto, BackendKind::Connector, BackendKind::Poll], BackendKind::as_str);
        Self {
            enabled: table.or("enabled", false, kind::flag()),
            backend: table.or("backend", BackendKind::Auto, backends),
            prefix: table.or("prefix", "Process".to_owned(), prefix()),
            include: table.list("include", glob("a glob over names of host processes")),
            exclude: table.list("exclude", glob("a glob over names of host processes")),
            uid: table.list("uid", kind::between(0..=u32::MAX)),
            parent: table.optional("parent", pid()),
            kernel_threads: table.or("kernel_threads", false, kind::flag()),
            poll_interval: table.or("poll_interval", Duration::from_millis(100), kind::interval()),
            realtime: table.or("realtime", false, kind::flag()),
            queue: table.or("queue", 65_536, kind::between(1..=16_777_216)),
            routes: table.tables("route", route).into_iter().flatten().collect(),
        }
    }
}

impl Default for WatchConfig {
    fn default() -> Self {
        super::reader::defaults(Self::read)
    }
}

fn route(table: &mut Table<'_, '_>) -> Option<WatchRoute> {
    let event = table.required("event", glob("a glob over events, such as \"Process.Destroyed.nginx*\""));
    let process = table.required("process", process_id());
    Some(WatchRoute { event: event?, process: process? })
}

fn glob(expected: &'static str) -> Kind<'static, String> {
    kind::text_where(format!("{expected}, of 1 to 255 bytes, with * for any characters and ? for one"), |text| {
        (1..=255).contains(&text.len())
    })
}

fn prefix() -> Kind<'static, String> {
    kind::text_where("1 to 64 characters of A-Z, a-z, 0-9, _, - and .", |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        (1..=64).contains(&text.len()) && text.bytes().all(fits)
    })
}

fn pid() -> Kind<'static, i32> {
    let number = kind::between::<u32>(1..=4_194_304);
    Kind::new("the number of a host process", move |value| {
        number.read(value).and_then(|pid| i32::try_from(pid).map_err(|_| Mismatch::default()))
    })
}
