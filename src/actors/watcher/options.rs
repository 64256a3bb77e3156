//! `[watch]` in the words of the watch.

use crate::config::WatchConfig;
use crate::glob::Glob;
use crate::host::{Filter, HostPid, Options};

/// How the watch is to be.
pub(super) fn options(config: &WatchConfig) -> Options {
    Options {
        backend: config.backend,
        filter: filter(config),
        poll_interval: config.poll_interval,
        realtime: config.realtime,
        queue: config.queue,
        ..Options::default()
    }
}

/// Whom it is to tell of.
pub(super) fn filter(config: &WatchConfig) -> Filter {
    let globs = |patterns: &[String]| patterns.iter().map(|pattern| Glob::new(pattern)).collect();
    Filter {
        include: globs(&config.include),
        exclude: globs(&config.exclude),
        uids: config.uid.clone(),
        parents: config.parent.and_then(|pid| u32::try_from(pid).ok()).map(HostPid).into_iter().collect(),
        kernel_threads: config.kernel_threads,
    }
}
