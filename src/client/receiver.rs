//! Those who are told of alerts by HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::call::Call;
use super::endpoint::Endpoint;
use super::error::ClientError;
use super::http::Client;
use crate::alert::Notice;
use crate::clock::Millis;

/// How long a receiver may take for one notice.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Something that a notice is posted to as JSON.
#[derive(Clone, Debug)]
pub struct Webhook {
    client: Client,
    call: Call,
}

impl Webhook {
    /// What is at `url`. Fails with [`ClientError::Url`] where nothing can be.
    pub fn new(client: Client, url: &str) -> Result<Self, ClientError> {
        Ok(Self { client, call: Call::to(Endpoint::parse(url)?).within(TIMEOUT) })
    }

    /// The same with another time to answer in.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { call: self.call.within(timeout), ..self }
    }

    /// Tells `notice`. Any answer but 2xx is an error, and what it says besides is not looked at.
    pub async fn tell(&self, notice: &Notice) -> Result<(), ClientError> {
        self.client.post(self.call.clone(), notice).await
    }
}

/// An Alertmanager, by version 2 of its API.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    client: Client,
    call: Call,
    generator: String,
}

/// An alert as the Alertmanager takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostedAlert<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator: &'a str,
}

impl Alertmanager {
    /// The one at `url`, for alerts of the node that is itself found at `generator`. Fails with [`ClientError::Url`] where
    /// nothing can be at `url`.
    pub fn new(client: Client, url: &str, generator: &str) -> Result<Self, ClientError> {
        let endpoint = Endpoint::parse(url)?.at(&["api", "v2", "alerts"]);
        Ok(Self { client, call: Call::to(endpoint).within(TIMEOUT), generator: generator.to_owned() })
    }

    /// The same with another time to answer in.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { call: self.call.within(timeout), ..self }
    }

    /// Tells `notices`, all in one request.
    ///
    /// The labels are those of the alert with `alertname` and `severity`. A firing alert ends when four cooldowns have
    /// passed without another notice, one that is over ends with the notice.
    pub async fn tell(&self, notices: &[Notice]) -> Result<(), ClientError> {
        let alerts: Vec<_> = notices.iter().map(|notice| self.posted(notice)).collect();
        self.client.post(self.call.clone(), &alerts).await
    }

    fn posted<'a>(&'a self, notice: &'a Notice) -> PostedAlert<'a> {
        let texts = |map: &'a BTreeMap<String, String>| map.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let own = [("alertname", notice.name.as_str()), ("severity", notice.severity.as_str())];
        PostedAlert {
            labels: texts(&notice.labels).chain(own).collect(),
            annotations: texts(&notice.annotations).collect(),
            starts_at: rfc3339(notice.since),
            ends_at: rfc3339(notice.valid_until.unwrap_or(notice.timestamp)),
            generator: &self.generator,
        }
    }
}

/// A point in time as text; one beyond the year 9999 as the last moment of it.
fn rfc3339(time: Millis) -> String {
    let time = i64::try_from(time).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}
