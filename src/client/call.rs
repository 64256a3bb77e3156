//! One request, before it is sent.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::endpoint::Endpoint;
use super::error::ClientError;

/// A request: where it goes, and what differs from what the client does with others.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) endpoint: Endpoint,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Option<Duration>,
    pub(super) max_body: Option<u64>,
}

impl Call {
    /// A request to `endpoint` with no headers of its own.
    pub fn to(endpoint: Endpoint) -> Self {
        Self { endpoint, headers: HeaderMap::new(), timeout: None, max_body: None }
    }

    /// The request with a header. Fails with [`ClientError::Header`] where a header cannot hold the value.
    pub fn header(mut self, name: &'static str, value: &str) -> Result<Self, ClientError> {
        let refused = || ClientError::Header { url: self.endpoint.to_string(), name };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        let value = HeaderValue::from_str(value).map_err(|_| refused())?;
        self.headers.insert(key, value);
        Ok(self)
    }

    /// The request with another time to be answered in, from the first byte sent to the last one read.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The request with another limit on its answer, in bytes.
    #[must_use]
    pub fn at_most(self, max_body: u64) -> Self {
        Self { max_body: Some(max_body), ..self }
    }
}
