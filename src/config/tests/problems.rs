//! Every kind of problem has exactly its line.

use std::io;
use std::path::Path;

use super::super::*;
use super::lines_of;
use crate::tag::Tag;

/// Documents, each with the lines that it gives.
fn assert_all(table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        assert_eq!(lines_of(text), *expected, "\n{text}");
    }
}

#[test]
fn a_file_without_problems_gives_none() {
    assert_all(&[
        ("", &[]),
        ("\u{feff}# a comment\r\n[node]\r\nname = \"x\"\r\n", &[]),
        ("[limits]\ngas = 1e9\nmemory = 1_048_576\nstate_size = 0x10", &[]),
        ("[workers]\ncompute_threads = 65\ncompute_threads_max = 65", &[]),
        ("[http]\nlisten = '[::1]:0'\nhosts = ['mainstay.example', '::1', '[::1]', '10.0.0.1']", &[]),
        ("[http]\nlisten = '[::ffff:127.0.0.1]:0'", &[]),
        ("[http]\nlisten = '0.0.0.0:80'\ntokens = [{ name = 'a', token = 'b' }]", &[]),
        ("[node]\nshutdown_grace = '0s'\n[store]\ndisk_reserve = 0", &[]),
        ("[[process]]\nid = 'a'\ndevice = 'lua'\nsource = 'a.lua'\ntags = []\nlimits = {}", &[]),
    ]);
}

#[test]
fn unknown_keys_name_the_known_and_the_nearest() {
    assert_all(&[
        (
            "wurkers = 1",
            &["n.toml:1:1: wurkers: found an unknown key, expected one of node, log, http, workers, limits, store, \
               monitor, push, route, peer, watch, metrics, anomaly, health, receiver, alert, rule_files, process; did you mean workers?"],
        ),
        (
            "[store]\nDisk-Reserve = 1",
            &[
                "n.toml:2:1: store.Disk-Reserve: found an unknown key, expected one of disk_reserve, snapshots_kept; did \
               you mean disk_reserve?",
            ],
        ),
        (
            "[store]\nmax_processes = 1",
            &["n.toml:2:1: store.max_processes: found an unknown key, expected one of disk_reserve, snapshots_kept; \
               did you mean limits.max_processes?"],
        ),
        (
            "[store]\n'a b\\n' = 1",
            &["n.toml:2:1: store.\"a b\\\\n\": found an unknown key, expected one of disk_reserve, snapshots_kept"],
        ),
        (
            "log.filtre = 'info'",
            &["n.toml:1:5: log.filtre: found an unknown key, expected one of format, filter; did you mean filter?"],
        ),
        (
            "[http]\ntokens = [{ name = 'a', token = 'b', secret = 'c' }]",
            &["n.toml:2:38: http.tokens[0].secret: found an unknown key, expected one of name, token"],
        ),
    ]);
}

