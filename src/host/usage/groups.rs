//! Groups of host processes: who belongs to which, and what they used.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::time::Instant;

use super::boot::{Boot, ticks};
use super::error::UsageError;
use super::figures::{GroupUsage, States, Unread, Usage};
use super::folder::Folder;
use super::image::Image;
use super::rule::{Texts, fits};
use crate::clock::thread_cpu_time;
use crate::config::HostGroup;
use crate::host::line::{LINE_MAX, Line};
use crate::host::process::HostPid;

/// The most descriptors that stay open between looks, whatever the limit.
const HELD_MAX: u64 = 4096;
/// The share of the limit that may stay open: the rest of the program needs descriptors too.
const HELD_SHARE: u64 = 8;
/// The most processes that are looked at.
const PROCESSES_MAX: usize = 1 << 17;

/// How much a reader may take for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many descriptors may stay open between looks. Whoever has none is opened and closed at each look.
    pub held: usize,
    /// How many processes are looked at. Those beyond are counted and belong to no group.
    pub processes: usize,
}

impl Limits {
    /// An eighth of the descriptors that the daemon may open, at most 4,096, and 131,072 processes.
    pub fn of_this_process() -> Self {
        let held = getrlimit(Resource::Nofile).current.map_or(HELD_MAX, |limit| HELD_MAX.min(limit / HELD_SHARE));
        Self { held: usize::try_from(held).unwrap_or(0), processes: PROCESSES_MAX }
    }
}

/// The groups, and what is known of each host process.
///
/// A process belongs to the first group, in the order of the rules, that it fits. That is decided when it is first seen, once
/// more at the look after (programs that write their own title do so right after they began), and again whenever it starts
/// another program; nothing else changes it. The group then counts the CPU time that the process uses while it belongs, and
/// keeps it when the process ends; who is new brings all that it used since it began. What a process uses between the last
/// look and its end is not seen.
#[derive(Debug)]
pub struct HostGroups {
    folder: Folder,
    rules: Vec<HostGroup>,
    totals: Vec<Total>,
    known: HashMap<HostPid, Known>,
    held: usize,
    limits: Limits,
    looks: u64,
    boot: Boot,
}

/// Ticks of CPU time that a group has counted so far.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    user: u64,
    system: u64,
}

#[derive(Debug)]
struct Known {
    /// Held open, so that one call reads it again. Once the process is gone it reads as an error, whoever has its number then.
    stat: Option<OwnedFd>,
    /// Held open likewise for members of groups, for the number of their descriptors.
    descriptors: Option<OwnedFd>,
    start: u64,
    image: Image,
    group: Option<usize>,
    /// Whether something a rule asked for may not be read.
    is_guarded: bool,
    /// Whether the second look has confirmed the group.
    is_settled: bool,
    /// Ticks counted so far.
    user: u64,
    system: u64,
    last_look: u64,
}

impl HostGroups {
    /// Opens `/proc`, within [`Limits::of_this_process`].
    ///
    /// # Errors
    /// There is no `/proc`, or the system is not Linux.
    pub fn open(rules: Vec<HostGroup>) -> Result<Self, UsageError> {
        Self::at(Path::new("/proc"), rules, Limits::of_this_process())
    }

    /// Opens a folder that looks like `/proc`.
    ///
    /// # Errors
    /// The folder can't be opened, or the system is not Linux.
    pub fn at(path: &Path, rules: Vec<HostGroup>, limits: Limits) -> Result<Self, UsageError> {
        Ok(Self {
            folder: Folder::open(path)?,
            totals: vec![Total::default(); rules.len()],
            rules,
            known: HashMap::new(),
            held: 0,
            limits,
            looks: 0,
            boot: Boot::new(),
        })
    }

    /// Takes other rules. A group that keeps its name keeps its counters, and every process is assigned anew at the next look.
    pub fn replace(&mut self, rules: Vec<HostGroup>) {
        let total_of = |rule: &HostGroup| {
            let place = self.rules.iter().position(|old| old.name == rule.name);
            place.and_then(|place| self.totals.get(place)).copied().unwrap_or_default()
        };
        self.totals = rules.iter().map(total_of).collect();
        self.rules = rules;
        for known in self.known.values_mut() {
            (known.group, known.is_settled) = (None, false);
        }
    }

