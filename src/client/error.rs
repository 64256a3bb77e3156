//! What can be wrong with a request to another server.

use std::time::Duration;

/// Why a request came to nothing. Each text names the URL, without its credentials and its query.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client itself cannot be made.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
    /// A text is no URL that requests can go to.
    #[error("{url:?} is no URL that requests can go to: {why}; it must look like https://host:port/path")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A header's value holds what no header can carry.
    #[error("the request to {url} cannot carry the header {name}: its value is not plain text of one line")]
    Header {
        /// Where the request was to go.
        url: String,
        /// The header.
        name: &'static str,
    },
    /// What was to be sent has no form in JSON.
    #[error("the request to {url} cannot be written as JSON: {source}")]
    Body {
        /// Where the request was to go.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// There is no connection.
    #[error("no connection to {url}: {why}; check the address, and that the server there is up")]
    Connect {
        /// Where the request was to go.
        url: String,
        /// What the network says.
        why: String,
    },
    /// The whole answer did not come in time.
    #[error("{url} did not answer in full within {after:?}; it is slow, or the time allowed is too short")]
    Timeout {
        /// Where the request went.
        url: String,
        /// The time it was given.
        after: Duration,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("the answer of {url} broke off or is not HTTP: {why}")]
    Broken {
        /// Where the request went.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server wants the request sent elsewhere, which is not done.
    #[error("{url} redirects to {to}, and redirects are not followed; configure the address it should be")]
    Redirect {
        /// Where the request went.
        url: String,
        /// Where the server wants it.
        to: String,
    },
    /// The server answered with an error.
    #[error("{url} answered {code}: {text:?}")]
    Status {
        /// Where the request went.
        url: String,
        /// The status.
        code: u16,
        /// What the body says, its first 500 characters.
        text: String,
        /// The name that a node gives the error: `error.code` of its body.
        name: Option<String>,
        /// The seconds of `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than may be read.
    #[error("the answer of {url} is longer than {limit} bytes, the most that is read of one")]
    TooLarge {
        /// Where the request went.
        url: String,
        /// The most bytes that are read.
        limit: u64,
    },
    /// The answer is not JSON of the form asked for.
    #[error("the answer of {url} is not the JSON that was expected: {why}; it begins with {beginning:?}")]
    NotJson {
        /// Where the request went.
        url: String,
        /// What is wrong with it.
        why: String,
        /// The beginning of the body.
        beginning: String,
    },
}

impl ClientError {
    /// Whether the same request will fail again until somebody changes something about it: its URL, its content, its size. A
    /// refused token counts as passing, because tokens are changed while requests wait.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Url { .. }
            | Self::Header { .. }
            | Self::Body { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. } => true,
            Self::Setup(_)
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::NotJson { .. } => false,
            Self::Status { code, .. } => is_permanent_status(*code),
        }
    }
}

fn is_permanent_status(code: u16) -> bool {
    match code {
        // No token or a wrong one, too slow, sent to the wrong server, too early, too many.
        401 | 403 | 408 | 421 | 425 | 429 => false,
        // Not implemented, and a circle that is the same circle next time.
        501 | 508 => true,
        code => (400..500).contains(&code),
    }
}

/// The longest beginning of a body that an error keeps, in characters.
const KEPT: usize = 500;

/// The beginning of `body` as text. What is not UTF-8 is replaced.
pub(super) fn beginning(body: &[u8]) -> String {
    let bytes = &body[..body.len().min(KEPT * 4)];
    String::from_utf8_lossy(bytes).trim().chars().take(KEPT).collect()
}
