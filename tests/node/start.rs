//! How the program starts, and with which code it ends when it does not.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::harness::{COUNTER, Home, Program, Settings, leave_out};

fn good() -> Settings {
    Settings::default().process("counter", COUNTER, "")
}

#[tokio::test]
async fn the_data_folder_is_made_for_its_owner_alone() {
    let home = Home::new(&good());
    let program = home.start().await;
    let mode = std::fs::metadata(home.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    program.stop().await;
}

#[tokio::test]
async fn every_problem_of_a_bad_configuration_is_listed() {
    let home = Home::new(&good());
    let text = "
[node]
colour = \"red\"
shutdown_grace = \"soon\"
[limits]
gsa = 5
memory = \"much\"
[[process]]
id = \"a b\"
device = \"abacus\"
source = \"nowhere.lua\"
";
    home.write("mainstay.toml", text);
    for arguments in [
        &["--config", "mainstay.toml"][..],
        &["run", "--config", "mainstay.toml"],
        &["check", "--config", "mainstay.toml"],
    ] {
        let program = Program::launch(&home.path(""), arguments, &[]);
        let ended = program.ended().await;
        assert_eq!(ended.code(), Some(78), "{arguments:?}: {}", ended.stderr);
        for part in ["colour", "soon", "gsa", "gas", "much", "a b", "abacus", "nowhere.lua", "mainstay.toml"] {
            assert!(ended.stderr.contains(part), "{arguments:?} does not name {part}: {}", ended.stderr);
        }
        assert!(program.events.all().is_empty(), "nothing is started");
        assert!(!home.data().exists(), "nothing is stored");
    }
}

#[tokio::test]
async fn code_that_cannot_be_code_stops_the_start() {
    let home = Home::new(&good().process("broken", "function compute(", "").process("worse", "return = 1", ""));
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("broken.lua") && ended.stderr.contains("worse.lua"), "{}", ended.stderr);
    assert!(!home.data().exists());
}

