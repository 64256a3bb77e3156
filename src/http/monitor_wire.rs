//! Monitors and dead letters as JSON.

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::actors::{Seen, StartMonitor, name_of};
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::{DeadLetter, Json, MonitorSource};
use crate::units::{format_duration, parse_duration};

/// The longest cursor of a monitor, in bytes.
const CURSOR: usize = 2048;

/// A monitor that is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorIn {
    process: String,
    rate: Option<String>,
    cursor: Option<String>,
    source: Option<String>,
}

impl MonitorIn {
    /// The process, and what is to be started for it.
    pub fn read(self) -> Result<(ProcessId, StartMonitor), ApiError> {
        let process = ProcessId::parse(&self.process)?;
        let read = |text: &String| match parse_duration(text) {
            Ok(rate) if rate.is_zero() => Err(ApiError::bad_request("rate: it must be longer than nothing")),
            Ok(rate) => Ok(rate),
            Err(error) => Err(ApiError::bad_request(format!("rate: {error}"))),
        };
        let rate = self.rate.as_ref().map(read).transpose()?;
        if let Some(cursor) = self.cursor.as_ref().filter(|cursor| cursor.is_empty() || cursor.len() > CURSOR) {
            let found = cursor.len();
            return Err(ApiError::bad_request(format!("cursor: found {found} bytes, expected 1 to {CURSOR}")));
        }
        let source = match self.source.as_deref() {
            None | Some("local") => MonitorSource::Local,
            Some(url) => MonitorSource::Url(url.trim_end_matches('/').to_owned()),
        };
        let start = StartMonitor { process: process.clone(), rate, cursor: self.cursor, source };
        Ok((process, start))
    }
}

/// A monitor as the API shows it. Times are Unix milliseconds.
#[derive(Debug, Serialize)]
pub struct MonitorOut {
    process: ProcessId,
    rate: String,
    cursor: Option<String>,
    source: String,
    last_tick: Option<u64>,
    last_error: Option<String>,
    ticks: u64,
    skipped: u64,
    pushed: u64,
    next_due: u64,
}

impl MonitorOut {
    /// What is seen of a monitor.
    pub fn new(seen: &Seen) -> Self {
        let Seen { record, rounds } = seen;
        Self {
            process: record.process.clone(),
            rate: format_duration(record.rate),
            cursor: record.cursor.clone(),
            source: name_of(&record.source),
            last_tick: rounds.last_tick,
            last_error: rounds.last_error.clone(),
            ticks: rounds.ticks,
            skipped: rounds.skipped,
            pushed: rounds.pushed,
            next_due: rounds.next_due,
        }
    }
}

/// A dead letter as the API shows it.
#[derive(Debug, Serialize)]
pub struct DeadLetterOut {
    id: MessageId,
    source: ProcessId,
    slot: Slot,
    index: u32,
    target: String,
    message: Json,
    error: String,
    attempts: u32,
    since: u64,
}

impl From<DeadLetter> for DeadLetterOut {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { id, source, slot, index, target, message, error, attempts, since } = letter;
        Self { id, source, slot, index, target, message, error, attempts, since }
    }
}
