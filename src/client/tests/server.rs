//! A server that plays a script: one part for each connection, the last one for all that follow.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::client::{Client, Options};

/// What the server does after it has read a request.
#[derive(Clone)]
pub enum Act {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends a byte now and then, for ever.
    Drip,
    /// Sends as much as is taken, for ever.
    Flood,
    /// Keeps the connection open and says nothing more.
    Hold,
    /// Reads another request.
    Again,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request line and headers, as lines.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The method and what it was asked of.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1")
    }
}

pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server that plays `script`. A connection closes when its part is over.
    pub async fn play(script: impl IntoIterator<Item = Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, notes): (Vec<_>, _) = (script.into_iter().collect(), seen.clone());
        let task = tokio::spawn(async move {
            let mut connections = Vec::new();
            for turn in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let part = script[turn.min(script.len() - 1)].clone();
                let connection = serve(stream, part, notes.clone());
                connections.push(AbortOnDrop(tokio::spawn(async move { drop(connection.await) })));
            }
        });
        Self { address, seen, task }
    }

    /// A server that answers everybody with this.
    pub async fn answering(status: u16, headers: &[&str], body: &str) -> Self {
        Self::play([vec![Act::Send(answer(status, headers, body))]]).await
    }

    /// The URL of something at the server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A whole answer with the right length.
pub fn answer(status: u16, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn serve(mut stream: TcpStream, part: Vec<Act>, seen: Arc<Mutex<Vec<Seen>>>) -> std::io::Result<()> {
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    seen.lock().unwrap().push(request);
    for act in part {
        match act {
            Act::Send(bytes) => stream.write_all(&bytes).await?,
            Act::Drip => loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            },
            Act::Flood => loop {
                stream.write_all(&[b'x'; 4096]).await?;
            },
            Act::Hold => std::future::pending::<()>().await,
            Act::Again => match read(&mut stream).await? {
                Some(request) => seen.lock().unwrap().push(request),
                None => return Ok(()),
            },
        }
    }
    Ok(())
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let seen = Seen { head: head.to_owned(), body: body.to_owned() };
            let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Ok(Some(seen));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// A client that has enough time.
pub fn client() -> Client {
    Client::new(Options::default()).unwrap()
}

/// A client that soon gives up.
pub fn hasty_client() -> Client {
    let (connect_timeout, request_timeout) = (Duration::from_millis(300), Duration::from_millis(300));
    Client::new(Options { connect_timeout, request_timeout, ..Options::default() }).unwrap()
}
