//! A client of the node.

use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{DEADLINE, until};

/// A client of the node. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    root: String,
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body as it came.
    pub text: String,
    /// Seconds of the header `Retry-After`.
    pub retry_after: Option<String>,
}

/// A row of a page of outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its slot.
    pub slot: u64,
    /// The outcome's bytes.
    pub outcome: String,
}

#[derive(Deserialize)]
struct Page {
    edges: Vec<Edge>,
    #[serde(rename = "pageInfo")]
    info: PageInfo,
}

#[derive(Deserialize)]
struct PageInfo {
    #[serde(rename = "hasNextPage")]
    has_next_page: bool,
}

#[derive(Deserialize)]
struct Edge {
    cursor: String,
    node: Box<RawValue>,
}

#[derive(Deserialize)]
struct WithOutcome {
    slot: u64,
    outcome: Option<Box<RawValue>>,
}

impl Page {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn rows(self) -> impl Iterator<Item = (u64, String)> {
        let slot = |cursor: String| cursor.parse().expect("the cursor is the slot");
        self.edges.into_iter().map(move |edge| (slot(edge.cursor), edge.node.get().to_owned()))
    }
}

impl Row {
    /// An outcome and its slot are one object, in which the slot comes last.
    fn new((slot, text): (u64, String)) -> Self {
        let end = format!(",\"Slot\":{slot}}}");
        let outcome = text.strip_suffix(&end).unwrap_or_else(|| panic!("{text} does not end in {end}"));
        Self { slot, outcome: format!("{outcome}}}") }
    }
}

impl Answer {
    /// Whether the status is this.
    pub fn is(&self, status: u16) -> bool {
        self.status == status
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of a refusal.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The slot that it names.
    #[track_caller]
    pub fn slot(&self) -> u64 {
        self.json()["slot"].as_u64().unwrap_or_else(|| panic!("no slot in {}", self.text))
    }

    /// The slot and the bytes of the outcome that it holds, if it holds one.
    pub fn row(&self) -> Option<Row> {
        let read: WithOutcome = serde_json::from_str(&self.text).ok()?;
        Some(Row { slot: read.slot, outcome: read.outcome?.get().to_owned() })
    }
}

impl Api {
    /// A client of the node at an address.
    pub fn new(address: &str) -> Self {
        // Another test of this program may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(DEADLINE).build().expect("a client");
        Self { client, root: format!("http://{address}") }
    }

    /// The same, which says who asks by a token.
    pub fn with_token(self, token: &str) -> Self {
        let value = format!("Bearer {token}").parse().expect("a token of visible characters");
        let headers = [(reqwest::header::AUTHORIZATION, value)].into_iter().collect();
        let client = Client::builder().no_proxy().timeout(DEADLINE).default_headers(headers).build();
        Self { client: client.expect("a client"), ..self }
    }

    /// Asks. An error means that no answer came.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.root));
        if let Some(body) = body {
            request = request.json(body);
        }
        Self::answer(request).await
    }

