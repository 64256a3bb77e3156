//! What the client makes of answers, good and bad.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::server::{Act, Server, answer, client, hasty_client};
use crate::client::{Call, Client, ClientError, Endpoint, Options, Peer, Peers};

fn call(url: &str) -> Call {
    Call::to(Endpoint::parse(url).unwrap())
}

async fn get(client: &Client, url: &str) -> Result<Value, ClientError> {
    client.get_json(call(url)).await
}

/// The error of a `GET` from a server that plays one part, and its text.
async fn failure(client: &Client, part: Vec<Act>) -> (ClientError, String) {
    let server = Server::play([part]).await;
    let error = get(client, &server.url("/a?secret=1")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&server.url("/a?…")) && !text.contains("secret"), "{text}");
    (error, text)
}

#[tokio::test]
async fn json_goes_out_and_comes_back() {
    let server = Server::answering(200, &[], r#"{"a":1}"#).await;
    let client = client();
    let answer: Value = client.post_json(call(&server.url("/x")), &json!({ "b": 2 })).await.unwrap();
    assert_eq!((answer, get(&client, &server.url("/y?z=1")).await.unwrap()), (json!({ "a": 1 }), json!({ "a": 1 })));
    let [post, get] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert_eq!((post.line(), post.body.as_str()), ("POST /x", r#"{"b":2}"#));
    assert_eq!(post.header("content-type"), Some("application/json"));
    assert_eq!((get.line(), get.body.as_str()), ("GET /y?z=1", ""));
    for request in [post, get] {
        let agent = format!("mainstay/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("user-agent"), Some(agent.as_str()));
        assert_eq!(request.header("accept"), Some("application/json"));
        for absent in ["cookie", "accept-encoding", "referer", "authorization"] {
            assert_eq!(request.header(absent), None);
        }
    }
}

#[tokio::test]
async fn headers_tokens_and_credentials_are_sent_where_they_belong_and_never_shown() {
    let server = Server::answering(200, &[], "1").await;
    let peers = Peers::new(vec![Peer::new(&server.url("/a"), "secret").unwrap()]);
    let client = Client::new(Options { peers, ..Options::default() }).unwrap();
    assert!(!format!("{client:?}").contains("secret"), "{client:?}");
    client.get_json::<u8>(call(&server.url("/a/b?c")).header("X-A", "b").unwrap()).await.unwrap();
    client.post_json::<u8>(call(&server.url("/a")), &1).await.unwrap();
    client.look(call(&server.url("/a"))).await.unwrap();
    client.post(call(&server.url("/ab")), &1).await.unwrap();
    get(&client, &server.url("/a").replace("//", "//user:secret@")).await.unwrap();
    let seen = server.seen();
    let sent: Vec<_> = seen.iter().map(|request| request.header("authorization")).collect();
    let (token, credentials) = (Some("Bearer secret"), Some("Basic dXNlcjpzZWNyZXQ="));
    assert_eq!(sent, [token, token, token, None, credentials]);
    assert_eq!(seen[0].header("x-a"), Some("b"));
    for bad in ["a\nb", "a\r\nX: y", "\u{0}"] {
        assert!(matches!(call("http://a").header("X-A", bad), Err(ClientError::Header { name: "X-A", .. })));
        assert!(matches!(Peer::new("http://a", bad), Err(ClientError::Header { name: "Authorization", .. })));
    }
}

#[tokio::test]
async fn a_token_goes_nowhere_by_a_redirect() {
    let other = Server::answering(200, &[], "1").await;
    let location = format!("Location: {}", other.url("/"));
    let server = Server::answering(307, &[&location], "").await;
    let peers = Peers::new(vec![Peer::new(&server.url("/"), "secret").unwrap()]);
    let client = Client::new(Options { peers, ..Options::default() }).unwrap();
    let error = get(&client, &server.url("/")).await.unwrap_err();
    assert!(matches!(error, ClientError::Redirect { .. }), "{error:?}");
    assert_eq!(server.seen()[0].header("authorization"), Some("Bearer secret"));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn http_1_0_is_understood() {
    for text in ["HTTP/1.0 200 OK\r\n\r\n[1]", "HTTP/1.0 200\r\nContent-Length: 3\r\n\r\n[1] and more"] {
        let server = Server::play([vec![Act::Send(text.into())]]).await;
        assert_eq!(get(&client(), &server.url("/")).await.unwrap(), json!([1]), "{text}");
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let good = Act::Send(answer(200, &[], "1"));
    let server = Server::play([vec![good.clone(), Act::Again, good], vec![]]).await;
    let client = client();
    for _ in 0..2 {
        get(&client, &server.url("/")).await.unwrap();
    }
    assert!(matches!(get(&client, &server.url("/")).await, Err(ClientError::Broken { .. })));
}

#[tokio::test]
async fn statuses_are_errors_with_what_they_say() {
    let long = "ä".repeat(40_000);
    for (status, headers, body, name, wait, permanent) in [
        (400, vec![], r#"{"error":{"code":"bad_request","message":"no"}}"#, Some("bad_request"), None, true),
        (404, vec![], "<html>", None, None, true),
        (401, vec![], "", None, None, false),
        (429, vec!["Retry-After: 7"], "", None, Some(7), false),
        (500, vec![], long.as_str(), None, None, false),
        (501, vec![], "", None, None, true),
        (503, vec!["retry-after: Fri, 31 Dec 1999 23:59:59 GMT"], "", None, None, false),
        (304, vec![], "", None, None, false),
    ] {
        let server = Server::answering(status, &headers, body).await;
        let error = get(&client(), &server.url("/?secret")).await.unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(&status.to_string()) && shown.contains("/?…"), "{shown}");
        assert_eq!(error.is_permanent(), permanent, "{status}");
        let ClientError::Status { code, text, name: found, retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!((code, found.as_deref(), retry_after), (status, name, wait.map(Duration::from_secs)));
        assert_eq!(text, body.chars().take(500).collect::<String>());
    }
}

#[tokio::test]
async fn an_error_that_breaks_off_is_still_that_error() {
    let head = b"HTTP/1.1 503 x\r\nContent-Length: 100\r\n\r\nbusy".to_vec();
    for rest in [vec![], vec![Act::Hold], vec![Act::Flood]] {
        let part = [vec![Act::Send(head.clone())], rest].concat();
        let (error, _) = failure(&hasty_client(), part).await;
        assert!(matches!(&error, ClientError::Status { code: 503, text, .. } if text.starts_with("busy")), "{error:?}");
    }
}

#[tokio::test]
async fn redirects_are_refused_with_where_they_lead() {
    for (status, location, expected) in [
        (301, "/b?key=1", "/b?…"),
        (302, "http://user:secret@else/c", "http://else/c"),
        (308, "//else", "http://else/"),
    ] {
        let part = vec![Act::Send(answer(status, &[&format!("Location: {location}")], ""))];
        let (error, text) = failure(&client(), part).await;
        let ClientError::Redirect { to, .. } = &error else { panic!("{error:?}") };
        assert!(to.ends_with(expected) && text.contains(to) && error.is_permanent(), "{text}");
    }
}

#[tokio::test]
async fn whatever_takes_too_long_is_given_up() {
    for part in [
        vec![Act::Hold],
        vec![Act::Send(b"HTTP/1.1 200 x\r\nX: ".to_vec()), Act::Drip],
        vec![Act::Send(b"HTTP/1.1 200 x\r\n\r\n".to_vec()), Act::Drip],
        vec![Act::Send(b"HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n[1".to_vec()), Act::Hold],
    ] {
        let (error, text) = failure(&hasty_client(), part).await;
        assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
        assert!(text.contains("300ms") && !error.is_permanent(), "{text}");
    }
    let server = Server::play([vec![Act::Hold]]).await;
    let error =
        client().get_json::<Value>(call(&server.url("/")).within(Duration::from_millis(100))).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { after, .. } if after == Duration::from_millis(100)), "{error:?}");
}

#[tokio::test]
async fn no_more_is_read_than_the_limit() {
    let server = Server::answering(200, &[], "[1]").await;
    for (limit, fits) in [(3, true), (2, false)] {
        let got = client().get_json::<Value>(call(&server.url("/")).at_most(limit)).await;
        assert_eq!(got.is_ok(), fits, "{got:?}");
    }
    let unnamed = b"HTTP/1.1 200 x\r\n\r\n".to_vec();
    let named = b"HTTP/1.1 200 x\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
    for (head, rest) in [(unnamed, Act::Flood), (named.clone(), Act::Flood), (named, Act::Hold)] {
        let (error, text) = failure(&client(), vec![Act::Send(head), rest]).await;
        assert!(matches!(error, ClientError::TooLarge { limit: 16_777_216, .. }), "{error:?}");
        assert!(text.contains("16777216 bytes") && error.is_permanent(), "{text}");
    }
}

#[tokio::test]
async fn answers_that_are_no_http_or_break_off_are_told_from_silence() {
    for text in [
        "",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 x\r\nContent-Le",
        "HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n[1]",
        "HTTP/1.1 200 x\r\nContent-Length: -1\r\n\r\n[1]",
        "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n",
        "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[1]\r\n",
    ] {
        let (error, _) = failure(&client(), vec![Act::Send(text.into())]).await;
        assert!(matches!(error, ClientError::Broken { .. }) && !error.is_permanent(), "{text:?}: {error:?}");
    }
}

#[tokio::test]
async fn answers_that_are_not_the_json_asked_for_are_shown() {
    for (body, part) in
        [("", "EOF"), ("[1", "EOF"), ("[1] x", "trailing"), ("<html>", "expected value"), ("\u{1}", "\\u{1}")]
    {
        let (error, text) = failure(&client(), vec![Act::Send(answer(200, &[], body))]).await;
        assert!(matches!(error, ClientError::NotJson { .. }), "{error:?}");
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_connection() {
    let server = Server::play([vec![]]).await;
    let url = server.url("/a?secret=1");
    // Bound but not listening: the port is taken, and connections to it are refused.
    drop(server);
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let bound = format!("http://{}/", silent.local_addr().unwrap());
    for url in [url, bound, "https://127.0.0.1:1/".to_owned(), "http://name.invalid/".to_owned()] {
        let error = get(&client(), &url).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ClientError::Connect { .. }) && !error.is_permanent(), "{error:?}");
        assert!(!text.contains("secret") && text.contains("check the address"), "{text}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_taken_up_is_given_up() {
    // A backlog that is full: further connections are neither taken nor refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
    {
        queued.push(stream.unwrap());
        assert!(queued.len() < 100, "the backlog has no end");
    }
    let error = get(&soon_without_connection(), &format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }) && error.to_string().contains("200ms"), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_no_https_server() {
    // The greeting of TLS is no whole request, so it gets no answer.
    let server = Server::answering(200, &[], "1").await;
    let error = get(&soon_without_connection(), &server.url("/").replace("http", "https")).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }) && error.to_string().contains("200ms"), "{error:?}");
}

fn soon_without_connection() -> Client {
    Client::new(Options { connect_timeout: Duration::from_millis(200), ..Options::default() }).unwrap()
}
