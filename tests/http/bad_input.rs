//! What makes no sense is refused in plain words, costs nothing, and is no reason to raise one's voice.

use actix_web::http::header::HeaderValue;
use actix_web::test::TestRequest;
use serde_json::json;

use super::listened::{heard, listen};
use super::rig::{COUNTER, Node, lua};

const INCREMENT: &str = r#"{"Tags":{"Action":"Increment"}}"#;

/// One bad request among good ones: those before and after keep their places, and nothing loud is logged.
async fn between_good_ones(node: &Node, process: &str, request: TestRequest, expected: &[u16], what: &str) {
    let path = format!("/processes/{process}/schedule?wait=30s");
    let before = node.post(&path, INCREMENT).await.json(200);
    let answer = node.send(request).await;
    assert!(expected.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    let code = answer.json(answer.status)["error"]["code"].as_str().unwrap_or_default().to_owned();
    answer.refusal(answer.status, &code);
    let after = node.post(&path, INCREMENT).await.json(200);
    let (slot, count) = (before["slot"].as_u64().unwrap(), before["outcome"]["Output"].as_u64().unwrap());
    assert_eq!((&after["slot"], &after["outcome"]["Output"]), (&json!(slot + 1), &json!(count + 1)), "{what}");
    assert_eq!(heard(process), [""; 0], "{what}");
}

#[test]
fn bodies_that_are_no_messages() {
    listen();
    let deep = |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("blank", b" ".to_vec()),
        ("cut off", br#"{"Data":"x"#.to_vec()),
        ("cut off in an escape", br#"{"Data":"\u00"#.to_vec()),
        ("no quotes", br"{Data:1}".to_vec()),
        ("single quotes", br"{'Data':'x'}".to_vec()),
        ("a comma too many", br#"{"Data":"x",}"#.to_vec()),
        ("two values", br"{} {}".to_vec()),
        ("rest", br"{}x".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a list of fields", br#"[null,null,null,null,"x"]"#.to_vec()),
        ("a tag as a list", br#"{"Tags":[["a","b"]]}"#.to_vec()),
        ("a text", br#""x""#.to_vec()),
        ("a number", b"1".to_vec()),
        ("null", b"null".to_vec()),
        ("NaN", br#"{"Data":NaN}"#.to_vec()),
        ("number as data", br#"{"Data":5}"#.to_vec()),
        ("object as data", br#"{"Data":{}}"#.to_vec()),
        ("a huge number", format!(r#"{{"Data":1{}}}"#, "0".repeat(10_000)).into_bytes()),
        ("a number beyond floats", br#"{"Data":1e999999}"#.to_vec()),
        ("number as id", br#"{"Id":5}"#.to_vec()),
        ("short id", br#"{"Id":"abc"}"#.to_vec()),
        ("id with a slash", json!({ "Id": "/".repeat(43) }).to_string().into_bytes()),
        ("long id", json!({ "Id": "a".repeat(100_000) }).to_string().into_bytes()),
        ("id of 43 letters that are not ASCII", json!({ "Id": "ä".repeat(43) }).to_string().into_bytes()),
        ("another target", br#"{"Target":"other"}"#.to_vec()),
        ("number as target", br#"{"Target":1}"#.to_vec()),
        ("number as anchor", br#"{"Anchor":1}"#.to_vec()),
        ("unknown key", br#"{"Dta":"x"}"#.to_vec()),
        ("key in small letters", br#"{"data":"x"}"#.to_vec()),
        ("empty key", br#"{"":"x"}"#.to_vec()),
        ("duplicate key", br#"{"Data":"x","Data":"y"}"#.to_vec()),
        ("tags as text", br#"{"Tags":"x"}"#.to_vec()),
        ("number as tag value", br#"{"Tags":{"a":1}}"#.to_vec()),
        ("null as tag value", br#"{"Tags":{"a":null}}"#.to_vec()),
        ("list as tag value", br#"{"Tags":{"a":["x"]}}"#.to_vec()),
        ("tag without name", br#"{"Tags":[{"value":"x"}]}"#.to_vec()),
        ("tag without value", br#"{"Tags":[{"name":"x"}]}"#.to_vec()),
        ("tag with an empty name", br#"{"Tags":{"":"x"}}"#.to_vec()),
        ("tag in a list with an empty name", br#"{"Tags":[{"name":"","value":"x"}]}"#.to_vec()),
        ("tag with more", br#"{"Tags":[{"name":"a","value":"x","more":1}]}"#.to_vec()),
        ("tag with a name twice", br#"{"Tags":[{"name":"a","name":"b","value":"x"}]}"#.to_vec()),
        ("tags of numbers", br#"{"Tags":[1,2]}"#.to_vec()),
        ("deep lists", deep("[", "]", 100_000).into_bytes()),
        ("deep lists in tags", format!(r#"{{"Tags":{}}}"#, deep("[", "]", 100_000)).into_bytes()),
        ("deep objects", deep(r#"{"Tags":"#, "}", 100_000).into_bytes()),
        ("deep and open", "[".repeat(1_000_000).into_bytes()),
        ("not UTF-8", b"{\"Data\":\"\xff\"}".to_vec()),
        ("UTF-8 of a surrogate", b"{\"Data\":\"\xed\xa0\x80\"}".to_vec()),
        ("half a surrogate pair", br#"{"Data":"\ud800"}"#.to_vec()),
        ("a bare NUL", b"{\"Data\":\"\0\"}".to_vec()),
        ("a bare line break", b"{\"Data\":\"a\nb\"}".to_vec()),
        ("only NULs", vec![0; 100]),
        ("a mark of byte order", "\u{feff}{}".as_bytes().to_vec()),
        ("XML", b"<message/>".to_vec()),
    ];
    lua("", async |node| {
        node.create("bad-bodies", COUNTER).await;
        for (what, body) in table {
            for call in ["schedule", "schedule?wait=30s", "dry-run"] {
                let path = format!("/processes/bad-bodies/{call}");
                let request = TestRequest::post().uri(&path).set_payload(body.clone());
                between_good_ones(&node, "bad-bodies", request, &[400], what).await;
            }
        }
    });
}

#[test]
fn odd_bodies_that_are_messages_all_the_same() {
    listen();
    lua("", async |node| {
        node.create("odd-bodies", COUNTER).await;
        for body in [
            r#"{"Data":"\u0000"}"#.to_owned(),
            r#"{"Tags":{"a\u0000b":"\u0000"}}"#.to_owned(),
            r#"{"Tags":{"a":"1","a":"2"}}"#.to_owned(),
            r#"{"Tags":{}}"#.to_owned(),
            r#"{"Data":"\ud83d\ude00"}"#.to_owned(),
            " \n\t{ } \r\n".to_owned(),
            json!({ "Data": "\u{202e}\u{7f}<script>" }).to_string(),
            json!({ "Tags": (0..1000).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>() })
                .to_string(),
        ] {
            let answer = node.post("/processes/odd-bodies/schedule?wait=30s", body.clone()).await.json(200);
            let slot = answer["slot"].as_u64().unwrap();
            let path = format!("/processes/odd-bodies/schedule?from={}&limit=1", slot - 1);
            let shown = node.get(&path).await.json(200)["edges"][0]["node"].clone();
            let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(shown["Data"], sent.get("Data").cloned().unwrap_or(json!("")), "{body}");
        }
        assert_eq!(heard("odd-bodies"), [""; 0]);
    });
}

#[test]
fn paths_and_queries_that_lead_nowhere() {
    listen();
    let long = format!("/processes/{}", "x".repeat(60_000));
    let table: Vec<(&str, String, &[u16])> = vec![
        ("GET", "/".into(), &[404]),
        ("GET", "/process".into(), &[404]),
        ("GET", "/processes/".into(), &[404]),
        ("GET", "//processes".into(), &[404]),
        ("GET", "/processes//schedule".into(), &[404]),
        ("GET", "/processes/nobody".into(), &[404]),
        ("GET", "/processes/nobody/compute?slot=0".into(), &[404]),
        ("GET", "/processes/nobody/now".into(), &[404]),
        ("GET", "/processes/nobody/state".into(), &[404]),
        ("POST", "/processes/nobody/schedule".into(), &[404]),
        ("POST", "/processes/nobody/schedule?wait=1s".into(), &[404]),
        ("POST", "/processes/nobody/dry-run".into(), &[404]),
        ("POST", "/processes/nobody/snapshot".into(), &[404]),
        ("POST", "/processes/nobody/resume".into(), &[404]),
        ("DELETE", "/processes/nobody/worker".into(), &[404]),
        ("GET", "/processes/bad-paths/nothing".into(), &[404]),
        ("GET", "/processes/bad-paths/now/more".into(), &[404]),
        ("GET", "/processes/%00".into(), &[400]),
        ("GET", "/processes/%ff".into(), &[400]),
        ("GET", "/processes/%C3%28".into(), &[400]),
        ("GET", "/processes/%E4%BD%A0".into(), &[400]),
        ("GET", "/processes/a%2Fb".into(), &[400]),
        ("GET", "/processes/%2e%2e%2f%2e%2e%2fetc%2fpasswd".into(), &[400]),
        ("GET", "/processes/..%2f..".into(), &[400]),
        ("GET", "/processes/a%20b/now".into(), &[400]),
        ("GET", "/processes/%zz".into(), &[400]),
        ("GET", "/processes/%".into(), &[400]),
        ("GET", "/processes/a;b=c".into(), &[400]),
        ("GET", "/processes/a,b".into(), &[400]),
        ("GET", long, &[400]),
        ("GET", "/processes/bad-paths/compute?slot=-1".into(), &[400]),
        ("GET", "/processes/bad-paths/compute?slot=99999".into(), &[404]),
        ("GET", "/processes/bad-paths/compute?slot=1e3".into(), &[400]),
        ("GET", "/processes/bad-paths/compute?slot=%31%00".into(), &[400]),
        ("GET", "/processes/bad-paths/compute?slot=1&slot=2".into(), &[400]),
        ("GET", "/processes/bad-paths/compute?Slot=1".into(), &[400]),
        ("GET", "/processes/bad-paths/compute?unknown".into(), &[400]),
        ("GET", "/processes/bad-paths/compute?=".into(), &[400]),
        ("GET", format!("/processes/bad-paths/compute?slot={}", "9".repeat(10_000)), &[400]),
        ("GET", "/processes/bad-paths/schedule?from=%ff".into(), &[400]),
        ("GET", "/processes/bad-paths/schedule?limit=%00".into(), &[400]),
        ("POST", "/processes/bad-paths/schedule?wait=soon".into(), &[400]),
        ("POST", "/processes/bad-paths/schedule?wait=5".into(), &[400]),
        ("POST", "/processes/bad-paths/schedule?wait=-5s".into(), &[400]),
        ("POST", "/processes/bad-paths/schedule?wait=99999999999999999999y".into(), &[400]),
        ("POST", "/processes/bad-paths/schedule?what=5s".into(), &[400]),
        ("POST", "/processes/bad-paths/resume?skip=maybe".into(), &[400]),
        ("POST", "/processes/bad-paths/resume".into(), &[409]),
    ];
    lua("", async |node| {
        node.create("bad-paths", COUNTER).await;
        for (method, path, expected) in table {
            let Ok(uri) = actix_web::http::Uri::try_from(&path) else { panic!("{path} is no URI") };
            let method = actix_web::http::Method::try_from(method).unwrap();
            let what = format!("{method} {}", &path[..path.len().min(80)]);
            let request = TestRequest::default().method(method).uri(&uri.to_string());
            between_good_ones(&node, "bad-paths", request, expected, &what).await;
        }
    });
}

#[test]
fn methods_that_a_path_does_not_take() {
    listen();
    lua("", async |node| {
        node.create("bad-methods", COUNTER).await;
        let paths = [
            ("/processes", "GET POST"),
            ("/processes/bad-methods", "GET"),
            ("/processes/bad-methods/schedule", "GET POST"),
            ("/processes/bad-methods/compute", "GET"),
            ("/processes/bad-methods/now", "GET"),
            ("/processes/bad-methods/results", "GET"),
            ("/processes/bad-methods/state", "GET"),
            ("/processes/bad-methods/dry-run", "POST"),
            ("/processes/bad-methods/snapshot", "POST"),
            ("/processes/bad-methods/worker", "DELETE"),
            ("/processes/bad-methods/resume", "POST"),
            ("/livez", "GET"),
            ("/readyz", "GET"),
        ];
        for (path, taken) in paths {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW"] {
                if taken.split(' ').any(|one| one == method) {
                    continue;
                }
                let named = actix_web::http::Method::try_from(method).unwrap();
                let request = TestRequest::default().method(named).uri(path);
                between_good_ones(&node, "bad-methods", request, &[405], &format!("{method} {path}")).await;
            }
        }
    });
}

#[test]
fn headers_that_are_not_ascii() {
    listen();
    lua("", async |node| {
        node.create("bad-headers", COUNTER).await;
        for name in ["Host", "Origin"] {
            for value in [&b"\xff"[..], b"localhost\xc3\xa4", b"\x80\x81"] {
                let value = HeaderValue::from_bytes(value).unwrap();
                let request = TestRequest::get().uri("/processes").insert_header((name, value));
                between_good_ones(&node, "bad-headers", request, &[400], name).await;
            }
        }
        // Nobody reads these.
        for name in ["Authorization", "X-Anything", "Content-Type", "Accept"] {
            let value = HeaderValue::from_bytes(b"\xff").unwrap();
            let request = TestRequest::get().uri("/processes").insert_header((name, value));
            node.send(request).await.json(200);
        }
    });
    lua("[http]\ntokens = [{ name = \"a\", token = \"t\" }]", async |node| {
        let value = HeaderValue::from_bytes(b"Bearer \xff").unwrap();
        let answer = node.send(TestRequest::get().uri("/processes").insert_header(("Authorization", value))).await;
        answer.refusal(400, "bad_request");
    });
}

#[test]
fn a_refusal_does_not_repeat_all_that_it_was_given() {
    lua("", async |node| {
        node.create("long", COUNTER).await;
        let long = "x".repeat(100_000);
        for body in [
            json!({ "Id": long }),
            json!({ long.clone(): 1 }),
            json!({ "Target": long }),
            json!({ "Tags": { long.clone(): 1 } }),
            json!({ "Tags": long }),
        ] {
            let said = node.post("/processes/long/schedule", body.to_string()).await.refusal(400, "bad_request");
            assert!(said.len() < 1_000, "{} bytes", said.len());
        }
        let long = "x".repeat(50_000);
        for query in [format!("slot={long}"), format!("{long}=1"), format!("sort={long}"), format!("wait={long}")] {
            let answer = node.get(&format!("/processes/long/compute?{query}")).await;
            assert!(answer.body.len() < 1_000, "{} bytes", answer.body.len());
        }
        let body = json!({ "id": long, "device": long, "source": "x" }).to_string();
        let answer = node.post("/processes", body).await;
        assert!(answer.body.len() < 1_000, "{} bytes", answer.body.len());
        assert!(node.get(&format!("/nowhere/{}", "x".repeat(10_000))).await.body.len() < 1_000);
    });
}
