//! Watching 10,000 short lives: how many are seen, under which names, how soon, at what cost.
//!
//! Burst A starts programs one after the other, burst B with two starters that have eight outstanding each. Every watcher
//! sees the same bursts: the process connector with and without real-time priority, a look through `/proc` every 100 ms, and
//! `forkstat` where it is installed. Then the tracker alone, with 1,000 and 10,000 entries.
//!
//! `cargo bench --bench watch` prints tables and asserts what must hold of the connector: all seen, nothing lost.
//! `MAINSTAY_BENCH_PROCESSES` sets how many programs a burst starts (2,000).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark ends where it fails")]

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use mainstay::host::{
    BackendKind, Change, EventKind, HostEvent, HostPid, Look, Observation, Options, Report, Seen, SinceBoot, Tracker,
    start,
};
use tokio::time::Instant;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the last event of a burst may take.
const LAST: Duration = Duration::from_secs(3);

#[derive(Clone, Copy)]
enum Burst {
    OneByOne,
    TwoTimesEight,
}

/// What a watcher saw of a burst.
#[derive(Default)]
struct Sight {
    created: usize,
    named_at_creation: usize,
    destroyed: usize,
    named_at_destruction: usize,
    latencies: Vec<Duration>,
    reader_cpu: Duration,
    desk_cpu: Duration,
    lost: u64,
}

fn main() {
    // `cargo test --benches` runs this with another argument: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let count = std::env::var("MAINSTAY_BENCH_PROCESSES").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    println!("{count} programs a burst\n");
    println!(
        "| watcher | burst | per s | created % | named % | destroyed % | named % | p50 µs | p99 µs | lost | CPU s per 10,000: reader | desk |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for burst in [Burst::OneByOne, Burst::TwoTimesEight] {
        for (name, backend, realtime) in [
            ("connector", BackendKind::Connector, false),
            ("connector, real-time", BackendKind::Connector, true),
            ("poll 100 ms", BackendKind::Poll, false),
        ] {
            let (seen, took) = watched(burst, count, backend, realtime);
            print(name, burst, count, took, &seen);
            if backend == BackendKind::Connector {
                assert_eq!((seen.created, seen.destroyed, seen.lost), (count, count, 0), "{name} missed something");
            }
        }
        match forkstat(burst, count) {
            Some((seen, took)) => print("forkstat", burst, count, took, &seen),
            None => println!("| forkstat | not installed |"),
        }
    }
    println!("\n| entries | tracker, ns per event | look at everything, µs |\n|---|---|---|");
    for entries in [1000, 10_000] {
        tracker(entries);
    }
}

fn watched(burst: Burst, count: usize, backend: BackendKind, realtime: bool) -> (Sight, Duration) {
    let (sender, reports) = mpsc::channel();
    let options = Options { backend, realtime, ..Options::default() };
    let watch = start(options, move |report| drop(sender.send(report))).unwrap();
    while !matches!(reports.recv().unwrap(), Report::Ready { .. }) {}
    let before = (cpu("host-reader"), cpu("host-desk"));
    let (ours, took) = run(burst, count);
    let mut seen = collect(&reports, &ours);
    (seen.reader_cpu, seen.desk_cpu) = (cpu("host-reader") - before.0, cpu("host-desk") - before.1);
    seen.lost = watch.numbers().lost;
    (seen, took)
}

fn collect(reports: &Receiver<Report>, ours: &HashSet<u32>) -> Sight {
    let mut seen = Sight::default();
    while seen.destroyed < ours.len() {
        let Ok(report) = reports.recv_timeout(LAST) else { break };
        let Report::Event(HostEvent { kind, process, latency }) = report else { continue };
        if !ours.contains(&process.pid.0) {
            continue;
        }
        let is_named = usize::from(process.name.as_str() == "true");
        match kind {
            EventKind::Created { .. } => {
                seen.created += 1;
                seen.named_at_creation += is_named;
                seen.latencies.extend(latency);
            }
            EventKind::Destroyed(_) => {
                seen.destroyed += 1;
                seen.named_at_destruction += is_named;
            }
            EventKind::Renamed { .. } => {}
        }
    }
    seen
}

/// Starts `count` programs; tells their numbers, and how long it took.
fn run(burst: Burst, count: usize) -> (HashSet<u32>, Duration) {
    let began = Instant::now();
    let pids = match burst {
        Burst::OneByOne => outstanding(count, 1),
        Burst::TwoTimesEight => std::thread::scope(|scope| {
            let halves = [count / 2, count - count / 2].map(|half| scope.spawn(move || outstanding(half, 8)));
            halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
        }),
    };
    (pids.into_iter().collect(), began.elapsed())
}

