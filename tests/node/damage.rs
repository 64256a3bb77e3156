//! Data folders that are not what the node left: it says so and does not start, or knows that nothing is lost.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::compacting::{GREAT_COUNTER, compact};
use super::harness::{COUNTER, Home, Settings};

/// A folder in which a node ran, and the log and outcomes that it held.
struct Left {
    home: Home,
    before: (Vec<Value>, Vec<String>),
}

impl Left {
    /// Has a node take 200 messages, then stops or kills it.
    async fn behind(is_clean: bool) -> Self {
        let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
        let program = home.start().await;
        let api = program.api().await;
        for number in 1..200 {
            api.schedule("counter", &format!("{number} {}", "x".repeat(1000))).await;
        }
        assert_eq!(api.outcome("counter", "").await["Output"], 200);
        let rows = api.results("counter", None).await.into_iter().map(|row| row.outcome);
        let before = (api.log("counter", None).await, rows.collect());
        if is_clean {
            program.stop().await;
        } else {
            program.kill().await;
        }
        Self { home, before }
    }

    /// The newest journal and how many bytes it holds. The file itself is longer.
    fn journal(&self) -> (PathBuf, u64) {
        let all = files(&self.home.data());
        let journals = all.iter().filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
        let held =
            |path: &PathBuf| std::fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        let journal = journals.max_by_key(|path| held(path)).unwrap_or_else(|| panic!("no journal among {all:?}"));
        assert!(held(journal) > 100_000, "the journal holds what was written");
        (journal.clone(), held(journal) as u64)
    }

    /// The node does not start, names the folder, and leaves it as it is.
    async fn is_refused(&self, what: &str) {
        for _ in 0..2 {
            let ended = self.home.launch().ended().await;
            assert_eq!(ended.code(), Some(74), "{what}: {}", ended.stderr);
            let folder = self.home.data();
            assert!(ended.stderr.contains(folder.to_str().unwrap()), "{what}: {}", ended.stderr);
        }
    }

    /// The node starts, and everything is there.
    async fn is_whole(&self) {
        let program = self.home.start().await;
        let api = program.api().await;
        assert!(api.log("counter", None).await == self.before.0, "the log is what it was");
        let rows = api.results("counter", None).await.into_iter().map(|row| row.outcome);
        assert_eq!(rows.collect::<Vec<_>>(), self.before.1);
        assert_eq!(api.outcome("counter", "").await["Output"], 201);
        program.stop().await;
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[tokio::test]
async fn a_journal_that_lost_its_second_half_stops_the_start() {
    for is_clean in [true, false] {
        let left = Left::behind(is_clean).await;
        let (journal, held) = left.journal();
        OpenOptions::new().write(true).open(journal).unwrap().set_len(held / 2).unwrap();
        left.is_refused(if is_clean { "cut after a stop" } else { "cut after a kill" }).await;
    }
}

#[tokio::test]
async fn a_journal_with_a_changed_byte_stops_the_start() {
    let left = Left::behind(false).await;
    let (journal, held) = left.journal();
    let at = held / 2;
    let byte = std::fs::read(&journal).unwrap()[at as usize];
    write_at(&journal, at, &[byte ^ 0x40]);
    left.is_refused("changed").await;
    // It was left as it is, so that what can be mended is mended.
    write_at(&journal, at, &[byte]);
    left.is_whole().await;
}

#[tokio::test]
async fn a_write_that_was_not_finished_is_cut_off() {
    let left = Left::behind(false).await;
    let (journal, held) = left.journal();
    let whole = std::fs::read(&journal).unwrap();
    // The beginning of a batch, as a power cut may leave it.
    write_at(&journal, held, &whole[..20]);
    left.is_whole().await;
}

#[tokio::test]
async fn a_folder_of_another_kind_stops_the_start() {
    let left = Left::behind(true).await;
    for name in ["format", "mark"] {
        let path = left.home.data().join(name);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, "something else\n").unwrap();
        left.is_refused(name).await;
        std::fs::write(&path, good).unwrap();
    }
    let format = left.home.data().join("format");
    let good = std::fs::read(&format).unwrap();
    std::fs::remove_file(&format).unwrap();
    left.is_refused("no format").await;
    std::fs::write(&format, good).unwrap();
    left.is_whole().await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_set_aside_and_computed_again() {
    let left = Left::behind(true).await;
    let snapshots = files(&left.home.data().join("snapshots"));
    for path in &snapshots {
        let bytes = std::fs::read(path).unwrap();
        write_at(path, bytes.len() as u64 / 2, &[bytes[bytes.len() / 2] ^ 1]);
    }
    left.is_whole().await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_written_anew() {
    for by in ["request", "stop of the worker", "stop of the node"] {
        let home = Home::new(&Settings::default().process("great", GREAT_COUNTER, ""));
        let program = home.start().await;
        let api = program.api().await;
        for number in 1..4 {
            assert_eq!(api.outcome("great", "").await["Output"], number);
        }
        program.stop().await;
        let [file] = &files(&home.data().join("snapshots"))[..] else { panic!("one snapshot is in a file") };
        let good = std::fs::read(file).unwrap();
        write_at(file, good.len() as u64 / 2, &[good[good.len() / 2] ^ 1]);

        let program = home.start().await;
        let api = program.api().await;
        let state = api.state("great").await;
        assert_eq!(state["count"], 3, "{by}");
        program.events.wait_of("snapshot_unusable", "great").await;
        match by {
            "request" => {
                let stored = api.post("/processes/great/snapshot", &json!({})).await.expect(200).slot();
                assert_eq!((stored, std::fs::read(file).ok()), (3, Some(good)), "it is the file of before");
            }
            "stop of the worker" => {
                api.delete("/processes/great/worker").await.expect(204);
                assert!(file.exists(), "{by}");
            }
            _ => {}
        }
        program.stop().await;

        let program = home.start().await;
        let api = program.api().await;
        assert_eq!(api.state("great").await, state, "{by}");
        assert_eq!(program.events.wait_of("restored", "great").await["slot"], 3, "{by}");
        assert!(program.events.named("snapshot_unusable").is_empty(), "{by}");
        program.stop().await;
        let (code, stderr, _) = compact(&home, &[]).await;
        assert_eq!(code, Some(0), "{by}: {stderr}");
    }
}
