//! A folder that looks like `/proc`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::config::{HostGroup, Pattern};
use crate::host::usage::{GroupUsage, HostGroups, Limits, Usage};

/// One process, as its files tell.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub pid: u32,
    pub name: &'static [u8],
    pub state: char,
    pub flags: u64,
    pub user: u64,
    pub system: u64,
    pub threads: u64,
    pub start: u64,
    pub memory: u64,
    pub pages: u64,
    pub stack: u64,
    pub descriptors: u64,
    /// The target of the link; none where it is empty.
    pub exe: &'static str,
    pub cmdline: &'static [u8],
}

/// A plain one: `sh`, which began 1,000 ticks after the machine.
pub const SHELL: Process = Process {
    pid: 100,
    name: b"sh",
    state: 'S',
    flags: 0,
    user: 0,
    system: 0,
    threads: 1,
    start: 1000,
    memory: 4096,
    pages: 10,
    stack: 77,
    descriptors: 3,
    exe: "/bin/sh",
    cmdline: b"sh\0",
};

pub struct Fake(TempDir);

impl Fake {
    pub fn new(processes: &[Process]) -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        // Names that are no numbers stand in the real one too.
        for name in ["sys", "12x", "self"] {
            fs::create_dir(fake.0.path().join(name)).unwrap();
        }
        fs::write(fake.0.path().join("uptime"), "1 1").unwrap();
        processes.iter().for_each(|process| fake.put(process));
        fake
    }

    pub fn folder(&self, pid: u32) -> PathBuf {
        self.0.path().join(pid.to_string())
    }

    /// Writes the files of a process, into those that are there if it is there: who holds them open sees the change.
    pub fn put(&self, process: &Process) {
        let folder = self.folder(process.pid);
        fs::create_dir_all(folder.join("fd")).unwrap();
        fs::write(folder.join("stat"), stat(process)).unwrap();
        fs::write(folder.join("cmdline"), process.cmdline).unwrap();
        let exe = folder.join("exe");
        if exe.is_symlink() {
            fs::remove_file(&exe).unwrap();
        }
        if !process.exe.is_empty() {
            symlink(process.exe, exe).unwrap();
        }
        for entry in fs::read_dir(folder.join("fd")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for number in 0..process.descriptors {
            fs::write(folder.join("fd").join(number.to_string()), "").unwrap();
        }
    }

    /// The process is gone. Who holds its file open reads nothing any more.
    pub fn remove(&self, pid: u32) {
        fs::write(self.folder(pid).join("stat"), "").unwrap();
        fs::remove_dir_all(self.folder(pid)).unwrap();
    }

    /// Puts a folder in the place of a file, which then can't be read: not even by root.
    pub fn spoil(&self, pid: u32, file: &str) {
        let path = self.folder(pid).join(file);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
            fs::write(path, "").unwrap();
        } else {
            fs::remove_file(&path).unwrap();
            fs::create_dir(path).unwrap();
        }
    }

    pub fn groups(&self, rules: &[(&str, HostGroup)], held: usize) -> HostGroups {
        HostGroups::at(self.0.path(), self::rules(rules), Limits { held, processes: 1000 }).unwrap()
    }

    pub fn limited(&self, rules: &[(&str, HostGroup)], limits: Limits) -> HostGroups {
        HostGroups::at(self.0.path(), self::rules(rules), limits).unwrap()
    }
}

pub fn rules(rules: &[(&str, HostGroup)]) -> Vec<HostGroup> {
    rules.iter().map(|(name, group)| HostGroup { name: (*name).to_owned(), ..group.clone() }).collect()
}

pub fn by_name(name: &str) -> HostGroup {
    HostGroup { match_name: Some(pattern(name)), ..HostGroup::default() }
}

pub fn by_exe(exe: &str) -> HostGroup {
    HostGroup { match_exe: Some(pattern(exe)), ..HostGroup::default() }
}

pub fn by_cmdline(cmdline: &str) -> HostGroup {
    HostGroup { match_cmdline: Some(pattern(cmdline)), ..HostGroup::default() }
}

pub fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

pub fn group<'a>(usage: &'a Usage, name: &str) -> &'a GroupUsage {
    usage.groups.iter().find(|group| &*group.name == name).unwrap()
}

/// User and system ticks that a group has counted.
pub fn cpu(usage: &Usage, name: &str) -> (u128, u128) {
    let tick = 1_000_000_000 / u128::from(rustix::param::clock_ticks_per_second());
    let group = group(usage, name);
    (group.cpu_user.as_nanos() / tick, group.cpu_system.as_nanos() / tick)
}

/// How many members each group has.
pub fn counts(usage: &Usage) -> Vec<u32> {
    usage.groups.iter().map(|group| group.processes).collect()
}

fn stat(process: &Process) -> Vec<u8> {
    let Process { pid, state, flags, user, system, threads, start, memory, pages, stack, .. } = process;
    let rest = format!(
        ") {state} 1 1 1 0 -1 {flags} 0 0 0 0 {user} {system} 0 0 20 0 {threads} 0 {start} {memory} {pages} 1 {stack} {stack} \
         {stack} 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 {stack} {stack} 0 0 0\n"
    );
    [format!("{pid} (").as_bytes(), process.name, rest.as_bytes()].concat()
}
