//! The program's log, as it comes.

use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::DEADLINE;

/// The targets whose lines are all events.
const TARGETS: [&str; 11] =
    ["node", "http", "worker", "group", "compute", "monitor", "push", "store", "watch", "health", "alert"];

/// Whether a line of the log is the event called `name`.
fn event(line: &Value, name: &str) -> bool {
    line["event"] == name
}

/// Every line of the log so far. Whoever waits is woken by each.
#[derive(Debug)]
pub struct Events {
    lines: Mutex<Vec<Value>>,
    faults: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
    over: watch::Sender<bool>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            lines: Mutex::default(),
            faults: Mutex::default(),
            count: watch::Sender::new(0),
            over: watch::Sender::new(false),
        }
    }

    pub(super) fn push(&self, text: &str) {
        match serde_json::from_str::<Value>(text) {
            Ok(line) => {
                if let Some(fault) = fault(&line) {
                    self.faults.lock().unwrap().push(format!("{fault}: {text}"));
                }
                self.lines.lock().unwrap().push(line);
            }
            Err(error) => self.faults.lock().unwrap().push(format!("not JSON, {error}: {text}")),
        }
        self.count.send_modify(|count| *count += 1);
    }

    pub(super) fn end(&self) {
        self.over.send_replace(true);
        self.count.send_modify(|_| ());
    }

    /// Lines that are not what a line of the log must be.
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    /// Every line so far.
    pub fn all(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// Every event called `name` so far.
    pub fn named(&self, name: &str) -> Vec<Value> {
        self.lines.lock().unwrap().iter().filter(|line| event(line, name)).cloned().collect()
    }

    /// Waits for an event called `name`.
    pub async fn wait(&self, name: &str) -> Value {
        self.wait_for(name, |_| true).await
    }

    /// Waits for an event called `name` that is about `process`.
    pub async fn wait_of(&self, name: &str, process: &str) -> Value {
        self.wait_for(name, |line| line["process"] == process).await
    }

    /// Waits for an event called `name` that fits. Those that came before count.
    pub async fn wait_for(&self, name: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        let mut count = self.count.subscribe();
        let mut seen = 0;
        loop {
            let is_over = *self.over.borrow();
            {
                let lines = self.lines.lock().unwrap();
                if let Some(line) = lines[seen..].iter().find(|line| event(line, name) && fits(line)) {
                    return line.clone();
                }
                seen = lines.len();
            }
            assert!(!is_over, "the program ended without the event {name}; its last lines: {:#?}", self.last());
            let more = timeout(DEADLINE, count.changed()).await;
            assert!(more.is_ok(), "waited in vain for the event {name}; the last lines: {:#?}", self.last());
        }
    }

    /// The last lines, for a person who looks why something failed.
    pub fn last(&self) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines[lines.len().saturating_sub(20)..].to_vec()
    }
}

/// What is wrong with a line: each is a flat object that says when, how grave, who and what.
fn fault(line: &Value) -> Option<&'static str> {
    let Some(object) = line.as_object() else { return Some("not an object") };
    if object.values().any(|value| value.is_object() || value.is_array()) {
        return Some("not flat");
    }
    if ["timestamp", "level", "target"].iter().any(|key| !object.get(*key).is_some_and(Value::is_string)) {
        return Some("without timestamp, level or target");
    }
    let is_ours = TARGETS.iter().any(|target| line["target"] == *target);
    (is_ours && !line["event"].is_string()).then_some("without event")
}