fn outstanding(count: usize, at_once: usize) -> Vec<u32> {
    let mut living: Vec<Child> = Vec::new();
    let mut pids = Vec::with_capacity(count);
    for _ in 0..count {
        if living.len() == at_once {
            living.remove(0).wait().unwrap();
        }
        let child = Command::new("/bin/true").spawn().unwrap();
        pids.push(child.id());
        living.push(child);
    }
    for mut child in living {
        child.wait().unwrap();
    }
    pids
}

fn forkstat(burst: Burst, count: usize) -> Option<(Sight, Duration)> {
    let mut child = Command::new("forkstat")
        .args(["-l", "-e", "fork,exec,exit"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // The head of its table says that it listens.
    lines.next();
    let (sender, received) = mpsc::channel();
    let reader = std::thread::spawn(move || lines.for_each(|line| drop(sender.send(line))));
    let (ours, took) = run(burst, count);
    let mut seen = Sight::default();
    while seen.destroyed < ours.len() {
        let Ok(line) = received.recv_timeout(LAST) else { break };
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, event, pid, ..] = fields[..] else { continue };
        if !pid.parse().is_ok_and(|pid| ours.contains(&pid)) {
            continue;
        }
        let is_named = usize::from(fields.last().is_some_and(|name| name.ends_with("true")));
        match event {
            "exec" => {
                seen.created += 1;
                seen.named_at_creation += is_named;
            }
            "exit" => {
                seen.destroyed += 1;
                seen.named_at_destruction += is_named;
            }
            _ => {}
        }
    }
    seen.reader_cpu = cpu_of(&format!("/proc/{}/schedstat", child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    Some((seen, took))
}

/// CPU time of the one thread of this program that is called `name`.
fn cpu(name: &str) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let mut named = tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    named.next().map_or(Duration::ZERO, |task| cpu_of(&task.join("schedstat").display().to_string()))
}

fn cpu_of(schedstat: &str) -> Duration {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

#[expect(clippy::cast_precision_loss, reason = "these are small numbers")]
fn print(name: &str, burst: Burst, count: usize, took: Duration, seen: &Sight) {
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    let mut latencies = seen.latencies.clone();
    latencies.sort_unstable();
    let quantile = |q: usize| latencies.get(latencies.len() * q / 100).map_or(0, Duration::as_micros);
    let per = |cpu: Duration| cpu.as_secs_f64() * 10_000.0 / count as f64;
    println!(
        "| {name} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {} | {:.2} | {:.2} |",
        if matches!(burst, Burst::OneByOne) { "A" } else { "B" },
        count as f64 / took.as_secs_f64(),
        percent(seen.created, count),
        percent(seen.named_at_creation, seen.created),
        percent(seen.destroyed, count),
        percent(seen.named_at_destruction, seen.destroyed),
        quantile(50),
        quantile(99),
        seen.lost,
        per(seen.reader_cpu),
        per(seen.desk_cpu),
    );
}

/// Nobody is to be looked at.
struct Blind;

impl Look for Blind {
    fn look(&mut self, _: HostPid) -> Option<Seen> {
        None
    }

    fn exists(&mut self, _: HostPid) -> bool {
        false
    }
}

/// What it costs to begin, name and end a process among `entries` others, and to compare with a look at all of them.
fn tracker(entries: u32) {
    const ROUNDS: u32 = 100_000;
    let mut tracker = Tracker::new(Duration::from_millis(50), 0);
    let mut told = Vec::new();
    let seen = (1..=entries).map(|pid| Seen {
        pid: HostPid(pid),
        ppid: HostPid(1),
        start: SinceBoot(0),
        name: "one".into(),
        exe: None,
        uid: Some(0),
        kernel: false,
        threads: 1,
        zombie: false,
        busy: false,
        status: None,
    });
    let began = SinceBoot(1_000_000_000);
    let snapshot = mainstay::host::Snapshot { began, ended: began, seen: seen.collect(), partial: false };
    tracker.reconcile(&snapshot, true, &mut Blind, &mut told);
    let start = Instant::now();
    for n in 0..ROUNDS {
        let (at, pid) = (SinceBoot(2_000_000_000 + u64::from(n)), HostPid(entries + 1 + n));
        let changes = [
            Change::Forked { parent: HostPid(1) },
            Change::Execed { name: Some("true".into()), exe: None },
            Change::Exited { status: None, record: None },
        ];
        for change in changes {
            tracker.apply(Observation { at, pid, change }, at, &mut told);
        }
        tracker.tick(at, &mut Blind, &mut told);
        told.clear();
    }
    let per_event = start.elapsed() / (3 * ROUNDS);
    let start = Instant::now();
    for _ in 0..20 {
        tracker.reconcile(&snapshot, false, &mut Blind, &mut told);
    }
    println!("| {entries} | {} | {} |", per_event.as_nanos(), (start.elapsed() / 20).as_micros());
    assert!(told.is_empty(), "nothing changed, and yet something was told");
}
