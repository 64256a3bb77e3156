//! The texts below `/proc/PID`, taken apart.

use super::clock::SinceBoot;
use super::line::Line;
use super::process::{ExitStatus, HostPid};
use super::text::Text;

/// One line of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub pid: HostPid,
    /// Its name.
    pub name: Text,
    /// What it does: `R`, `S`, `D`, `Z` and so on.
    pub state: char,
    /// Its parent, 0 for none.
    pub ppid: HostPid,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
    /// User and system time of all its threads, in ticks.
    pub cpu_ticks: u64,
    /// How many threads it has.
    pub threads: u32,
    /// When it began, rounded down to a tick.
    pub start: SinceBoot,
    /// Address space, in bytes.
    pub virtual_bytes: u64,
    /// Resident memory, in pages.
    pub resident_pages: u64,
    /// The number `wait` will give; 0 while it runs or where it may not be read.
    pub wait_status: u32,
}

impl Stat {
    /// Takes a line apart; `None` if it is none.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = Line::parse(line)?;
        Some(Self {
            pid: HostPid(line.pid),
            name: Text::from_bytes(line.name),
            state: char::from(line.state),
            ppid: HostPid(line.ppid),
            kernel: line.is_kernel,
            cpu_ticks: line.user.saturating_add(line.system),
            threads: u32::try_from(line.threads).ok()?,
            start: SinceBoot::from_ticks(line.start),
            virtual_bytes: line.virtual_bytes,
            resident_pages: line.resident_pages,
            wait_status: line.wait_status,
        })
    }

    /// Whether its first thread has ended.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// How it ended, for a zombie whose end may be read.
    pub fn status(&self) -> Option<ExitStatus> {
        // Zero is also what those see who may not look.
        (self.is_zombie() && self.wait_status != 0).then(|| ExitStatus::from_wait(self.wait_status))
    }
}

/// The real user in `/proc/PID/status`. The name there is escaped, so a line begins where the kernel began it.
pub(super) fn uid_of_status(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// The arguments in `/proc/PID/cmdline`: each ends with a zero.
pub(super) fn arguments_of_cmdline(cmdline: &[u8]) -> Vec<Text> {
    let cmdline = cmdline.strip_suffix(&[0]).unwrap_or(cmdline);
    if cmdline.is_empty() { Vec::new() } else { cmdline.split(|byte| *byte == 0).map(Text::from_bytes).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: &str = "S 7 1 1 0 -1 4194560 1 2 3 4 500 70 5 6 20 0 3 0 123 4096 42 1 1 1 1 1 1 0 0 0 0 0 0 0 17 0 0 0 0 0 0 1 1 1 1 1 1 1 256";

    #[test]
    fn names_may_hold_anything() {
        let names: [(&[u8], &str, bool); 7] = [
            (b"sh", "sh", false),
            (b"a b", "a b", false),
            (b") S 1 (", ") S 1 (", false),
            (b"((", "((", false),
            (b"\"new\nline\"", "\"new\nline\"", false),
            (b"", "", false),
            (b"\xffbad", "\u{fffd}bad", true),
        ];
        for (bytes, text, lossy) in names {
            let line = [b"42 (", bytes, b") ", REST.as_bytes(), b"\n"].concat();
            let stat = Stat::parse(&line).unwrap();
            assert_eq!((stat.name.as_str(), stat.name.is_lossy()), (text, lossy));
            assert_eq!((stat.pid, stat.ppid, stat.threads), (HostPid(42), HostPid(7), 3));
            assert_eq!((stat.cpu_ticks, stat.start), (570, SinceBoot::from_ticks(123)));
            assert_eq!((stat.virtual_bytes, stat.resident_pages, stat.wait_status), (4096, 42, 256));
            assert!(!stat.kernel && !stat.is_zombie() && stat.status().is_none());
        }
    }

    #[test]
    fn flags_and_states() {
        let of = |rest: &str| Stat::parse(format!("42 (x) {rest}").as_bytes()).unwrap();
        assert!(of(&REST.replace("4194560", "2129984")).kernel);
        let zombie = of(&REST.replacen('S', "Z", 1));
        assert_eq!(zombie.status(), Some(ExitStatus::Code(1)));
        assert_eq!(of(&REST.replacen('S', "Z", 1).replace("256", "9")).status(), Some(ExitStatus::Signal(9)));
        assert_eq!(of(&REST.replacen('S', "Z", 1).replace(" 256", " 0")).status(), None);
    }

    #[test]
    fn lines_cut_short_are_refused() {
        let line = format!("42 (x) {REST}");
        for end in 0..line.find(" 123").unwrap() {
            assert_eq!(Stat::parse(&line.as_bytes()[..end]), None, "{:?}", &line[..end]);
        }
    }

    #[test]
    fn users_and_arguments() {
        assert_eq!(uid_of_status(b"Name:\tUid:\\n7\nUid:\t1000\t0\t0\t0\n"), Some(1000));
        assert_eq!(uid_of_status(b"Name:\tx\n"), None);
        for (bytes, expected) in [
            (&b""[..], &[][..]),
            (b"a\0", &["a"]),
            (b"a\0\0b c\0", &["a", "", "b c"]),
            (b"no zero", &["no zero"]),
            (b"\0", &[]),
        ] {
            let arguments = arguments_of_cmdline(bytes);
            let texts: Vec<&str> = arguments.iter().map(Text::as_str).collect();
            assert_eq!(texts, expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (Stat::parse(&bytes), uid_of_status(&bytes), arguments_of_cmdline(&bytes));
        }

        #[test]
        fn any_name_is_read_back(name in proptest::collection::vec(1u8..=255, 0..15)) {
            let line = [b"42 (", &name[..], b") ", REST.as_bytes()].concat();
            prop_assert_eq!(Stat::parse(&line).unwrap().name, Text::from_bytes(&name));
        }
    }
}
