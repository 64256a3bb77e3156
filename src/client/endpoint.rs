//! Where requests go.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::error::ClientError;

/// The longest URL that is shown in full, in characters.
const SHOWN: usize = 200;

/// A URL that requests can go to. Its text, also in errors and in the log, leaves out credentials and the query.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Takes `text` as the URL of a server or of something at one: `http` or `https`. A fragment is left out.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let refused = |why: &str| ClientError::Url { url: without_secrets(text), why: why.to_owned() };
        let mut url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("it is neither http nor https"));
        }
        if url.port() == Some(0) {
            return Err(refused("nothing listens on port 0"));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// What a person is shown of a URL: the text as it stands, unless it holds secrets.
    pub fn shown(text: &str) -> String {
        let is_plain = !text.contains(['@', '?', '#']);
        if is_plain {
            text.to_owned()
        } else {
            Self::parse(text).map_or_else(|_| without_secrets(text), |url| url.to_string())
        }
    }

    /// The URL `segments` deeper. Each is one segment, whatever it holds; `.` and `..` are none.
    pub(super) fn at(&self, segments: &[&str]) -> Self {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Self(url)
    }

    /// The URL with a further parameter in its query.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair(name, value);
        Self(url)
    }

    /// Whether it names this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let name = host.trim_end_matches('.');
        address.is_ok_and(|address| address.to_canonical().is_loopback())
            || name == "localhost"
            || name.ends_with(".localhost")
    }

    /// Where `location`, as the server wrote it, leads from here.
    pub(super) fn redirect(&self, location: &str) -> String {
        self.0.join(location).map_or_else(|_| without_secrets(location), |url| Self(url).to_string())
    }

    /// The URL itself, secrets and all.
    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        // Neither fails for a URL with a host, which http and https have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        f.write_str(&brief(url.as_str()))?;
        if self.0.query().is_some() { f.write_str("?…") } else { Ok(()) }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What can be shown of a text that may be no URL: nothing before the last `@`, where credentials stand, and nothing after `?`.
fn without_secrets(text: &str) -> String {
    let address = text.split(['?', '#']).next().unwrap_or_default();
    match address.rsplit_once('@') {
        Some((_, rest)) => format!("…@{}", brief(rest)),
        None => brief(address),
    }
}

fn brief(text: &str) -> String {
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "relative URL"),
            ("localhost:8734", "neither http nor https"),
            ("ftp://a", "neither http nor https"),
            ("/path", "relative URL"),
            ("http://", "empty host"),
            ("http://a:99999", "port"),
            ("http://a:0", "port 0"),
            ("http://a b/", "domain"),
        ] {
            let said = Endpoint::parse(text).unwrap_err().to_string();
            assert!(said.contains(why) && said.contains("https://host:port/path"), "{text:?}: {said}");
        }
    }

    #[test]
    fn no_text_shows_a_secret() {
        assert_eq!(Endpoint::shown("https://user:secret@host:1?key=secret"), "https://host:1/?…");
        assert_eq!(Endpoint::shown("no url, user:secret@host"), "…@host");
        assert_eq!(Endpoint::shown("http://host:1"), "http://host:1");
        let good = endpoint("https://user:secret@host:1/path?key=secret#secret");
        assert_eq!(good.to_string(), "https://host:1/path?…");
        assert_eq!(format!("{good:?}"), "https://host:1/path?…");
        assert_eq!(good.redirect("//user:secret@b/x?secret"), "https://b/x?…");
        assert_eq!(good.redirect("../y?secret"), "https://host:1/y?…");
        for bad in ["http://user:secret@ho st/?secret", "user:secret@host", "secret@secret@", "x?secret", "x#secret"] {
            let said = Endpoint::parse(bad).unwrap_err().to_string();
            assert!(!said.contains("secret"), "{bad}: {said}");
        }
    }

    #[test]
    fn paths_and_queries_grow_with_everything_escaped() {
        for (base, expected) in [
            ("http://a", "http://a/x%2Fy/z?from=%26%3D+%C3%A4"),
            ("http://a/", "http://a/x%2Fy/z?from=%26%3D+%C3%A4"),
            ("http://a/b/", "http://a/b/x%2Fy/z?from=%26%3D+%C3%A4"),
            ("http://a/b?k=1", "http://a/b/x%2Fy/z?k=1&from=%26%3D+%C3%A4"),
        ] {
            assert_eq!(endpoint(base).at(&["x/y", "z"]).with("from", "&= ä").url().as_str(), expected);
        }
    }

    #[test]
    fn this_machine_is_known() {
        for (url, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:1", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://localhost", true),
            ("http://LOCALHOST.", true),
            ("http://a.localhost", true),
            ("http://notlocalhost", false),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(endpoint(url).is_loopback(), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_endpoint_or_a_short_error(text in "(https?://)?[a-z@:/?#%.\\[\\]]{0,30}|.{0,600}") {
            match Endpoint::parse(&text) {
                Ok(endpoint) => prop_assert!(endpoint.to_string().starts_with("http")),
                Err(error) => prop_assert!(error.to_string().chars().count() < 3000),
            }
        }
    }
}
