//! Pushing without a shell: what goes in and what must come out.

mod property;
mod rules;
mod world;

use super::*;
use crate::ids::Slot;

fn source(number: usize) -> ProcessId {
    ProcessId::parse(&format!("source-{number}")).unwrap()
}

fn key(number: u64) -> OutboxKey {
    OutboxKey { slot: Slot(number / 3), index: u32::try_from(number % 3).unwrap() }
}

fn later(counts: bool) -> Failure {
    Failure::Later { reason: "no".to_owned(), counts }
}

fn never() -> Failure {
    Failure::Final { reason: "never".to_owned() }
}
