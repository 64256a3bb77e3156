//! The client: every request that leaves the node goes through one of these.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Body, Terms, innermost};
use super::call::Call;
use super::error::ClientError;
use super::peers::Peers;
use super::tls;

/// The media type of what is sent and asked for.
const JSON: &str = "application/json";

/// What holds for each request that does not say otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long making a connection may take, name look-up and TLS included.
    pub connect_timeout: Duration,
    /// How long a request may take, from the first byte sent to the last one read.
    pub request_timeout: Duration,
    /// The longest answer that is read, in bytes.
    pub max_body: u64,
    /// How many unused connections are kept per host.
    pub idle_per_host: usize,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Whether requests go by the proxies that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name. Requests to this
    /// machine never do.
    pub proxies: bool,
    /// Who is asked with a token.
    pub peers: Peers,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            max_body: 16 << 20,
            idle_per_host: 16,
            // Below the five seconds after which a node closes an unused connection, so that none is used as it closes.
            idle_timeout: Duration::from_secs(4),
            proxies: true,
            peers: Peers::default(),
        }
    }
}

/// Sends requests. Clones share their connections; a node needs one.
///
/// Tokens go where the peers say and nowhere else, for it follows no redirects; it keeps no cookies, asks for no compression.
/// A connection is driven by the runtime in which it was made, so every runtime that sends must live as long as the client is
/// used.
#[derive(Clone, Debug)]
pub struct Client {
    outward: reqwest::Client,
    direct: reqwest::Client,
    options: Options,
}

impl Client {
    /// A client with `options`. Reads the root certificates of the system.
    pub fn new(options: Options) -> Result<Self, ClientError> {
        let tls = tls::config()?;
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .referer(false)
                .connect_timeout(options.connect_timeout)
                .pool_max_idle_per_host(options.idle_per_host)
                .pool_idle_timeout(options.idle_timeout)
        };
        let setup = |error: reqwest::Error| ClientError::Setup(innermost(&error));
        let direct = builder().no_proxy().build().map_err(setup)?;
        let outward = if options.proxies { builder().build().map_err(setup)? } else { direct.clone() };
        Ok(Self { outward, direct, options })
    }

    /// `GET`, and the answer as a `T`. Any status but 2xx is an error.
    pub async fn get_json<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        self.get(call).await?.json()
    }

    /// `POST` of `body` as JSON, and the answer as a `T`. Any status but 2xx is an error.
    pub async fn post_json<T: DeserializeOwned>(&self, call: Call, body: &impl Serialize) -> Result<T, ClientError> {
        self.send_json(call, body).await?.body().await?.json()
    }

    /// `POST` of `body` as JSON to somebody of whom only the status matters. Any but 2xx is an error.
    pub async fn post(&self, call: Call, body: &impl Serialize) -> Result<(), ClientError> {
        self.send_json(call, body).await?.discard().await;
        Ok(())
    }

    /// `GET` of something of which only the status matters. Any but 2xx is an error.
    pub async fn look(&self, call: Call) -> Result<(), ClientError> {
        self.send(Method::GET, call, None).await?.discard().await;
        Ok(())
    }

    /// `GET`, and the answer's body.
    pub(super) async fn get(&self, call: Call) -> Result<Body, ClientError> {
        self.send(Method::GET, call, None).await?.body().await
    }

    async fn send_json(&self, call: Call, body: &impl Serialize) -> Result<Answer, ClientError> {
        let body = serde_json::to_vec(body);
        let body = body.map_err(|source| ClientError::Body { url: call.endpoint.to_string(), source })?;
        self.send(Method::POST, call, Some(body)).await
    }

    async fn send(&self, method: Method, call: Call, body: Option<Vec<u8>>) -> Result<Answer, ClientError> {
        let Call { endpoint, headers, timeout, max_body } = call;
        let client = if endpoint.is_loopback() { &self.direct } else { &self.outward };
        let url = endpoint.url();
        let authorization = self.options.peers.authorization(&url);
        let mut request = client.request(method, url);
        let terms = Terms {
            endpoint,
            timeout: timeout.unwrap_or(self.options.request_timeout),
            connect_timeout: self.options.connect_timeout,
            max_body: max_body.unwrap_or(self.options.max_body),
        };
        request = request.header(ACCEPT, JSON).timeout(terms.timeout);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, JSON).body(body);
        }
        match request.headers(headers).send().await {
            Ok(response) => Answer::take(response, terms).await,
            Err(error) => Err(terms.unanswered(&error)),
        }
    }
}
