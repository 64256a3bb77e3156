//! Events as they are told: their names, their JSON, their lines in the log, the ids of their messages.

use std::time::Duration;

use serde::Serialize;
use tracing::{debug, info};

use crate::host::{End, EventKind, HostEvent, HostProcess};
use crate::ids::MessageId;

/// An event as JSON. Times are milliseconds, `start_time` since the Unix epoch; sizes are bytes; what is unknown is null.
#[derive(Debug, Serialize)]
struct EventOut<'a> {
    event: &'a str,
    pid: u32,
    ppid: Option<u32>,
    name: &'a str,
    name_source: &'static str,
    exe: Option<&'a str>,
    uid: Option<u32>,
    start_time: Option<u64>,
    exit_code: Option<u8>,
    signal: Option<u8>,
    run_time: Option<f64>,
    cpu_time: Option<f64>,
    peak_rss: Option<u64>,
}

/// The kinds of event that are told outside, and the one that only the log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Created,
    Renamed,
    Destroyed,
}

impl Word {
    pub(super) fn of(kind: &EventKind) -> Self {
        match kind {
            EventKind::Created { .. } => Self::Created,
            EventKind::Renamed { .. } => Self::Renamed,
            EventKind::Destroyed(_) => Self::Destroyed,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Renamed => "Renamed",
            Self::Destroyed => "Destroyed",
        }
    }
}

/// The event's whole name, such as `Process.Created.nginx`.
pub(super) fn whole_name(prefix: &str, event: &HostEvent) -> String {
    format!("{prefix}.{}.{}", Word::of(&event.kind).as_str(), event.process.name)
}

/// The event as JSON, in one line.
pub(super) fn json(whole_name: &str, event: &HostEvent) -> String {
    let process = &event.process;
    let end = end_of(event);
    let out = EventOut {
        event: whole_name,
        pid: process.pid.0,
        ppid: process.ppid.map(|pid| pid.0),
        name: process.name.as_str(),
        name_source: process.name_source.as_str(),
        exe: exe(process),
        uid: process.uid,
        start_time: process.start_time,
        exit_code: end.status.and_then(|status| status.code()),
        signal: end.status.and_then(|status| status.signal()),
        run_time: end.run_time.map(millis),
        cpu_time: end.cpu_time.map(millis),
        peak_rss: end.peak_rss,
    };
    // Texts and numbers always have a JSON form.
    serde_json::to_string(&out).unwrap_or_default()
}

/// Writes the event's line. Only that of a change of name is for those who look closely.
pub(super) fn log(whole_name: &str, event: &HostEvent) {
    let process = &event.process;
    let (pid, ppid, source) = (process.pid.0, process.ppid.map(|pid| pid.0), process.name_source.as_str());
    let (exe, uid, start_time) = (exe(process), process.uid, process.start_time);
    match &event.kind {
        EventKind::Created { .. } => info!(target: "watch", event = "process_created", name = whole_name, pid, ppid,
            name_source = source, exe, uid, start_time),
        EventKind::Renamed { from } => debug!(target: "watch", event = "process_renamed", name = whole_name, pid, ppid,
            from = from.as_str(), name_source = source, exe, uid, start_time),
        EventKind::Destroyed(end) => info!(target: "watch", event = "process_destroyed", name = whole_name, pid, ppid,
            name_source = source, exe, uid, start_time, exit_code = end.status.and_then(|status| status.code()),
            signal = end.status.and_then(|status| status.signal()), run_time = end.run_time.map(millis),
            cpu_time = end.cpu_time.map(millis), peak_rss = end.peak_rss),
    }
}

/// The id of the event's messages: the same event has the same one, however often it is told. `number` tells those apart of
/// which nobody knows when they began.
pub(super) fn message_id(boot: &str, event: &HostEvent, number: u64) -> MessageId {
    let process = &event.process;
    let (known, began) = process.start_time.map_or(("number", number), |start| ("start", start));
    let kind = Word::of(&event.kind).as_str();
    MessageId::derived(&[
        b"host event",
        boot.as_bytes(),
        &process.pid.0.to_le_bytes(),
        known.as_bytes(),
        &began.to_le_bytes(),
        kind.as_bytes(),
    ])
}

fn end_of(event: &HostEvent) -> End {
    if let EventKind::Destroyed(end) = &event.kind { *end } else { End::default() }
}

fn exe(process: &HostProcess) -> Option<&str> {
    process.exe.as_ref().map(|path| path.as_str())
}

/// To the microsecond, which is what the kernel gives.
#[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fake::{created, destroyed};
    use super::*;
    use crate::host::{ExitStatus, HostPid};

    #[test]
    fn the_json_has_every_key_of_the_contract_and_null_for_what_is_unknown() {
        let mut event = created(7, "a \"b\"\n");
        event.process.uid = None;
        let told: Value = serde_json::from_str(&json(&whole_name("P.Q", &event), &event)).unwrap();
        let expected = json!({
            "event": "P.Q.Created.a \"b\"\n", "pid": 7, "ppid": 1, "name": "a \"b\"\n", "name_source": "exec",
            "exe": "/bin/a", "uid": null, "start_time": 1007, "exit_code": null, "signal": null, "run_time": null,
            "cpu_time": null, "peak_rss": null,
        });
        assert_eq!(told, expected);
        let mut event = destroyed(7, "a");
        let EventKind::Destroyed(end) = &mut event.kind else { panic!() };
        end.status = Some(ExitStatus::Signal(9));
        end.cpu_time = Some(Duration::from_micros(1500));
        let told: Value = serde_json::from_str(&json("x", &event)).unwrap();
        assert_eq!((&told["signal"], &told["exit_code"]), (&json!(9), &Value::Null));
        assert_eq!((&told["cpu_time"], &told["run_time"]), (&json!(1.5), &json!(12.0)));
    }

    #[test]
    fn an_id_is_that_of_one_event_of_one_process() {
        let first = message_id("boot", &created(7, "a"), 1);
        assert_eq!(first, message_id("boot", &created(7, "other"), 2), "told again after a restart");
        let mut others = vec![message_id("other", &created(7, "a"), 1), message_id("boot", &destroyed(7, "a"), 1)];
        let mut event = created(7, "a");
        event.process.start_time = Some(5);
        others.push(message_id("boot", &event, 1));
        event.process.start_time = None;
        others.extend([message_id("boot", &event, 5), message_id("boot", &event, 6)]);
        event.process.pid = HostPid(8);
        others.push(message_id("boot", &event, 5));
        others.push(first);
        let distinct: std::collections::BTreeSet<_> = others.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), others.len());
    }
}
