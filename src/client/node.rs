//! Other nodes.

use std::time::Duration;

use serde::Serialize;

use super::call::Call;
use super::endpoint::Endpoint;
use super::error::ClientError;
use super::http::Client;
use crate::group::Chain;
use crate::ids::{IdError, MessageId, ProcessId};
use crate::process::{PushChain, SentMessage, Tag};

/// The longest that a node's `Retry-After` is heeded.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Another node, to whose processes messages can be scheduled.
#[derive(Clone, Debug)]
pub struct Node {
    client: Client,
    call: Call,
}

/// Why a message was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// No process can be called that.
    #[error("the target cannot be a process of another node: {0}")]
    Target(#[from] IdError),
    /// The message will never be taken as it is.
    #[error("the message was refused for good: {0}")]
    Refused(#[source] ClientError),
    /// The message may be taken later. Whether it has been taken already is not known.
    #[error("the message was not taken, or not known to be: {error}")]
    Later {
        /// What went wrong.
        #[source]
        error: ClientError,
        /// How long the node asks to be left alone; a minute at most.
        wait: Option<Duration>,
    },
}

impl Undelivered {
    /// Whether trying again is of no use.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Target(_) | Self::Refused(_) => true,
            Self::Later { .. } => false,
        }
    }
}

/// A message as the node's own API takes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MessageOut<'a> {
    pub(super) id: &'a MessageId,
    pub(super) target: &'a ProcessId,
    pub(super) anchor: &'a str,
    pub(super) tags: &'a [Tag],
    pub(super) data: &'a str,
}

impl Node {
    /// The node at `url`.
    pub fn new(client: Client, url: &str) -> Result<Self, ClientError> {
        Ok(Self { client, call: Call::to(Endpoint::parse(url)?) })
    }

    /// Schedules `message` to the node's process `target`, on behalf of a request that came through `chain`; it goes on with the
    /// chain `push`. Sent again under the same `id` it is taken once only.
    pub async fn schedule(
        &self,
        target: &str,
        id: &MessageId,
        message: &SentMessage,
        chain: &Chain,
        push: Option<&PushChain>,
    ) -> Result<(), Undelivered> {
        let target = ProcessId::parse(target)?;
        let mut call = self.call.clone();
        call.endpoint = call.endpoint.at(&["processes", target.as_str(), "schedule"]);
        call = of_chains(call, chain, push).map_err(Undelivered::Refused)?;
        let SentMessage { tags, data, anchor, target: _ } = message;
        let message = MessageOut { id, target: &target, anchor, tags, data };
        self.client.post(call, &message).await.map_err(undelivered)
    }
}

/// The request with what it says of the chains that it is part of.
pub(super) fn of_chains(mut call: Call, chain: &Chain, push: Option<&PushChain>) -> Result<Call, ClientError> {
    if !chain.is_empty() {
        call = call.header(Chain::HEADER, &chain.to_string())?;
    }
    match push {
        Some(push) => call.header(PushChain::HEADER, &push.to_string()),
        None => Ok(call),
    }
}

fn undelivered(error: ClientError) -> Undelivered {
    let wait = match &error {
        ClientError::Status { code: 409, name, .. } => {
            // Anything else in the way of a message may be gone later: a halted process is resumed, say.
            let is_reused = name.as_deref().is_none_or(|name| name == "id_reused");
            return if is_reused { Undelivered::Refused(error) } else { Undelivered::Later { error, wait: None } };
        }
        ClientError::Status { code: 429 | 503, retry_after, .. } => retry_after.map(|wait| wait.min(LONGEST_WAIT)),
        _ => None,
    };
    if error.is_permanent() { Undelivered::Refused(error) } else { Undelivered::Later { error, wait } }
}
