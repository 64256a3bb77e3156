//! One route: which events become messages of which process, and how they get there.

use std::time::Duration;

use tracing::warn;

use super::super::delivery::{ANSWER_TIME, final_failure, no_answer, refused, unread};
use super::super::hub::Hub;
use super::quiet::{Quiet, Tally};
use super::row::{Letter, Row};
use crate::config::WatchRoute;
use crate::glob::Glob;
use crate::ids::ProcessId;
use crate::process::{Draft, Origin, RequestError, Tag};
use crate::push::Failure;
use crate::supervise::Backoff;

/// Who is named as sender of events.
const FROM: &str = "watch";

/// One route.
pub(super) struct Route {
    /// By which it is known while it is on its way.
    pub(super) key: u64,
    pub(super) glob: Glob,
    pub(super) process: ProcessId,
    pub(super) row: Row,
    /// Whether a message is on its way, or waits to be tried again.
    pub(super) is_busy: bool,
    pub(super) backoff: Backoff,
    pub(super) left_out: Tally,
    pub(super) given_up: Quiet,
    pub(super) failing: Quiet,
}

impl Route {
    pub(super) fn new(key: u64, config: &WatchRoute) -> Self {
        Self {
            key,
            glob: Glob::new(&config.event),
            process: config.process.clone(),
            row: Row::default(),
            is_busy: false,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(30)),
            left_out: Tally::default(),
            given_up: Quiet::default(),
            failing: Quiet::default(),
        }
    }

    pub(super) fn is(&self, config: &WatchRoute) -> bool {
        self.glob.as_str() == config.event && self.process == config.process
    }

    /// Says, once in a while, how many events did not become messages of their own.
    pub(super) fn tell_left_out(&mut self) {
        if let Some(events) = self.left_out.due() {
            warn!(target: "watch", event = "route_coalesced", process = %self.process, route = %self.glob, events,
                "events came faster than messages may, or than the process takes them; the next message counts them");
        }
    }

    /// Looks whether there is somebody to take messages.
    pub(super) fn check(&mut self, hub: &Hub) {
        if let Ok(None) = hub.environment().store.process(&self.process)
            && self.given_up.may()
        {
            warn!(target: "watch", event = "route_unknown", process = %self.process, route = %self.glob,
                "there is no such process on this node; create it, or correct [[watch.route]]");
        }
    }
}

/// Hands an event to a process: the same one takes one slot, however often it is handed over.
pub(super) async fn deliver(hub: Hub, process: ProcessId, letter: Letter) -> Result<(), Failure> {
    if hub.environment().store.process(&process).map_err(unread)?.is_none() {
        return Err(final_failure(format!("there is no process {process} on this node")));
    }
    match tokio::time::timeout(ANSWER_TIME, hub.deliver(&process, &draft(letter))).await {
        // Known, with another count of those left out.
        Ok(Ok(_) | Err(RequestError::IdReused(_))) => Ok(()),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(no_answer(&process)),
    }
}

fn draft(Letter { id, told, coalesced }: Letter) -> Draft {
    let mut tags = vec![Tag::new("Action", "HostEvent"), Tag::new("Event", &told.event)];
    if coalesced > 0 {
        tags.push(Tag::new("Coalesced", coalesced.to_string()));
    }
    Draft {
        id,
        is_new: false,
        origin: Origin::Watch,
        from: FROM.to_owned(),
        owner: FROM.to_owned(),
        anchor: String::new(),
        tags,
        data: told.json.clone(),
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    }
}
