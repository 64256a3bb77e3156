//! Writing what lies beside the logs: outboxes, dead letters, monitors.

use std::future::Future;

use tokio::sync::oneshot;

use crate::ids::ProcessId;
use crate::process::{Commit, CommitResult, Durability, Record, RequestError, Writer};
use crate::store::Store;

/// Hands `records` of `process`, which nobody needs to hold for that, to the store at once. The future ends once they are as
/// durable as was asked for.
pub fn keep(
    store: &Store,
    process: &ProcessId,
    records: Vec<Record>,
    durability: Durability,
) -> impl Future<Output = Result<(), RequestError>> + use<> {
    let (sender, receiver) = oneshot::channel();
    let (process, writer) = (process.clone(), Writer::Keeper);
    let commit = Commit { process, writer, scheduled: None, computed: None, records, durability };
    store.commit(commit, move |result| drop(sender.send(result)));
    async move {
        match receiver.await {
            Ok(CommitResult::Committed) => Ok(()),
            Ok(CommitResult::Unknown(why)) => Err(RequestError::Unknown(why)),
            Ok(CommitResult::Refused(why)) => Err(RequestError::Store(why)),
            Ok(CommitResult::Fenced) => Err(RequestError::Internal("the store took a keeper for a worker".to_owned())),
            Err(_) => Err(RequestError::Store("the store is closed; the node is stopping".to_owned())),
        }
    }
}
