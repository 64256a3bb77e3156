//! The log: structured events on standard output.
//!
//! Lines are handed to a thread that writes them, through a bounded queue: a reader that is slow, or gone, costs lines (they
//! are counted) and never stops the node.

use std::io::IsTerminal as _;

use tracing::info;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{LogConfig, LogFormat};

/// Lines that may wait to be written.
const QUEUE: usize = 65_536;

/// The log of the node. What waits is written when this is dropped.
pub struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    lost: ErrorCounter,
    _writer: WorkerGuard,
}

/// Why the log cannot be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Not a filter.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another log was set up before.
    #[error("the log is set up already: {0}")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
    /// The filter is gone.
    #[error("the log's filter cannot be changed: {0}")]
    Reload(#[from] reload::Error),
}

impl Logging {
    /// Sets the log up for the whole program.
    pub fn start(config: &LogConfig) -> Result<Self, LoggingError> {
        let (writer, guard) =
            NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).finish(std::io::stdout());
        let lost = writer.error_counter();
        let (filter, handle) = reload::Layer::new(filter(&config.filter)?);
        let is_terminal = std::io::stdout().is_terminal();
        let format = config.format.unwrap_or(if is_terminal { LogFormat::Pretty } else { LogFormat::Json });
        let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(is_terminal);
        let lines: Box<dyn Layer<_> + Send + Sync> = match format {
            LogFormat::Pretty => Box::new(lines),
            LogFormat::Compact => Box::new(lines.compact()),
            LogFormat::Json => {
                Box::new(lines.json().flatten_event(true).with_current_span(false).with_span_list(false))
            }
        };
        Registry::default().with(filter).with(lines).try_init()?;
        Ok(Self { filter: handle, lost, _writer: guard })
    }

    /// Puts another filter in force.
    pub fn set_filter(&self, filter: &str) -> Result<(), LoggingError> {
        Ok(self.filter.reload(self::filter(filter)?)?)
    }

    /// Lines that were lost because nobody read fast enough.
    pub fn lost_lines(&self) -> usize {
        self.lost.dropped_lines()
    }
}

/// The filter that `text` says. Libraries that chat at `info` are heard from `warn` on, unless it names them.
fn filter(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("actix_server=warn,{text}"))
}

impl Drop for Logging {
    fn drop(&mut self) {
        let lost = self.lost_lines();
        if lost > 0 {
            info!(target: "node", event = "log_lines_lost", lost);
        }
    }
}
