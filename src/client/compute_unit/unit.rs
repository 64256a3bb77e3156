//! What is asked of compute units.

use std::time::Duration;

use super::outcome::RemoteOutcome;
use super::page::CronPage;
use super::parts::{Fault, Part};
use crate::client::{Call, Client, ClientError, Endpoint};
use crate::group::Chain;
use crate::ids::{MessageId, ProcessId};

/// An AO compute unit.
#[derive(Clone, Debug)]
pub struct ComputeUnit {
    client: Client,
    /// A request to it, with the terms that all have.
    call: Call,
}

/// Why a compute unit gave nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ComputeUnitError {
    /// The request came to nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer is not what compute units answer.
    #[error("the answer of {url} cannot be used: {place}: {problem}; the answer begins with {beginning:?}")]
    Answer {
        /// Where the request went.
        url: String,
        /// The place in the answer, such as `edges[3].node.Messages[0].Tags`.
        place: String,
        /// What was found there and what should be.
        problem: String,
        /// The beginning of the answer.
        beginning: String,
    },
}

impl ComputeUnitError {
    /// See [`ClientError::is_permanent`]. A bad answer counts as passing: the unit may be mended.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_permanent())
    }
}

impl ComputeUnit {
    /// The compute unit at `url`.
    pub fn new(client: Client, url: &str) -> Result<Self, ClientError> {
        Ok(Self { client, call: Call::to(Endpoint::parse(url)?) })
    }

    /// The same, where each request has this time to be answered in full, and answers so many bytes at most.
    #[must_use]
    pub fn within(self, time: Duration, max_body: u64) -> Self {
        Self { call: self.call.within(time).at_most(max_body), ..self }
    }

    /// The same, for requests that came through `chain`.
    pub fn behind(self, chain: &Chain) -> Result<Self, ClientError> {
        Ok(Self { call: self.call.header(Chain::HEADER, &chain.to_string())?, ..self })
    }

    /// The cron results of `process` after the cursor `from`, or from the beginning; `limit` at most.
    pub async fn cron_page(
        &self,
        process: &ProcessId,
        from: Option<&str>,
        limit: usize,
    ) -> Result<CronPage, ComputeUnitError> {
        let endpoint = self.call.endpoint.at(&["cron", process.as_str()]);
        let endpoint = from.map_or(endpoint.clone(), |from| endpoint.with("from", from));
        let endpoint = endpoint.with("limit", &limit.to_string());
        self.ask(endpoint, |text| CronPage::read(text, from, limit)).await
    }

    /// What came of `message` in `process`. The unit holds the request until it has computed it, so the time that requests are
    /// given is how long it is waited for.
    pub async fn result(&self, message: &MessageId, process: &ProcessId) -> Result<RemoteOutcome, ComputeUnitError> {
        let endpoint = self.call.endpoint.at(&["result", message.as_str()]).with("process-id", process.as_str());
        self.ask(endpoint, |text| RemoteOutcome::read(&Part::whole(text)?)).await
    }

    async fn ask<T>(
        &self,
        endpoint: Endpoint,
        read: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Result<T, ComputeUnitError> {
        let url = endpoint.to_string();
        let body = self.client.get(Call { endpoint, ..self.call.clone() }).await?;
        read(body.text()?).map_err(|Fault { place, problem }| ComputeUnitError::Answer {
            url,
            place,
            problem,
            beginning: body.beginning(),
        })
    }
}
