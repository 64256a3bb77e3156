//! Proof of the core: a table for each behaviour, and a property over random lives.

mod fake_device;
mod fake_store;
mod world;

mod barring;
mod cron;
mod defining;
mod failing_store;
mod faulting;
mod halting;
mod ids;
mod marks;
mod outbox;
mod outcomes;
mod property;
mod scheduling;
mod snapshots;
mod stopping;
