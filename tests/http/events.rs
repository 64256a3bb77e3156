//! `/events` and `/host/processes`: what is told of host processes, to whom, and how it ends.

use actix_web::test::TestRequest;
use mainstay::actors::Shutdown;
use mainstay::actors::fake_machine::{created, destroyed, process};
use mainstay::host::Report;
use serde_json::{Value, json};

use super::rig::{Node, Open, fake, until};

const ON: &str = "[watch]\nenabled = true";

/// One thing that came on a stream: its id, its kind (none for an event of a host process), its data.
#[derive(Debug, PartialEq)]
struct Came {
    id: Option<u64>,
    kind: Option<String>,
    data: Value,
}

/// A stream as a client reads it.
struct Stream {
    open: Open,
    rest: String,
}

impl Stream {
    async fn open(node: &Node, path: &str, last: Option<u64>) -> Self {
        let mut request = TestRequest::get().uri(path);
        if let Some(last) = last {
            request = request.insert_header(("Last-Event-ID", last.to_string()));
        }
        let open = node.open(request).await;
        assert_eq!(open.headers.get("content-type").unwrap(), "text/event-stream");
        assert_eq!(open.headers.get("cache-control").unwrap(), "no-cache");
        Self { open, rest: String::new() }
    }

    /// The next thing that is no comment; `None` at the end.
    async fn next(&mut self) -> Option<Came> {
        loop {
            let Some((block, rest)) = self.rest.split_once("\n\n") else {
                self.rest += &self.open.piece().await?;
                continue;
            };
            let (block, rest) = (block.to_owned(), rest.to_owned());
            self.rest = rest;
            if block.starts_with(':') {
                continue;
            }
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
            let id = field("id: ").map(|id| id.parse().unwrap());
            return Some(Came { id, kind: field("event: "), data });
        }
    }

    /// The names of so many events.
    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            let came = self.next().await.unwrap();
            assert_eq!(came.kind, None);
            names.push(came.data["event"].as_str().unwrap().to_owned());
        }
        names
    }
}

#[test]
fn events_come_as_they_happen_with_every_key_of_the_contract() {
    fake(ON, async |node| {
        let mut stream = Stream::open(&node, "/events", None).await;
        node.machine.tell([created(7, "true"), destroyed(7, "true")]);
        let (first, second) = (stream.next().await.unwrap(), stream.next().await.unwrap());
        assert_eq!(second.id, first.id.map(|id| id + 1));
        let expected = json!({
            "event": "Process.Destroyed.true", "pid": 7, "ppid": 1, "name": "true", "name_source": "exec",
            "exe": "/bin/a", "uid": 0, "start_time": 1007, "exit_code": 3, "signal": null, "run_time": 12.0,
            "cpu_time": null, "peak_rss": 4096,
        });
        assert_eq!((first.data["event"].as_str(), &second.data), (Some("Process.Created.true"), &expected));
    });
}

#[test]
fn patterns_choose_events_and_names() {
    fake(ON, async |node| {
        let paths = [
            (
                "/events?event=Process.Created.*",
                vec!["Process.Created.nginx", "Process.Created.a b", "Process.Created.end"],
            ),
            ("/events?name=nginx", vec!["Process.Created.nginx", "Process.Destroyed.nginx"]),
            ("/events?event=*.Destroyed.*&name=a%20?", vec!["Process.Destroyed.a b"]),
            ("/events?name=nobody&event=*", vec![]),
        ];
        let mut streams = Vec::new();
        for (path, expected) in paths {
            streams.push((path, Stream::open(&node, path, None).await, expected));
        }
        node.machine.tell([created(1, "nginx"), created(2, "a b"), destroyed(2, "a b"), destroyed(1, "nginx")]);
        node.machine.tell([created(3, "end")]);
        for (path, stream, expected) in &mut streams {
            assert_eq!(stream.names(expected.len()).await, *expected, "{path}");
        }
    });
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    fake(ON, async |node| {
        let mut stream = Stream::open(&node, "/events", None).await;
        node.machine.tell((1..=3).map(|pid| created(pid, "a")));
        let first = stream.next().await.unwrap().id.unwrap();
        stream.names(2).await;
        drop(stream);
        node.machine.tell([created(4, "b")]);
        let mut stream = Stream::open(&node, "/events", Some(first)).await;
        let pids = [stream.next().await, stream.next().await, stream.next().await];
        assert_eq!(pids.map(|came| came.unwrap().data["pid"].as_u64().unwrap()), [2, 3, 4]);
        // An id that this node has not given is of a node before it.
        for last in [0, u64::MAX] {
            assert_eq!(Stream::open(&node, "/events", Some(last)).await.names(4).await.len(), 4);
        }
        // Without an id only what comes is told.
        let mut stream = Stream::open(&node, "/events", None).await;
        node.machine.tell([created(5, "c")]);
        assert_eq!(stream.names(1).await, ["Process.Created.c"]);
    });
}

