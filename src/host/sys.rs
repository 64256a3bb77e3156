//! The three system calls that no safe library offers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many datagrams one call takes in.
pub(super) const DATAGRAMS: usize = 64;

/// Room for the datagrams of one call.
pub(super) struct Datagrams {
    size: usize,
    bytes: Vec<u8>,
    /// Of each datagram: its length, whether it came from the kernel, and whether all of it is here.
    received: Vec<(usize, bool)>,
}

impl Datagrams {
    /// Room for datagrams of `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        Self { size, bytes: vec![0; size * DATAGRAMS], received: Vec::with_capacity(DATAGRAMS) }
    }

    /// Takes in what waits at a netlink socket, without waiting for more; tells how many datagrams.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.received.clear();
        let mut senders = [const { netlink_address() }; DATAGRAMS];
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; DATAGRAMS];
        for (part, room) in parts.iter_mut().zip(self.bytes.chunks_exact_mut(self.size)) {
            *part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        }
        let headers: [libc::mmsghdr; DATAGRAMS] =
            std::array::from_fn(|n| header(&raw mut senders[n], &raw mut parts[n]));
        let count = receive_many(socket, headers, &mut self.received)?;
        for (entry, sender) in self.received.iter_mut().zip(&senders) {
            entry.1 &= sender.nl_pid == 0;
        }
        Ok(count)
    }

    /// The datagrams taken in that are whole and came from the kernel.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let rooms = self.bytes.chunks_exact(self.size).zip(&self.received);
        rooms.filter(|(_, (_, is_good))| *is_good).filter_map(|(room, (length, _))| room.get(..*length))
    }
}

const fn netlink_address() -> libc::sockaddr_nl {
    #[expect(unsafe_code, reason = "the type has a private field and no constructor")]
    // SAFETY: the type consists of integers, for which zeroes are a value.
    unsafe {
        std::mem::zeroed()
    }
}

fn header(sender: *mut libc::sockaddr_nl, part: *mut libc::iovec) -> libc::mmsghdr {
    #[expect(unsafe_code, reason = "on some systems the type has private padding and no constructor")]
    // SAFETY: the type consists of integers and pointers, for which zeroes are a value.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_name = sender.cast();
    header.msg_hdr.msg_namelen = length_of::<libc::sockaddr_nl>();
    header.msg_hdr.msg_iov = part;
    header.msg_hdr.msg_iovlen = 1;
    header
}

fn receive_many(
    socket: BorrowedFd<'_>,
    mut headers: [libc::mmsghdr; DATAGRAMS],
    received: &mut Vec<(usize, bool)>,
) -> io::Result<usize> {
    #[expect(unsafe_code, reason = "no library offers recvmmsg")]
    // SAFETY: each header points at a sender and a part that the one caller holds until this returns, each part at its own
    // room of the stated length; the count is that of the headers; the time limit may be null.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            DATAGRAMS as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    received.extend(headers.iter().take(count).map(|header| {
        let length = usize::try_from(header.msg_len).unwrap_or(0);
        (length, header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0)
    }));
    Ok(count)
}

/// How many datagrams a socket had to drop since it was opened; `None` where the kernel doesn't say.
pub(super) fn dropped(socket: BorrowedFd<'_>) -> Option<u32> {
    // `enum sk_meminfo`: nine numbers, of which the last counts drops.
    let mut numbers = [0u32; 9];
    let mut length = length_of::<[u32; 9]>();
    #[expect(unsafe_code, reason = "no library offers SO_MEMINFO")]
    // SAFETY: the pointers lead to an array and its length in bytes, both alive until the call returns.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0 && length == length_of::<[u32; 9]>()).then_some(numbers[8])
}

/// Gives the calling thread the lowest real-time priority: it runs as soon as it has something to do.
pub(super) fn make_realtime() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    #[expect(unsafe_code, reason = "no library offers sched_setscheduler")]
    // SAFETY: the pointer leads to a parameter that lives until the call returns; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}
