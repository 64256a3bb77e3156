//! What is asked of compute units.

use serde_json::{Value, json};

use super::server::{Act, Server, answer, client};
use crate::client::ClientError;
use crate::client::compute_unit::{ComputeUnit, ComputeUnitError};
use crate::ids::{MessageId, ProcessId};

fn process() -> ProcessId {
    ProcessId::parse("counter").unwrap()
}

/// A page of `rows` results with the cursors `c0`, `c1`, ….
fn page(rows: usize, has_more: bool) -> Value {
    let node = json!({ "Messages": [{ "Target": "a", "Data": "x", "Anchor": "", "Tags": [] }], "GasUsed": 5 });
    let edges: Vec<_> = (0..rows).map(|at| json!({ "cursor": format!("c{at}"), "node": node })).collect();
    json!({ "pageInfo": { "hasNextPage": has_more }, "edges": edges })
}

#[tokio::test]
async fn a_page_is_asked_for_and_read() {
    let server = Server::answering(200, &[], &page(2, true).to_string()).await;
    let unit = ComputeUnit::new(client(), &server.url("/cu")).unwrap();
    let first = unit.cron_page(&process(), None, 500).await.unwrap();
    unit.cron_page(&process(), Some("eyJ0 +/=&ä"), 2).await.unwrap();
    let lines: Vec<_> = server.seen().iter().map(|seen| seen.line().to_owned()).collect();
    assert_eq!(lines, ["GET /cu/cron/counter?limit=500", "GET /cu/cron/counter?from=eyJ0+%2B%2F%3D%26%C3%A4&limit=2"]);
    assert!(first.has_more);
    assert_eq!(first.results.iter().map(|row| row.cursor.as_str()).collect::<Vec<_>>(), ["c0", "c1"]);
    assert_eq!(first.results[0].outcome.messages[0].target, "a");
}

#[tokio::test]
async fn ten_thousand_rows_are_read_where_so_many_were_asked_for() {
    let server = Server::answering(200, &[], &page(10_000, false).to_string()).await;
    let unit = ComputeUnit::new(client(), &server.url("/")).unwrap();
    assert_eq!(unit.cron_page(&process(), None, 10_000).await.unwrap().results.len(), 10_000);
    let error = unit.cron_page(&process(), None, 500).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("edges: expected 500 items at most, found more"), "{text}");
}

#[tokio::test]
async fn a_bad_page_is_told_from_a_request_that_came_to_nothing() {
    for (body, part) in [
        (page(0, true).to_string(), "edges: expected at least one item"),
        (r#"{"error":"no such process"}"#.to_owned(), "the answer: edges is missing; the answer begins with"),
        ("<html>".to_owned(), "the answer: expected value"),
    ] {
        let server = Server::answering(200, &[], &body).await;
        let unit = ComputeUnit::new(client(), &server.url("/")).unwrap();
        let error = unit.cron_page(&process(), Some("secret"), 5).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ComputeUnitError::Answer { .. }) && !error.is_permanent(), "{error:?}");
        assert!(text.contains(part) && text.contains(&server.url("/cron/counter?…")), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    let server = Server::answering(404, &[], "gone").await;
    let error = ComputeUnit::new(client(), &server.url("/")).unwrap().cron_page(&process(), None, 5).await.unwrap_err();
    assert!(matches!(&error, ComputeUnitError::Client(ClientError::Status { code: 404, .. })), "{error:?}");
    assert!(error.is_permanent());
}

#[tokio::test]
async fn bytes_that_are_no_text_are_no_page() {
    let mut bytes = answer(200, &[], "xx");
    let end = bytes.len();
    bytes[end - 2..].fill(0xff);
    let server = Server::play([vec![Act::Send(bytes)]]).await;
    let error = ComputeUnit::new(client(), &server.url("/")).unwrap().cron_page(&process(), None, 5).await.unwrap_err();
    assert!(matches!(&error, ComputeUnitError::Client(ClientError::NotJson { .. })), "{error:?}");
}

#[tokio::test]
async fn a_result_is_asked_for_and_read() {
    let id = MessageId::derived(&[]);
    let body = json!({ "Messages": [], "Spawns": [{}, {}], "Assignments": [{}], "Output": { "data": "2" } });
    let server = Server::answering(200, &[], &body.to_string()).await;
    let unit = ComputeUnit::new(client(), &server.url("/")).unwrap();
    let outcome = unit.result(&id, &process()).await.unwrap();
    assert_eq!((outcome.spawns, outcome.assignments, outcome.output.as_str()), (2, 1, r#"{"data":"2"}"#));
    assert_eq!(server.seen()[0].line(), format!("GET /result/{id}?process-id=counter"));
}
