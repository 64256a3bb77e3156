//! A real Alertmanager.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Api, until};

const NAME: &str = "prometheus-alertmanager";
/// Where Debian's looks for its templates.
const SHARE: &str = "/usr/share/prometheus/alertmanager";
/// The folder `templates` below the one that it runs in, in as many bytes.
const BESIDE: &str = "././././././././././././/templates";

/// A real Alertmanager while it runs. It is killed when this is dropped.
pub struct Alertmanager {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Alertmanager {
    /// One that passes on at once what it is told to `hook`, what is over too. The error says why none can be had.
    pub async fn start(hook: &str) -> Result<Self, String> {
        let program = find().ok_or_else(|| format!("{NAME} is neither under target/tools nor on the path"))?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = format!(
            "route:\n  receiver: hook\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n\
             receivers:\n- name: hook\n  webhook_configs:\n  - url: {hook}\n    send_resolved: true\n"
        );
        std::fs::write(folder.path().join("config.yml"), config).expect("a file");
        let address = free_address();
        let child = Command::new(at_home(&program, folder.path()))
            .current_dir(folder.path())
            .args(["--config.file=config.yml", "--storage.path=data", "--cluster.listen-address="])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{NAME} does not start: {error}"))?;
        let manager = Self { child, address, _folder: folder };
        let api = manager.api();
        until("the Alertmanager is ready", async || {
            let answer = api.ask(reqwest::Method::GET, "/-/ready", None).await.ok()?;
            answer.is(200).then_some(())
        })
        .await;
        Ok(manager)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The alerts that it knows and that are not over.
    pub async fn alerts(&self) -> Vec<Value> {
        let answer = self.api().get("/api/v2/alerts").await.expect(200).json();
        answer.as_array().expect("a list").clone()
    }

    fn api(&self) -> Api {
        Api::new(&self.address)
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(fetched).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(NAME)).find(|program| program.is_file())
}

/// The program, able to run from where it was unpacked: a copy in `folder` that finds its templates beside itself, where
/// they are not installed.
fn at_home(program: &Path, folder: &Path) -> PathBuf {
    let share = program.parent().and_then(Path::parent).unwrap_or(Path::new("/")).join("share/prometheus/alertmanager");
    if Path::new(SHARE).is_dir() || !share.is_dir() {
        return program.to_owned();
    }
    let templates = folder.join("templates");
    std::fs::create_dir(&templates).expect("a folder");
    for file in ["default.tmpl", "email.tmpl"] {
        std::fs::copy(share.join(file), templates.join(file)).expect("a template");
    }
    let copy = folder.join(NAME);
    std::fs::copy(program, &copy).expect("a copy of the program");
    let mut bytes = std::fs::read(&copy).expect("the copy");
    let found: Vec<usize> = places(&bytes, SHARE.as_bytes()).collect();
    for place in found {
        bytes[place..place + SHARE.len()].copy_from_slice(BESIDE.as_bytes());
    }
    std::fs::write(&copy, bytes).expect("the copy");
    copy
}

/// Where `wanted` stands in `bytes`.
fn places<'b>(bytes: &'b [u8], wanted: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    (0..bytes.len()).filter(move |at| bytes[*at] == wanted[0] && bytes[*at..].starts_with(wanted))
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}
