//! What others make of `/metrics`: Prometheus itself, and its checker.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::harness::{Api, COUNTER, DEADLINE, Home, Settings, tool, until};

/// Has a node do something of everything.
async fn work(api: &Api) {
    for data in ["", ""] {
        api.outcome("counter", data).await;
    }
    let tags = json!({ "Tags": { "Action": "Get" } });
    api.post("/processes/counter/dry-run", &tags).await.expect(200);
    api.post("/processes/counter/snapshot", &json!({})).await.expect(200);
    api.get("/groups").await.expect(200);
    api.get("/nothing/is/here").await.expect(404);
}

fn settings() -> Settings {
    let group = r#"group = [{ name = "nobody's \"own\" \\", match_name = "^no such program$" }]"#;
    let home = Settings::default().process("counter", COUNTER, "").set("metrics", "interval = \"200ms\"");
    home.set("metrics", group)
}

#[tokio::test]
async fn the_checker_of_prometheus_finds_nothing_wrong() {
    let Some(promtool) = tool("promtool") else { return };
    let home = Home::new(&settings());
    let program = home.start().await;
    let api = program.api().await;
    work(&api).await;
    let metrics = until("a collection", async || {
        let text = api.get("/metrics").await.expect(200).text;
        text.contains("mainstay_host_processes").then_some(text)
    })
    .await;
    let mut checker = Command::new(promtool);
    checker.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checker = checker.spawn().unwrap();
    checker.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let said = checker.wait_with_output().unwrap();
    assert!(
        said.status.success(),
        "{}{}\n{metrics}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    program.stop().await;
}

/// A Prometheus of this test's own. It is killed when this is dropped.
struct Prometheus {
    child: Child,
    api: Api,
    /// Whether it serves; `None` while that is open.
    ready: watch::Receiver<Option<bool>>,
}

/// Reads its log to the end, and tells when it serves, or that it ended before.
fn ready(child: &mut Child) -> watch::Receiver<Option<bool>> {
    let (sender, receiver) = watch::channel(None);
    let log = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            if line.contains("Server is ready") {
                sender.send_replace(Some(true));
            }
        }
        sender.send_if_modified(|ready| ready.get_or_insert(false) == &false);
    });
    receiver
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one in a folder, which scrapes `target` each second.
    async fn start(program: &Path, folder: &Path, target: &str) -> Self {
        let config = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: mainstay\n    static_configs:\n      - targets: [\"{target}\"]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        // Somebody may take the port before it does; then it ends, and another one is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = Command::new(program)
                .current_dir(folder)
                .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"])
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let prometheus = Self { api: Api::new(&format!("127.0.0.1:{port}")), ready: ready(&mut child), child };
            if prometheus.is_ready().await {
                return prometheus;
            }
        }
        panic!("prometheus does not start");
    }

    async fn is_ready(&self) -> bool {
        let mut ready = self.ready.clone();
        let waited = tokio::time::timeout(DEADLINE, ready.wait_for(Option::is_some)).await;
        *waited.expect("it says whether it is ready").expect("its log is read to the end") == Some(true)
    }

    /// The value that a query yields, once it yields one.
    async fn ask(&self, query: &str) -> f64 {
        until(&format!("an answer to {query}"), async || {
            let path =
                format!("/api/v1/query?query={}", query.replace('{', "%7B").replace('}', "%7D").replace('"', "%22"));
            let body: Value = self.api.get(&path).await.expect(200).json();
            let value = body["data"]["result"][0]["value"][1].as_str()?.parse().ok()?;
            Some(value)
        })
        .await
    }
}

#[tokio::test]
async fn prometheus_scrapes_the_node_and_answers_queries_about_it() {
    let Some(program) = tool("prometheus") else { return };
    let home = Home::new(&settings());
    let node = home.start().await;
    let address = node.address().await.to_string();
    let api = node.api().await;
    work(&api).await;
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&program, folder.path(), &address).await;
    assert_eq!(prometheus.ask("up{job=\"mainstay\"}").await, 1.0);
    assert_eq!(prometheus.ask("mainstay_slots_computed_total{process=\"counter\"}").await, 3.0);
    assert!(prometheus.ask("process_resident_memory_bytes").await > 1e6);
    assert!(
        prometheus.ask("mainstay_http_request_duration_seconds_count{route=\"/metrics\",status=\"200\"}").await >= 1.0
    );
    // It knows the kinds and the meanings, too.
    let about = prometheus.api.get("/api/v1/metadata?metric=mainstay_slots_computed").await.expect(200).json();
    let about = if about["data"].as_object().is_some_and(serde_json::Map::is_empty) {
        prometheus.api.get("/api/v1/metadata?metric=mainstay_slots_computed_total").await.expect(200).json()
    } else {
        about
    };
    assert!(about.to_string().contains("\"counter\""), "{about}");
    drop(prometheus);
    node.stop().await;
}
