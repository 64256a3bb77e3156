//! Groups: names that are registered, looked up, awaited and told in one registry; requests that share executions or are
//! resolved on bases in memory; and how 10,000 who wait for one slot are told.
//!
//! `cargo bench --bench groups` prints a table, each row beside the same in HyperBEAM where that was measured, and fails where
//! telling 10,000 takes ten times longer than it may. `MAINSTAY_BENCH_SECONDS` sets how long each row runs (2).

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a benchmark ends where it fails")]

use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use actix_rt::task::JoinHandle;
use futures_util::future::join_all;
use mainstay::actors::{
    Awaited, Ended, FindOrRegister, GroupRegistry, Hub, Lookup, Queued, Registration, Reply, Resolution, Told,
};
use mainstay::config::{Config, Origin, parse};
use mainstay::group::{Found, Registrations};
use mainstay::ids::{GroupName, MessageId, ProcessId, Slot};
use mainstay::node::Node;
use mainstay::process::worker::Answer;
use mainstay::process::{Draft, Origin as Road, Tag};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names in use at a time, so that the tables are about as full as on a busy node.
const NAMES: u64 = 4096;
const IN_FLIGHT: [usize; 2] = [1, 64];
const ECHO: &str = "function compute(state, msg) return msg.Data end";

/// What the same takes in HyperBEAM on such a machine, per second.
mod yardstick {
    pub const REGISTER: f64 = 805e3;
    pub const LOOKUP: f64 = 940e3;
    pub const CYCLE: f64 = 367e3;
    pub const RESOLVE: [f64; 2] = [5.6e3, 13.3e3];
}

/// How many wait for one slot, and what telling them may take: until the last of them is told, and for others meanwhile.
const WAITERS: usize = 10_000;
const LAST_TOLD: Duration = Duration::from_millis(50);
const OTHERS: Duration = Duration::from_millis(10);
/// A machine that others use is given so much more.
const MARGIN: u32 = 10;

fn main() {
    // `cargo test --benches` runs this with another argument: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let seconds = std::env::var("MAINSTAY_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let time = Duration::from_secs_f64(seconds);
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    actix_rt::System::new().block_on(async move {
        println!("| what | in flight | per second | p50 µs | p99 µs | CPU µs | of HyperBEAM |");
        println!("|---|---|---|---|---|---|---|");
        plain(time).await;
        let node = Node::start(&config).await.unwrap();
        let arbiter = Arbiter::new();
        let environment = node.hub().environment().clone();
        let registry = GroupRegistry::start_in_arbiter(&arbiter.handle(), move |_| GroupRegistry::new(environment));
        for in_flight in IN_FLIGHT {
            names(&registry, in_flight, time).await;
        }
        resolves(node.hub(), time).await;
        trials(node.hub(), time).await;
        let crowd = crowd(node.hub()).await;
        arbiter.stop();
        node.stop(Duration::from_secs(1)).await.unwrap();
        judge(&crowd);
    });
}

fn config(folder: &Path) -> Config {
    let text = format!(
        "[node]\ndata_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[limits]\nqueue = 100000\n[workers]\nworker_timeout = \"1h\"\n[[process]]\nid = \"echo\"\ndevice = \"lua\"\nsource = \"echo.lua\"\n",
        folder.join("data")
    );
    parse(&text, &Origin::File(folder.join("bench.toml")), &|_| Ok(ECHO.as_bytes().to_vec())).unwrap()
}

fn echo() -> ProcessId {
    ProcessId::parse("echo").unwrap()
}

fn name(number: u64) -> GroupName {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    GroupName::hashed(&echo(), &hash)
}

fn draft(number: u64) -> Draft {
    Draft {
        id: MessageId::random(1),
        is_new: true,
        origin: Road::Client,
        from: "bench".to_owned(),
        owner: "bench".to_owned(),
        anchor: String::new(),
        tags: vec![Tag::new("Action", "Echo")],
        data: number.to_string(),
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    }
}

/// What was measured.
struct Row {
    what: &'static str,
    in_flight: usize,
    count: usize,
    took: Duration,
    cpu: Duration,
    /// Sorted; empty where single ones were not timed.
    latencies: Vec<Duration>,
}

