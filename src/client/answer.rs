//! One answer: its status, and its body as far as it may be read.

use std::error::Error;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::endpoint::Endpoint;
use super::error::{ClientError, beginning};

/// How much is read of the body of an error, or of one that nobody wants, in bytes.
const GLANCE: u64 = 16 * 1024;

/// An answer whose head is there and whose body is still to be read.
pub struct Answer {
    response: Response,
    terms: Terms,
}

/// What an answer has to keep to, and where it comes from.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Where the request went.
    pub endpoint: Endpoint,
    /// The time it was given.
    pub timeout: Duration,
    /// The time that making a connection was given.
    pub connect_timeout: Duration,
    /// The most bytes of the body.
    pub max_body: u64,
}

impl Answer {
    /// Takes the head of an answer. Any status but 2xx is an error, for which some of the body is read.
    pub async fn take(response: Response, terms: Terms) -> Result<Self, ClientError> {
        let answer = Self { response, terms };
        if answer.response.status().is_success() { Ok(answer) } else { Err(answer.refusal().await) }
    }

    /// The whole body.
    pub async fn body(self) -> Result<Body, ClientError> {
        let Self { response, terms } = self;
        let too_large = || ClientError::TooLarge { url: terms.endpoint.to_string(), limit: terms.max_body };
        if response.content_length().is_some_and(|length| length > terms.max_body) {
            return Err(too_large());
        }
        let kind = response.headers().get(CONTENT_TYPE);
        let is_binary = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/octet-stream"));
        let mut bytes = Vec::new();
        match read(response, terms.max_body, &mut bytes).await {
            Ok(true) => Ok(Body { endpoint: terms.endpoint, is_binary, bytes }),
            Ok(false) => Err(too_large()),
            Err(error) => Err(terms.broken(&error)),
        }
    }

    /// Lets the body go. A short one is read, so that the connection can be used again.
    pub async fn discard(self) {
        let _ = read(self.response, GLANCE, &mut Vec::new()).await;
    }

    async fn refusal(self) -> ClientError {
        let Self { response, terms } = self;
        let (url, status) = (terms.endpoint.to_string(), response.status());
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        if let Some(location) = header(LOCATION).filter(|_| status.is_redirection()) {
            return ClientError::Redirect { url, to: terms.endpoint.redirect(location) };
        }
        let retry_after = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let mut body = Vec::new();
        // Whatever comes of it: the status is the news.
        let _ = read(response, GLANCE, &mut body).await;
        let name = serde_json::from_slice(&body).ok().map(|Named { error: Code { code } }| code);
        ClientError::Status { url, code: status.as_u16(), text: beginning(&body), name, retry_after }
    }
}

#[derive(Deserialize)]
struct Named {
    error: Code,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

impl Terms {
    /// Why there is no answer.
    pub fn unanswered(&self, error: &reqwest::Error) -> ClientError {
        if !error.is_connect() {
            return self.broken(error);
        }
        let why = if error.is_timeout() {
            format!("none was made within {:?}", self.connect_timeout)
        } else {
            innermost(error)
        };
        ClientError::Connect { url: self.endpoint.to_string(), why }
    }

    fn broken(&self, error: &reqwest::Error) -> ClientError {
        let url = self.endpoint.to_string();
        if error.is_timeout() {
            ClientError::Timeout { url, after: self.timeout }
        } else {
            ClientError::Broken { url, why: innermost(error) }
        }
    }
}

/// Adds what comes to `bytes`, `limit` at most. Answers whether that was all.
async fn read(mut response: Response, limit: u64, bytes: &mut Vec<u8>) -> Result<bool, reqwest::Error> {
    while let Some(chunk) = response.chunk().await? {
        let left = usize::try_from(limit).unwrap_or(usize::MAX) - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(left)]);
        if chunk.len() > left {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is at the bottom of an error. The layers above it repeat the URL, secrets and all.
pub fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) {
        return "the request cannot be made".to_owned();
    }
    cause.to_string()
}

/// A body that was read in full.
pub struct Body {
    endpoint: Endpoint,
    is_binary: bool,
    bytes: Vec<u8>,
}

impl Body {
    /// Whether the server says that it is bytes and nothing more.
    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.bytes).map_err(|error| self.not_json(error.to_string()))
    }

    /// The body as text, which JSON is.
    pub fn text(&self) -> Result<&str, ClientError> {
        std::str::from_utf8(&self.bytes).map_err(|error| self.not_json(format!("it is no UTF-8: {error}")))
    }

    /// Its first characters.
    pub fn beginning(&self) -> String {
        beginning(&self.bytes)
    }

    fn not_json(&self, why: String) -> ClientError {
        ClientError::NotJson { url: self.endpoint.to_string(), why, beginning: self.beginning() }
    }
}
