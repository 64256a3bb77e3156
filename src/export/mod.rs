//! The metrics as others read them: OpenMetrics, the older text format of Prometheus, JSON, and samples for the series.
//!
//! A registry writes OpenMetrics only. [`families`] reads that back, and everything else is made of what it read.

mod family;
mod format;
mod json;
mod parse;
mod text;

#[cfg(test)]
mod tests;

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use family::{Family, Sample, samples};
pub use format::{Format, negotiate};
pub use json::json;
pub use parse::{ParseError, families};
pub use text::text_0_0_4;

/// Everything in a registry as OpenMetrics 1.0.0.
///
/// # Errors
/// A collector could not write its part.
pub fn openmetrics(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}
