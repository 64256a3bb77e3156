//! The health checker: workers in virtual time, everything else by the real clock.

use std::time::Duration;

use actix::{Actor as _, Addr};
use tokio::net::TcpListener;

use super::frozen::freeze;
use super::rig::{MAX_IDLE, Rig, Settings, moment, pass, run, still, usual};
use crate::actors::{HealthBoard, HealthChecker, ReloadHealth};
use crate::client::tests::server::{Act, Server, answer, client};
use crate::config::{CheckConfig, CheckTarget, HealthConfig, OnFailure};
use crate::device::fake::{Asked, Manner};
use crate::ids::ProcessId;
use crate::process::worker::Activity;
use crate::supervise::{HealthStatus, HealthView, deadline};

const INTERVAL: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

fn check(name: &str, target: CheckTarget) -> CheckConfig {
    CheckConfig {
        name: name.to_owned(),
        target,
        interval: INTERVAL,
        timeout: Duration::from_secs(3),
        failure_threshold: 3,
        success_threshold: 1,
        initial_delay: Duration::ZERO,
        critical: false,
        on_failure: OnFailure::Log,
    }
}

fn worker(process: &ProcessId, on_failure: OnFailure) -> CheckConfig {
    CheckConfig { on_failure, ..check("it", CheckTarget::Worker(process.clone())) }
}

/// A check that is looked at as often as can be.
fn fast(name: &str, target: CheckTarget) -> CheckConfig {
    CheckConfig { interval: Duration::from_millis(10), ..check(name, target) }
}

struct Checks {
    board: HealthBoard,
    checker: Addr<HealthChecker>,
}

impl Checks {
    fn start(rig: &Rig, checks: impl IntoIterator<Item = CheckConfig>) -> Self {
        let (board, config) = (HealthBoard::default(), HealthConfig { checks: checks.into_iter().collect() });
        let checker = HealthChecker::new(rig.hub.clone(), client(), &config, board.clone()).start();
        Self { board, checker }
    }

    async fn reload(&self, checks: impl IntoIterator<Item = CheckConfig>) {
        self.checker.send(ReloadHealth(HealthConfig { checks: checks.into_iter().collect() })).await.unwrap();
    }

    fn view(&self, name: &str) -> HealthView {
        self.board.checks().into_iter().find(|view| view.name == name).unwrap()
    }

    fn is_healthy(&self, name: &str) -> bool {
        self.view(name).status == HealthStatus::Healthy
    }

    /// Returns once the only check stands so, by the virtual clock.
    async fn until(&self, status: HealthStatus) -> HealthView {
        let mut looks = 0;
        loop {
            if let [view] = &self.board.checks()[..]
                && view.status == status
            {
                return view.clone();
            }
            moment().await;
            pass(Duration::from_millis(100)).await;
            looks += 1;
            assert!(looks < 10_000, "{:?}", self.board.checks());
        }
    }

    /// Returns once a check stands so, by the real clock.
    async fn turns(&self, name: &str, status: HealthStatus) -> HealthView {
        let mut looks = 0;
        while self.view(name).status != status {
            moment().await;
            looks += 1;
            assert!(looks < 30_000, "{:?}", self.board.checks());
        }
        self.view(name)
    }
}

#[test]
fn pings_start_no_worker_keep_none_and_find_none_missing() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let created = rig.fakes.created().len();
        let checks = Checks::start(&rig, [worker(&process, OnFailure::Restart)]);
        pass(MAX_IDLE - SECOND).await;
        assert_eq!(rig.status(&process).await.activity, Activity::Active);
        pass(2 * SECOND).await;
        rig.gone(&process).await;
        pass(Duration::from_secs(3600)).await;
        assert_eq!(rig.status(&process).await.activity, Activity::Idle);
        assert_eq!(rig.fakes.created().len(), created);
        assert!(checks.is_healthy("it"));
        assert_eq!(checks.view("it").since, 1_800_000_000_000);
    });
}