#[test]
fn bad_values_say_what_was_found_and_expected() {
    assert_all(&[
        ("node = 1", &["n.toml:1:8: node: found a number, expected a table"]),
        ("[[node]]", &["n.toml:1:1: node: found a list, expected a table"]),
        (
            "[node]\nname = ''\ndata_dir = ''\nshutdown_grace = 10",
            &[
                "n.toml:2:8: node.name: found \"\", expected a name of 1 to 255 bytes without control characters",
                "n.toml:3:12: node.data_dir: found \"\", expected a path",
                "n.toml:4:18: node.shutdown_grace: found 10, expected a duration such as \"30s\"",
            ],
        ),
        (
            "[node]\ndata_dir = \"a\\u0000\"",
            &["n.toml:2:12: node.data_dir: found \"a\\0\" (it holds a zero byte), expected a path"],
        ),
        (
            "[log]\nformat = 'jsn'\nfilter = 'http=loud'",
            &[
                "n.toml:2:10: log.format: found \"jsn\", expected \"pretty\", \"compact\" or \"json\"; did you mean \
                 \"json\"?",
                "n.toml:3:10: log.filter: found \"http=loud\" (error parsing level filter: expected one of \"off\", \
                 \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5), expected a filter such as \
                 \"info,store=debug\"",
            ],
        ),
        (
            "[workers]\nawait_inprogress = true\n[limits]\nspawn_rate = '100/min'",
            &[
                "n.toml:2:20: workers.await_inprogress: found true, expected \"all\", \"named\" or false",
                "n.toml:4:14: limits.spawn_rate: found \"100/min\", expected so many a second from 1 up, such as \"100/s\"",
            ],
        ),
        (
            "[[route]]\ntarget = 'a b'\nurl = 'ftp://x'\n[[route]]\ntarget = '*'\nurl = 'http://u:p@x/?a'",
            &[
                "n.toml:2:10: route[0].target: found \"a b\", expected a pattern of characters of A-Z, a-z, 0-9, _ and -, \
                 with * for any of them and ? for one",
                "n.toml:3:7: route[0].url: found a text (not shown), expected an address such as \
                 \"https://node.example:8734\", without query, name and password",
                "n.toml:6:7: route[1].url: found a text (not shown), expected an address such as \
                 \"https://node.example:8734\", without query, name and password",
            ],
        ),
        (
            "[workers]\nprocess_workers = 'yes'\nerror_strategy = 'ingore'",
            &[
                "n.toml:2:19: workers.process_workers: found \"yes\", expected true or false",
                "n.toml:3:18: workers.error_strategy: found \"ingore\", expected \"ignore\" or \"throw\"; did you mean \
                 \"ignore\"?",
            ],
        ),
        (
            "[http]\nlisten = 'localhost:8734'\nhosts = ['http://a', 7]",
            &[
                "n.toml:2:10: http.listen: found \"localhost:8734\", expected an address and a port, such as \
                 \"127.0.0.1:8734\"",
                "n.toml:3:10: http.hosts[0]: found \"http://a\", expected a host name or an IP address, without scheme \
                 and port",
                "n.toml:3:22: http.hosts[1]: found 7, expected a host name or an IP address, without scheme and port",
            ],
        ),
        ("[http]\nhosts = 'a'", &["n.toml:2:9: http.hosts: found a text, expected a list"]),
        (
            "[store]\nsnapshots_kept = 1979-05-27",
            &["n.toml:2:18: store.snapshots_kept: found 1979-05-27, expected a whole number from 1 up"],
        ),
    ]);
}

#[test]
fn sizes_and_durations_say_what_is_wrong_with_them() {
    assert_all(&[
        (
            "[limits]\nmemory = '64MxB'\nstate_size = '0B'\noutput_size = -1\nmessage_size = 1.5",
            &[
                "n.toml:2:10: limits.memory: found \"64MxB\" (unknown unit \"MxB\": known are B, KiB, MiB, GiB, TiB, \
                 KB, MB, GB and TB), expected a size from 1B up, such as \"64MiB\"",
                "n.toml:3:14: limits.state_size: found \"0B\", expected a size from 1B up, such as \"64MiB\"",
                "n.toml:4:15: limits.output_size: found -1, expected a size from 1B up, such as \"64MiB\"",
                "n.toml:5:16: limits.message_size: found 1.5, expected a size from 1B up, such as \"64MiB\"",
            ],
        ),
        (
            "[limits]\ncompute_time = '0s'\nid_retention = '200years'",
            &[
                "n.toml:2:16: limits.compute_time: found \"0s\", expected a duration from 1ms up, such as \"30s\"",
                "n.toml:3:16: limits.id_retention: found \"200years\" (it is longer than 100 years), expected a \
                 duration from 1ms up, such as \"30s\"",
            ],
        ),
        (
            "[node]\nshutdown_grace = '5 apples'",
            &["n.toml:2:18: node.shutdown_grace: found \"5 apples\" (unknown unit \"apples\": known are ms, s, m, h, \
               d), expected a duration such as \"30s\""],
        ),
    ]);
}

#[test]
fn no_number_is_too_odd() {
    let numbers = [
        "0",
        "-1",
        "-0",
        "1.5",
        "-1e9",
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e300",
        "1e-300",
        "18446744073709551616",
        "-170141183460469231731687303715884105729",
        "0xffffffffffffffffff",
    ];
    for number in numbers {
        let expected = format!("n.toml:2:7: limits.gas: found {number}, expected a whole number from 1 up");
        assert_eq!(lines_of(&format!("[limits]\ngas = {number}")), [expected]);
    }
    let long = "9".repeat(100);
    let expected = format!("n.toml:2:7: limits.gas: found {}…, expected a whole number from 1 up", &long[..80]);
    assert_eq!(lines_of(&format!("[limits]\ngas = {long}")), [expected]);
    assert_all(&[(
        "[http]\nmax_connections = 1000001\n[workers]\nresolve_attempts = 4294967296",
        &[
            "n.toml:2:19: http.max_connections: found 1000001, expected a whole number from 1 to 1000000",
            "n.toml:4:20: workers.resolve_attempts: found 4294967296, expected a whole number from 1 to 1000",
        ],
    )]);
}