    /// Looks at every process once.
    ///
    /// # Errors
    /// The processes can't be listed. Counters stay as they are.
    pub fn scan(&mut self) -> Result<Usage, UsageError> {
        let (began, cpu) = (Instant::now(), thread_cpu_time());
        let mut look = Look::new(self.rules.len());
        let mut pids = Vec::with_capacity(self.known.len() + 64);
        self.folder.list(&mut pids)?;
        self.looks += 1;
        self.boot.follow();
        for pid in pids {
            self.look_at(pid, &mut look);
        }
        self.known.retain(|_, known| known.last_look == self.looks);
        self.held = self.known.values().map(Known::held).sum();
        Ok(Usage {
            groups: self.groups(&look),
            processes: look.processes,
            held: u32::try_from(self.held).unwrap_or(u32::MAX),
            unread: look.unread,
            took: began.elapsed(),
            cpu: thread_cpu_time().saturating_sub(cpu),
        })
    }

    fn look_at(&mut self, pid: HostPid, look: &mut Look) {
        let mut room = [0; LINE_MAX];
        let read = self.read(pid, &mut room);
        let is_unknown = !self.known.contains_key(&pid);
        if is_unknown && self.known.len() >= self.limits.processes {
            return look.unread.beyond += 1;
        }
        let (line, opened) = match read.map(|(length, opened)| (room.get(..length).and_then(Line::parse), opened)) {
            Ok((Some(line), opened)) => (line, opened),
            Err(error) if is_end(error) => return,
            Ok((None, _)) | Err(_) => return self.miss(pid, look),
        };
        self.keep_up(pid, &line, opened);
        let Some(known) = self.known.get_mut(&pid) else { return };
        known.last_look = self.looks;
        look.processes += 1;
        look.unread.texts += u32::from(known.is_guarded);
        let used = known.count(&line);
        let Some(group) = known.group else {
            known.descriptors = None;
            return;
        };
        if let (Some(total), Some(now)) = (self.totals.get_mut(group), look.groups.get_mut(group)) {
            total.user = total.user.saturating_add(used.user);
            total.system = total.system.saturating_add(used.system);
            now.add(&line);
            let had = known.held();
            let may_hold = self.held < self.limits.held;
            let count = known.count_descriptors(pid, &mut self.folder, may_hold);
            self.held = (self.held + known.held()).saturating_sub(had);
            match count {
                Ok(count) => now.descriptors += count,
                Err(error) if is_end(error) => {}
                Err(_) => {
                    now.descriptors_unread += 1;
                    look.unread.descriptors += 1;
                }
            }
        }
    }

    /// Counts a process that is there and can't be read. It stays known: were it forgotten, all that it ever used would be
    /// counted again when it can be read.
    fn miss(&mut self, pid: HostPid, look: &mut Look) {
        look.unread.processes += 1;
        if let Some(known) = self.known.get_mut(&pid) {
            known.last_look = self.looks;
        }
    }

    /// Reads the line of figures; with it comes the descriptor, where it is new and there is room to hold it.
    fn read(&mut self, pid: HostPid, room: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
        if let Some(stat) = self.known.get(&pid).and_then(|known| known.stat.as_ref()) {
            match rustix::io::pread(stat, &mut *room, 0) {
                Ok(length @ 1..) => return Ok((length, None)),
                // It has ended. The number is listed still or again, so another may have it.
                Ok(0) | Err(Errno::SRCH) => {
                    let gone = self.known.remove(&pid).map_or(0, |known| known.held());
                    self.held = self.held.saturating_sub(gone);
                }
                Err(error) => return Err(error),
            }
        }
        let stat = self.folder.file(pid, "stat")?;
        match rustix::io::pread(&stat, room, 0)? {
            0 => Err(Errno::SRCH),
            length => Ok((length, (self.held < self.limits.held).then_some(stat))),
        }
    }

    /// Makes what is known of the process agree with who it is now and which program it runs.
    fn keep_up(&mut self, pid: HostPid, line: &Line<'_>, opened: Option<OwnedFd>) {
        self.held += usize::from(opened.is_some());
        let known = self.known.get_mut(&pid).filter(|known| known.start == line.start);
        let is_new_image = known.as_ref().is_none_or(|known| !known.image.is_in(line));
        if let Some(known) = known {
            known.stat = known.stat.take().or(opened);
            if known.is_settled && !is_new_image {
                return;
            }
            let (group, is_guarded) = assign(&self.rules, &mut self.folder, pid, line);
            (known.group, known.is_guarded, known.is_settled) = (group, is_guarded, !is_new_image);
            if is_new_image {
                known.image = Image::of(line);
            }
            return;
        }
        let (group, is_guarded) = assign(&self.rules, &mut self.folder, pid, line);
        let known = Known {
            stat: opened,
            descriptors: None,
            start: line.start,
            image: Image::of(line),
            group,
            is_guarded,
            is_settled: false,
            user: 0,
            system: 0,
            last_look: self.looks,
        };
        self.known.insert(pid, known);
    }

