//! The kernel's records of ends (`taskstats`): name, times and memory of each thread that ends.

use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink;
use tokio::time::Instant;

use super::super::observation::ExitRecord;
use super::super::process::HostPid;
use super::super::sys::{DATAGRAMS, Datagrams, dropped};
use super::super::text::Text;
use super::netlink::{ACK, ERROR, Message, attribute, attributes, message, messages, u16_at, u32_at, u64_at};
use super::socket::Socket;

/// How many records may wait for the event they belong to.
const WAITING: usize = 65_536;
/// How long the kernel may take to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Larger than any record there is.
const RECORD: usize = 4096;
const CPUS: &str = "/sys/devices/system/cpu/possible";

/// Numbers of generic netlink and of its family `TASKSTATS`.
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const GET: u8 = 1;
const REGISTER_CPUS: u16 = 3;
const OF_THREAD: u16 = 4;
const RECORD_ITSELF: u16 = 3;
/// Length of generic netlink's header.
const GENERIC: usize = 4;

/// A subscription to the records of all CPUs.
pub(super) struct Records {
    socket: Socket,
    family: u16,
    datagrams: Datagrams,
    waiting: HashMap<u32, ExitRecord>,
    dropped: Option<u32>,
}

impl Records {
    /// Subscribes.
    ///
    /// # Errors
    /// Why not, for a person.
    pub(super) fn open(room: usize) -> Result<Self, String> {
        let refused = |error: Errno| format!("{error}; it needs CAP_NET_ADMIN in the first user namespace");
        let socket = Socket::open(netlink::GENERIC, 0).map_err(refused)?;
        let mut datagrams = Datagrams::new(RECORD);
        let cpus = fs::read_to_string(CPUS).map_err(|error| format!("cannot read {CPUS}: {error}"))?;
        let name = attribute(FAMILY_NAME, b"TASKSTATS\0");
        let family = ask(&socket, &mut datagrams, &generic(CONTROLLER, GET_FAMILY, 1, &name), 1)
            .map_err(|error| format!("{error}; this kernel keeps no taskstats"))?;
        let family = family.ok_or_else(|| "the kernel does not name the family TASKSTATS".to_owned())?;
        let cpus = attribute(REGISTER_CPUS, &[cpus.trim().as_bytes(), &[0]].concat());
        ask(&socket, &mut datagrams, &generic(family, GET, 2, &cpus), 2).map_err(refused)?;
        // With less room more records are lost, and that is counted.
        let _ = socket.make_room(room);
        let dropped = dropped(socket.as_fd());
        Ok(Self { socket, family, datagrams, waiting: HashMap::new(), dropped })
    }

    /// Takes in all that waits; tells how many records the kernel had to drop since the last time.
    pub(super) fn take_in(&mut self) -> u64 {
        let mut was_full = false;
        loop {
            match self.datagrams.receive(self.socket.as_fd()) {
                Ok(count) => {
                    if self.waiting.len() > WAITING {
                        // Records whose events were lost: nobody will come for them.
                        self.waiting.clear();
                    }
                    for datagram in self.datagrams.iter() {
                        let ours = messages(datagram).filter(|message| message.kind == self.family);
                        self.waiting.extend(ours.filter_map(|message| record(&message)));
                    }
                    if count < DATAGRAMS && !was_full {
                        return 0;
                    }
                }
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => was_full = true,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return if was_full { self.newly_dropped() } else { 0 },
            }
        }
    }

    /// The record of a thread that has ended, once.
    pub(super) fn of(&mut self, thread: u32) -> Option<ExitRecord> {
        self.waiting.remove(&thread)
    }

    fn newly_dropped(&mut self) -> u64 {
        let now = dropped(self.socket.as_fd());
        let new = self.dropped.zip(now).map_or(0, |(last, now)| now.wrapping_sub(last));
        self.dropped = now;
        u64::from(new)
    }
}

