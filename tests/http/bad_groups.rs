//! Bad requests about groups: each is refused in the one shape of refusals.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;

use super::rig::{COUNTER, fake, lua};
use mainstay::device::fake::{Asked, Manner};

/// A name that no base has.
fn nobodys(process: &str) -> String {
    format!("{process}~{}", "A".repeat(43))
}

#[test]
fn bodies_that_are_no_bases() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        for (body, part) in [
            (" ", "not a base"),
            ("null", "not a base"),
            ("[]", "not a base"),
            (r#"[1,true,"1s"]"#, "not a base"),
            (r#"{"slot":1"#, "not a base"),
            ("{} {}", "not a base"),
            (r#"{"Slot":0}"#, "unknown field `Slot`"),
            (r#"{"is_static":true}"#, "unknown field `is_static`"),
            (r#"{"slot":0,"slot":0}"#, "duplicate field `slot`"),
            (r#"{"slot":-1}"#, "not a base"),
            (r#"{"slot":0.0}"#, "not a base"),
            (r#"{"slot":"0"}"#, "not a base"),
            (r#"{"slot":18446744073709551616}"#, "not a base"),
            (r#"{"static":"yes"}"#, "not a base"),
            (r#"{"static":1}"#, "not a base"),
            (r#"{"timeout":5}"#, "not a base"),
            (r#"{"timeout":""}"#, "timeout: it is empty"),
            (r#"{"timeout":"5"}"#, "timeout: it has no unit"),
            (r#"{"timeout":"-1s"}"#, "timeout: "),
            (r#"{"timeout":"0s"}"#, "timeout: it must be longer than nothing"),
            (r#"{"timeout":"0ms 0s"}"#, "timeout: it must be longer than nothing"),
            (r#"{"timeout":"5 potatoes"}"#, "timeout: unknown unit"),
            (r#"{"timeout":"99999999999999999999s"}"#, "timeout: "),
            (r#"{"timeout":"1000000000y"}"#, "timeout: "),
        ] {
            let said = node.post("/processes/counter/base", body).await.refusal(400, "bad_request");
            assert!(said.contains(part), "{body} is refused with {said:?}");
        }
        let said = node.post("/processes/counter/base", vec![0xff]).await.refusal(400, "bad_request");
        assert!(said.contains("UTF-8"), "{said}");
        assert!(node.groups().await.iter().all(|status| status["group"] == "counter"), "none of them left a base");
    });
}

#[test]
fn bodies_that_are_no_messages_leave_the_base_as_it_is() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        let group = node.hold_base("counter", r#"{"static":false}"#).await;
        for (body, part) in [
            (" ".to_owned(), "not a message"),
            ("[]".to_owned(), "not a message"),
            ("null".to_owned(), "not a message"),
            (r#"{"Data":"x"#.to_owned(), "not a message"),
            (r#"{"Data":5}"#.to_owned(), "expected a string"),
            (r#"{"data":"x"}"#.to_owned(), "unknown field `data`"),
            (r#"{"From":"me"}"#.to_owned(), "unknown field `From`"),
            (r#"{"Id":"x"}"#.to_owned(), "43 characters"),
            (r#"{"Tags":{"a":1}}"#.to_owned(), "its value must be a text"),
            (r#"{"Target":"other"}"#.to_owned(), "Target is \"other\""),
            // The target is the process, not the base.
            (json!({ "Target": group }).to_string(), "Target is"),
        ] {
            let said = node.resolve(&group, &body).await.refusal(400, "bad_request");
            assert!(said.contains(part), "{body} is refused with {said:?}");
        }
        let good = r#"{"Target":"counter","Tags":{"Action":"Increment"}}"#;
        assert_eq!(node.resolve(&group, good).await.json(200)["outcome"]["Output"], 1);
    });
}

#[test]
fn what_is_no_name_is_refused_and_what_nobody_leads_is_not_found() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        node.delete("/processes/counter/worker").await;
        let (short, long) = (format!("counter~{}", "A".repeat(42)), "x".repeat(65));
        let twice = format!("{}~{}", nobodys("counter"), "A".repeat(43));
        for bad in ["a%20b", "counter~", "~", &short, &twice, &long, &nobodys(&long), "%C3%A4", "a%2Fb", "%00"] {
            let said = node.resolve(bad, "{}").await.refusal(400, "bad_request");
            assert!(said.contains("a group is named by a process id"), "{bad}: {said}");
            node.delete(&format!("/groups/{bad}")).await.refusal(400, "bad_request");
        }
        for unknown in [nobodys("counter"), nobodys("nobody"), "nobody".to_owned()] {
            let said = node.resolve(&unknown, "{}").await.refusal(404, "not_found");
            assert!(said.contains(&unknown), "{said}");
            let said = node.delete(&format!("/groups/{unknown}")).await.refusal(404, "not_found");
            assert!(said.contains(&unknown), "{said}");
        }
        node.post("/processes/nobody/base", "").await.refusal(404, "not_found");
        node.post("/processes/nobody/base", r#"{"slot":0}"#).await.refusal(404, "not_found");
        node.post("/processes/no%20body/base", "").await.refusal(400, "bad_request");
    });
}

#[test]
fn a_process_is_no_base_but_its_worker_can_be_sent_away() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        node.post("/processes/p/schedule?wait=30s", "{}").await.json(200);
        let said = node.resolve("p", "{}").await.refusal(404, "not_found");
        assert!(said.contains("no base p is held"), "{said}");
        let deleted = node.delete("/groups/p").await;
        assert_eq!((deleted.status, deleted.text()), (204, ""));
        let shown = node.get("/processes/p").await.json(200);
        assert_eq!((&shown["status"], &shown["snapshot_slot"]), (&json!("idle"), &json!(1)));
        node.delete("/groups/p").await.refusal(404, "not_found");
        let said = node.resolve("p", "{}").await.refusal(404, "not_found");
        assert!(said.contains("no base p is held"), "{said}");
        assert!(node.fakes.slots(&process, Asked::DryRun).is_empty());
    });
}

#[test]
fn the_name_of_an_execution_is_no_base() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        // The base is there, so that all that is executed is the dry-run.
        node.hold_base("p", r#"{"static":true}"#).await;
        node.fakes.hold(&process, Manner::Obeying);
        let tried = node.start_post("/processes/p/dry-run", "{}");
        node.held(1).await;
        let execution = node.group_where("it runs", |status| status["leader"] == "execution").await;
        let name = execution["group"].as_str().unwrap();
        node.delete(&format!("/groups/{name}")).await.refusal(404, "not_found");
        let resolving = node.start_post(&format!("/groups/{name}/resolve"), "{}");
        node.group_where("it is asked", |status| status["group"] == *name && status["queue"] == 1).await;
        node.fakes.let_go();
        assert_eq!(tried.await.unwrap().json(200)["outcome"]["Output"], 1);
        let said = resolving.await.unwrap().refusal(404, "not_found");
        assert!(said.contains(name), "{said}");
        node.resolve(name, "{}").await.refusal(404, "not_found");
        assert_eq!(node.fakes.slots(&process, Asked::DryRun), [1]);
    });
}

#[test]
fn each_path_says_which_methods_it_does_not_take() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        let group = nobodys("counter");
        for (path, taken) in [
            ("/processes/counter/base".to_owned(), vec!["POST"]),
            ("/groups".to_owned(), vec!["GET"]),
            (format!("/groups/{group}"), vec!["DELETE"]),
            (format!("/groups/{group}/resolve"), vec!["POST"]),
            ("/group-monitor".to_owned(), vec!["POST", "DELETE"]),
        ] {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                let verb = Method::from_bytes(method.as_bytes()).unwrap();
                let answer = node.send(TestRequest::default().method(verb).uri(&path)).await;
                if taken.contains(&method) {
                    assert_ne!(answer.status, 405, "{method} {path}");
                } else {
                    let said = answer.refusal(405, "bad_request");
                    assert!(said.contains(method) && said.contains(&path), "{method} {path}: {said}");
                }
            }
        }
        for path in ["/groups/", "/groups/a/b", "/groups/a/resolve/b", "/group-monitor/a", "/processes/counter/base/a"]
        {
            node.get(path).await.refusal(404, "not_found");
        }
    });
}

#[test]
fn a_token_is_asked_for_wherever_groups_are() {
    let config = "[http]\ntokens = [{ name = \"alice\", token = \"sesame\" }]";
    lua(config, async |node| {
        let group = nobodys("counter");
        for (method, path) in [
            (Method::POST, "/processes/counter/base".to_owned()),
            (Method::GET, "/groups".to_owned()),
            (Method::DELETE, format!("/groups/{group}")),
            (Method::POST, format!("/groups/{group}/resolve")),
            (Method::POST, "/group-monitor".to_owned()),
            (Method::DELETE, "/group-monitor".to_owned()),
        ] {
            let request = || TestRequest::default().method(method.clone()).uri(&path);
            node.send(request()).await.refusal(401, "unauthorized");
            let known = node.send(request().insert_header(("Authorization", "Bearer sesame"))).await;
            assert_ne!(known.status, 401, "{path}");
        }
    });
}

#[test]
fn who_resolves_is_who_holds_the_token() {
    let config = "[http]\ntokens = [{ name = \"alice\", token = \"sesame\" }, { name = \"bob\", token = \"tahini\" }]";
    lua(config, async |node| {
        let post = |path: &str, body: String, token: &str| {
            let request = TestRequest::post().uri(path).set_payload(body);
            request.insert_header(("Authorization", format!("Bearer {token}")))
        };
        let source = "function compute(state, msg) return { msg.From, msg.Owner } end";
        let body = json!({ "id": "p", "device": "lua", "source": source }).to_string();
        node.send(post("/processes", body, "sesame")).await.json(201);
        let held = node.send(post("/processes/p/base", r#"{"static":true}"#.to_owned(), "sesame")).await.json(201);
        let path = format!("/groups/{}/resolve", held["group"].as_str().unwrap());
        for (token, name) in [("sesame", "alice"), ("tahini", "bob")] {
            for path in [path.as_str(), "/processes/p/dry-run"] {
                let body = node.send(post(path, String::new(), token)).await.json(200);
                assert_eq!(body["outcome"]["Output"], json!([name, name]), "{path}");
            }
        }
    });
}