#[test]
fn a_worker_that_is_pinged_is_no_less_alone_for_that() {
    run(Settings { workers_max: 2, ..Settings::default() }, async |rig| {
        let (first, second) = (rig.process("a").await, rig.process("b").await);
        let _checks = Checks::start(&rig, [worker(&first, OnFailure::Log)]);
        pass(10 * INTERVAL).await;
        rig.process("c").await;
        rig.gone(&first).await;
        assert_eq!(rig.status(&second).await.activity, Activity::Active);
    });
}

#[test]
fn a_process_that_does_not_exist_is_not_well() {
    usual(async |rig| {
        let checks = Checks::start(&rig, [worker(&super::rig::id("nobody"), OnFailure::Restart)]);
        pass(2 * INTERVAL - SECOND).await;
        assert!(checks.is_healthy("it"));
        let view = checks.until(HealthStatus::Unhealthy).await;
        assert_eq!((view.kind, view.failures), ("worker", 3));
        assert_eq!(view.error.as_deref(), Some("there is no process nobody"));
        rig.process("nobody").await;
        let view = checks.until(HealthStatus::Healthy).await;
        assert_eq!((view.failures, view.error), (0, None));
    });
}

#[test]
fn who_computes_for_long_is_busy_and_who_computes_beyond_the_deadline_hangs() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let deadline = deadline(crate::config::limits::Limits::default().compute_time);
        let checks = Checks::start(&rig, [worker(&process, OnFailure::Log)]);
        rig.fakes.hold(&process, Manner::Obeying);
        rig.schedule(&process, "x").await.unwrap();
        rig.held(1).await;
        pass(deadline - 2 * INTERVAL).await;
        assert_eq!((checks.is_healthy("it"), checks.view("it").failures), (true, 0));
        let view = checks.until(HealthStatus::Unhealthy).await;
        assert!(view.error.as_ref().unwrap().starts_with("slot 1 has been computed for 1m "), "{view:?}");
        pass(10 * deadline).await;
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1], "nobody ends it");
        rig.fakes.let_go();
        checks.until(HealthStatus::Healthy).await;
        assert_eq!(rig.outcome(&process, 1).await, "1");
    });
}

#[test]
fn a_worker_that_hangs_is_started_again_whether_or_not_its_device_comes_back() {
    for manner in [Manner::Obeying, Manner::Stubborn] {
        usual(async |rig| {
            let process = rig.process("a").await;
            let checks = Checks::start(&rig, [worker(&process, OnFailure::Restart)]);
            rig.fakes.hold(&process, manner);
            rig.schedule(&process, "x").await.unwrap();
            rig.held(1).await;
            checks.until(HealthStatus::Unhealthy).await;
            checks.until(HealthStatus::Healthy).await;
            assert_eq!(rig.outcome(&process, 1).await, "1");
            pass(10 * INTERVAL).await;
            assert!(checks.is_healthy("it"));
            assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 1], "{manner:?}");
            rig.fakes.let_go();
        });
    }
}

#[test]
fn a_worker_that_takes_no_messages_is_forgotten() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let checks = Checks::start(&rig, [worker(&process, OnFailure::Restart)]);
        pass(INTERVAL).await;
        still(freeze(&rig, &process)).await;
        let view = checks.until(HealthStatus::Unhealthy).await;
        assert_eq!(view.error.as_deref(), Some("the worker does not answer within 3s"));
        checks.until(HealthStatus::Healthy).await;
        assert_eq!(rig.ask(&process, "x").await.as_deref(), Ok("1"));
    });
}

#[test]
fn a_reload_keeps_what_stays_and_begins_what_is_new() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let sick = worker(&super::rig::id("nobody"), OnFailure::Log);
        let checks = Checks::start(&rig, [sick.clone()]);
        let since = checks.until(HealthStatus::Unhealthy).await.since;
        let slower = CheckConfig { interval: 20 * INTERVAL, critical: true, ..sick.clone() };
        let other = CheckConfig { initial_delay: INTERVAL, name: "other".to_owned(), ..sick.clone() };
        checks.reload([other, slower]).await;
        let names: Vec<_> = checks.board.checks().into_iter().map(|view| view.name).collect();
        assert_eq!(names, ["other", "it"]);
        assert_eq!((checks.is_healthy("it"), checks.view("it").since), (false, since));
        let critical = checks.board.critical();
        assert_eq!(critical, [("it".to_owned(), Some("there is no process nobody".to_owned()))]);
        assert_eq!(checks.view("other").failures, 0);
        pass(INTERVAL + SECOND).await;
        assert_eq!((checks.view("it").failures, checks.view("other").failures), (3, 1));
        checks.reload([worker(&process, OnFailure::Log)]).await;
        assert_eq!(checks.board.healthy(), [("it".to_owned(), true)], "another target is another check");
        pass(10 * INTERVAL).await;
        assert_eq!(checks.view("it").failures, 0);
    });
}

