//! Whether the client of a long call still waits.
//!
//! A client that closes its side may only mean that it has no more requests, so other calls answer it all the same. What
//! computes for one client alone takes it for a hang-up.

use std::any::Any;
use std::future::pending;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// How often the connection is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The connection that a request came by.
struct Line(RawFd);

/// Notes a connection, so that [`hung_up`] knows those that its requests come by.
pub(super) fn note(connection: &dyn Any, data: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        data.insert(Line(stream.as_raw_fd()));
    }
}

/// Returns once the client has closed its side of the connection. To be awaited by the handler of `request` itself and
/// nowhere else, since the connection is open for as long as that runs.
pub(super) async fn hung_up(request: &HttpRequest) {
    let Some(line) = request.conn_data::<Line>() else { return pending().await };
    while !line.is_closed() {
        actix_web::rt::time::sleep(LOOK).await;
    }
}

impl Line {
    fn is_closed(&self) -> bool {
        #[expect(unsafe_code, reason = "the server lends the connection when it begins and never again")]
        // SAFETY: the dispatcher of a connection owns both its stream and the handler that this is called by, and keeps
        // the stream open until the handler is done or dropped.
        let stream = unsafe { BorrowedFd::borrow_raw(self.0) };
        match recv(stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, length)) => length == 0,
            Err(error) => !matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }
}
