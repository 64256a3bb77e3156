//! What was logged louder than `info`, by which thread.

use std::fmt::Write as _;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

static LOUD: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

struct Ear;

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() < Level::INFO {
            let mut words = Words(format!("{} {}", event.metadata().level(), event.metadata().target()));
            event.record(&mut words);
            LOUD.lock().unwrap_or_else(PoisonError::into_inner).push((thread::current().id(), words.0));
        }
    }
}

/// Listens from now on.
pub fn listen() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Ear)).unwrap());
}

/// What this thread said since it began to be listened to, and what any thread said of `process`.
pub fn heard(process: &str) -> Vec<String> {
    let own = thread::current().id();
    let named = format!("process={process}");
    let loud = LOUD.lock().unwrap_or_else(PoisonError::into_inner);
    let about = |said: &str| said.split(' ').any(|word| word == named);
    loud.iter().filter(|(thread, said)| *thread == own || about(said)).map(|(_, said)| said.clone()).collect()
}

#[test]
fn whatever_is_louder_than_info_is_heard() {
    listen();
    tracing::info!(process = "heard", "not this");
    tracing::warn!(process = "heard", "this");
    thread::spawn(|| tracing::error!(target: "there", process = %"heard", "and this")).join().unwrap();
    thread::spawn(|| tracing::error!(process = "heard-not", "but not this")).join().unwrap();
    tracing::debug!("nor this");
    let heard = heard("heard");
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].starts_with("WARN") && heard[1].starts_with("ERROR there"), "{heard:?}");
}
