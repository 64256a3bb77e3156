//! Alerts: when a measured value means that a person must be told, and when it no longer does.
//!
//! A [`Rule`] says which series are looked at, how, and what is bad. An [`Alerts`] holds a state for each rule and each label
//! set: a value that is bad makes it pending, one that stays bad fires, one that is good again resolves. What is to be told
//! are [`Notice`]s; who sends them where is not decided here. [`SavedAlerts`] are what outlives a restart. Times come in, none
//! is read.

mod alerts;
mod condition;
mod exact;
mod notice;
mod queue;
mod rule;
pub mod rules;
mod saved;
mod stages;
mod template;
#[cfg(test)]
mod tests;
mod watch;

pub use alerts::Alerts;
pub use condition::{Comparison, Condition, ConditionError};
pub use notice::{AlertState, AlertView, Notice};
pub use queue::NoticeQueue;
pub use rule::{LOG, OnMissing, Rule, is_metric_name};
pub use saved::{RestoreError, SavedAlerts, SavedRule};
pub use template::{Annotation, Template, TemplateError};
pub use watch::{MOST_ALERTS, RuleWatch};