#[test]
fn values_that_contradict_each_other() {
    assert_all(&[
        (
            "[workers]\ncompute_threads_max = 2\ncompute_threads = 3",
            &["n.toml:2:23: workers.compute_threads_max: found 2 threads at most, but 3 from the start, expected \
               compute_threads_max not below compute_threads"],
        ),
        (
            "[workers]\ncompute_threads = 65",
            &["n.toml:2:19: workers.compute_threads: found 64 threads at most, but 65 from the start, expected \
               compute_threads_max not below compute_threads"],
        ),
        (
            "[http]\nlisten = '0.0.0.0:80'",
            &[
                "n.toml:2:10: http.listen: found \"0.0.0.0:80\" without any http.tokens, expected a loopback address, or \
               at least one token",
            ],
        ),
        (
            "[http]\nlisten = '[::]:80'\ntokens = []",
            &[
                "n.toml:2:10: http.listen: found \"[::]:80\" without any http.tokens, expected a loopback address, or at \
               least one token",
            ],
        ),
    ]);
}

#[test]
fn tokens_are_told_apart_and_never_shown() {
    assert_all(&[
        (
            "[http]\nlisten = '0.0.0.0:80'\ntokens = [{ name = 'a', token = 'my secret' }, { name = '' }]",
            &[
                "n.toml:3:33: http.tokens[0].token: found a text (not shown), expected a token of 1 to 1024 visible ASCII characters",
                "n.toml:3:48: http.tokens[1].token: found nothing, expected a token of 1 to 1024 visible ASCII \
                 characters",
                "n.toml:3:57: http.tokens[1].name: found \"\", expected a name of 1 to 255 bytes without control \
                 characters",
            ],
        ),
        (
            "[[http.tokens]]\nname = 'a'\ntoken = 'secret'\n[[http.tokens]]\nname = 'a'\ntoken = 'secret'",
            &[
                "n.toml:5:8: http.tokens[1].name: found the name of http.tokens[0], expected one of its own",
                "n.toml:6:9: http.tokens[1].token: found the token of http.tokens[0], expected one of its own",
            ],
        ),
        (
            "[http]\ntokens = [{ name = 'a', token = '' }]",
            &[
                "n.toml:2:33: http.tokens[0].token: found a text (not shown), expected a token of 1 to 1024 visible ASCII characters",
            ],
        ),
        ("[http]\ntokens = 'secret'", &["n.toml:2:10: http.tokens: found a text, expected a list of tables"]),
        ("[http]\ntokens = ['secret']", &["n.toml:2:11: http.tokens[0]: found a text, expected a table"]),
    ]);
    let config = parse("[http]\ntokens = [{ name = 'a', token = 'my-secret' }]", &Origin::Embedded, &no_source);
    let config = config.unwrap();
    assert_eq!(config.http.tokens[0].token.expose(), "my-secret");
    assert!(!format!("{config:?}").contains("my-secret"));
}