/// Sends an order and waits for the answer; gives the number of the family that it names, if any.
fn ask(socket: &Socket, datagrams: &mut Datagrams, order: &[u8], number: u32) -> Result<Option<u16>, Errno> {
    socket.send(order)?;
    let deadline = Instant::now() + ANSWER;
    let mut family = None;
    while let Some(rest) = deadline.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        socket.wait(rest, None).map_err(|_| Errno::IO)?;
        if datagrams.receive(socket.as_fd()).is_err() {
            continue;
        }
        for message in datagrams.iter().flat_map(messages).filter(|message| message.number == number) {
            if message.kind == ERROR {
                let code = u32_at(message.body, 0).unwrap_or(0).cast_signed();
                return if code == 0 { Ok(family) } else { Err(Errno::from_raw_os_error(code.saturating_neg())) };
            }
            let mut named = attributes(message.body.get(GENERIC..).unwrap_or_default());
            family = named.find(|(kind, _)| *kind == FAMILY_ID).and_then(|(_, id)| u16_at(id, 0)).or(family);
        }
    }
    Err(Errno::TIMEDOUT)
}

fn generic(family: u16, command: u8, number: u32, attributes: &[u8]) -> Vec<u8> {
    message(family, ACK, number, &[&[command, 1, 0, 0], attributes].concat())
}

/// The thread and the record in a message, where it holds one.
fn record(message: &Message<'_>) -> Option<(u32, ExitRecord)> {
    let mut all = attributes(message.body.get(GENERIC..)?);
    let (_, of_thread) = all.find(|(kind, _)| *kind == OF_THREAD)?;
    let (_, bytes) = attributes(of_thread).find(|(kind, _)| *kind == RECORD_ITSELF)?;
    parse(bytes)
}

/// `struct taskstats`, whose fields keep their places while new ones are added behind.
fn parse(bytes: &[u8]) -> Option<(u32, ExitRecord)> {
    let micros = |at| u64_at(bytes, at).map(Duration::from_micros);
    let record = ExitRecord {
        name: Text::from_c(bytes.get(80..112)?),
        ppid: HostPid(u32_at(bytes, 132)?),
        uid: u32_at(bytes, 120)?,
        elapsed: micros(144)?,
        cpu: micros(152)?.saturating_add(micros(160)?),
        peak_rss: u64_at(bytes, 200).filter(|kib| *kib > 0).map(|kib| kib.saturating_mul(1024)),
    };
    Some((u32_at(bytes, 128)?, record))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taskstats() -> Vec<u8> {
        let mut bytes = vec![0; 416];
        bytes[80..85].copy_from_slice(b"a (b\0");
        for (at, value) in [(120, 1000u32), (128, 42), (132, 7)] {
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        for (at, value) in [(144, 5_000u64), (152, 300), (160, 20), (200, 8)] {
            bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_record_is_read_from_its_message() {
        let inner = [attribute(1, &42u32.to_ne_bytes()), attribute(6, &[]), attribute(3, &taskstats())].concat();
        let bytes = generic(33, 2, 0, &attribute(4, &inner));
        let read: Vec<_> = messages(&bytes).filter_map(|message| record(&message)).collect();
        let expected = ExitRecord {
            name: "a (b".into(),
            ppid: HostPid(7),
            uid: 1000,
            elapsed: Duration::from_millis(5),
            cpu: Duration::from_micros(320),
            peak_rss: Some(8192),
        };
        assert_eq!(read, [(42, expected)]);
    }

    #[test]
    fn a_record_of_another_kind_or_cut_short_is_none() {
        let of_group = generic(33, 2, 0, &attribute(5, &attribute(3, &taskstats())));
        assert_eq!(messages(&of_group).filter_map(|message| record(&message)).count(), 0);
        for end in 0..208 {
            let parsed = parse(&taskstats()[..end]);
            assert!(end >= 168 || parsed.is_none(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = record(&Message { kind: 1, number: 0, body: &bytes });
        }
    }
}
