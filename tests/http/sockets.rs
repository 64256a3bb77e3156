//! What only shows over a real socket: the bytes of HTTP itself, and bodies that are longer than any buffer.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use mainstay::http::serve;
use serde_json::Value;
use tokio::time::Instant;

use super::rig::{Node, PATIENCE, fake};

/// Serves `node` over a socket.
pub fn start(node: &Rc<Node>) -> SocketAddr {
    let config = mainstay::config::HttpConfig { listen: "127.0.0.1:0".parse().unwrap(), ..node.config.http.clone() };
    let (server, address) = serve(node.face.clone(), &config, 1, PATIENCE, |_| ()).unwrap();
    actix_rt::spawn(server);
    address
}

/// Sends `head` and then `size` bytes in pieces made by `piece`, and reads to the end. A server may close its side early.
async fn exchange(address: SocketAddr, head: Vec<u8>, size: usize, piece: fn(&[u8]) -> Vec<u8>) -> (u16, String) {
    let work = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&head).unwrap();
        let chunk = vec![b'x'; 1 << 20];
        let mut left = size;
        while left > 0 {
            let length = left.min(chunk.len());
            if stream.write_all(&piece(&chunk[..length])).is_err() {
                break;
            }
            left -= length;
        }
        if size > 0 && left == 0 {
            let _ = stream.write_all(&piece(b""));
        }
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => answer.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = tokio::task::spawn_blocking(work).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, body.to_owned())
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn chunked(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn a_client_that_sends_far_too_much_hears_that_it_is_too_much() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let address = start(&node);
        let size = 100 << 20;
        for path in ["/processes", "/processes/p/schedule", "/processes/p/schedule?wait=1s", "/processes/p/dry-run"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
            );
            let (status, body) = exchange(address, head.into_bytes(), size, plain).await;
            assert_eq!(status, 413, "{path}: {body}");
            let said: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(said["error"]["code"], "too_large");
        }
        let head = "POST /processes/p/schedule HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (status, body) = exchange(address, head.as_bytes().to_vec(), size, chunked).await;
        assert_eq!(status, 413, "{body}");
        assert_eq!(node.post("/processes/p/schedule?wait=30s", "{}").await.json(200)["slot"], 1);
    });
}

#[test]
fn a_client_that_sends_far_too_much_hears_so_however_little_is_taken() {
    fake("[http]\nmax_body = \"1KiB\"", async |node| {
        node.create("p", "fake").await;
        let address = start(&node);
        let size = 100 << 20;
        let head = format!(
            "POST /processes/p/schedule HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
        );
        let (status, body) = exchange(address, head.into_bytes(), size, plain).await;
        assert_eq!(status, 413, "{body}");
    });
}

#[test]
fn what_is_no_http_is_refused_and_the_node_goes_on() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let address = start(&node);
        let headers: String = (0..500).map(|number| format!("X-{number}: x\r\n")).collect();
        let long = "x".repeat(1 << 20);
        for (what, bytes) in [
            ("too many headers", format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()),
            ("a header that is too long", format!("GET /livez HTTP/1.1\r\nX: {long}\r\n\r\n").into_bytes()),
            ("a path that is too long", format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()),
            ("no version", b"GET /livez\r\n\r\n".to_vec()),
            ("no method", b"/livez HTTP/1.1\r\n\r\n".to_vec()),
            ("junk", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
            ("NULs", vec![0; 1000]),
            ("a length that is no number", b"POST /processes HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_vec()),
            ("a negative length", b"POST /processes HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec()),
            ("two lengths", b"POST /processes HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx".to_vec()),
            ("a NUL in a header", b"GET /livez HTTP/1.1\r\nX: a\0b\r\n\r\n".to_vec()),
        ] {
            let (status, body) = exchange(address, bytes, 0, plain).await;
            assert!((400..500).contains(&status), "{what}: {status} {body}");
        }
        let head = b"GET /processes/p HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec();
        assert_eq!(exchange(address, head, 0, plain).await.0, 200);
    });
}

#[test]
fn a_body_that_ends_too_soon_schedules_nothing() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let address = start(&node);
        for head in [
            "POST /processes/p/schedule HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{}",
            "POST /processes/p/schedule HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            "POST /processes/p/schedule HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        ] {
            let (status, body) = exchange(address, head.as_bytes().to_vec(), 0, plain).await;
            assert!(status == 0 || (400..500).contains(&status), "{status} {body}");
        }
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 0);
    });
}

#[test]
fn odd_names_in_headers_are_refused_over_a_socket_too() {
    fake("", async |node| {
        let address = start(&node);
        for (host, expected) in [("localhost", 200), ("evil.example", 403), ("\u{e4}", 400)] {
            let head = format!("GET /processes HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let (status, body) = exchange(address, head.into_bytes(), 0, plain).await;
            assert_eq!(status, expected, "{host}: {body}");
        }
    });
}

/// Sends `head` and then `drop` again and again, without an end, and reads until the server closes the connection.
async fn drip(address: SocketAddr, head: String, drop: &'static [u8]) -> (u16, String) {
    let work = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let (mut answer, mut buffer, began) = (Vec::new(), [0; 4096], Instant::now());
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => answer.extend_from_slice(&buffer[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if stream.write_all(drop).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
            assert!(
                began.elapsed() < PATIENCE,
                "the connection stays open; so far {:?}",
                String::from_utf8_lossy(&answer)
            );
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = tokio::task::spawn_blocking(work).await.unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

#[test]
fn a_body_that_never_ends_is_waited_for_no_longer_than_a_request_may_take() {
    let settings = "[http]\nrequest_timeout = \"300ms\"\ntokens = [{ name = \"alice\", token = \"sesame\" }]";
    fake(settings, async |node| {
        let address = start(&node);
        let (sized, chunked) = ("Content-Length: 1000000", "Transfer-Encoding: chunked");
        let known = "Authorization: Bearer sesame\r\n";
        let mut drips = Vec::new();
        for (length, drop) in [(sized, &b""[..]), (sized, b"x"), (chunked, b""), (chunked, b"1\r\nx\r\n")] {
            for (what, token, expected) in [
                ("POST /processes/p/schedule", known, 408),
                ("POST /modules", known, 408),
                ("POST /processes", "", 401),
                ("POST /nowhere", known, 404),
                ("GET /livez", "", 200),
            ] {
                let head = format!("{what} HTTP/1.1\r\nHost: localhost\r\n{token}{length}\r\n\r\n");
                drips.push(async move {
                    let (status, answer) = drip(address, head, drop).await;
                    assert_eq!(status, expected, "{what}, {length}, {drop:?}: {answer}");
                    let is_told = expected != 408 || answer.contains("\"code\":\"deadline\"");
                    assert!(is_told, "{what}: {answer}");
                });
            }
        }
        join_all(drips).await;
    });
}
