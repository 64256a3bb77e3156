//! Those who are told of alerts, each by a task of its own: whoever hangs keeps nobody waiting but itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::{Message, WeakRecipient};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::alert_board::AlertBoard;
use crate::actors::delivery::refused;
use crate::actors::hub::Hub;
use crate::alert::{AlertState, Notice, NoticeQueue};
use crate::client::ClientError;
use crate::client::receiver::{Alertmanager, Webhook};
use crate::ids::{MessageId, ProcessId};
use crate::process::{Draft, Origin, Tag};
use crate::push::Failure;
use crate::supervise::Backoff;

/// At most so many notices wait for a receiver.
const QUEUE: usize = 1000;
/// An Alertmanager is told so many at once.
const BATCH: usize = 64;
/// No try takes longer, whatever hangs.
const TRY_TIME: Duration = Duration::from_secs(15);
/// A receiver that keeps failing has a line in the log so often.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// The sender of alerts that are messages. No process is called that.
const FROM: &str = "~alert";

/// From a receiver: something that waited for it waits no more.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(in crate::actors) struct Settled;

/// How a receiver is reached.
pub(in crate::actors) enum Way {
    /// By the log.
    Log,
    /// By HTTP.
    Webhook(Webhook),
    /// By HTTP, many at once.
    Alertmanager(Alertmanager),
    /// By a message in its log.
    Process(Hub, ProcessId),
}

/// One receiver at work. Dropped it is told nothing more.
pub(in crate::actors) struct Receiver {
    name: String,
    mailbox: Arc<Mailbox>,
    board: AlertBoard,
    task: Option<JoinHandle<()>>,
}

impl Receiver {
    /// A receiver that is reached that way. Its failures are counted on `board`; `settled` hears of what it took.
    pub(in crate::actors) fn start(name: &str, way: Way, board: AlertBoard, settled: WeakRecipient<Settled>) -> Self {
        board.fail(name, 0);
        let mailbox = Arc::new(Mailbox::default());
        let deliverer = Deliverer { name: name.to_owned(), mailbox: mailbox.clone(), board: board.clone(), settled };
        let task = match way {
            Way::Log => None,
            way => Some(actix_rt::spawn(deliverer.deliver(way))),
        };
        Self { name: name.to_owned(), mailbox, board, task }
    }

    /// Tells it a notice, now or when it takes one.
    pub(in crate::actors) fn tell(&self, notice: &Arc<Notice>) {
        if self.task.is_none() {
            return log(&self.name, notice);
        }
        if self.mailbox.push(notice.clone()).is_some() {
            self.board.fail(&self.name, 1);
        }
    }

    /// What it has yet to be told, oldest first: also what it is being told.
    pub(in crate::actors) fn owed(&self) -> Vec<Arc<Notice>> {
        self.mailbox.open().owed()
    }

    /// Tells it nothing more. What it has not taken stays owed.
    pub(in crate::actors) fn halt(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    /// Lets it hear what waits for it, as long as it takes that, and nothing more.
    pub(in crate::actors) fn retire(mut self) {
        self.mailbox.close();
        // The task ends by itself.
        self.task = None;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.halt();
    }
}

/// What waits for one receiver.
struct Mailbox {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    queue: NoticeQueue,
    /// What is being told.
    taken: Vec<Arc<Notice>>,
    is_closed: bool,
}

impl State {
    fn owed(&self) -> Vec<Arc<Notice>> {
        self.taken.iter().chain(self.queue.iter()).cloned().collect()
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        let state = State { queue: NoticeQueue::new(QUEUE), taken: Vec::new(), is_closed: false };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl Mailbox {
    fn open(&self) -> MutexGuard<'_, State> {
        // Each step leaves the queue whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, notice: Arc<Notice>) -> Option<Arc<Notice>> {
        let dropped = self.open().queue.push(notice);
        self.changed.notify_one();
        dropped
    }

    fn close(&self) {
        self.open().is_closed = true;
        self.changed.notify_one();
    }

    /// The next ones, once there are any. `None`: nothing waits and nothing more comes.
    async fn next(&self, most: usize) -> Option<Vec<Arc<Notice>>> {
        loop {
            let (notices, is_closed) = {
                let mut state = self.open();
                state.taken = state.queue.take(most);
                (state.taken.clone(), state.is_closed)
            };
            match notices.is_empty() {
                false => return Some(notices),
                true if is_closed => return None,
                true => self.changed.notified().await,
            }
        }
    }
}

/// The task of a receiver.
struct Deliverer {
    name: String,
    mailbox: Arc<Mailbox>,
    board: AlertBoard,
    settled: WeakRecipient<Settled>,
}

/// Why a receiver did not take something.
enum Untold {
    /// It never will.
    Refused(String),
    /// It may later.
    Later(String),
}

impl From<ClientError> for Untold {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        if error.is_permanent() { Self::Refused(text) } else { Self::Later(text) }
    }
}

impl Deliverer {
    async fn deliver(self, way: Way) {
        let batch = if matches!(way, Way::Alertmanager(_)) { BATCH } else { 1 };
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let mut trouble = Trouble::default();
        while let Some(notices) = self.mailbox.next(batch).await {
            let told = timeout(TRY_TIME, way.tell(&notices)).await;
            let told = told.unwrap_or_else(|_| Err(Untold::Later(format!("no answer within {TRY_TIME:?}"))));
            match told {
                Ok(()) => {
                    self.settle();
                    backoff.reset();
                    trouble.over(&self.name);
                }
                Err(Untold::Refused(error)) => {
                    self.settle();
                    self.board.fail(&self.name, notices.len());
                    trouble.say(&self.name, &error, "it is not told again");
                }
                Err(Untold::Later(error)) => {
                    self.board.fail(&self.name, notices.len());
                    trouble.say(&self.name, &error, "it is told later");
                    if !self.put_back(notices) {
                        return;
                    }
                    sleep(backoff.wait()).await;
                }
            }
        }
    }

