//! Which backend a watch runs on, by system.

use std::sync::Arc;

use super::backend::Backend;
use super::counters::Counters;
use super::error::HostError;
use super::tracker::Table;
use super::watch::Options;

#[cfg(target_os = "linux")]
pub(super) use super::sys::make_realtime;

/// A backend that has started, and what goes with it.
pub(super) struct Choice {
    pub(super) backend: Box<dyn Backend>,
    /// For looks besides.
    pub(super) table: Box<dyn Table>,
    /// Why this backend, for a person.
    pub(super) reason: String,
}

const NAMED: &str = "the configuration names it";

/// Starts the backend that is named, or the best that starts.
#[cfg(target_os = "linux")]
pub(super) fn choose(options: &Options, counters: &Arc<Counters>) -> Result<Choice, HostError> {
    use super::connector::Connector;
    use super::poll::Poll;
    use super::proc_fs::ProcFs;
    use crate::config::BackendKind;

    let proc_fs = ProcFs::open(Arc::clone(counters))?;
    let connector = || Connector::open(options.receive_buffer, proc_fs.clone());
    let poll = || Poll::open(options.poll_interval, proc_fs.clone());
    let (backend, reason): (Box<dyn Backend>, _) = match options.backend {
        BackendKind::Connector => (Box::new(connector()?), NAMED.to_owned()),
        BackendKind::Poll => (Box::new(poll()?), NAMED.to_owned()),
        BackendKind::Auto => match connector() {
            Ok(connector) if connector.lacks().is_empty() => {
                (Box::new(connector), "the kernel tells of every process".to_owned())
            }
            Ok(connector) => (Box::new(connector), "the kernel tells of every process, within limits".to_owned()),
            Err(HostError::Connector(why)) => {
                (Box::new(poll()?), format!("the process connector does not start: {why}"))
            }
            Err(error) => (Box::new(poll()?), error.to_string()),
        },
    };
    Ok(Choice { backend, table: Box::new(proc_fs), reason })
}

/// Starts the one backend that there is outside of Linux, unless another is named.
#[cfg(not(target_os = "linux"))]
pub(super) fn choose(options: &Options, _: &Arc<Counters>) -> Result<Choice, HostError> {
    use super::table::{PollTable, SystemTable};
    use crate::config::BackendKind;

    let reason = match options.backend {
        BackendKind::Connector => return Err(HostError::Connector("only Linux has one".to_owned())),
        BackendKind::Poll => NAMED.to_owned(),
        BackendKind::Auto => "this system has nothing that tells of processes".to_owned(),
    };
    let backend = Box::new(PollTable::new(options.poll_interval, SystemTable::new()?));
    Ok(Choice { backend, table: Box::new(SystemTable::new()?), reason })
}

/// Real-time priority for the calling thread, which is asked for on Linux only.
#[cfg(not(target_os = "linux"))]
pub(super) fn make_realtime() -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
