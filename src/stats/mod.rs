//! Series of samples and what can be said about them: summaries, statistics by name, anomalies.
//!
//! Pure: times come in as [`Millis`](crate::clock::Millis), and what a series is called comes in as a metric's name and
//! [`Labels`].

mod anomaly;
mod labels;
mod moments;
mod saved;
mod selector;
mod series;
mod stat;
mod store;
mod summary;

pub use anomaly::{Anomaly, AnomalyDetector};
pub use labels::{LabelError, Labels, MAX_LABELS, MAX_NAME, MAX_VALUE};
pub use saved::RestoreError;
pub use selector::Selector;
pub use series::{Sample, Series};
pub use stat::Stat;
pub use store::{Losses, Refused, SeriesStore};
pub use summary::Summary;
