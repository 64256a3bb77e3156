//! What it costs to read the numbers of 1,000 sleeping host processes, beside Debian's `prometheus-process-exporter`.
//!
//! One group holds them all, others hold nobody. Ours is measured as CPU time of the thread that looks, with descriptors held
//! open and without; the exporter as CPU time of its host process over as many scrapes. It is taken from `target/tools` (see
//! `.ci/tools`) or `PATH`, and left out with a word where it is missing.
//!
//! `cargo bench --bench metrics` prints a table and asserts what must hold: at most 10 ms of CPU time per 1,000 host processes,
//! and a twentieth of the exporter's. `MAINSTAY_BENCH_PROCESSES` sets how many processes sleep (1,000).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark ends where it fails")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mainstay::clock::thread_cpu_time;
use mainstay::config::{HostGroup, Pattern};
use mainstay::host::usage::{HostGroups, Limits, OwnReader};
use tokio::time::Instant;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LOOKS: u32 = 50;
/// CPU time that a look may take per 1,000 host processes.
const MOST: Duration = Duration::from_millis(10);
/// How many times less than the exporter.
const TIMES: u32 = 20;

/// Host processes that end with this value, however the benchmark ends.
struct Kept(Vec<Child>);

impl Drop for Kept {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended already is just as well.
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

fn main() {
    // `cargo test --benches` runs this with another argument: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let count = std::env::var("MAINSTAY_BENCH_PROCESSES").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let seconds = format!("86400.{}", std::process::id());
    let mut sleepers = Kept(Vec::with_capacity(count));
    for _ in 0..count {
        sleepers.0.push(Command::new("sleep").arg(&seconds).stdin(Stdio::null()).spawn().unwrap());
    }
    println!("| reader | CPU ms per look | per 1,000 host processes | wall ms | host processes | held |");
    println!("|---|---|---|---|---|---|");
    let own_share = Limits::of_this_process();
    let best = ours("ours", count, &seconds, own_share);
    ours("ours, nothing held", count, &seconds, Limits { held: 0, ..own_share });
    own();
    let Some(exporter) = exporter() else {
        println!("| prometheus-process-exporter | MISSING: neither in target/tools (run .ci/tools) nor in PATH |");
        return;
    };
    let theirs = exporter_cpu(&exporter, count);
    let ratio = theirs.as_secs_f64() / best.as_secs_f64();
    println!("\nthe exporter takes {ratio:.1} times as much");
    assert!(theirs >= best * TIMES, "only {ratio:.1} times less than the exporter");
}

/// CPU time of a look once all is known.
fn ours(name: &str, count: usize, seconds: &str, limits: Limits) -> Duration {
    let cmdline = format!("^sleep {}$", seconds.replace('.', "\\."));
    let pattern = |text: &str| Some(Pattern::new(text).unwrap());
    let none = |name: &str| HostGroup { name: name.to_owned(), ..HostGroup::default() };
    let mut rules: Vec<_> = ["^nginx$", "^postgres$", "^java$", "^redis-server$"]
        .iter()
        .map(|name| HostGroup { match_name: pattern(name), ..none(name) })
        .collect();
    rules.push(HostGroup { match_exe: pattern("^/opt/"), ..none("by exe") });
    rules.push(HostGroup { match_cmdline: pattern(&cmdline), ..none("sleepers") });
    let mut groups = HostGroups::at(Path::new("/proc"), rules, limits).unwrap();
    let first = groups.scan().unwrap();
    groups.scan().unwrap();
    let (began, before) = (Instant::now(), thread_cpu_time());
    let mut last = first.clone();
    for _ in 0..LOOKS {
        last = groups.scan().unwrap();
    }
    let (cpu, took) = ((thread_cpu_time() - before) / LOOKS, began.elapsed() / LOOKS);
    assert_eq!(last.groups[5].processes as usize, count, "not all sleepers were found");
    let per_thousand = cpu.as_secs_f64() * 1000.0 / f64::from(last.processes);
    println!(
        "| {name} | {:.2} (the first {:.2}) | {:.2} | {:.2} | {} | {} |",
        millis(cpu),
        millis(first.cpu),
        per_thousand * 1000.0,
        millis(took),
        last.processes,
        last.held
    );
    assert!(limits.held == 0 || per_thousand <= MOST.as_secs_f64(), "a look takes more than {MOST:?} per 1,000");
    cpu
}

fn own() {
    let mut reader = OwnReader::open().unwrap();
    let before = thread_cpu_time();
    for _ in 0..LOOKS {
        reader.read().unwrap();
    }
    println!("| the daemon itself | {:.3} | | | 1 | 0 |", millis((thread_cpu_time() - before) / LOOKS));
}

fn exporter() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(unpacked).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join("prometheus-process-exporter")).find(|file| file.is_file())
}

/// CPU time of the exporter per scrape, with groups as ours.
fn exporter_cpu(program: &Path, count: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("groups.yml");
    let names = ["nginx", "postgres", "java", "redis-server", "sleep"];
    let entries: String = names.iter().map(|name| format!("  - name: {name}\n    comm: [{name}]\n")).collect();
    fs::write(&config, format!("process_names:\n{entries}")).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new(program);
    command.arg(format!("-web.listen-address={address}")).arg("-config.path").arg(&config);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let _kept = Kept(vec![child]);
    let began = Instant::now();
    while scrape(&address).is_none() {
        assert!(began.elapsed() < Duration::from_secs(30), "the exporter does not answer at {address}");
        std::thread::yield_now();
    }
    let scrapes = LOOKS / 5;
    let (began, before) = (Instant::now(), cpu_of(pid));
    let mut text = String::new();
    for _ in 0..scrapes {
        text = scrape(&address).unwrap();
    }
    let (cpu, took) = ((cpu_of(pid) - before) / scrapes, began.elapsed() / scrapes);
    let seen =
        text.lines().find_map(|line| line.strip_prefix("namedprocess_namegroup_num_procs{groupname=\"sleep\"} "));
    let seen: usize = seen.unwrap().trim().parse().unwrap();
    assert!(seen >= count, "the exporter sees {seen} of {count}");
    println!("| {} | {:.2} | | {:.2} | {seen} | |", program.file_name().unwrap().display(), millis(cpu), millis(took));
    cpu
}

fn scrape(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.contains(" 200 OK").then_some(text)
}

/// CPU time of all threads of a host process, to the nanosecond.
fn cpu_of(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