#[test]
fn processes() {
    assert_all(&[
        ("[process]\nid = 'a'", &["n.toml:1:1: process: found a table, expected a list of tables"]),
        (
            "[[process]]",
            &[
                "n.toml:1:1: process[0].id: found nothing, expected an id of 1 to 64 characters of A-Z, a-z, 0-9, _ and -",
                "n.toml:1:1: process[0].device: found nothing, expected \"lua\", \"wasm\", \"exec\" or \"remote\"",
                "n.toml:1:1: process[0].source: found nothing, expected the path of a file that can be read",
            ],
        ),
        (
            "[[process]]\nid = 'a'\ndevice = 'lua'\nsource = 'a.lua'\n[[process]]\nid = 'a'\ndevice = 'distant'\nsource = \
             'absent.lua'\nlimits = { gas = 0, inbox = 1 }\ntags = { A = 1, B = 'b' }\nerror_strategy = 'no'\n",
            &[
                "n.toml:6:6: process[1].id: found the id of process[0], expected one of its own",
                "n.toml:7:10: process[1].device: found \"distant\", expected \"lua\", \"wasm\", \"exec\" or \"remote\"",
                "n.toml:8:10: process[1].source: found \"absent.lua\" (absent.lua: entity not found), expected the path \
                 of a file that can be read",
                "n.toml:9:18: process[1].limits.gas: found 0, expected a whole number from 1 up",
                "n.toml:9:21: process[1].limits.inbox: found an unknown key, expected one of compute_time, gas, memory, \
                 state_size, output_size, messages_per_outcome, message_size, queue, outbox",
                "n.toml:10:14: process[1].tags.A: found 1, expected a text",
                "n.toml:11:18: process[1].error_strategy: found \"no\", expected \"ignore\" or \"throw\"",
            ],
        ),
        (
            "[[process]]\nid = 'a'\ndevice = 'exec'\nsource = 'a.py'\ncommand = []\ngrace = '1'\nmax_attempts = 0\n\
             environment = { 'A=B' = '', C = 1 }",
            &[
                "n.toml:4:10: process[0].source: found a key that this device has no use for, expected `command` for \
                 device exec",
                "n.toml:5:11: process[0].command: found no program, expected a list of texts: the program and its \
                 arguments",
                "n.toml:6:9: process[0].grace: found \"1\" (it has no unit: ms, s, m, h or d), expected a \
                 duration such as \"30s\"",
                "n.toml:7:16: process[0].max_attempts: found 0, expected a whole number from 1 to 1000",
                "n.toml:8:15: process[0].environment: found the name \"A=B\", expected names without = and zero bytes",
                "n.toml:8:33: process[0].environment.C: found 1, expected a text without zero bytes",
            ],
        ),
        (
            "[[process]]\nid = 'a'\ndevice = 'remote'\nsource = 'a.lua'\ncommand = ['a']\nurl = 'ftp://x'\nkind = 'aos'\n\
             [[process]]\nid = 'b'\ndevice = 'remote'\n[[process]]\nid = 'c'\ndevice = 'lua'\nsource = 'a.lua'\n\
             url = 'http://x'",
            &[
                "n.toml:4:10: process[0].source: found a key that this device has no use for, expected `url` for \
                 device remote",
                "n.toml:5:11: process[0].command: found a key that this device has no use for, expected `url` for \
                 device remote",
                "n.toml:6:7: process[0].url: found a text (not shown), expected an address such as \
                 \"https://node.example:8734\", without query, name and password",
                "n.toml:7:8: process[0].kind: found \"aos\", expected \"mainstay\" or \"ao\"; did you mean \"ao\"?",
                "n.toml:8:1: process[1].url: found nothing, expected an address such as \"https://node.example:8734\", \
                 without query, name and password",
                "n.toml:15:7: process[2].url: found a key that this device has no use for, expected `source` for device lua",
            ],
        ),
        (
            "[[process]]\nid = 'a'\ndevice = 'lua'\ncommand = ['a']\nsource = 'absent.lua'",
            &[
                "n.toml:4:11: process[0].command: found a key that this device has no use for, expected `source` for \
                 device lua",
                "n.toml:5:10: process[0].source: found \"absent.lua\" (absent.lua: entity not found), expected the path \
                 of a file that can be read",
            ],
        ),
        (
            "[[process]]\nid = 'ä b'\ndevice = 'lua'\nsource = ''\ntags = [{ name = '', value = 1 }, 3, { nam = 'x' }]",
            &[
                "n.toml:2:6: process[0].id: found \"ä b\", expected an id of 1 to 64 characters of A-Z, a-z, 0-9, _ and -",
                "n.toml:4:10: process[0].source: found \"\", expected the path of a file that can be read",
                "n.toml:5:18: process[0].tags[0].name: found \"\", expected a text that is not empty",
                "n.toml:5:30: process[0].tags[0].value: found 1, expected a text",
                "n.toml:5:35: process[0].tags[1]: found a number, expected a table",
                "n.toml:5:38: process[0].tags[2].name: found nothing, expected a text that is not empty",
                "n.toml:5:38: process[0].tags[2].value: found nothing, expected a text",
                "n.toml:5:40: process[0].tags[2].nam: found an unknown key, expected one of name, value; did you mean \
                 name?",
            ],
        ),
        (
            "[[process]]\nid = 'a'\ndevice = 'lua'\nsource = \"a\\nb\"",
            &[
                "n.toml:4:10: process[0].source: found \"a\\nb\" (a\\nb: entity not found), expected the path of a file \
               that can be read",
            ],
        ),
        (
            "[[process]]\nid = 'a'\ndevice = 'lua'\nsource = 'a.lua'\ntags = 'x'\nlimits = []",
            &[
                "n.toml:5:8: process[0].tags: found a text, expected a table",
                "n.toml:6:10: process[0].limits: found a list, expected a table",
            ],
        ),
    ]);
}