    /// What was told waits no more.
    fn settle(&self) {
        self.mailbox.open().taken.clear();
        if let Some(settled) = self.settled.upgrade() {
            settled.do_send(Settled);
        }
    }

    /// Keeps what was not told for later. Not for who is retired.
    fn put_back(&self, notices: Vec<Arc<Notice>>) -> bool {
        let mut state = self.mailbox.open();
        state.taken.clear();
        let dropped = state.queue.give_back(notices).len();
        let is_kept = !state.is_closed;
        let lost = if is_kept { dropped } else { dropped + state.queue.len() };
        self.board.fail(&self.name, lost);
        is_kept
    }
}

impl Way {
    async fn tell(&self, notices: &[Arc<Notice>]) -> Result<(), Untold> {
        match self {
            Self::Log => {}
            Self::Webhook(webhook) => {
                for notice in notices {
                    webhook.tell(notice).await?;
                }
            }
            Self::Alertmanager(manager) => {
                let notices: Vec<Notice> = notices.iter().map(|notice| Notice::clone(notice)).collect();
                manager.tell(&notices).await?;
            }
            Self::Process(hub, process) => {
                for notice in notices {
                    let draft = draft(notice).map_err(|error| Untold::Refused(error.to_string()))?;
                    let taken = hub.deliver(process, &draft).await;
                    taken.map_err(|error| match refused(&error) {
                        Failure::Final { reason } => Untold::Refused(reason),
                        Failure::Later { reason, .. } => Untold::Later(reason),
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// What the log hears of a receiver that fails: the first failure, one a minute, and the end.
#[derive(Default)]
struct Trouble {
    said: Option<Instant>,
}

impl Trouble {
    fn say(&mut self, receiver: &str, error: &str, what: &str) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            self.said = Some(Instant::now());
            warn!(target: "alert", event = "receiver_failing", receiver, error, "{what}");
        }
    }

    fn over(&mut self, receiver: &str) {
        if self.said.take().is_some() {
            info!(target: "alert", event = "receiver_recovered", receiver);
        }
    }
}

fn log(receiver: &str, notice: &Notice) {
    let Notice { name, severity, message, value, is_repeated, .. } = notice;
    let (labels, annotations) = (shown(&notice.labels), shown(&notice.annotations));
    let state = word(notice);
    macro_rules! line {
        ($level:ident) => {
            $level!(target: "alert", event = "alert", name, state, severity, value, labels, annotations, receiver,
                repeated = is_repeated, "{message}")
        };
    }
    if notice.state == AlertState::Firing { line!(warn) } else { line!(info) }
}

fn word(notice: &Notice) -> &'static str {
    if notice.state == AlertState::Firing { "firing" } else { "resolved" }
}

/// Texts by name on one line.
fn shown(texts: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = texts.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
    pairs.join(",")
}

/// A notice as a message. However often it is tried it has the same id.
fn draft(notice: &Notice) -> Result<Draft, serde_json::Error> {
    let labels = serde_json::to_string(&notice.labels)?;
    let time = notice.timestamp.to_le_bytes();
    let texts = [&notice.name, &notice.severity, &labels].map(|text| text.as_bytes());
    let parts = [&[&b"alert"[..]], &texts[..], &[word(notice).as_bytes(), &time]].concat();
    Ok(Draft {
        id: MessageId::derived(&parts),
        is_new: false,
        origin: Origin::Alert,
        from: FROM.to_owned(),
        owner: FROM.to_owned(),
        anchor: String::new(),
        tags: vec![Tag::new("Action", "Alert")],
        data: serde_json::to_string(notice)?,
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    })
}
