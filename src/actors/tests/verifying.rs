//! Verifications beside a worker.

use std::time::Duration;

use super::rig::{Rig, Settings, draft, moment, run, still, usual};
use crate::actors::Verified;
use crate::device::Verdict;
use crate::device::fake::{Act, Asked, Manner};
use crate::ids::{ProcessId, Slot};
use crate::process::RequestError;
use crate::process::worker::Activity;

const LONG: Duration = Duration::from_secs(3600);

async fn verify(rig: &Rig, process: &ProcessId) -> Result<Verified, RequestError> {
    still(rig.hub.verify(process, None, false, LONG)).await
}

async fn asked(rig: &Rig, process: &ProcessId, data: &[&str]) {
    for data in data {
        rig.ask(process, data).await.unwrap();
    }
    rig.rest(process).await;
}

#[test]
fn a_worker_that_computes_is_left_alone() {
    usual(async |rig| {
        let process = rig.process("a").await;
        asked(&rig, &process, &["x", "y"]).await;
        rig.fakes.hold(&process, Manner::Obeying);
        rig.schedule(&process, "z").await.unwrap();
        rig.held(1).await;
        let before = rig.fakes.slots(&process, Asked::Snapshot).len();
        let verdict = Verdict { outcomes: 3, ..Verdict::default() };
        assert_eq!(verify(&rig, &process).await, Ok(Verified { slot: Slot(2), verdict }));
        assert_eq!(rig.fakes.slots(&process, Asked::Snapshot).len(), before + 1, "of the device that verifies");
        assert_eq!(rig.status(&process).await.activity, Activity::Computing);
        rig.fakes.let_go();
        assert_eq!(rig.outcome(&process, 3).await, "3");
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 2, 3]);
        rig.nothing_left().await;
    });
}

#[test]
fn what_failed_while_it_was_live_is_repeated_or_taken() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let machine = Act::Exceed(crate::config::limits::LimitKey::Memory);
        for (slot, act) in [(1, Act::Fail("no")), (2, Act::Panic("no")), (3, machine)] {
            rig.fakes.plan(&process, slot, [act.clone()]);
            rig.fakes.plan_repeats(&process, slot, act);
        }
        asked(&rig, &process, &["a", "b", "c", "d"]).await;
        let verified = verify(&rig, &process).await.unwrap();
        let verdict = Verdict { outcomes: 3, taken: 2, with_worker: true, ..Verdict::default() };
        assert_eq!(verified.verdict, verdict);
        assert_eq!(rig.fakes.slots(&process, Asked::Replay).iter().filter(|slot| **slot == 3).count(), 0);
        rig.nothing_left().await;
    });
}

#[test]
fn after_a_crash_everything_is_equal() {
    usual(async |rig| {
        let process = rig.process("a").await;
        asked(&rig, &process, &["x", "y"]).await;
        rig.kill(&process).await;
        assert_eq!(verify(&rig, &process).await.unwrap().verdict.difference, None);
        let rig = rig.restart(Settings::default()).await;
        let verified = verify(&rig, &process).await.unwrap();
        assert_eq!(verified.verdict, Verdict { outcomes: 3, ..Verdict::default() });
        assert_eq!(rig.status(&process).await.activity, Activity::Idle, "it starts no worker");
        rig.nothing_left().await;
    });
}

#[test]
fn whoever_gives_up_ends_it() {
    run(Settings::default(), async |rig| {
        let process = rig.process("a").await;
        asked(&rig, &process, &["x"]).await;
        rig.fakes.plan_repeats(&process, 1, Act::Take);
        rig.fakes.hold(&process, Manner::Obeying);
        let (hub, verified) = (rig.hub.clone(), process.clone());
        let verifying = actix_rt::spawn(async move { hub.verify(&verified, None, false, LONG).await });
        rig.held(1).await;
        let room = &rig.hub.environment().trials.verifications;
        let all = room.free() + 1;
        verifying.abort();
        while room.free() < all {
            moment().await;
        }
        // The call was interrupted, and nobody let it go.
        assert_eq!(still(rig.hub.schedule(&process, draft("y"))).await, Ok(Slot(2)));
        rig.rest(&process).await;
        rig.nothing_left().await;
    });
}