impl Row {
    /// Repeats `round`, which says how much it did and what of its time counts, for `time`.
    async fn of_rounds(
        (what, in_flight): (&'static str, usize),
        time: Duration,
        mut round: impl AsyncFnMut() -> (usize, Duration),
    ) -> Self {
        let (began, cpu) = (Instant::now(), cpu_time());
        let (mut count, mut took) = (0, Duration::ZERO);
        while began.elapsed() < time {
            let (more, lasted) = round().await;
            count += more;
            took += lasted;
        }
        Self { what, in_flight, count, took, cpu: cpu_time() - cpu, latencies: Vec::new() }
    }

    /// Lets so many clients ask, each of them again and again, for `time`. `client` makes what one of them asks.
    async fn of_clients<C, F>(
        (what, in_flight): (&'static str, usize),
        time: Duration,
        mut client: impl FnMut(usize) -> C,
    ) -> Self
    where
        C: FnMut() -> F + 'static,
        F: Future<Output = ()>,
    {
        let (began, cpu) = (Instant::now(), cpu_time());
        let clients: Vec<_> = (0..in_flight)
            .map(|number| {
                let mut ask = client(number);
                actix_rt::spawn(async move {
                    let mut latencies = Vec::new();
                    while began.elapsed() < time {
                        let asked = Instant::now();
                        ask().await;
                        latencies.push(asked.elapsed());
                    }
                    latencies
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.await.unwrap());
        }
        let (took, cpu) = (began.elapsed(), cpu_time() - cpu);
        latencies.sort_unstable();
        Self { what, in_flight, count: latencies.len(), took, cpu, latencies }
    }

    fn print(&self, yardstick: Option<f64>) {
        let per_second = self.count as f64 / self.took.as_secs_f64();
        let at = |percent: usize| {
            let latency = self.latencies.get(self.latencies.len() * percent / 100);
            latency.map_or_else(String::new, |latency| format!("{:.1}", latency.as_secs_f64() * 1e6))
        };
        let ratio = yardstick.map_or_else(String::new, |yardstick| format!("{:.2}", per_second / yardstick));
        let cpu = self.cpu.as_secs_f64() * 1e6 / self.count as f64;
        let Self { what, in_flight, .. } = self;
        println!("| {what} | {in_flight} | {per_second:.0} | {} | {} | {cpu:.1} | {ratio} |", at(50), at(99));
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Names without an actor around them: what is left is what the actor costs.
async fn plain(time: Duration) {
    let all: Vec<GroupName> = (0..NAMES).map(name).collect();
    let mut held: Registrations<(), ()> = Registrations::default();
    let register =
        |held: &mut Registrations<(), ()>, group: &GroupName| match held.find_or_register(group, None, |_| ()) {
            Found::Leader(incarnation) => incarnation,
            found => panic!("{group} is held: {found:?}"),
        };

    let mut incarnations = Vec::new();
    let round = async || {
        for (group, incarnation) in all.iter().zip(incarnations.drain(..)) {
            assert!(held.unregister(group, incarnation).is_some());
        }
        let began = Instant::now();
        incarnations.extend(all.iter().map(|group| register(&mut held, group)));
        (all.len(), began.elapsed())
    };
    Row::of_rounds(("register, no actor", 1), time, round).await.print(Some(yardstick::REGISTER));

    let round = async || {
        let began = Instant::now();
        assert!(all.iter().all(|group| held.find(group).is_some()));
        (all.len(), began.elapsed())
    };
    Row::of_rounds(("look up, no actor", 1), time, round).await.print(Some(yardstick::LOOKUP));

    let mut held = Registrations::default();
    let round = async || {
        let began = Instant::now();
        for group in &all {
            let incarnation = register(&mut held, group);
            assert!(held.unregister(group, incarnation).is_some());
        }
        (all.len(), began.elapsed())
    };
    Row::of_rounds(("register and unregister, no actor", 1), time, round).await.print(Some(yardstick::CYCLE));
}

type Registry = Addr<GroupRegistry>;

/// Asks for a name: who leads it gets what it holds, the others wait.
async fn ask_for(registry: &Registry, group: &GroupName) -> (Option<(Registration, Queued)>, Awaited) {
    let (reply, awaited) = Reply::channel();
    let leader = Queued::Listener { key: group.clone(), reply };
    match registry.send(FindOrRegister { group: group.clone(), leader, chain: None }).await.unwrap() {
        Resolution::Leader(registration, queued) => (Some((registration, queued)), awaited),
        Resolution::Wait(_) => (None, awaited),
        Resolution::InfiniteRecursion => panic!("there is no chain"),
    }
}

async fn lead(registry: &Registry, group: &GroupName) -> Registration {
    let (led, _) = ask_for(registry, group).await;
    led.unwrap().0
}

fn end(mut registration: Registration) {
    let key = registration.group().clone();
    registration.end(Ended::Resolved { key, answer: Ok(Answer::Done) });
}

/// Names in a registry that is an actor of its own thread, asked for by clients on another one.
async fn names(registry: &Registry, in_flight: usize, time: Duration) {
    let all: Rc<[GroupName]> = (0..NAMES).map(name).collect();
    let shares = || all.chunks(all.len() / in_flight);

    let led = RefCell::new(Vec::new());
    let round = async || {
        led.take().into_iter().for_each(end);
        // What is behind in the mailbox is done before this.
        assert!(registry.send(Lookup(all[0].clone())).await.unwrap().is_none());
        let began = Instant::now();
        let share = async |share: &[GroupName]| {
            for group in share {
                let registration = lead(registry, group).await;
                led.borrow_mut().push(registration);
            }
        };
        join_all(shares().map(share)).await;
        (all.len(), began.elapsed())
    };
    Row::of_rounds(("register", in_flight), time, round).await.print(Some(yardstick::REGISTER));

    let client = |number| {
        let (registry, mut names) = (registry.clone(), names_of(&all, number, in_flight));
        move || {
            let found = registry.send(Lookup(names()));
            async move { assert!(found.await.unwrap().is_some()) }
        }
    };
    Row::of_clients(("look up", in_flight), time, client).await.print(Some(yardstick::LOOKUP));
    led.take().into_iter().for_each(end);

    let client = |number| {
        let (registry, mut names) = (registry.clone(), names_of(&all, number, in_flight));
        move || {
            let (registry, group) = (registry.clone(), names());
            async move { end(lead(&registry, &group).await) }
        }
    };
    Row::of_clients(("register and unregister", in_flight), time, client).await.print(Some(yardstick::CYCLE));

    let mut names = names_of(&all, 0, 1);
    let round = async || {
        let (began, group) = (Instant::now(), names());
        let leader = lead(registry, &group).await;
        let waiting = join_all((0..in_flight).map(|_| ask_for(registry, &group))).await;
        end(leader);
        let told = join_all(waiting.into_iter().map(|(_, awaited)| awaited.hear())).await;
        assert!(told.iter().all(|told| matches!(told, Told::Answer(Ok(Answer::Done)))));
        (in_flight, began.elapsed())
    };
    Row::of_rounds(("await and be told", in_flight), time, round).await.print(None);
}

/// Every name that this client of so many may use, again and again. No two of them use the same.
fn names_of(all: &Rc<[GroupName]>, number: usize, clients: usize) -> impl FnMut() -> GroupName + use<> {
    let (all, mut next) = (all.clone(), number);
    move || {
        let name = all[next].clone();
        next = if next + clients < all.len() { next + clients } else { number };
        name
    }
}

/// Messages on a base that stays, and on one that moves on with each.
async fn resolves(hub: &Hub, time: Duration) {
    let group = hub.hold_base(&echo(), Some(Slot::ZERO), Some(true), None).await.unwrap();
    for (in_flight, yardstick) in IN_FLIGHT.into_iter().zip(yardstick::RESOLVE) {
        let client = |_| {
            let (hub, group) = (hub.clone(), group.clone());
            move || {
                let (hub, group) = (hub.clone(), group.clone());
                async move {
                    let (_, outcome) = hub.resolve_on(&group, draft(0)).await.unwrap();
                    assert_eq!(outcome.error, None);
                }
            }
        };
        Row::of_clients(("resolve, static base", in_flight), time, client).await.print(Some(yardstick));
    }
    hub.drop_group(&group).await.unwrap();

    let group = RefCell::new(hub.hold_base(&echo(), Some(Slot::ZERO), Some(false), None).await.unwrap());
    let round = async || {
        let began = Instant::now();
        let base = group.borrow().clone();
        let (moved_to, outcome) = hub.resolve_on(&base, draft(0)).await.unwrap();
        assert_eq!((outcome.error.as_deref(), moved_to == base), (None, false));
        group.replace(moved_to);
        (1, began.elapsed())
    };
    Row::of_rounds(("resolve, base line", 1), time, round).await.print(None);
}

/// Dry-runs on the latest state: equal ones share executions, different ones a base.
async fn trials(hub: &Hub, time: Duration) {
    for (what, is_equal) in [("dry-run, equal", true), ("dry-run, different", false)] {
        let next = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let (hub, next) = (hub.clone(), next.clone());
            move || {
                let (hub, number) = (hub.clone(), next.fetch_add(1, Ordering::Relaxed));
                async move {
                    let draft = draft(if is_equal { 0 } else { number });
                    let (slot, outcome) = hub.dry_run(&echo(), draft).await.unwrap();
                    assert_eq!((slot, outcome.error.as_deref()), (Slot::ZERO, None));
                }
            }
        };
        Row::of_clients((what, 64), time, client).await.print(None);
    }
}

/// What became of a crowd that waited for one slot.
struct Crowd {
    /// From the message's way in until the last was told, disk and computing included.
    in_all: Duration,
    /// From the first who was told to the last.
    telling: Duration,
    /// The longest that another request of the same worker took meanwhile.
    other: Duration,
}

async fn crowd(hub: &Hub) -> Crowd {
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let hub = hub.clone();
            actix_rt::spawn(async move {
                hub.await_any(&echo()).await.unwrap();
                Instant::now()
            })
        })
        .collect();
    let group = GroupName::of_process(&echo());
    while hub.group(&group).await.is_none_or(|status| status.waiters < WAITERS as u64) {
        actix_rt::task::yield_now().await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let (first_answer, answered) = oneshot::channel();
    let others = others(hub.clone(), first_answer, is_over.clone());
    answered.await.unwrap();
    let sent = Instant::now();
    hub.schedule(&echo(), draft(0)).await.unwrap();
    let mut told = Vec::new();
    for waiter in waiters {
        told.push(waiter.await.unwrap());
    }
    is_over.store(true, Ordering::Relaxed);
    let (first, last) = (*told.iter().min().unwrap(), *told.iter().max().unwrap());
    let others = others.await.unwrap();
    let meanwhile = others.into_iter().filter(|(began, ended)| *began <= last && *ended >= sent);
    let other = meanwhile.map(|(began, ended)| ended - began).max().unwrap();
    Crowd { in_all: last - sent, telling: last - first, other }
}

/// Another client of the same worker, on a thread of its own: when each of its requests began and ended.
fn others(
    hub: Hub,
    first_answer: oneshot::Sender<()>,
    is_over: Arc<AtomicBool>,
) -> JoinHandle<Vec<(Instant, Instant)>> {
    let ask = async move {
        let mut requests = Vec::new();
        let mut first_answer = Some(first_answer);
        while !is_over.load(Ordering::Relaxed) {
            let began = Instant::now();
            hub.compute(&echo(), Some(Slot::ZERO)).await.unwrap();
            requests.push((began, Instant::now()));
            first_answer.take().into_iter().for_each(|sender| sender.send(()).unwrap());
        }
        requests
    };
    actix_rt::task::spawn_blocking(|| actix_rt::Runtime::new().unwrap().block_on(ask))
}

fn judge(Crowd { in_all, telling, other }: &Crowd) {
    println!();
    println!("{WAITERS} wait for one slot, the last is told {telling:.1?} after the first (below {LAST_TOLD:?});");
    println!("{in_all:.1?} after the message was sent; another request took {other:.1?} at most (below {OTHERS:?}).");
    assert!(*telling < LAST_TOLD * MARGIN, "telling {WAITERS} takes {telling:?}");
    assert!(*other < OTHERS * MARGIN, "while {WAITERS} are told another request takes {other:?}");
}
