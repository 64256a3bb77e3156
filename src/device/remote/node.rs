//! How a node is asked for an outcome.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::refusal::Refusal;
use crate::client::ClientError;
use crate::client::process::{FarOutcome, FarProcess};
use crate::config::limits::{LimitKey, Limits};
use crate::device::answered::{self, Failure};
use crate::group::Outward;
use crate::ids::{MessageId, Slot};
use crate::process::{Entry, Message, Outcome};

/// The node is asked anew so often, so that circles that close meanwhile are found out.
const ASK: Duration = Duration::from_secs(5);
/// The pause before, where it answers at once.
const PAUSE: Duration = Duration::from_millis(50);

/// What came of a message at the other node.
#[derive(Debug)]
pub(super) struct Told {
    /// Its slot there.
    pub(super) slot: Slot,
    /// Its outcome, messages and all.
    pub(super) outcome: Outcome,
}

/// Schedules the message of `entry` under `id`, unless it is scheduled already, and waits for its outcome. The chain of pushes
/// that it is part of goes on there.
pub(super) async fn compute(
    process: FarProcess,
    id: MessageId,
    entry: Entry,
    limits: Limits,
    outward: Outward,
) -> Result<Told, Refusal> {
    let Entry { message, push, .. } = entry;
    let deadline = Instant::now() + limits.compute_time;
    let mut known = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let said = process.schedule(&id, &message, left.min(ASK), &outward.chain(), push.as_ref()).await;
        let FarOutcome { slot, outcome } = said.map_err(|error| refusal(error, known))?;
        if let Some(known) = known.filter(|known| *known != slot) {
            return Err(Refusal::Fault(format!("the message was in slot {known} there and is in slot {slot} now")));
        }
        known = Some(slot);
        if let Some(outcome) = outcome {
            return read(&outcome, &limits).map(|outcome| Told { slot, outcome });
        }
        if Instant::now() >= deadline {
            return Err(Refusal::Failed(Failure::Limit(LimitKey::ComputeTime)));
        }
        sleep(PAUSE).await;
    }
}

/// What would come of `message` against the latest state.
pub(super) async fn dry_run(
    process: FarProcess,
    message: Message,
    limits: Limits,
    outward: Outward,
) -> Result<Outcome, Refusal> {
    let said = process.dry_run(&message, limits.compute_time, &outward.chain()).await;
    let said = said.map_err(|error| match error {
        ClientError::Timeout { .. } => Refusal::Failed(Failure::Limit(LimitKey::ComputeTime)),
        error => refusal(error, None),
    })?;
    let outcome = said.outcome.ok_or_else(|| Refusal::Fault("the answer to a dry-run has no outcome".to_owned()))?;
    read(&outcome, &limits)
}

/// `known` is the slot there, if the node has told one.
pub(super) fn refusal(error: ClientError, known: Option<Slot>) -> Refusal {
    match &error {
        ClientError::Status { code: 404, .. } => {
            Refusal::Fault(format!("{error}; the process must be there, too: create it there, or change `url`"))
        }
        ClientError::Status { code: 409, name: Some(name), .. } if name == "id_reused" && known.is_none() => {
            Refusal::error(format!("id_reused: {error}"))
        }
        _ => error.into(),
    }
}

fn read(outcome: &serde_json::value::RawValue, limits: &Limits) -> Result<Outcome, Refusal> {
    answered::read(outcome, limits).map(|read| read.outcome).map_err(Refusal::Failed)
}
