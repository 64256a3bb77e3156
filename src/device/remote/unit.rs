//! How an AO compute unit is asked for an outcome.

use tracing::warn;

use super::refusal::Refusal;
use crate::client::ClientError;
use crate::client::compute_unit::{ComputeUnit, ComputeUnitError, RemoteOutcome};
use crate::config::limits::{LimitKey, Limits};
use crate::device::answered::{Failure, words};
use crate::device::sending::{Outbox, Refused};
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::Outcome;

/// What came of the message `id`, which has `slot` here.
pub(super) async fn compute(
    unit: ComputeUnit,
    process: ProcessId,
    slot: Slot,
    id: MessageId,
    limits: Limits,
) -> Result<Outcome, Refusal> {
    let result = unit.result(&id, &process).await.map_err(|error| refusal(error, &id, &process))?;
    let (spawns, assignments) = (result.spawns, result.assignments);
    if spawns + assignments > 0 {
        warn!(target: "compute", event = "left_out", %process, slot = slot.0, spawns, assignments,
            "spawns and assignments of an AO process are carried out where it lives");
    }
    outcome(result, &limits).map_err(Refusal::Failed)
}

fn outcome(result: RemoteOutcome, limits: &Limits) -> Result<Outcome, Failure> {
    let RemoteOutcome { output, messages, spawns, assignments, error, gas_used } = result;
    // Of another machine's gas there is no limit here.
    let gas = gas_used.unwrap_or(0);
    if let Some(error) = error {
        return Err(Failure::Error(words(error, limits), gas));
    }
    if output.as_str().len() as u64 > limits.output_size {
        return Err(Failure::Limit(LimitKey::OutputSize));
    }
    let count = messages.len().saturating_add(spawns).saturating_add(assignments);
    if count as u64 > limits.messages_per_outcome {
        return Err(Failure::Limit(LimitKey::MessagesPerOutcome));
    }
    let mut outbox = Outbox::new(limits);
    for message in messages {
        outbox.send(message).map_err(|refused| match refused {
            Refused::Limit(key) => Failure::Limit(key),
            Refused::Bad(why) => Failure::Error(format!("the outcome sends what cannot be sent: {why}"), gas),
        })?;
    }
    Ok(Outcome { output, messages: outbox.messages, gas_used: gas, ..Outcome::empty() })
}

fn refusal(error: ComputeUnitError, id: &MessageId, process: &ProcessId) -> Refusal {
    let text = error.to_string();
    match error {
        ComputeUnitError::Client(ClientError::Status { code: 404 | 410, .. }) => Refusal::error(format!(
            "unknown_message: message {id} of process {process} is not known there, only items of its scheduler are: {text}"
        )),
        ComputeUnitError::Client(error) => error.into(),
        // Not what compute units answer at all, or an outcome with something wrong in it, which stays wrong.
        ComputeUnitError::Answer { place, .. } if place == "the answer" => Refusal::Fault(text),
        ComputeUnitError::Answer { .. } => Refusal::error(text),
    }
}
