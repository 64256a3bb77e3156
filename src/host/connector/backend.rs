//! The reader of the process connector.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink;
use tokio::time::Instant;

use super::super::backend::{Backend, Lack, News, Stop};
use super::super::clock::{SinceBoot, sleep_so_far};
use super::super::error::HostError;
use super::super::observation::{Change, Observation};
use super::super::proc_fs::ProcFs;
use super::super::process::{ExitStatus, HostPid};
use super::super::sys::{DATAGRAMS, Datagrams, dropped};
use super::super::text::Text;
use super::losses::Losses;
use super::records::Records;
use super::socket::Socket;
use super::wire::{Event, GROUP, Order, What, events, order};
use crate::config::BackendKind;

/// How long the kernel may take to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Larger than any event there is.
const EVENT: usize = 256;

/// The kernel's process connector, with its records of ends where they are allowed.
pub struct Connector {
    socket: Socket,
    records: Option<Records>,
    datagrams: Datagrams,
    losses: Losses,
    proc_fs: ProcFs,
    lacks: Vec<Lack>,
}

impl Connector {
    /// Begins to listen. `room` is how many bytes the kernel is to keep for a late reader.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn open(room: usize, proc_fs: ProcFs) -> Result<Self, HostError> {
        let refused = |error: Errno| HostError::Connector(explain(error));
        let socket = Socket::open(netlink::CONNECTOR, GROUP).map_err(refused)?;
        let mut lacks = Vec::new();
        if let Err(error) = socket.make_room(room) {
            let holds = socket.room();
            let why = format!("{error}; {holds} bytes instead of {}, more needs CAP_NET_ADMIN", room.saturating_mul(2));
            lacks.push(Lack { what: "room for bursts", why });
        }
        let mut datagrams = Datagrams::new(EVENT);
        listen(&socket, &mut datagrams)?;
        let records = Records::open(room);
        if let Err(why) = &records {
            lacks.push(Lack { what: "records of ends (name, peak memory, CPU time)", why: why.clone() });
        }
        // Its program is the first thing that is not shown of another's process.
        if rustix::process::geteuid().as_raw() != 0 && proc_fs.exe(HostPid(1)).is_none() {
            let why = "permission denied; it needs CAP_SYS_PTRACE".to_owned();
            lacks.push(Lack { what: "programs of other users' processes", why });
        }
        let losses = Losses::new(dropped(socket.as_fd()));
        Ok(Self { socket, records: records.ok(), datagrams, losses, proc_fs, lacks })
    }

    /// Reads what waits: `None` when nothing did.
    fn receive(&mut self) -> Result<Option<usize>, HostError> {
        match self.datagrams.receive(self.socket.as_fd()) {
            Ok(count) => Ok(Some(count)),
            Err(error) if is(&error, Errno::NOBUFS) => {
                self.losses.overflowed();
                Ok(Some(0))
            }
            Err(error) if is(&error, Errno::INTR) => Ok(Some(0)),
            Err(error) if is(&error, Errno::AGAIN) => Ok(None),
            Err(source) => Err(HostError::Read { doing: "receiving from the process connector", source }),
        }
    }

    fn interpret(&mut self, news: &mut News) {
        let all: Vec<Event<'_>> = self.datagrams.iter().flat_map(events).collect();
        for event in &all {
            // Answers to anybody's orders are numbered like events.
            self.losses.number(event.cpu, event.number);
            news.received += u64::from(!matches!(event.what, What::Answer { .. }));
        }
        // Names first: the more there is to do, the more of them end before they are read.
        let names: Vec<Option<Text>> =
            all.iter().map(|event| program_of(event, |pid| self.proc_fs.comm(pid))).collect();
        if let Some(records) = &mut self.records
            && all.iter().any(|event| matches!(event.what, What::Exit { .. }))
        {
            // A record is sent before the event it belongs to, so it is here by now.
            news.records_lost += records.take_in();
        }
        let slept = sleep_so_far();
        for (event, name) in all.into_iter().zip(names) {
            let exe = program_of(&event, |pid| self.proc_fs.exe(pid));
            let at = SinceBoot(event.at.saturating_add(slept));
            let seen = observe(event.what, name, exe, self.records.as_mut());
            news.observations.extend(seen.map(|(pid, change)| Observation { at, pid: HostPid(pid), change }));
        }
    }
}

