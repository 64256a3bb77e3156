//! Schedule and compute of the counter: through the registry and over HTTP, at 1 to 256 in flight, on one process and on
//! 1,000. One in flight waits for each outcome before the next message, as a person with one client would.
//!
//! `cargo bench --bench throughput` prints a table and asserts what must hold as ratios within this one run: on one
//! process, 64 in flight are no slower than one, and from 64 in flight on a sync serves more than ten acknowledgements.
//! `MAINSTAY_BENCH_SECONDS` sets how long each row runs (2).

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::expect_used, reason = "a benchmark ends where it fails")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay::actors::Hub;
use mainstay::config::{Config, Origin, parse};
use mainstay::ids::{MessageId, ProcessId};
use mainstay::metrics::COUNTERS;
use mainstay::node::Node;
use mainstay::process::{Draft, Origin as Road, Tag};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];
const WAIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Registry,
    Http,
}

struct Row {
    road: Way,
    processes: usize,
    in_flight: usize,
    per_second: f64,
    p50: Duration,
    p99: Duration,
    syncs: f64,
    cpu: Duration,
}

fn main() {
    // `cargo test --benches` runs this with another argument: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let seconds = std::env::var("MAINSTAY_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    actix_rt::System::new().block_on(async move {
        let node = Node::start(&config).await.unwrap();
        let processes = processes(node.hub()).await;
        let mut rows = Vec::new();
        println!("| road | processes | in flight | per second | p50 ms | p99 ms | syncs per ack | CPU µs |");
        println!("|---|---|---|---|---|---|---|---|");
        for road in [Way::Registry, Way::Http] {
            for used in [&processes[..1], &processes[..]] {
                for in_flight in IN_FLIGHT {
                    let row = measure(&node, road, used, in_flight, Duration::from_secs_f64(seconds)).await;
                    print(&row);
                    rows.push(row);
                }
            }
        }
        node.stop(Duration::from_secs(1)).await.unwrap();
        judge(&rows);
    });
}

fn config(folder: &Path) -> Config {
    let text = format!(
        "[node]\ndata_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[limits]\nqueue = 100000\n[[process]]\nid = \"counter\"\ndevice = \"lua\"\nsource = \"counter.lua\"\n",
        folder.join("data")
    );
    let source = include_bytes!("../config/processes/counter.lua");
    parse(&text, &Origin::File(folder.join("bench.toml")), &|_| Ok(source.to_vec())).unwrap()
}

async fn processes(hub: &Hub) -> Vec<ProcessId> {
    let counter = ProcessId::parse("counter").unwrap();
    let environment = hub.environment();
    let entry = environment.store.entry(&counter, mainstay::ids::Slot::ZERO).unwrap().unwrap();
    let definition: mainstay::process::Definition = serde_json::from_str(&entry.message.data).unwrap();
    let source: Arc<[u8]> = include_bytes!("../config/processes/counter.lua").as_slice().into();
    let mut all = vec![counter];
    for number in 1..1000 {
        let id = ProcessId::parse(&format!("counter-{number}")).unwrap();
        let define = mainstay::process::worker::Define {
            origin: mainstay::process::ProcessOrigin::Api,
            definition: definition.clone(),
            source: source.clone(),
            from: "bench".to_owned(),
        };
        hub.define(&id, define).await.unwrap();
        all.push(id);
    }
    all
}

async fn measure(node: &Node, road: Way, processes: &[ProcessId], in_flight: usize, time: Duration) -> Row {
    let next = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + time;
    let (syncs, cpu) = (COUNTERS.store_syncs.get(), cpu_time());
    let began = Instant::now();
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (hub, next, processes) = (node.hub().clone(), next.clone(), processes.to_vec());
            let address = node.address();
            tokio::spawn(async move {
                match road {
                    Way::Registry => ask_registry(&hub, &processes, &next, until).await,
                    Way::Http => ask_http(address, &processes, &next, until).await,
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await.unwrap());
    }
    let took = began.elapsed();
    latencies.sort_unstable();
    let count = latencies.len();
    Row {
        road,
        processes: processes.len(),
        in_flight,
        per_second: count as f64 / took.as_secs_f64(),
        p50: latencies[count / 2],
        p99: latencies[count * 99 / 100],
        syncs: (COUNTERS.store_syncs.get() - syncs) as f64 / count as f64,
        cpu: (cpu_time() - cpu) / u32::try_from(count).unwrap(),
    }
}

fn pick<'a>(processes: &'a [ProcessId], next: &AtomicU64) -> &'a ProcessId {
    let number = next.fetch_add(1, Ordering::Relaxed);
    &processes[usize::try_from(number).unwrap() % processes.len()]
}

async fn ask_registry(hub: &Hub, processes: &[ProcessId], next: &AtomicU64, until: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let draft = Draft {
            id: MessageId::random(1),
            is_new: true,
            origin: Road::Client,
            from: "bench".to_owned(),
            owner: "bench".to_owned(),
            anchor: String::new(),
            tags: vec![Tag::new("Action", "Increment")],
            data: String::new(),
            mark: None,
            push: None,
            cursor: None,
            closes_circle: false,
        };
        let awaited = hub.schedule_and_wait(pick(processes, next), draft, WAIT).await.unwrap();
        let outcome = awaited.outcome.expect("an outcome in time");
        assert_eq!(outcome.outcome.error, None);
        latencies.push(began.elapsed());
    }
    latencies
}

async fn ask_http(address: SocketAddr, processes: &[ProcessId], next: &AtomicU64, until: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let body = r#"{"Tags":{"Action":"Increment"}}"#;
    let mut buffer = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let process = pick(processes, next);
        let request = format!(
            "POST /processes/{process}/schedule?wait=20s HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let status = response(&mut stream, &mut buffer).await;
        assert_eq!(status, "200");
        latencies.push(began.elapsed());
    }
    latencies
}

/// Reads one response whole and returns its status.
async fn response(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> String {
    buffer.clear();
    loop {
        stream.read_buf(buffer).await.unwrap();
        let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
        if buffer.len() >= head + 4 + length.trim().parse::<usize>().unwrap() {
            return text.split(' ').nth(1).unwrap().to_owned();
        }
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn print(row: &Row) {
    let road = if row.road == Way::Registry { "registry" } else { "HTTP" };
    println!(
        "| {road} | {} | {} | {:.0} | {:.2} | {:.2} | {:.3} | {:.0} |",
        row.processes,
        row.in_flight,
        row.per_second,
        row.p50.as_secs_f64() * 1e3,
        row.p99.as_secs_f64() * 1e3,
        row.syncs,
        row.cpu.as_secs_f64() * 1e6,
    );
}

fn judge(rows: &[Row]) {
    for road in [Way::Registry, Way::Http] {
        let rate = |in_flight| {
            let mut of_one = rows.iter().filter(|row| row.road == road && row.processes == 1);
            of_one.find(|row| row.in_flight == in_flight).unwrap().per_second
        };
        assert!(rate(64) >= rate(1), "one process at 64 in flight is slower than at 1");
    }
    for row in rows.iter().filter(|row| row.in_flight >= 64) {
        assert!(row.syncs < 0.1, "{} in flight need {:.3} syncs per acknowledgement", row.in_flight, row.syncs);
    }
}
