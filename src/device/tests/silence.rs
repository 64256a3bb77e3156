//! What is said of a state of the past, or on trial, is not said by the process.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::loading::load;
use super::log::{MemoryLog, Regular, message, process};
use crate::device::lua::LuaFactory;
use crate::device::{Interrupt, Runner, Trial};
use crate::ids::Slot;
use crate::process::ErrorStrategy;
use crate::process::worker::TurnPlan;

/// Writes down the target and name of every event at level info and above.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

struct Name(String);

impl Visit for Name {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.0.push_str(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut name = Name(format!("{} ", event.metadata().target()));
        event.record(&mut name);
        if *event.metadata().level() <= tracing::Level::INFO {
            self.0.lock().unwrap().push(name.0);
        }
    }
}

impl Ear {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

const TALKING: &str = "print('loaded') function compute(state, msg) print('called') state.x = msg.Data end";

fn plan(goal: Option<Slot>, recorded: Option<Slot>) -> TurnPlan {
    TurnPlan {
        goal,
        recorded,
        retried: None,
        entries: Vec::new(),
        resumed: None,
        wants_state: false,
        wants_snapshot: true,
        is_slow: false,
        room: u64::MAX,
    }
}

fn worker(log: &Arc<MemoryLog>) -> Runner {
    Runner::new(process(), Arc::new(LuaFactory), log.clone(), Interrupt::default())
}

#[test]
fn neither_loading_a_base_nor_trying_on_it_sounds_like_the_process() {
    // Without a subscriber for all threads, another test's silence could be taken for this one's.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let ear = Ear::default();
    let log = Arc::new(MemoryLog::default());
    log.define(TALKING, ErrorStrategy::Ignore);
    log.send("a");
    let long = std::time::Duration::from_secs(3600);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(ear.clone()), || {
        let done = worker(&log).turn(plan(Some(Slot(1)), None), long, &Regular);
        log.keep(&done.snapshot.unwrap().unwrap());
        log.records().outcomes.extend(done.computed);
        let live = ["compute print", "compute work_done", "compute print", "compute work_done"];
        assert_eq!(ear.heard(), live, "the process itself is heard");
        worker(&log).turn(plan(Some(Slot(1)), Some(Slot(1))), long, &Regular);
        assert_eq!(ear.heard(), ["compute print", "worker restored"]);

        let factory = Arc::new(LuaFactory);
        for slot in [0, 1] {
            let (base, _) = load(factory.clone(), &log, slot).unwrap();
            let mut trial = Trial::open(factory.clone(), base, Interrupt::default()).unwrap();
            trial.resolve(message(2, "b"), true).unwrap();
        }
        assert_eq!(ear.heard(), [""; 0]);
    });
}