    fn groups(&self, look: &Look) -> Vec<GroupUsage> {
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        let each = self.rules.iter().zip(&self.totals).zip(&look.groups);
        each.map(|((rule, total), now)| GroupUsage {
            name: rule.name.as_str().into(),
            processes: now.processes,
            cpu_user: ticks(total.user),
            cpu_system: ticks(total.system),
            resident_bytes: now.resident_pages.saturating_mul(page),
            threads: now.threads,
            descriptors: now.descriptors,
            descriptors_unread: now.descriptors_unread,
            oldest_start: now.oldest.map(|start| self.boot.wall(start)),
            states: now.states,
        })
        .collect()
    }
}

impl Known {
    /// How many descriptors it keeps open.
    fn held(&self) -> usize {
        usize::from(self.stat.is_some()) + usize::from(self.descriptors.is_some())
    }

    fn count_descriptors(&mut self, pid: HostPid, folder: &mut Folder, may_hold: bool) -> Result<u64, Errno> {
        // Without the file of figures nothing would tell that the number has changed hands.
        if self.descriptors.is_none() && may_hold && self.stat.is_some() {
            self.descriptors = folder.descriptor_folder(pid);
        }
        self.descriptors.as_ref().map_or_else(|| folder.descriptors(pid), Folder::size_of)
    }

    /// What the process used since it was last counted.
    fn count(&mut self, line: &Line<'_>) -> Total {
        let used = Total { user: line.user.saturating_sub(self.user), system: line.system.saturating_sub(self.system) };
        (self.user, self.system) = (self.user.max(line.user), self.system.max(line.system));
        used
    }
}

/// What one look finds.
#[derive(Debug)]
struct Look {
    processes: u32,
    unread: Unread,
    groups: Vec<Now>,
}

/// What the members of one group have at this look.
#[derive(Clone, Debug, Default)]
struct Now {
    processes: u32,
    resident_pages: u64,
    threads: u64,
    descriptors: u64,
    descriptors_unread: u32,
    oldest: Option<u64>,
    states: States,
}

impl Look {
    fn new(groups: usize) -> Self {
        Self { processes: 0, unread: Unread::default(), groups: vec![Now::default(); groups] }
    }
}

impl Now {
    fn add(&mut self, line: &Line<'_>) {
        self.processes += 1;
        self.resident_pages = self.resident_pages.saturating_add(line.resident_pages);
        self.threads = self.threads.saturating_add(line.threads);
        self.oldest = Some(self.oldest.map_or(line.start, |oldest| oldest.min(line.start)));
        self.states.add(line.state);
    }
}

/// The first group that the process fits, and whether something could not be read that a rule asked for.
fn assign(rules: &[HostGroup], folder: &mut Folder, pid: HostPid, line: &Line<'_>) -> (Option<usize>, bool) {
    let name = String::from_utf8_lossy(line.name).into_owned();
    // Zombies and threads of the kernel have neither program nor arguments; asking would look like a lack of privileges.
    let none = (line.virtual_bytes == 0).then_some(None);
    let mut texts = Read { folder, pid, name, exe: none.clone(), cmdline: none, is_guarded: false };
    let group = rules.iter().position(|rule| fits(rule, &mut texts));
    (group, texts.is_guarded)
}

/// The texts of a process, each read at most once: `None` before, and then what was found.
struct Read<'a> {
    folder: &'a mut Folder,
    pid: HostPid,
    name: String,
    exe: Option<Option<String>>,
    cmdline: Option<Option<String>>,
    is_guarded: bool,
}

impl Texts for Read<'_> {
    fn name(&mut self) -> &str {
        &self.name
    }

    fn exe(&mut self) -> Option<&str> {
        let Self { folder, pid, exe, is_guarded, .. } = self;
        exe.get_or_insert_with(|| permitted(folder.exe(*pid), is_guarded)).as_deref()
    }

    fn cmdline(&mut self) -> Option<&str> {
        let Self { folder, pid, cmdline, is_guarded, .. } = self;
        let read = cmdline.get_or_insert_with(|| permitted(folder.cmdline(*pid), is_guarded));
        read.as_deref().filter(|line| !line.is_empty())
    }
}

/// Those who ended meanwhile have no such text, and that is no lack.
fn permitted(read: Result<String, Errno>, is_guarded: &mut bool) -> Option<String> {
    *is_guarded |= read.as_ref().is_err_and(|error| !is_end(*error));
    read.ok()
}

/// Whether the error says that there is no such process, or that it has no such thing.
fn is_end(error: Errno) -> bool {
    matches!(error, Errno::SRCH | Errno::NOENT)
}
