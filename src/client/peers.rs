//! The tokens by which other servers know this node.

use std::sync::Arc;

use arc_swap::ArcSwap;
use reqwest::Url;
use reqwest::header::HeaderValue;

use super::endpoint::Endpoint;
use super::error::ClientError;

/// A server that wants a token.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is, as URLs are normally written and without a slash at the end.
    url: String,
    authorization: HeaderValue,
}

impl Peer {
    /// The server at `url`, whose query and credentials do not count, and the token for it. Fails with [`ClientError::Url`] where
    /// nothing can be, and with [`ClientError::Header`] where no header can hold the token.
    pub fn new(url: &str, token: &str) -> Result<Self, ClientError> {
        let endpoint = Endpoint::parse(url)?;
        let refused = |_| ClientError::Header { url: endpoint.to_string(), name: "Authorization" };
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(refused)?;
        // Keeps it out of whatever shows headers.
        authorization.set_sensitive(true);
        let mut url = endpoint.url();
        // Neither fails for a URL with a host, which http and https have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { url: address(&url).trim_end_matches('/').to_owned(), authorization })
    }

    /// Whether `address` is at the server: the same scheme, host, port and segments, and perhaps further segments.
    fn holds(&self, address: &str) -> bool {
        address.strip_prefix(&self.url).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// All servers that want a token. Clones are one and the same: what is put into one is in all.
#[derive(Clone, Debug, Default)]
pub struct Peers(Arc<ArcSwap<Vec<Peer>>>);

impl Peers {
    /// These servers.
    pub fn new(peers: Vec<Peer>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(peers)))
    }

    /// From now on it is these servers; requests that are under way keep what they were sent with.
    pub fn exchange(&self, peers: Vec<Peer>) {
        self.0.store(Arc::new(peers));
    }

    /// What a request to `url` says of who asks. Credentials of its own take the place of it.
    pub(super) fn authorization(&self, url: &Url) -> Option<HeaderValue> {
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let (peers, address) = (self.0.load(), address(url));
        let found = peers.iter().filter(|peer| peer.holds(address)).max_by_key(|peer| peer.url.len());
        found.map(|peer| peer.authorization.clone())
    }
}

/// A URL without its query and fragment.
fn address(url: &Url) -> &str {
    url.as_str().split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peers(urls: &[&str]) -> Peers {
        Peers::new(urls.iter().map(|url| Peer::new(url, &format!("for {url}")).unwrap()).collect())
    }

    /// The URL of the peer whose token a request to `url` carries.
    fn found(peers: &Peers, url: &str) -> Option<String> {
        let authorization = peers.authorization(&Endpoint::parse(url).unwrap().url())?;
        let text = std::str::from_utf8(authorization.as_bytes()).unwrap();
        Some(text.strip_prefix("Bearer for ").unwrap().to_owned())
    }

    #[test]
    fn a_request_is_at_a_server_by_scheme_host_port_and_whole_segments() {
        for (peer, url, expected) in [
            ("http://a", "http://a", true),
            ("http://a", "http://a/", true),
            ("http://a/", "http://a/x/y?z=1", true),
            ("http://a:80", "http://a/x", true),
            ("https://a", "https://a:443/x", true),
            ("http://A", "http://a/x", true),
            ("http://a", "HTTP://A:80?x", true),
            ("http://[::1]:1", "http://[0:0::1]:1/x", true),
            ("http://ä.example", "http://xn--4ca.example/", true),
            ("http://a/b", "http://a/b", true),
            ("http://a/b", "http://a/b/", true),
            ("http://a/b/", "http://a/b", true),
            ("http://a/b/", "http://a/b/c", true),
            ("http://a/b", "http://a/./x/../b/c", true),
            ("http://user:word@a/b?c", "http://a/b/c", true),
            ("http://a", "https://a", false),
            ("http://a", "http://a:81", false),
            ("http://a:8", "http://a:80/8", false),
            ("http://a:8", "http://a:81", false),
            ("http://a", "http://ab", false),
            ("http://a", "http://a.example", false),
            ("http://a", "http://b.a", false),
            ("http://a", "http://b/http://a", false),
            ("http://a", "http://b?http://a", false),
            ("http://localhost:1", "http://127.0.0.1:1", false),
            ("http://a/b", "http://a", false),
            ("http://a/b", "http://a/bc", false),
            ("http://a/b", "http://a/c/b", false),
            ("http://a/b", "http://a/b/../c", false),
            ("http://a/b", "http://a/b/%2e%2e/c", false),
            ("http://a/b", "http://a/b%2Fc", false),
            ("http://a/b", "http://a/?/b", false),
            ("http://a/b", "http://a/#/b", false),
            ("http://a/b", "http://a/B", false),
        ] {
            assert_eq!(found(&peers(&[peer]), url).is_some(), expected, "{url} at {peer}");
        }
    }

    #[test]
    fn the_longest_that_fits_wins_and_credentials_win_over_all() {
        let urls = ["http://a", "http://a/b/c", "http://a/b", "http://a/long"];
        for urls in [urls.to_vec(), urls.iter().rev().copied().collect()] {
            let peers = peers(&urls);
            for (url, expected) in [
                ("http://a/x", Some("http://a")),
                ("http://a/b/x", Some("http://a/b")),
                ("http://a/b/c?d", Some("http://a/b/c")),
                ("http://a/b/cd", Some("http://a/b")),
                ("http://b", None),
                ("http://@a", Some("http://a")),
                ("http://user@a", None),
                ("http://user:word@a/b", None),
                ("http://:word@a", None),
            ] {
                assert_eq!(found(&peers, url).as_deref(), expected, "{url}");
            }
        }
    }

    #[test]
    fn what_is_exchanged_is_exchanged_for_all() {
        let peers = peers(&["http://a"]);
        let other = peers.clone();
        assert!(found(&other, "http://a").is_some());
        peers.exchange(vec![Peer::new("http://b", "for http://b").unwrap()]);
        assert_eq!((found(&other, "http://a"), found(&other, "http://b").is_some()), (None, true));
    }

    #[test]
    fn no_text_shows_a_token() {
        let peers = Peers::new(vec![Peer::new("http://user:secret@a/?secret", "secret").unwrap()]);
        assert!(!format!("{peers:?} {peers:#?}").contains("secret"), "{peers:?}");
        for (url, token) in [("http://a", "secret\n"), ("http://user:secret@a", "\0"), ("user:secret@a", "b")] {
            let error = Peer::new(url, token).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_at_a_server_is_below_it_segment_by_segment(
            host in "[ab]{1,2}", peer in prop::collection::vec("[ab]{1,2}", 0..4),
            other in "[ab]{1,2}", path in prop::collection::vec("[ab]{1,2}", 0..4),
        ) {
            let url = |host: &str, path: &[String]| format!("http://{host}/{}", path.join("/"));
            let is_found = found(&peers(&[&url(&host, &peer)]), &url(&other, &path)).is_some();
            prop_assert_eq!(is_found, host == other && path.starts_with(&peer));
        }
    }
}
