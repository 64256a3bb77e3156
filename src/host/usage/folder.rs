//! `/proc`, or a folder that looks like it: the few system calls that reading takes.

use std::fmt::{Display, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, SeekFrom, fstat, openat, readlinkat, seek, statat};
use rustix::io::Errno;

use super::error::UsageError;
use crate::host::process::HostPid;

/// The longest command line that is read, in bytes.
const CMDLINE_MAX: usize = 16 << 10;
/// Room for the names of about a thousand processes.
const NAMES: usize = 32 << 10;
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
/// What the kernel appends to the path of a program that was deleted or replaced since.
const DELETED: &str = " (deleted)";

/// The folder, held open.
#[derive(Debug)]
pub(super) struct Folder {
    root: OwnedFd,
    /// Whether the size of `PID/fd` is the number of open descriptors. The kernel says so since 6.2.
    has_sizes: bool,
    path: String,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, UsageError> {
        if !cfg!(target_os = "linux") {
            return Err(UsageError::NotSupported);
        }
        let refused = |error: Errno| UsageError::Open { path: path.display().to_string(), source: error.into() };
        let root = rustix::fs::open(path, READ | OFlags::DIRECTORY, Mode::empty()).map_err(refused)?;
        let mut folder = Self { has_sizes: false, root, path: String::new() };
        // The folder itself is open here, so this process has descriptors: a size of 0 is none at all.
        folder.has_sizes = is_proc(&folder.root) && folder.size("self").is_ok_and(|size| size > 0);
        Ok(folder)
    }

    /// The numbers of all processes, in no order.
    pub(super) fn list(&self, pids: &mut Vec<HostPid>) -> Result<(), UsageError> {
        pids.clear();
        let failed = |error: Errno| UsageError::List(error.into());
        seek(&self.root, SeekFrom::Start(0)).map_err(failed)?;
        each_name(&self.root, |name| {
            pids.extend(std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).map(HostPid));
        })
        .map_err(failed)
    }

    /// Opens a file of `owner`: a number, or `self`.
    pub(super) fn file(&mut self, owner: impl Display, name: &str) -> Result<OwnedFd, Errno> {
        let path = join(&mut self.path, owner, name);
        openat(&self.root, path, READ, Mode::empty())
    }

    /// The path of the program.
    pub(super) fn exe(&mut self, pid: HostPid) -> Result<String, Errno> {
        let link = readlinkat(&self.root, join(&mut self.path, pid, "exe"), Vec::new())?;
        let path = link.to_string_lossy();
        Ok(path.strip_suffix(DELETED).unwrap_or(&path).to_owned())
    }

    /// The arguments with a blank between each two, the first 16 KiB of them. Empty where there are none.
    pub(super) fn cmdline(&mut self, pid: HostPid) -> Result<String, Errno> {
        let file = self.file(pid, "cmdline")?;
        let mut bytes = vec![0; CMDLINE_MAX];
        let mut length = 0;
        while length < bytes.len() {
            match rustix::io::read(&file, &mut bytes[length..])? {
                0 => break,
                more => length += more,
            }
        }
        bytes.truncate(length);
        // A program that writes its own title fills what it leaves over with zeroes.
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How many descriptors `owner` has open.
    pub(super) fn descriptors(&mut self, owner: impl Display) -> Result<u64, Errno> {
        if self.has_sizes {
            return self.size(owner);
        }
        let path = join(&mut self.path, owner, "fd");
        let folder = openat(&self.root, path, READ | OFlags::DIRECTORY, Mode::empty())?;
        let mut count = 0;
        each_name(&folder, |name| count += u64::from(!matches!(name, b"." | b"..")))?;
        Ok(count)
    }

    /// Opens the folder of descriptors, so that [`Folder::size_of`] needs no way to it; `None` where its size says nothing.
    pub(super) fn descriptor_folder(&mut self, pid: HostPid) -> Option<OwnedFd> {
        let path = join(&mut self.path, pid, "fd");
        let open = || openat(&self.root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        self.has_sizes.then(open).flatten()
    }

    /// How many descriptors the owner of an opened folder has open.
    pub(super) fn size_of(folder: &OwnedFd) -> Result<u64, Errno> {
        Ok(u64::try_from(fstat(folder)?.st_size).unwrap_or(0))
    }

    fn size(&mut self, owner: impl Display) -> Result<u64, Errno> {
        let path = join(&mut self.path, owner, "fd");
        let found = statat(&self.root, path, AtFlags::empty())?;
        Ok(u64::try_from(found.st_size).unwrap_or(0))
    }
}

fn each_name(folder: impl AsFd, mut tell: impl FnMut(&[u8])) -> Result<(), Errno> {
    let mut room = Vec::with_capacity(NAMES);
    let mut entries = RawDir::new(folder, room.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        tell(entry?.file_name().to_bytes());
    }
    Ok(())
}

fn join<'a>(path: &'a mut String, owner: impl Display, name: &str) -> &'a str {
    path.clear();
    // Writing to a text can't fail.
    let _ = write!(path, "{owner}/{name}");
    path
}

fn is_proc(folder: &OwnedFd) -> bool {
    rustix::fs::fstatfs(folder).is_ok_and(|found| found.f_type == rustix::fs::PROC_SUPER_MAGIC)
}
