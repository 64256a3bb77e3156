//! `[[receiver]]`: who is told of alerts.

use std::collections::HashMap;
use std::fmt;

use super::kind::{self, Kind};
use super::process::process_id;
use super::reader::Table;
use crate::alert::LOG;
use crate::ids::ProcessId;

/// `[[receiver]]`: who is told of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// Its name; no other receiver has the same.
    pub name: String,
    /// What it is.
    pub kind: ReceiverKind,
}

/// What a receiver is.
#[derive(Clone, PartialEq, Eq)]
pub enum ReceiverKind {
    /// The log.
    Log,
    /// Something that an alert is posted to as JSON, at this URL.
    Webhook(String),
    /// An Alertmanager, whose API is below this URL.
    Alertmanager(String),
    /// A hosted process, to which an alert is scheduled as a message.
    Process(ProcessId),
}

impl ReceiverKind {
    /// The kind's name in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Log => Name::Log,
            Self::Webhook(_) => Name::Webhook,
            Self::Alertmanager(_) => Name::Alertmanager,
            Self::Process(_) => Name::Process,
        }
        .as_str()
    }
}

/// Leaves out URLs, which may hold passwords and keys.
impl fmt::Debug for ReceiverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => f.debug_tuple("Process").field(process).finish(),
            kind => f.write_str(kind.as_str()),
        }
    }
}

#[derive(Clone, Copy)]
enum Name {
    Log,
    Webhook,
    Alertmanager,
    Process,
}

impl Name {
    const ALL: &'static [Self] = &[Self::Log, Self::Webhook, Self::Alertmanager, Self::Process];

    fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Webhook => "webhook",
            Self::Alertmanager => "alertmanager",
            Self::Process => "process",
        }
    }
}

impl ReceiverConfig {
    /// The receivers, and all names that alerts may call, whether or not what is behind them is in order.
    pub(super) fn read_all(root: &mut Table<'_, '_>) -> (Vec<Self>, Vec<String>) {
        let mut seen = HashMap::new();
        let mut names = vec![LOG.to_owned()];
        let read = |table: &mut Table<'_, '_>| {
            let name = table.required("name", kind::name());
            table.unique("name", name.as_ref(), &mut seen);
            names.extend(name.clone().filter(|name| name != LOG));
            let kind = read_kind(table, name.as_deref());
            Some(Self { name: name?, kind: kind? })
        };
        let receivers = root.tables("receiver", read).into_iter().flatten().collect();
        (receivers, names)
    }
}

fn read_kind(table: &mut Table<'_, '_>, name: Option<&str>) -> Option<ReceiverKind> {
    let kind = table.required("kind", kind::one_of(Name::ALL, Name::as_str))?;
    if name == Some(LOG) && !matches!(kind, Name::Log) {
        table.problem("name", "\"log\", which is always there and of kind \"log\"", "another name");
    }
    let unused = match kind {
        Name::Log => &["url", "process"][..],
        Name::Webhook | Name::Alertmanager => &["process"][..],
        Name::Process => &["url"][..],
    };
    let read = match kind {
        Name::Log => Some(ReceiverKind::Log),
        Name::Webhook => table.required("url", url().secret()).map(ReceiverKind::Webhook),
        Name::Alertmanager => table.required("url", plain_url()).map(ReceiverKind::Alertmanager),
        Name::Process => table.required("process", process_id()).map(ReceiverKind::Process),
    };
    for key in unused {
        if table.has(key) {
            let found = format!("one beside kind {:?}", kind.as_str());
            let kinds = if *key == "url" { "\"webhook\" or \"alertmanager\"" } else { "\"process\"" };
            table.problem(key, found, format!("one beside kind {kinds} only"));
        }
    }
    read
}

/// The URL of something that is asked or told by HTTP.
pub(super) fn url() -> Kind<'static, String> {
    kind::text_where("an address such as \"https://host.example/path\", of at most 2048 bytes", |text| {
        is_url(text, b"")
    })
}

/// A URL that a path can be put behind: without a query.
fn plain_url() -> Kind<'static, String> {
    let expected = "an address without query, such as \"http://alertmanager.example:9093\", of at most 2048 bytes";
    kind::text_where(expected, |text| is_url(text, b"?")).secret()
}

fn is_url(text: &str, but: &[u8]) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte) && !but.contains(&byte);
    text.len() <= 2048
        && rest.is_some_and(|rest| !rest.starts_with(['/', ':', '?']) && !rest.is_empty() && rest.bytes().all(fits))
}
