//! Disks that fill up, and disks that cannot be written.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::harness::{Api, COUNTER, Home, Settings, leave_out, until};

/// Something mounted, for as long as the value lives.
struct Mount(PathBuf);

impl Mount {
    /// Mounts at a new folder. `None` if this machine does not allow it, which is said loudly.
    fn new(path: PathBuf, arguments: &[&str]) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        Self::at(path, arguments)
    }

    fn at(path: PathBuf, arguments: &[&str]) -> Option<Self> {
        let done = Command::new("mount").args(arguments).arg(&path).output();
        match done {
            Ok(output) if output.status.success() => Some(Self(path)),
            Ok(output) => {
                leave_out(&format!("mount {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
                None
            }
            Err(error) => {
                leave_out(&format!("mount: {error}"));
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, so that a program which is about to end is not in the way.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Leaves about `room` bytes free on the disk of `path`'s folder.
fn fill(path: &Path, room: u64) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![1; 64 << 10];
    while free(path) > room && file.write_all(&block).is_ok() {}
}

fn free(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    disk.f_bavail * disk.f_frsize
}

/// Writes until the node refuses, and returns the acknowledged slots.
async fn write_until_refused(api: &Api) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let data = "x".repeat(20_000);
    let refused = until("a write is refused", async || {
        let answer = api.post("/processes/counter/schedule", &json!({ "Data": data })).await;
        if answer.is(202) {
            acknowledged.push(answer.slot());
            return None;
        }
        Some(answer)
    })
    .await
    .expect(503);
    assert!(matches!(refused.code().as_str(), "store" | "unknown"), "{}", refused.text);
    assert!(refused.retry_after.is_some());
    acknowledged
}

/// The disk fills up under the node: it takes no messages, reads on, loses nothing, and goes on when there is room.
async fn a_full_disk(reserve: &str, room: u64) {
    let home = Home::new(&Settings::default());
    let Some(disk) = Mount::new(home.path("disk"), &["-t", "tmpfs", "-o", "size=192m", "tmpfs"]) else { return };
    let ballast = disk.0.join("ballast");
    let settings = Settings::default()
        .data_dir(&disk.0.join("data"))
        .set("store", &format!("disk_reserve = \"{reserve}\""))
        .process("counter", COUNTER, "");
    home.configure(&settings);
    let program = home.start().await;
    let api = program.ready().await;
    let mut acknowledged = Vec::new();
    for round in 0..2 {
        acknowledged.push(api.schedule("counter", "before").await);
        fill(&ballast, room);
        acknowledged.extend(write_until_refused(&api).await);
        let log = api.log("counter", None).await;
        let newest = acknowledged[acknowledged.len() - 1];
        assert!(log.len() as u64 > newest, "round {round}: reads go on, and slot {newest} is among them");
        api.get("/livez").await.expect(200);

        std::fs::remove_file(&ballast).unwrap();
        let again = until("writes go on", async || {
            Some(api.post("/processes/counter/schedule", &json!({ "Data": "after" })).await).filter(|it| it.is(202))
        });
        acknowledged.push(again.await.slot());
        until("the node is ready again", async || api.get("/readyz").await.is(200).then_some(())).await;
    }
    api.all_computed().await;
    let before = (api.log("counter", None).await, api.results("counter", None).await);
    check(&before.0.iter().map(|message| message["Slot"].as_u64().unwrap()).collect::<Vec<_>>(), &acknowledged);
    assert_eq!(api.state("counter").await["count"].as_u64(), Some(before.1.len() as u64 - 1));
    program.kill().await;

    let program = home.start().await;
    let api = program.ready().await;
    let after = (api.log("counter", None).await, api.results("counter", None).await);
    assert!(before == after, "the log is what it was before the node was killed");
    program.stop().await;
}

/// Slots are dense and each acknowledged one is there.
fn check(slots: &[u64], acknowledged: &[u64]) {
    assert!(slots.iter().copied().eq(0..slots.len() as u64), "{slots:?}");
    assert!(acknowledged.iter().all(|slot| slots.contains(slot)), "{acknowledged:?} are not all in {slots:?}");
    let mut once = acknowledged.to_vec();
    once.dedup();
    assert_eq!(once, acknowledged, "each slot is given once");
}

#[tokio::test]
async fn a_disk_with_less_than_the_reserve_free_takes_no_messages_until_it_has_room() {
    a_full_disk("32MiB", 33 << 20).await;
}

#[tokio::test]
async fn a_disk_that_is_full_to_the_brim_loses_nothing() {
    a_full_disk("0B", 1 << 20).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_stops_the_start() {
    let home = Home::new(&Settings::default());
    std::fs::create_dir(home.path("disk")).unwrap();
    let disk = home.path("disk");
    let Some(mount) = Mount::at(disk.clone(), &["--bind", disk.to_str().unwrap()]) else { return };
    let settings = Settings::default().data_dir(&disk.join("data")).process("counter", COUNTER, "");
    home.configure(&settings);
    home.start().await.stop().await;
    let done = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&mount.0).status().unwrap();
    assert!(done.success());
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains(disk.join("data").to_str().unwrap()), "{}", ended.stderr);

    home.configure(&settings.data_dir(&disk.join("other")));
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains(disk.join("other").to_str().unwrap()), "{}", ended.stderr);
}
