//! Takes up what waits in logs: after a start, whenever the store is back after a failure, and now and then, so that work
//! whose worker was lost on some rare way does not wait for the next request.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{info, warn};

use super::hub::Hub;
use super::monitor_registry::TakeUpMonitors;
use super::pusher::LookRound;
use super::readiness::Readiness;

/// So many workers are started at a time.
const AT_A_TIME: usize = 64;
/// How often the store is looked at for having been away.
const LOOK: Duration = Duration::from_millis(500);
/// How often work is looked for that nobody told of.
const LOOK_ROUND: Duration = Duration::from_secs(60);

/// Starts a worker for every process that has slots to compute, a bounded number at a time; then does so again whenever the
/// store has been away, and once a minute. Ends with the node.
pub async fn take_up_pending(hub: Hub, readiness: Arc<Readiness>) {
    let mut is_taken_up = false;
    let mut is_round = false;
    loop {
        let store = &hub.environment().store;
        let failures = store.failures();
        // A store that is away now is counted already, so nobody would look again when it is back.
        let is_there = store.is_healthy().is_ok();
        if is_there && let Some(taken) = take_up(&hub).await {
            // In a round most of them are simply at work.
            if taken > 0 && !is_round {
                info!(target: "node", event = "pending_taken_up", processes = taken);
            }
            if !is_taken_up {
                start_services(&hub).await;
                is_taken_up = true;
            }
            readiness.taken_up();
            is_round = tokio::time::timeout(LOOK_ROUND, wait_for_return(&hub, failures)).await.is_err();
        } else {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Starts the monitors that are kept, and takes up what waits to be delivered.
async fn start_services(hub: &Hub) {
    let Some(services) = hub.environment().services.get() else { return };
    let pushing = join_all(services.pushers.iter().map(|pusher| pusher.send(LookRound)));
    let monitoring = join_all(services.monitors.iter().map(|registry| registry.send(TakeUpMonitors)));
    let (_, monitors) = tokio::join!(pushing, monitoring);
    let monitors: usize = monitors.into_iter().flatten().sum();
    if monitors > 0 {
        info!(target: "node", event = "monitors_taken_up", monitors);
    }
}

/// Returns when the store takes writes after it took none, be it for a moment. `failures` is how often it had failed before.
async fn wait_for_return(hub: &Hub, failures: u64) {
    let store = &hub.environment().store;
    while store.failures() == failures {
        tokio::time::sleep(LOOK).await;
    }
    while store.is_healthy().is_err() {
        tokio::time::sleep(LOOK).await;
    }
}

/// How many processes were taken up; `None`: the store could not be read, try again.
async fn take_up(hub: &Hub) -> Option<usize> {
    let (mut after, mut taken) = (None, 0);
    loop {
        let pending = match hub.pending_page(after.clone(), AT_A_TIME).await {
            Ok(pending) => pending,
            Err(error) => {
                warn!(target: "node", event = "pending_unread", %error, "trying again");
                return None;
            }
        };
        let Some(last) = pending.last() else { return Some(taken) };
        after = Some(last.clone());
        taken += pending.len();
        for result in join_all(pending.iter().map(|process| hub.wake(process))).await {
            if let Err(error) = result {
                warn!(target: "node", event = "pending_left", %error, "it is taken up with the next request for it");
            }
        }
    }
}
