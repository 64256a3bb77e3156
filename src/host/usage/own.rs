//! What the daemon itself uses.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::boot::{Boot, ticks};
use super::error::UsageError;
use super::folder::Folder;
use crate::clock::Millis;
use crate::host::clock::SinceBoot;
use crate::host::line::{LINE_MAX, Line};
use crate::host::process::HostPid;

/// The most bytes of `/proc/self/status` that are read; the lines that matter stand in its first half.
const STATUS_MAX: usize = 8 << 10;

/// What the daemon uses now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its number.
    pub pid: HostPid,
    /// CPU time in user mode since it began, of all threads, counted to the kernel's tick (10 ms).
    pub cpu_user: Duration,
    /// CPU time in the kernel, likewise.
    pub cpu_system: Duration,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Address space, in bytes.
    pub virtual_bytes: u64,
    /// Private writable memory that is mapped, in bytes: the heap, and with it what the allocator has reserved and never touched.
    /// 0 where the kernel doesn't say.
    pub heap_mapped_bytes: u64,
    /// Resident memory that belongs to no file, in bytes: what of the heap (and the stacks) is in use, or was and is not yet
    /// given back. 0 where the kernel doesn't say.
    pub heap_used_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors, those that readers of the host hold among them.
    pub descriptors: u64,
    /// How many descriptors may be open; `None` for no limit.
    pub descriptors_max: Option<u64>,
    /// When it began, Unix time.
    pub start_time: Millis,
    /// How long it has run.
    pub uptime: Duration,
}

/// Reads what the daemon uses, in some 30 µs.
#[derive(Debug)]
pub struct OwnReader {
    folder: Folder,
    boot: Boot,
}

impl OwnReader {
    /// Opens `/proc`.
    ///
    /// # Errors
    /// There is no `/proc`, or the system is not Linux.
    pub fn open() -> Result<Self, UsageError> {
        Self::at(Path::new("/proc"))
    }

    /// Opens a folder that looks like `/proc`.
    ///
    /// # Errors
    /// The folder can't be opened, or the system is not Linux.
    pub fn at(path: &Path) -> Result<Self, UsageError> {
        Ok(Self { folder: Folder::open(path)?, boot: Boot::new() })
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// A file can't be read, or is not what the kernel writes.
    pub fn read(&mut self) -> Result<Own, UsageError> {
        self.boot.follow();
        let stat = self.text("stat", LINE_MAX)?;
        let line = Line::parse(&stat).ok_or_else(|| failed("stat", Errno::INVAL))?;
        let status = self.text("status", STATUS_MAX)?;
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        Ok(Own {
            pid: HostPid(line.pid),
            cpu_user: ticks(line.user),
            cpu_system: ticks(line.system),
            resident_bytes: line.resident_pages.saturating_mul(page),
            virtual_bytes: line.virtual_bytes,
            heap_mapped_bytes: bytes_of(&status, b"VmData:"),
            heap_used_bytes: bytes_of(&status, b"RssAnon:"),
            threads: line.threads,
            descriptors: self.folder.descriptors("self").map_err(|error| failed("fd", error))?,
            descriptors_max: getrlimit(Resource::Nofile).current,
            start_time: self.boot.wall(line.start),
            uptime: SinceBoot::now().since(SinceBoot::from_ticks(line.start)),
        })
    }

    fn text(&mut self, name: &'static str, most: usize) -> Result<Vec<u8>, UsageError> {
        let file = self.folder.file("self", name).map_err(|error| failed(name, error))?;
        read_up_to(&file, most).map_err(|error| failed(name, error))
    }
}

fn failed(file: &'static str, error: Errno) -> UsageError {
    UsageError::Own { file, source: error.into() }
}

fn read_up_to(file: impl AsFd, most: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; most];
    let mut length = 0;
    while length < most {
        match rustix::io::read(&file, &mut bytes[length..])? {
            0 => break,
            more => length += more,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// The number behind `key`, which the kernel gives in KiB. The name in the first line is escaped, so a line begins where the
/// kernel began it.
fn bytes_of(status: &[u8], key: &[u8]) -> u64 {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key));
    let text = line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let number = text.split_ascii_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_status() {
        let status = b"Name:\tVmData:\\n 7 kB\nVmData:\t    2048 kB\nRssAnon:\t12 kB\nVmSwap:\tx kB\nRssFile:\t18446744073709551615 kB\nThreads:";
        for (key, expected) in [
            ("VmData:", 2 << 20),
            ("RssAnon:", 12 << 10),
            ("VmSwap:", 0),
            ("VmHWM:", 0),
            ("Threads:", 0),
            ("RssFile:", u64::MAX),
        ] {
            assert_eq!(bytes_of(status, key.as_bytes()), expected, "{key}");
        }
    }
}
