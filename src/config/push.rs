//! `[monitor]`, `[push]` and `[[route]]`.

use std::time::Duration;

use super::kind::{self, Kind};
use super::reader::Table;

/// `[monitor]`: how results are pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorConfig {
    /// The time from one tick of a monitor to the next, where it has none of its own.
    pub default_cron_rate: Duration,
    /// The most results of one page, and the most cron ticks that are scheduled at one go.
    pub page_limit: usize,
    /// The most pages that one tick of a monitor takes.
    pub pages_per_tick: usize,
}

impl MonitorConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            default_cron_rate: table.or("default_cron_rate", Duration::from_secs(5), kind::interval()),
            page_limit: table.or("page_limit", 500, kind::between(1..=1000)),
            pages_per_tick: table.or("pages_per_tick", 100, kind::between(1..=100_000)),
        }
    }
}

/// `[push]`: how what outcomes send is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// So many pushes may lie between a message and the one that began its chain.
    pub max_depth: u32,
    /// So many messages may follow from one.
    pub max_messages: u64,
    /// So often the delivery to another node is tried.
    pub attempts: u32,
    /// So many deliveries to one other node run at a time.
    pub in_flight: usize,
}

impl PushConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            max_depth: table.or("max_depth", 64, kind::between(1..=1_000_000)),
            max_messages: table.or("max_messages", 10_000, kind::positive()),
            attempts: table.or("attempts", 20, kind::between(1..=1_000_000)),
            in_flight: table.or("in_flight", 16, kind::between(1..=10_000)),
        }
    }
}

/// `[[route]]`: where messages for processes go that are not of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// A pattern for the process's id: `*` stands for any characters, `?` for one.
    pub target: String,
    /// The other node: messages are posted to `{url}/processes/{target}/schedule`.
    pub url: String,
}

impl RouteConfig {
    pub(super) fn read_all(root: &mut Table<'_, '_>) -> Vec<Self> {
        let read = |table: &mut Table<'_, '_>| {
            let pattern = "a pattern of characters of A-Z, a-z, 0-9, _ and -, with * for any of them and ? for one";
            let of_ids = |text: &str| {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-*?".contains(&byte);
                (1..=255).contains(&text.len()) && text.bytes().all(fits)
            };
            let target = table.required("target", kind::text_where(pattern, of_ids));
            let url = table.required("url", address());
            Some(Self { target: target?, url: url? })
        };
        root.tables("route", read).into_iter().flatten().collect()
    }
}

/// Where a node is, or a compute unit. It is not shown where it is bad, for then it may hold a password.
pub(super) fn address() -> Kind<'static, String> {
    let expected = "an address such as \"https://node.example:8734\", without query, name and password";
    kind::text_where(expected, is_url).secret()
}

/// Whether `text` is an address that paths can be put behind: no query, no fragment, no name or password.
pub(super) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\"<>\\^`{|}".contains(&byte));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']) && plain(rest))
}
