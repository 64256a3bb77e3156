//! Bad company on the network: somebody between two nodes who loses answers, and somebody who never answers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{DEADLINE, Random};

/// Passes on what it is sent, to a node that may change its address, and loses some of the answers.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    target: Mutex<Option<SocketAddr>>,
    random: Mutex<Random>,
    /// One of so many answers is lost.
    one_in: AtomicU64,
    lost: AtomicUsize,
}

impl Relay {
    /// A relay to nobody yet, which loses one of `one_in` answers.
    pub async fn start(random: Random, one_in: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (target, random, lost) = (Mutex::default(), Mutex::new(random), AtomicUsize::new(0));
        let shared = Arc::new(Shared { target, random, one_in: AtomicU64::new(one_in), lost });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, task }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends to this address from now on.
    pub fn lead_to(&self, address: SocketAddr) {
        *self.shared.target.lock().unwrap() = Some(address);
    }

    /// Loses one of `one_in` answers from now on.
    pub fn lose(&self, one_in: u64) {
        self.shared.one_in.store(one_in, Ordering::Relaxed);
    }

    /// How many answers it has lost.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((near, _)) = listener.accept().await {
        let target = *shared.target.lock().unwrap();
        if let Some(target) = target
            && let Ok(far) = TcpStream::connect(target).await
        {
            tokio::spawn(pass_on(near, far, shared.clone()));
        }
    }
}

/// Ends when either side does, or with an answer that is lost.
async fn pass_on(mut near: TcpStream, mut far: TcpStream, shared: Arc<Shared>) {
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = near.read(&mut asked) => match read {
                Ok(count @ 1..) if far.write_all(&asked[..count]).await.is_ok() => {}
                _ => return,
            },
            read = far.read(&mut answered) => match read {
                Ok(count @ 1..) => {
                    if shared.random.lock().unwrap().below(shared.one_in.load(Ordering::Relaxed)) == 0 {
                        shared.lost.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    if near.write_all(&answered[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

/// Takes connections and never says a word.
pub struct Tarpit {
    address: SocketAddr,
    caught: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Tarpit {
    /// A new one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, caught) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
                sender.send_replace(held.len());
            }
        });
        Self { address, caught, task }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns once somebody is caught.
    pub async fn has_caught(&self) {
        let mut caught = self.caught.clone();
        let waited = timeout(DEADLINE, caught.wait_for(|count| *count > 0)).await;
        assert!(matches!(waited, Ok(Ok(_))), "nobody came to the tarpit");
    }
}

impl Drop for Tarpit {
    fn drop(&mut self) {
        self.task.abort();
    }
}