    async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok().map(str::to_owned));
        Ok(Answer { status, text: response.text().await?, retry_after })
    }

    /// Gets something whose body is still to come.
    pub async fn open(&self, path: &str) -> reqwest::Response {
        let asked = self.client.get(format!("{}{path}", self.root)).send().await;
        asked.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    /// Gets.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    /// Posts.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    /// Posts bytes.
    pub async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Answer {
        let request = self.client.post(format!("{}{path}", self.root)).body(body);
        Self::answer(request).await.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    /// Deletes.
    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await.unwrap_or_else(|error| panic!("DELETE {path}: {error:?}"))
    }

    /// Creates a process that runs `script` under `limits`.
    pub async fn create(&self, id: &str, script: &str, limits: Value) {
        let body = json!({ "id": id, "device": "lua", "source": script, "limits": limits });
        self.post("/processes", &body).await.expect(201);
    }

    /// Schedules a message and waits for its outcome.
    pub async fn send(&self, id: &str, data: &str) -> Answer {
        self.post(&format!("/processes/{id}/schedule?wait=25s"), &json!({ "Data": data })).await
    }

    /// Schedules a message, waits for its outcome, and returns that.
    pub async fn outcome(&self, id: &str, data: &str) -> Value {
        self.send(id, data).await.expect(200).json()["outcome"].clone()
    }

    /// Schedules a message and returns its slot once it is on disk.
    pub async fn schedule(&self, id: &str, data: &str) -> u64 {
        self.post(&format!("/processes/{id}/schedule"), &json!({ "Data": data })).await.expect(202).slot()
    }

    /// Where a process stands.
    pub async fn status(&self, id: &str) -> Value {
        self.get(&format!("/processes/{id}")).await.expect(200).json()
    }

    /// A process's state.
    pub async fn state(&self, id: &str) -> Value {
        self.get(&format!("/processes/{id}/state")).await.expect(200).json()
    }

    /// Waits until a process stands as it should.
    pub async fn status_where(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        until(what, async || Some(self.status(id).await).filter(|status| fits(status))).await
    }

    /// The messages of a log behind slot `after`, each with its cursor.
    pub async fn log(&self, id: &str, after: Option<u64>) -> Vec<Value> {
        let rows = self.rows(&format!("/processes/{id}/schedule"), after).await;
        rows.into_iter().map(|(_, text)| serde_json::from_str(&text).expect("a message")).collect()
    }

    /// The message in slot 0 of a log.
    pub async fn log_head(&self, id: &str) -> Value {
        let page = self.get(&format!("/processes/{id}/schedule?limit=1")).await.expect(200).json();
        page["edges"][0]["node"].clone()
    }

    /// The stored outcomes behind slot `after`.
    pub async fn results(&self, id: &str, after: Option<u64>) -> Vec<Row> {
        self.rows(&format!("/processes/{id}/results"), after).await.into_iter().map(Row::new).collect()
    }

    /// The newest stored outcomes, newest first. An error means that no answer came.
    pub async fn newest_results(&self, id: &str, limit: usize) -> Result<Vec<Row>, reqwest::Error> {
        let path = format!("/processes/{id}/results?sort=DESC&limit={limit}");
        let answer = self.ask(Method::GET, &path, None).await?.expect(200);
        Ok(Page::read(&answer.text).rows().map(Row::new).collect())
    }

    /// Every row of a list of slots behind `after`, page by page.
    async fn rows(&self, path: &str, mut after: Option<u64>) -> Vec<(u64, String)> {
        let mut rows = Vec::new();
        loop {
            let from = after.map(|slot| format!("&from={slot}")).unwrap_or_default();
            let text = self.get(&format!("{path}?limit=1000{from}")).await.expect(200).text;
            let page = Page::read(&text);
            let has_more = page.info.has_next_page;
            rows.extend(page.rows());
            after = rows.last().map(|(slot, _)| *slot).or(after);
            if !has_more {
                return rows;
            }
        }
    }

    /// Where every process stands, in order of their ids.
    pub async fn processes(&self) -> Vec<Value> {
        let (mut found, mut from) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/processes?limit=1000{from}")).await.expect(200).json();
            let edges = page["edges"].as_array().expect("a page");
            found.extend(edges.iter().map(|edge| edge["node"].clone()));
            if page["pageInfo"]["hasNextPage"] == false {
                return found;
            }
            from = format!("&from={}", edges[edges.len() - 1]["cursor"].as_str().expect("a cursor"));
        }
    }

    /// The monitors that run.
    pub async fn monitors(&self) -> Vec<Value> {
        let body = self.get("/monitors").await.expect(200).json();
        body["monitors"].as_array().expect("a list").clone()
    }

    /// The first thousand dead letters.
    pub async fn dead_letters(&self) -> Vec<Value> {
        let body = self.get("/dead-letters?limit=1000").await.expect(200).json();
        body["edges"].as_array().expect("a page").iter().map(|edge| edge["node"].clone()).collect()
    }

    /// Waits until everything that is scheduled is computed, without asking for any of it.
    pub async fn all_computed(&self) -> Vec<Value> {
        until("everything is computed", async || {
            let all = self.processes().await;
            all.iter().all(|process| process["computed_slot"] == process["scheduled_slot"]).then_some(all)
        })
        .await
    }
}
