//! `[[peer]]`: which servers are asked with which token.

use std::collections::HashMap;

use reqwest::Url;

use super::http::{Token, token};
use super::kind::{self, Kind, Mismatch};
use super::push::is_url;
use super::reader::Table;

/// `[[peer]]`: a server that wants a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Where it is, as URLs are normally written and without a slash at the end: what begins like this, up to the end of a
    /// segment of its path, is asked with the token. No other peer has the same.
    pub url: String,
    /// What it knows this node by.
    pub token: Token,
}

impl PeerConfig {
    pub(super) fn read_all(root: &mut Table<'_, '_>) -> Vec<Self> {
        let mut urls = HashMap::new();
        let read = |table: &mut Table<'_, '_>| {
            let url = table.required("url", address());
            let token = table.required("token", token());
            table.unique("url", url.as_ref(), &mut urls);
            Some(Self { url: url?, token: token? })
        };
        root.tables("peer", read).into_iter().flatten().collect()
    }
}

/// Where a server is. It is not shown where it is bad, for then it may hold a password.
fn address() -> Kind<'static, String> {
    let expected =
        "an address such as \"https://node.example:8734\", of at most 2048 bytes, without query, name and password";
    kind::parsed(expected, |text| normal(text).ok_or_else(Mismatch::default)).secret()
}

fn normal(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let is_address = text.len() <= 2048 && is_url(text) && url.port() != Some(0);
    is_address.then(|| url.as_str().trim_end_matches('/').to_owned())
}
