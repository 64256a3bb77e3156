//! Nothing that a program is, or started, outlives its work: not a crash, not a stop, not the death of the node.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::harness::{
    Home, Program, Settings, handled, lives, numbers, running, runs, until, until_gone, with_handler,
};

/// The guardian of the node whose data is in this folder.
fn guardians(home: &Home) -> Vec<i64> {
    running(home.path("data/exec/lock").to_str().unwrap())
}

fn kill(pid: i64) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// Has the program found a family. Its members, the program first.
async fn family(program: &Program, id: &str) -> Vec<i64> {
    let outcome = program.api().await.outcome(id, "family").await;
    let members = numbers(&outcome["Output"]);
    assert!(members.len() == 3 && members.iter().all(|pid| lives(*pid)), "{outcome}");
    members
}

#[tokio::test]
async fn nothing_outlives_a_node_that_is_killed() {
    let Some(home) = with_handler(&handled("p", "").program("q", &["python3", "handler.py"], "")) else { return };
    let program = home.start().await;
    let (mut left, more) = (family(&program, "p").await, family(&program, "q").await);
    left.extend(more);
    left.extend(guardians(&home));
    assert_eq!(left.len(), 7, "two families and a guardian");
    program.kill().await;
    until_gone("families and guardian end", &left).await;
}

#[tokio::test]
async fn the_guardian_is_deaf_to_what_is_meant_for_the_node() {
    let Some(home) = with_handler(&handled("p", "")) else { return };
    let program = home.start().await;
    let left = family(&program, "p").await;
    let [guardian] = guardians(&home)[..] else { panic!("there is one guardian") };
    let group = |pid: i64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').skip(2).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(group(guardian), [guardian.to_string(), guardian.to_string()], "group and session are its own");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        kill_process(Pid::from_raw(i32::try_from(guardian).unwrap()).unwrap(), signal).unwrap();
    }
    program.kill().await;
    until_gone("the family ends", &left).await;
    until_gone("the guardian ends", &[guardian]).await;
}

#[tokio::test]
async fn a_guardian_that_dies_is_replaced() {
    let Some(home) = with_handler(&handled("p", "")) else { return };
    let program = home.start().await;
    let left = family(&program, "p").await;
    let [guardian] = guardians(&home)[..] else { panic!("there is one guardian") };
    kill(guardian);
    program.events.wait("guardian_died").await;
    let next = until("there is another", async || guardians(&home).into_iter().find(|pid| *pid != guardian)).await;
    assert_eq!(program.api().await.outcome("p", "").await["Output"], 2);
    assert!(left.iter().all(|pid| lives(*pid)), "the program and its family have not noticed");
    program.kill().await;
    until_gone("the family ends", &left).await;
    until_gone("the guardian ends", &[next]).await;
}

#[tokio::test]
async fn what_outlives_node_and_guardian_is_gone_before_the_next_slot() {
    let Some(home) = with_handler(&handled("p", "")) else { return };
    let program = home.start().await;
    let left = family(&program, "p").await;
    let [guardian] = guardians(&home)[..] else { panic!("there is one guardian") };
    // One that stands still sees no pipe close.
    kill_process(Pid::from_raw(i32::try_from(guardian).unwrap()).unwrap(), Signal::STOP).unwrap();
    program.kill().await;
    kill(guardian);
    assert!(left[1..].iter().all(|pid| lives(*pid)), "somebody is left to be found");
    let program = home.start().await;
    assert!(left.iter().all(|pid| !lives(*pid)), "they end before the node listens");
    assert_eq!(program.api().await.outcome("p", "").await["Output"], 2);
    program.stop().await;
}

#[tokio::test]
async fn the_slot_in_work_is_repeated_with_the_next_attempt_and_the_same_key() {
    let Some(home) = with_handler(&handled("p", "limits = { compute_time = \"60s\" }")) else { return };
    let mut program = home.start().await;
    assert_eq!(program.api().await.outcome("p", "").await["Output"], 1);
    program.api().await.schedule("p", "hold").await;
    program.api().await.schedule("p", "").await;
    for attempt in 1..=4 {
        let handed = (String::from("compute"), 2, attempt);
        until("the slot is handed out", async || runs(&home).0.contains(&handed).then_some(())).await;
        if attempt < 4 {
            // A crash, and a stop that does not wait for the program.
            if attempt == 2 {
                drop(program.stop().await)
            } else {
                program.kill().await
            }
            program = home.start().await;
        }
    }
    home.write("open", "");
    let answer = program.api().await.get("/processes/p/compute?slot=3").await.expect(200).json();
    assert_eq!(answer["outcome"]["Output"], 3);
    program.stop().await;
    let (handed, keys) = runs(&home);
    let attempts: Vec<_> = handed.iter().map(|(_, slot, attempt)| (*slot, *attempt)).collect();
    assert_eq!(attempts, [(1, 1), (2, 1), (2, 2), (2, 3), (2, 4), (3, 1)]);
    assert!(keys[1..5].iter().all(|key| *key == keys[1]) && keys[0] != keys[1] && keys[5] != keys[1], "{keys:?}");
}

#[tokio::test]
async fn a_family_ends_with_its_program() {
    let Some(home) = with_handler(&handled("p", "limits = { compute_time = \"1s\" }\ngrace = \"100ms\"")) else {
        return;
    };
    let program = home.start().await;
    let api = program.api().await;
    for wrong in ["crash 9", "silent", "flood"] {
        let members = family(&program, "p").await;
        assert!(api.outcome("p", wrong).await["Error"].is_string(), "{wrong}");
        // Who left for a session of its own ends with the node.
        until_gone("the program and its group end", &members[..2]).await;
        kill(members[2]);
    }
    let members = family(&program, "p").await;
    api.delete("/processes/p/worker").await.expect(204);
    until_gone("the program and its group end", &members[..2]).await;
    kill(members[2]);
    program.stop().await;
}

#[tokio::test]
async fn a_clean_stop_leaves_nobody() {
    let Some(home) = with_handler(&handled("p", "grace = \"200ms\"")) else { return };
    let program = home.start().await;
    let mut left = family(&program, "p").await;
    left.extend(guardians(&home));
    program.stop().await;
    until_gone("everybody ends", &left).await;
    assert_eq!(guardians(&home), Vec::<i64>::new());
}

#[tokio::test]
async fn a_program_that_is_killed_between_two_messages_is_started_again() {
    let Some(home) = with_handler(&handled("p", "")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    let about = api.outcome("p", "family").await;
    let members = numbers(&about["Output"]);
    kill(members[0]);
    until_gone("it is dead", &members[..1]).await;
    assert_eq!(api.outcome("p", "").await["Output"], json!(2));
    assert_eq!(runs(&home).0[1], ("compute".to_owned(), 2, 1), "it had not failed at this slot");
    program.stop().await;
    until_gone("everybody ends", &members).await;
}

#[tokio::test]
async fn a_node_without_programs_has_no_guardian() {
    let home = Home::new(&Settings::default());
    let program = home.start().await;
    assert_eq!(guardians(&home), Vec::<i64>::new());
    assert!(!home.path("data/exec").exists());
    program.stop().await;
}
