//! Names that are hard to read.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mainstay::host::{BackendKind, Counters, HostPid, Options, ProcFs};

use crate::watcher::{Watcher, with};

/// What a program is called, what of it the kernel keeps, and whether that is no text.
const NAMES: [(&[u8], &str, bool); 8] = [
    (b"a b", "a b", false),
    (b"(x)", "(x)", false),
    (b") S 1 (", ") S 1 (", false),
    (b"new\nline", "new\nline", false),
    (b"\"quoted\" 'name'", "\"quoted\" 'name'", false),
    (b"-- * ?", "-- * ?", false),
    (b"\xff\xfe", "\u{fffd}\u{fffd}", true),
    ("fifteen-bytes-ü".as_bytes(), "fifteen-bytes-\u{fffd}", true),
];

#[test]
fn odd_names_are_told_by_every_backend() {
    for backend in [BackendKind::Connector, BackendKind::Poll] {
        let options = Options { poll_interval: std::time::Duration::from_millis(20), ..with(backend) };
        let Some(watcher) = Watcher::start(options) else { continue };
        each_name(|pid, name, lossy| {
            let event = watcher.wait_for(|event| event.process.pid.0 == pid && event.process.name.as_str() == name);
            assert_eq!(event.process.name.is_lossy(), lossy, "{event:?}");
        });
    }
}

#[test]
fn odd_names_are_read_from_proc() {
    let counters = Arc::<Counters>::default();
    let proc_fs = ProcFs::open(Arc::clone(&counters)).unwrap();
    each_name(|pid, name, lossy| {
        // Until its program runs, the child goes by our own name.
        let seen = loop {
            let seen = proc_fs.seen(HostPid(pid)).unwrap();
            let arguments = proc_fs.cmdline(HostPid(pid)).unwrap();
            if seen.exe.as_ref().is_some_and(|exe| exe.as_str().ends_with("cat")) && arguments.len() == 2 {
                assert_eq!(arguments[1].as_str(), "-");
                break seen;
            }
            std::thread::yield_now();
        };
        assert_eq!((seen.name.as_str(), seen.name.is_lossy()), (name, lossy));
        assert_eq!(proc_fs.comm(HostPid(pid)), Some(seen.name.clone()));
        assert_eq!((seen.threads, seen.zombie, seen.kernel), (1, false, false));
    });
    assert_eq!(proc_fs.seen(HostPid(u32::MAX)), None);
    assert_eq!(counters.numbers().denied, 0);
}

/// Runs a program under each name and lets `check` look at it.
fn each_name(check: impl Fn(u32, &str, bool)) {
    let folder = tempfile::Builder::new().prefix("odd-names").tempdir().unwrap();
    // The kernel names a program by the path that it was started under.
    let cat = fs::canonicalize("/bin/cat").unwrap();
    for (bytes, name, lossy) in NAMES {
        let program = folder.path().join(Path::new(OsStr::from_bytes(bytes)));
        symlink(&cat, &program).unwrap();
        let mut child = Command::new(&program)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name:?}: {error}"));
        check(child.id(), name, lossy);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
