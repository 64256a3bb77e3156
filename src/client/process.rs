//! A process of another node, of which outcomes are wanted.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::Call;
use super::endpoint::Endpoint;
use super::error::ClientError;
use super::http::Client;
use super::node::{MessageOut, of_chains};
use crate::group::Chain;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::{Message, PushChain, StateView};

/// An answer may take so much longer than what is waited for.
const MARGIN: Duration = Duration::from_secs(10);

/// A process of another node.
#[derive(Clone, Debug)]
pub struct FarProcess {
    client: Client,
    /// A request to it, with the terms that all have.
    call: Call,
    process: ProcessId,
}

/// What a node says about a message.
#[derive(Debug, Deserialize)]
pub struct FarOutcome {
    /// The slot that the message has there; of a message that was only tried, the slot of the state.
    pub slot: Slot,
    /// Its outcome as JSON, once there is one.
    pub outcome: Option<Box<RawValue>>,
}

impl FarProcess {
    /// The process `process` of the node at `url`, whose answers have `max_body` bytes at most.
    pub fn new(client: Client, url: &str, process: ProcessId, max_body: u64) -> Result<Self, ClientError> {
        Ok(Self { client, call: Call::to(Endpoint::parse(url)?).at_most(max_body), process })
    }

    /// Looks whether it is there. That it isn't is status 404.
    pub async fn find(&self, time: Duration) -> Result<(), ClientError> {
        self.client.look(self.at(&[], time)).await
    }

    /// Schedules `message` under `id`, once however often it is done, and waits for the outcome for `wait` at most. The request
    /// comes through `chain`, and what the process sends goes on with the chain `push`.
    pub async fn schedule(
        &self,
        id: &MessageId,
        message: &Message,
        wait: Duration,
        chain: &Chain,
        push: Option<&PushChain>,
    ) -> Result<FarOutcome, ClientError> {
        let mut call = self.at(&["schedule"], wait.saturating_add(MARGIN));
        call.endpoint = call.endpoint.with("wait", &format!("{}ms", wait.as_millis().max(1)));
        self.post(of_chains(call, chain, push)?, id, message).await
    }

    /// What would come of `message` against the latest state.
    pub async fn dry_run(&self, message: &Message, time: Duration, chain: &Chain) -> Result<FarOutcome, ClientError> {
        self.post(of_chains(self.at(&["dry-run"], time), chain, None)?, &message.id, message).await
    }

    /// The latest state.
    pub async fn state(&self, time: Duration, chain: &Chain) -> Result<StateView, ClientError> {
        let body = self.client.get(of_chains(self.at(&["state"], time), chain, None)?).await?;
        if body.is_binary() {
            return Ok(StateView::Bytes(body.into_bytes().into()));
        }
        let json: Box<RawValue> = body.json()?;
        Ok(StateView::Json(json.get().into()))
    }

    async fn post(&self, call: Call, id: &MessageId, message: &Message) -> Result<FarOutcome, ClientError> {
        let Message { anchor, tags, data, .. } = message;
        let body = MessageOut { id, target: &self.process, anchor, tags, data };
        self.client.post_json(call, &body).await
    }

    fn at(&self, path: &[&str], time: Duration) -> Call {
        let whole: Vec<_> = ["processes", self.process.as_str()].into_iter().chain(path.iter().copied()).collect();
        let call = self.call.clone().within(time);
        Call { endpoint: call.endpoint.at(&whole), ..call }
    }
}
