//! A compute unit of another network: it tells the cron results of one process, page by page.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The most results of a page, whatever is asked for.
const PAGE: u64 = 7;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Good,
    /// With status 500.
    Failing,
    /// With a page that is none.
    Confused,
}

/// A compute unit whose results, numbered from 1, each send their number to one process.
pub struct Unit {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

struct Shared {
    target: String,
    results: u64,
    mood: Mood,
    token: Option<String>,
    /// The path and the cursor of each request.
    asked: Vec<(String, Option<String>)>,
}

impl Unit {
    /// A compute unit without results, whose messages are for `target`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Shared { target: target.to_owned(), results: 0, mood: Mood::Good, token: None, asked: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let served = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        Self { address, shared, task }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has so many more results. Returns how many there are.
    pub fn add(&self, results: u64) -> u64 {
        let mut shared = self.shared.lock().unwrap();
        shared.results += results;
        shared.results
    }

    /// Answers like this from now on.
    pub fn be(&self, mood: Mood) {
        self.shared.lock().unwrap().mood = mood;
    }

    /// Answers from now on only those who know the token.
    pub fn want(&self, token: &str) {
        self.shared.lock().unwrap().token = Some(token.to_owned());
    }

    /// The path and the cursor of each request since this was asked last.
    pub fn take_asked(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.shared.lock().unwrap().asked)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Mutex<Shared>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default();
    let (status, body) = {
        let mut shared = shared.lock().unwrap();
        let said = |token: &String| text.lines().any(|line| line == format!("authorization: Bearer {token}"));
        if shared.token.as_ref().is_none_or(said) {
            answer(path, &mut shared)
        } else {
            ("401 Unauthorized", json!({ "error": "who are you?" }).to_string())
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

fn answer(path: &str, shared: &mut Shared) -> (&'static str, String) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let from = query.split('&').find_map(|pair| pair.strip_prefix("from="));
    shared.asked.push((path.to_owned(), from.map(str::to_owned)));
    match shared.mood {
        Mood::Failing => ("500 Internal Server Error", json!({ "error": "out of order" }).to_string()),
        Mood::Confused => ("200 OK", json!({ "edges": 5 }).to_string()),
        Mood::Good => ("200 OK", page(from, shared).to_string()),
    }
}

fn page(from: Option<&str>, shared: &Shared) -> Value {
    let from: u64 = from.map_or(0, |from| from.parse().expect("a cursor of this unit"));
    let last = shared.results.min(from + PAGE);
    let edges: Vec<_> = (from + 1..=last)
        .map(|number| {
            let message = json!({ "Target": shared.target, "Tags": [], "Data": number.to_string() });
            let node = json!({ "Output": {}, "Messages": [message], "Spawns": [], "Assignments": [] });
            json!({ "cursor": number.to_string(), "node": node })
        })
        .collect();
    json!({ "pageInfo": { "hasNextPage": last < shared.results }, "edges": edges })
}
