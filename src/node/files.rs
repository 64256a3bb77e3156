//! The files that the node may hold open: connections must not take those of the store.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Files that are kept for the store, the log and the runtime.
const OWN: u64 = 512;

/// Has the system allow as many open files as it will. Returns how many of `wanted` connections that leaves room for.
pub(super) fn make_room(wanted: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let is_raised = limits.current == limits.maximum || setrlimit(Resource::Nofile, raised).is_ok();
    let Some(files) = (if is_raised { limits.maximum } else { limits.current }) else { return wanted };
    let room = room(files, wanted);
    if room < wanted {
        warn!(target: "http", event = "connections_limited", max_connections = wanted, connections = room, files,
            "the system allows too few open files for http.max_connections; raise its limit (ulimit -n, LimitNOFILE)");
    }
    room
}

/// How many of `wanted` connections there is room for where so many files may be open.
fn room(files: u64, wanted: usize) -> usize {
    let left = files.saturating_sub(OWN).max(files / 2).max(1);
    usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_own_files_come_first() {
        for (files, wanted, expected) in [
            (1 << 20, 4096, 4096),
            (4608, 4096, 4096),
            (4607, 4096, 4095),
            (1024, 4096, 512),
            (200, 4096, 100),
            (200, 10, 10),
            (0, 10, 1),
        ] {
            assert_eq!(room(files, wanted), expected, "{files} files, {wanted} connections");
        }
    }
}