#[test]
fn http_is_well_with_2xx_only() {
    usual(async |rig| {
        tokio::time::resume();
        let part = |status| vec![Act::Send(answer(status, &[], "{}"))];
        let bad = [500, 302, 404].map(part);
        let server = Server::play([part(200)].into_iter().chain(bad).chain([part(204)])).await;
        let target = CheckTarget::Http(server.url("/health?key=secret"));
        let checks = Checks::start(&rig, [CheckConfig { success_threshold: 2, ..fast("web", target) }]);
        let view = checks.turns("web", HealthStatus::Unhealthy).await;
        assert_eq!(view.kind, "http");
        let error = view.error.unwrap_or_default();
        assert!(!error.contains("secret"), "{error}");
        checks.turns("web", HealthStatus::Healthy).await;
        assert_eq!(server.seen()[0].line(), "GET /health?key=secret");
    });
}

#[test]
fn http_that_hangs_is_late() {
    usual(async |rig| {
        tokio::time::resume();
        let server = Server::play([vec![Act::Hold]]).await;
        let hangs = CheckConfig {
            timeout: Duration::from_millis(50),
            failure_threshold: 1,
            ..fast("web", CheckTarget::Http(server.url("/")))
        };
        let checks = Checks::start(&rig, [hangs]);
        let view = checks.turns("web", HealthStatus::Unhealthy).await;
        assert_eq!(view.error.as_deref(), Some("there is no answer within 50ms"));
    });
}

#[test]
fn a_port_is_well_as_long_as_somebody_listens() {
    usual(async |rig| {
        tokio::time::resume();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let checks = Checks::start(&rig, [fast("port", CheckTarget::Tcp(address.to_string()))]);
        for _ in 0..5 {
            listener.accept().await.unwrap();
        }
        assert!(checks.is_healthy("port"));
        drop(listener);
        let view = checks.turns("port", HealthStatus::Unhealthy).await;
        assert!(view.error.as_ref().unwrap().starts_with(&format!("no connection to {address}: ")), "{view:?}");
        let _listener = TcpListener::bind(address).await.unwrap();
        checks.turns("port", HealthStatus::Healthy).await;
    });
}

#[test]
fn a_host_process_is_well_as_long_as_one_of_its_name_runs() {
    usual(async |rig| {
        tokio::time::resume();
        // The kernel cuts this name off.
        let (folder, name) = (tempfile::tempdir().unwrap(), format!("sleeper-of-test-{}", std::process::id()));
        let program = folder.path().join(&name);
        std::fs::copy("/bin/sleep", &program).unwrap();
        let sleep = || std::process::Command::new(&program).arg("1000").spawn().unwrap();
        let (glob, own) =
            (format!("sleeper*{}", std::process::id()), std::fs::read_to_string("/proc/self/comm").unwrap());
        let targets = [("full", glob), ("own", own.trim().to_owned()), ("none", "no such name".to_owned())];
        let mut child = sleep();
        let config = |(name, glob): &(&str, String)| fast(name, CheckTarget::HostProcess(glob.clone()));
        let checks = Checks::start(&rig, targets.iter().map(config));
        let view = checks.turns("none", HealthStatus::Unhealthy).await;
        assert_eq!(view.error.as_deref(), Some("no host process runs whose name fits \"no such name\""));
        assert!(checks.is_healthy("full") && checks.is_healthy("own"));
        child.kill().unwrap();
        // A zombie does not run.
        checks.turns("full", HealthStatus::Unhealthy).await;
        child.wait().unwrap();
        let mut child = sleep();
        checks.turns("full", HealthStatus::Healthy).await;
        child.kill().unwrap();
        child.wait().unwrap();
    });
}
