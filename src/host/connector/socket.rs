//! Netlink sockets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, bind, sendto, socket_with, sockopt};

use super::super::backend::Stop;

/// A netlink socket to the kernel.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Opens one that listens to `groups`.
    pub(super) fn open(protocol: Protocol, groups: u32) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(protocol))?;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self(socket))
    }

    /// Asks for `bytes` of room; an error means that there is less.
    pub(super) fn make_room(&self, bytes: usize) -> Result<(), Errno> {
        if sockopt::set_socket_recv_buffer_size_force(&self.0, bytes).is_ok() {
            return Ok(());
        }
        sockopt::set_socket_recv_buffer_size(&self.0, bytes)?;
        // The kernel counts its own expenses too and so doubles what it grants.
        let granted = sockopt::socket_recv_buffer_size(&self.0)?;
        if granted / 2 >= bytes { Ok(()) } else { Err(Errno::PERM) }
    }

    /// How much room there is, in bytes, the kernel's expenses included.
    pub(super) fn room(&self) -> usize {
        sockopt::socket_recv_buffer_size(&self.0).unwrap_or(0)
    }

    /// Sends a message to the kernel.
    pub(super) fn send(&self, message: &[u8]) -> Result<(), Errno> {
        sendto(&self.0, message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).map(drop)
    }

    /// Waits until there is something to read, for `longest` at most, and not once `stop` is set.
    pub(super) fn wait(&self, longest: Duration, stop: Option<&Stop>) -> io::Result<()> {
        let time = Timespec {
            tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: longest.subsec_nanos().into(),
        };
        let mut all = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(&self.0, PollFlags::empty())];
        if let Some(stop) = stop {
            all[1] = PollFd::new(stop, PollFlags::IN);
        }
        match poll(&mut all, Some(&time)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