#[test]
fn syntax_errors_are_all_listed_with_line_and_column() {
    assert_all(&[
        (
            "[node]\nname = \nfoo\n[log\nfilter = 'x'",
            &[
                "n.toml:2:8: found a syntax error (string values must be quoted, expected literal string), expected TOML",
                "n.toml:3:4: found a syntax error (key with no value, expected `=`), expected TOML",
                "n.toml:4:5: found a syntax error (unclosed table, expected `]`), expected TOML",
            ],
        ),
        ("[node]\nname = 'ä'\nname = 'b'", &["n.toml:3:1: found a syntax error (duplicate key), expected TOML"]),
        ("a = 1__0", &["n.toml:1:6: found a syntax error (`_` may only go between digits), expected TOML"]),
    ]);
}

#[test]
fn the_places_of_problems_count_characters() {
    assert_all(&[(
        "[http]\nhosts = ['ä', 'ö']",
        &[
            "n.toml:2:10: http.hosts[0]: found \"ä\", expected a host name or an IP address, without scheme and port",
            "n.toml:2:15: http.hosts[1]: found \"ö\", expected a host name or an IP address, without scheme and port",
        ],
    )]);
}

#[test]
fn too_many_problems_are_counted() {
    let text: String = (0..ConfigError::MOST + 7).map(|number| format!("key{number} = 1\n")).collect();
    let lines = lines_of(&text);
    assert_eq!(lines.len(), ConfigError::MOST + 1);
    assert_eq!(lines.last().unwrap(), "and 7 problems more");
}

#[test]
fn what_is_read_is_what_stands_there() {
    let text = r#"
        [node]
        name = "n"
        data_dir = "d"
        [log]
        format = "compact"
        [http]
        hosts = ["Example.COM"]
        [workers]
        error_strategy = "throw"
        [limits]
        gas = 2e6
        [push]
        attempts = 3
        [[route]]
        target = "b-*"
        url = "https://b.example:1"
        [[process]]
        id = "p"
        device = "lua"
        source = "p.lua"
        tags = { Z = "1", A = "2" }
        limits = { memory = "1MiB" }
        error_strategy = "ignore"
        [[process]]
        id = "q"
        device = "lua"
        source = "q.lua"
        tags = [{ name = "T", value = "1" }, { name = "T", value = "2" }]
    "#;
    let config =
        parse(text, &Origin::File("/etc/n.toml".into()), &|path| Ok(path.display().to_string().into())).unwrap();
    let defaults = Config::default();
    let process = |id: &str, path: &str, tags: Vec<_>| ProcessConfig {
        id: crate::ids::ProcessId::parse(id).unwrap(),
        device: DeviceKind::Lua,
        source: Source { path: path.into(), text: path.as_bytes().into() },
        tags,
        limits: limits::LimitOverrides::default(),
        error_strategy: None,
        cron: Vec::new(),
    };
    let expected = Config {
        origin: Origin::File("/etc/n.toml".into()),
        node: NodeConfig { name: "n".to_owned(), data_dir: "/etc/d".into(), ..defaults.node },
        log: LogConfig { format: Some(LogFormat::Compact), ..defaults.log },
        http: HttpConfig { hosts: vec!["example.com".to_owned()], ..defaults.http },
        workers: WorkersConfig { error_strategy: ErrorStrategy::Throw, ..defaults.workers },
        limits: NodeLimits { process: limits::Limits { gas: 2_000_000, ..defaults.limits.process }, ..defaults.limits },
        store: defaults.store,
        monitor: defaults.monitor,
        watch: defaults.watch,
        metrics: defaults.metrics,
        anomalies: Vec::new(),
        health: HealthConfig::default(),
        alerts: AlertsConfig::default(),
        push: PushConfig { attempts: 3, ..defaults.push },
        routes: vec![RouteConfig { target: "b-*".to_owned(), url: "https://b.example:1".to_owned() }],
        peers: Vec::new(),
        processes: vec![
            ProcessConfig {
                limits: limits::LimitOverrides { memory: Some(1 << 20), ..Default::default() },
                error_strategy: Some(ErrorStrategy::Ignore),
                ..process("p", "/etc/p.lua", vec![Tag::new("Z", "1"), Tag::new("A", "2")])
            },
            process("q", "/etc/q.lua", vec![Tag::new("T", "1"), Tag::new("T", "2")]),
        ],
    };
    assert_eq!(config, expected);
}

fn no_source(_: &Path) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}
