//! What 10,000 monitors cost that tick every 10 s on sources that answer at once.
//!
//! `cargo bench --bench monitors` prints CPU time and memory and fails where either is ten times more than it may be.
//! `MAINSTAY_BENCH_SECONDS` sets how long the CPU time is measured (20).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark ends where it fails")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, Context, Handler};
use futures_util::future::{BoxFuture, ready};
use mainstay::actors::{EndMonitor, Monitor, MonitorEnded, Pulled, Sight, Source};
use mainstay::clock::thread_cpu_time;
use mainstay::config::{Config, Origin, parse};
use mainstay::ids::ProcessId;
use mainstay::node::Node;
use mainstay::process::{MonitorOrigin, MonitorRecord, MonitorSource};
use tokio::time::Instant;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MONITORS: u64 = 10_000;
const RATE: Duration = Duration::from_secs(10);
/// The share of a core that they may take.
const CPU: f64 = 0.1;
/// The resident memory that each may take, in bytes.
const MEMORY: f64 = 10_240.0;
/// A machine that others use is given so much more.
const MARGIN: f64 = 10.0;

/// A source that has nothing and says so at once.
struct Nothing(AtomicU64);

impl Source for Nothing {
    fn pull(&self, _: Option<String>, _: usize) -> BoxFuture<'_, Result<Pulled, String>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(ready(Ok(Pulled::default())))
    }
}

/// Hears of the ends of monitors.
struct Listener;

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<MonitorEnded> for Listener {
    type Result = ();

    fn handle(&mut self, _: MonitorEnded, _: &mut Self::Context) {}
}

fn main() {
    // `cargo test --benches` runs this with another argument: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let seconds = std::env::var("MAINSTAY_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20.0);
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    actix_rt::System::new().block_on(async move {
        let node = Node::start(&config).await.unwrap();
        let source = Arc::new(Nothing(AtomicU64::new(0)));
        let ended = Listener.start();
        let before = resident();
        let mut monitors = Vec::new();
        for number in 0..MONITORS {
            let record = record(number);
            let sight = Sight::new(record, &config.monitor, node.hub().environment().clock.now_ms());
            let (hub, monitor) = (node.hub().clone(), config.monitor.clone());
            let monitor = Monitor::new(hub, monitor, source.clone(), sight, ended.clone().recipient(), number);
            monitors.push(monitor.start());
            // So that their ticks are spread over the time between two.
            if number % (MONITORS / 100) == 0 {
                tokio::time::sleep(RATE / 100).await;
            }
        }
        // Each has ticked once more, so that what they need is there.
        tokio::time::sleep(RATE).await;
        let memory = (resident() - before) / MONITORS as f64;
        let (began, used, pulls) = (Instant::now(), thread_cpu_time(), source.0.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        let (took, used) = (began.elapsed().as_secs_f64(), (thread_cpu_time() - used).as_secs_f64());
        let pulls = (source.0.load(Ordering::Relaxed) - pulls) as f64;
        monitors.iter().for_each(|monitor| monitor.do_send(EndMonitor));
        node.stop(Duration::from_secs(1)).await.unwrap();
        judge(used / took, memory, pulls / took, used / pulls);
    });
}

fn config(folder: &Path) -> Config {
    let text = format!("[node]\ndata_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n", folder.join("data"));
    parse(&text, &Origin::File(folder.join("bench.toml")), &|_| Ok(Vec::new())).unwrap()
}

fn record(number: u64) -> MonitorRecord {
    MonitorRecord {
        asked_from: None,
        process: ProcessId::parse(&format!("process-{number}")).unwrap(),
        rate: RATE,
        cursor: None,
        source: MonitorSource::Url("http://elsewhere".to_owned()),
        sequence: 0,
        started: 0,
        origin: MonitorOrigin::Request,
        stopped: false,
    }
}

/// The memory of this program that is in RAM, in bytes.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

fn judge(cpu: f64, memory: f64, ticks: f64, tick: f64) {
    println!("{MONITORS} monitors of {RATE:?}: {ticks:.0} ticks a second, {:.1} us each;", tick * 1e6);
    println!("{:.1} % of a core (below {:.0} %);", cpu * 100.0, CPU * 100.0);
    println!("{:.1} KiB of memory each (below {:.0} KiB).", memory / 1024.0, MEMORY / 1024.0);
    assert!(cpu < CPU * MARGIN, "they take {cpu} of a core");
    assert!(memory < MEMORY * MARGIN, "each takes {memory} bytes");
}
