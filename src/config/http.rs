//! `[http]`.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::kind::{self, Kind};
use super::reader::Table;

/// `[http]`: where the node listens, to whom, and how much it takes in. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// The address. Port 0 asks the system for a free one.
    pub listen: SocketAddr,
    /// Who may ask. If there are none, anyone who reaches the address.
    pub tokens: Vec<NamedToken>,
    /// Names that the `Host` header may have besides the node's own addresses, in lower case and without port.
    pub hosts: Vec<String>,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// The longest body of a request.
    pub max_body: u64,
    /// The most connections at a time.
    pub max_connections: usize,
    /// The most requests that wait for an outcome at a time.
    pub max_waiting: usize,
}

impl HttpConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        let config = Self {
            listen: table.or("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8734)), kind::address()),
            tokens: NamedToken::read_all(table),
            hosts: table.list("hosts", host()),
            request_timeout: table.or("request_timeout", Duration::from_secs(30), kind::interval()),
            max_body: table.or("max_body", 16 << 20, kind::size(1)),
            max_connections: table.or("max_connections", 4096, kind::between(1..=1_000_000)),
            max_waiting: table.or("max_waiting", 65_536, kind::between(1..=100_000_000)),
        };
        // A list of tokens that is bad has been reported itself.
        let lacks_tokens = config.tokens.is_empty() && !table.is_filled("tokens");
        if lacks_tokens && !config.listen.ip().to_canonical().is_loopback() {
            let found = format!(r#""{}" without any http.tokens"#, config.listen);
            table.problem("listen", found, "a loopback address, or at least one token");
        }
        config
    }
}

/// A host, as the `Host` header has it but for the port.
fn host() -> Kind<'static, String> {
    kind::parsed("a host name or an IP address, without scheme and port", |text| {
        let is_name = (1..=253).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        let is_address = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        if is_name || is_address { Ok(text.to_ascii_lowercase()) } else { Err(kind::Mismatch::default()) }
    })
}

/// Somebody who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedToken {
    /// Their name, which becomes `From` of their messages.
    pub name: String,
    /// What they prove themselves with.
    pub token: Token,
}

/// A bearer token. It shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(Arc<str>);

impl Token {
    /// The token itself, for comparing and for sending.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl NamedToken {
    fn read_all(table: &mut Table<'_, '_>) -> Vec<Self> {
        let mut names = HashMap::new();
        let mut tokens = HashMap::new();
        let read = |table: &mut Table<'_, '_>| {
            let name = table.required("name", kind::name());
            let token = table.required("token", token());
            table.unique("name", name.as_ref(), &mut names);
            table.unique("token", token.as_ref(), &mut tokens);
            Some(Self { name: name?, token: token? })
        };
        table.tables("tokens", read).into_iter().flatten().collect()
    }
}

/// What can stand behind `Bearer` in a header.
pub(super) fn token() -> Kind<'static, Token> {
    kind::text_where("a token of 1 to 1024 visible ASCII characters", |text| {
        (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    })
    .secret()
    .map(|text| Token(text.into()))
}