#[test]
fn a_client_that_is_too_slow_is_told_and_goes_on() {
    fake(ON, async |node| {
        let mut stream = Stream::open(&node, "/events", None).await;
        let all = 20_000;
        node.machine.tell((1..=all).map(|pid| created(pid, "a")));
        // Another that is quick says when all was told.
        let mut quick = Stream::open(&node, "/events?name=last", None).await;
        node.machine.tell([created(all + 1, "last")]);
        quick.names(1).await;
        let (mut missed, mut told, mut last) = (0, 0, None);
        while told + missed < u64::from(all) + 1 {
            let came = stream.next().await.unwrap();
            match came.kind.as_deref() {
                None => (told, last) = (told + 1, Some(came.data["name"].clone())),
                Some("missed") => missed += came.data["missed"].as_u64().unwrap(),
                Some(other) => panic!("{other}"),
            }
        }
        assert!(missed > 0 && told > 1000, "missed {missed}, told {told}");
        assert_eq!(last, Some(json!("last")));
        // Neither has everything: one came too late for it, the other came back too late.
        let mut back = Stream::open(&node, "/events", Some(0)).await;
        let came = back.next().await.unwrap();
        assert_eq!((came.kind.as_deref(), came.data["missed"].as_u64()), (Some("missed"), Some(20_001 - 16_384)));
    });
}

#[test]
fn streams_end_when_the_node_stops() {
    fake(ON, async |node| {
        let mut stream = Stream::open(&node, "/events", None).await;
        node.machine.tell([created(1, "a")]);
        stream.names(1).await;
        node.watcher.as_ref().unwrap().send(Shutdown).await.unwrap();
        assert_eq!(stream.next().await, None);
        let said = node.get("/events").await.refusal(503, "overloaded");
        assert!(said.contains("the node is stopping"), "{said}");
    });
}

#[test]
fn so_many_clients_listen_and_no_more() {
    fake(ON, async |node| {
        let mut streams = Vec::new();
        for _ in 0..256 {
            streams.push(Stream::open(&node, "/events", None).await);
        }
        let said = node.get("/events").await.refusal(503, "overloaded");
        assert!(said.contains("256 clients listen"), "{said}");
        streams.pop();
        Stream::open(&node, "/events", None).await;
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    fake(ON, async |node| {
        let long = "x".repeat(256);
        for query in ["event=", "name=", &format!("name={long}"), "pid=1", "event=a&event=b"] {
            node.get(&format!("/events?{query}")).await.refusal(400, "bad_request");
        }
        for last in ["x", "-1", "1.5", ""] {
            let request = TestRequest::get().uri("/events").insert_header(("Last-Event-ID", last));
            node.send(request).await.refusal(400, "bad_request");
        }
        for path in ["/events", "/host/processes"] {
            node.post(path, "").await.refusal(405, "bad_request");
        }
    });
}

#[test]
fn the_living_are_listed() {
    fake(ON, async |node| {
        node.machine.set_processes(vec![process(5, "sh"), process(9, "a \"b\"")]);
        let body = node.get("/host/processes").await.json(200);
        let of = |pid: u32, name: &str| {
            json!({ "pid": pid, "ppid": 1, "name": name, "name_source": "exec", "exe": "/bin/a", "uid": 0,
                "start_time": 1000 + pid })
        };
        assert_eq!(body, json!({ "processes": [of(5, "sh"), of(9, "a \"b\"")] }));
    });
}

#[test]
fn a_node_that_does_not_watch_says_so() {
    fake("", async |node| {
        for path in ["/events", "/host/processes"] {
            let said = node.get(path).await.refusal(501, "not_supported");
            assert!(said.contains("[watch]"), "{said}");
        }
        assert_eq!(node.get("/readyz").await.json(503)["checks"].get("watch"), None);
    });
}

#[test]
fn readiness_tells_how_the_watch_fares_and_does_not_depend_on_it() {
    fake(ON, async |node| {
        node.readiness.taken_up();
        let body = node.get("/readyz").await.json(200);
        assert_eq!(body["checks"]["watch"], "ok, by poll: it is made up; without a kernel");
        node.machine.refuse(1_000_000);
        node.machine.report(Report::Ended { error: None });
        let trouble = until("the trouble is told", async || {
            let body = node.get("/readyz").await.json(200);
            body["checks"]["watch"].as_str().filter(|text| text.starts_with("not watching")).map(str::to_owned)
        });
        assert!(trouble.await.contains("it is started again"));
    });
}
