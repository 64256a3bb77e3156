//! A program of a process that does what it is told, and what is left of it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Home, Settings, leave_out, until};

const HANDLER: &str = include_str!("handler.py");

/// Whether there is a Python to run the handler by; a test without it is left out.
pub fn has_python() -> bool {
    let has = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        leave_out("there is no python3");
    }
    has
}

/// A folder with the handler in it, and these settings. None, loudly, where there is no Python: the test is left out.
pub fn with_handler(settings: &Settings) -> Option<Home> {
    has_python().then(|| {
        let home = Home::new(settings);
        write_handler(&home);
        home
    })
}

/// Puts the handler into a folder.
pub fn write_handler(home: &Home) {
    home.write("handler.py", HANDLER);
}

/// Settings for a process that the handler computes.
pub fn handled(id: &str, more: &str) -> Settings {
    Settings::default().program(id, &["python3", "handler.py"], more)
}

/// What the handler was handed, as method, slot and attempt, and the keys.
pub fn runs(home: &Home) -> (Vec<(String, u64, u64)>, Vec<String>) {
    let text = std::fs::read_to_string(home.path("runs")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<(String, u64, u64, String)>(line).expect("a run"));
    lines.map(|(method, slot, attempt, key)| ((method, slot, attempt), key)).unzip()
}

/// Whether a host process lives.
pub fn lives(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until none of these host processes lives.
pub async fn until_gone(what: &str, pids: &[i64]) {
    until(what, async || pids.iter().all(|pid| !lives(*pid)).then_some(())).await;
}

/// The numbers in a list.
pub fn numbers(list: &Value) -> Vec<i64> {
    list.as_array().expect("a list").iter().map(|number| number.as_i64().expect("a number")).collect()
}

/// The host processes whose command line holds a text and that live, without the asker itself.
pub fn running(text: &str) -> Vec<i64> {
    let entries = std::fs::read_dir("/proc").expect("the host processes").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i64>().ok());
    let holds = |pid: &i64| {
        let line = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
    };
    pids.filter(|pid| holds(pid) && lives(*pid)).collect()
}