#[tokio::test]
async fn code_that_cannot_be_code_is_listed_with_the_other_problems() {
    let home = Home::new(&good());
    let text = "
[node]
colour = \"red\"
[[process]]
id = \"broken\"
device = \"lua\"
source = \"broken.lua\"
[[process]]
id = \"unread\"
device = \"lua\"
source = \"broken.lua\"
tgas = { a = \"b\" }
[[process]]
id = \"module\"
device = \"wasm\"
source = \"broken.lua\"
[[process]]
id = \"program\"
device = \"exec\"
command = [\"./nowhere\"]
";
    home.write("mainstay.toml", text);
    home.write("broken.lua", "function compute(");
    let program = Program::launch(&home.path(""), &["check", "--config", "mainstay.toml"], &[]);
    let ended = program.ended().await;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    let keys: Vec<_> =
        ended.stderr.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    let places = [
        "mainstay.toml:3:1 node.colour",
        "mainstay.toml:7:10 process[0].source",
        "mainstay.toml:12:1 process[1].tgas",
        "mainstay.toml:16:10 process[2].source",
        "mainstay.toml:20:11 process[3].command",
    ];
    assert_eq!(keys, places, "{}", ended.stderr);
}

#[tokio::test]
async fn every_process_that_contradicts_what_is_stored_is_listed_and_none_is_started() {
    let home = Home::new(&good().process("a", COUNTER, ""));
    let program = home.start().await;
    let api = program.api().await;
    for id in ["h1", "h2"] {
        api.create(id, COUNTER, json!({})).await;
    }
    program.stop().await;

    let bad = good().process("new", COUNTER, "").process("h1", COUNTER, "").process("h2", COUNTER, "");
    home.configure(&bad.program("a", &["/bin/cat"], ""));
    let program = home.launch();
    let ended = program.ended().await;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    let problems: Vec<_> = ended.stderr.lines().map(|line| line.split_once("mainstay.toml: ").unwrap().1).collect();
    let expected = [
        r#"process[2].id: found "h1", a process that was created over HTTP, expected an id that only the configuration has used"#,
        r#"process[3].id: found "h2", a process that was created over HTTP, expected an id that only the configuration has used"#,
        r#"process[4].device: found "exec", expected "lua", which the log of process a was begun with"#,
    ];
    assert_eq!(problems, expected);
    assert!(program.events.named("starting_worker").is_empty(), "no worker is started");

    home.configure(&good().process("a", COUNTER, ""));
    let program = home.start().await;
    let processes = program.api().await.processes().await;
    let ids: Vec<_> = processes.iter().filter_map(|process| process["id"].as_str()).collect();
    assert_eq!(ids, ["a", "counter", "h1", "h2"], "nothing was stored");
    program.stop().await;
}

#[tokio::test]
async fn every_process_that_there_is_no_room_for_is_listed() {
    let two = good().set("limits", "max_processes = 2").process("a", COUNTER, "");
    let home = Home::new(&two.clone().process("b", COUNTER, "").process("c", COUNTER, ""));
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    let keys: Vec<_> = ended.stderr.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(keys, ["process[2].id", "process[3].id"], "{}", ended.stderr);
    assert!(ended.stderr.contains("limits.max_processes"), "{}", ended.stderr);
    home.configure(&two);
    home.start().await.stop().await;
    // What is stored already needs no room.
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_check_starts_nothing() {
    let home = Home::new(&good());
    let program = Program::launch(&home.path(""), &["check", "--config", "mainstay.toml"], &[]);
    let ended = program.ended().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(program.events.all().is_empty());
    assert!(!home.data().exists());
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused() {
    let home = Home::new(&good());
    for arguments in [&["fly"][..], &["--speed", "9"], &["run", "--config"], &["check", "a", "b"]] {
        let program = Program::launch(&home.path(""), arguments, &[]);
        let ended = program.ended().await;
        assert_eq!(ended.code(), Some(64), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help"), "{arguments:?}: {}", ended.stderr);
    }
    for arguments in [["--help"], ["--version"]] {
        let ended = Program::launch(&home.path(""), &arguments, &[]).ended().await;
        assert_eq!(ended.code(), Some(0), "{arguments:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_missing_configuration_file_is_named() {
    let home = Home::new(&good());
    let ended = Program::launch(&home.path(""), &["--config", "absent.toml"], &[]).ended().await;
    assert_eq!(ended.code(), Some(78));
    assert!(ended.stderr.contains("absent.toml"), "{}", ended.stderr);
}

#[tokio::test]
async fn an_address_in_use_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new(&good().set("http", &format!("listen = \"{address}\"")));
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("http.listen"), "{}", ended.stderr);
    // The store was closed well, and the folder is free.
    home.configure(&good());
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_stops_the_start() {
    let home = Home::new(&good());
    home.write("file", "");
    let data = home.path("file").join("data");
    home.configure(&good().data_dir(&data));
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains(data.to_str().unwrap()), "{}", ended.stderr);
}

#[tokio::test]
async fn two_nodes_do_not_share_a_data_folder() {
    let home = Home::new(&good());
    let first = home.start().await;
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains(home.data().to_str().unwrap()), "{}", ended.stderr);
    assert_eq!(first.api().await.outcome("counter", "").await["Output"], 1, "the first is not disturbed");
    first.stop().await;
}

#[tokio::test]
async fn without_a_file_the_embedded_configuration_runs() {
    let folder = tempfile::tempdir().unwrap();
    // Its address is fixed, so a node that runs on this machine already is in its way.
    if TcpListener::bind("127.0.0.1:8734").is_err() {
        return leave_out("the address 127.0.0.1:8734 is in use");
    }
    let program = Program::launch(folder.path(), &[], &[]);
    let api = program.ready().await;
    let processes = api.processes().await;
    let ids: Vec<_> = processes.iter().filter_map(|process| process["id"].as_str()).collect();
    assert_eq!(ids, ["counter", "heartbeat", "ledger"]);
    let messages = [
        ("counter", json!({ "Action": "Increment" })),
        ("heartbeat", json!({ "Action": "Report" })),
        ("ledger", json!({ "Action": "Deposit", "Account": "alice", "Amount": "5" })),
    ];
    for (id, tags) in messages {
        let answer =
            api.post(&format!("/processes/{id}/schedule?wait=25s"), &json!({ "Tags": tags })).await.expect(200);
        assert!(answer.json()["outcome"]["Error"].is_null(), "{}", answer.text);
    }
    assert!(folder.path().join("data").is_dir());
    program.stop().await;
}