impl Backend for Connector {
    fn kind(&self) -> BackendKind {
        BackendKind::Connector
    }

    fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    fn read(&mut self, stop: &Stop, longest: Duration, news: &mut News) -> Result<(), HostError> {
        let longest = if self.losses.is_owed() { Duration::ZERO } else { longest };
        let failed = |source| HostError::Read { doing: "waiting for the process connector", source };
        self.socket.wait(longest, Some(stop)).map_err(failed)?;
        match self.receive()? {
            Some(0) => {}
            Some(_) => self.interpret(news),
            // Only now is everything before the loss here, and the kernel sends again.
            None if self.losses.is_owed() => {
                let new = self.losses.settle(dropped(self.socket.as_fd()));
                news.lost = news.lost.zip(new).map(|(before, new)| before + new).or(new).or(news.lost);
            }
            None => {}
        }
        Ok(())
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // Without a word of farewell some kernels go on making events that nobody reads.
        let _ = self.socket.send(&order(Order::Ignore, 0));
    }
}

/// Asks the kernel to speak and waits until it says that it will: in another user or pid namespace it stays silent.
fn listen(socket: &Socket, datagrams: &mut Datagrams) -> Result<(), HostError> {
    let token = std::process::id();
    socket.send(&order(Order::Listen, token)).map_err(|error| HostError::Connector(explain(error)))?;
    let deadline = Instant::now() + ANSWER;
    let expected = token.wrapping_add(1);
    while let Some(rest) = deadline.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        let failed = |source| HostError::Read { doing: "waiting for the process connector", source };
        socket.wait(rest, None).map_err(failed)?;
        while let Ok(count) = datagrams.receive(socket.as_fd()) {
            let mut answers = datagrams.iter().flat_map(events).filter_map(|event| match event.what {
                What::Answer { token, error } if token == expected => Some(error),
                _ => None,
            });
            match answers.next() {
                Some(0) => return Ok(()),
                Some(error) => {
                    let error = Errno::from_raw_os_error(i32::try_from(error).unwrap_or(0));
                    return Err(HostError::Connector(explain(error)));
                }
                None if count < DATAGRAMS => break,
                None => {}
            }
        }
    }
    Err(HostError::Connector(
        "the kernel does not answer, as it does in a user or pid namespace other than the first".to_owned(),
    ))
}

fn explain(error: Errno) -> String {
    match error {
        Errno::CONNREFUSED => format!("{error}; it can only be reached from the first network namespace"),
        Errno::PERM | Errno::ACCESS => format!("{error}; it needs CAP_NET_ADMIN"),
        Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => format!("{error}; this kernel has none"),
        _ => error.to_string(),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// What `read` tells of the process that starts a program, if the event says that one does.
fn program_of(event: &Event<'_>, read: impl FnOnce(HostPid) -> Option<Text>) -> Option<Text> {
    if let What::Exec { tgid } = event.what { read(HostPid(tgid)) } else { None }
}

/// The process that an event is about, and what happened to it. What only concerns one thread is left out.
fn observe(
    what: What<'_>,
    name: Option<Text>,
    exe: Option<Text>,
    records: Option<&mut Records>,
) -> Option<(u32, Change)> {
    Some(match what {
        What::Fork { parent, pid, tgid } if pid == tgid => (tgid, Change::Forked { parent: HostPid(parent) }),
        What::Fork { tgid, .. } => (tgid, Change::ThreadStarted),
        What::Exec { tgid } => (tgid, Change::Execed { name, exe }),
        What::Uid { pid, tgid, uid } if pid == tgid => (tgid, Change::UidChanged(uid)),
        What::Comm { pid, tgid, name } if pid == tgid => (tgid, Change::Renamed(Text::from_c(name))),
        What::Exit { pid, tgid, status } => {
            let record = records.and_then(|records| records.of(pid));
            if pid == tgid {
                (tgid, Change::Exited { status: Some(ExitStatus::from_wait(status)), record })
            } else {
                (tgid, Change::ThreadEnded { cpu: record.map(|record| record.cpu) })
            }
        }
        What::Uid { .. } | What::Comm { .. } | What::Answer { .. } | What::Other => return None,
    })
}
