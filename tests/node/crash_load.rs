//! Clients that write down what they were told, until the node dies under them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::harness::{Answer, Api, Random, Row};

/// So many processes take messages.
pub const PROCESSES: u64 = 100;
/// So many clients ask at a time.
const CLIENTS: usize = 16;

/// Counts the messages that it took well. What else it does is up to the message.
const SCRIPT: &str = r#"
function compute(state, msg)
  if msg.Do == "fail" then error("told to fail") end
  state.count = (state.count or 0) + 1
  if msg.Do == "dirty" then error("failed halfway") end
  while msg.Do == "spin" do end
  if msg.Do == "send" then send{ Target = "nobody", Data = msg.Data, Anchor = msg.Id } end
  return state.count
end
"#;

/// What a message may ask for, with what is in the error that it leads to.
pub const DEEDS: [(&str, Option<&str>); 5] = [
    ("count", None),
    ("fail", Some(":3: told to fail")),
    ("dirty", Some(":5: failed halfway")),
    ("spin", Some("limit gas: ")),
    ("send", None),
];

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub process: String,
    pub id: Option<String>,
    deed: &'static str,
    data: String,
}

/// What the clients were told. It must hold for ever.
#[derive(Debug, Default)]
pub struct Witness {
    /// The id and content of each acknowledged message, by process and slot.
    pub acknowledged: BTreeMap<(String, u64), (String, String)>,
    /// The bytes of each outcome that somebody saw, by process and slot.
    pub seen: BTreeMap<(String, u64), String>,
    /// Messages with an id of the client's that no answer came to.
    pub unanswered: Vec<Sent>,
    /// Messages with an id of the client's that were acknowledged, with their slot.
    pub answered: Vec<(Sent, u64)>,
    /// Further processes that were created.
    pub created: Vec<String>,
}

/// The id of a process.
pub fn process(number: u64) -> String {
    format!("p{number}")
}

/// Creates the processes.
pub async fn create_all(api: &Api) {
    for number in 0..PROCESSES {
        api.post("/processes", &definition(&process(number))).await.expect(201);
    }
}

/// What a process is created from.
pub fn definition(id: &str) -> Value {
    json!({ "id": id, "device": "lua", "source": SCRIPT, "limits": { "gas": 100_000 } })
}

impl Sent {
    fn random(random: &mut Random) -> Self {
        let number = random.below(PROCESSES);
        let deed = if random.below(2) == 0 { "count" } else { DEEDS[(number % 5) as usize].0 };
        let id = (random.below(2) == 0).then(|| random.message_id());
        Self { process: process(number), id, deed, data: format!("{:x}", random.next()) }
    }

    /// The path and the body that schedule it.
    pub fn request(&self, wait: &str) -> (String, Value) {
        let mut body = json!({ "Data": self.data, "Tags": { "Do": self.deed } });
        if let Some(id) = &self.id {
            body["Id"] = json!(id);
        }
        (format!("/processes/{}/schedule{wait}", self.process), body)
    }
}

impl Witness {
    /// Notes the answer to a message.
    pub fn was_told(&mut self, sent: &Sent, answer: &Answer) {
        assert!(matches!(answer.status, 200 | 202), "{sent:?} is answered with {}", answer.text);
        let (slot, id) = (answer.slot(), answer.json()["id"].as_str().expect("an id").to_owned());
        let before = self.acknowledged.insert((sent.process.clone(), slot), (id.clone(), sent.data.clone()));
        assert!(
            before.is_none_or(|before| before.0 == id),
            "slot {slot} of {} was given to two messages",
            sent.process
        );
        if sent.id.is_some() {
            self.answered.push((sent.clone(), slot));
        }
        if let Some(row) = answer.row() {
            self.saw(&sent.process, row);
        }
    }

    fn saw(&mut self, process: &str, row: Row) {
        let slot = row.slot;
        let before = self.seen.insert((process.to_owned(), slot), row.outcome.clone());
        assert!(before.is_none_or(|before| before == row.outcome), "the outcome of slot {slot} of {process} changed");
    }
}

/// Clients that ask until the node is gone.
pub struct Load {
    clients: JoinSet<()>,
    witness: Arc<Mutex<Witness>>,
}

impl Load {
    /// Starts them. What they hear is added to `witness`.
    pub fn start(api: &Api, random: &mut Random, witness: Witness) -> Self {
        let witness = Arc::new(Mutex::new(witness));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(ask_until_gone(api.clone(), random.branch(), witness.clone()));
        }
        Self { clients, witness }
    }

    /// Waits until all have met the node's end, and says what they heard.
    pub async fn over(self) -> Witness {
        self.clients.join_all().await;
        std::mem::take(&mut *self.witness.lock().unwrap())
    }
}

async fn ask_until_gone(api: Api, mut random: Random, witness: Arc<Mutex<Witness>>) {
    loop {
        let is_alive = match random.below(20) {
            0 | 1 => read_outcome(&api, &mut random, &witness).await,
            2 | 3 => read_newest(&api, &mut random, &witness).await,
            4 => create(&api, &mut random, &witness).await,
            5 => disturb(&api, &mut random).await,
            choice => schedule(&api, &mut random, &witness, if choice < 10 { "?wait=5s" } else { "" }).await,
        };
        if !is_alive {
            return;
        }
    }
}

async fn schedule(api: &Api, random: &mut Random, witness: &Mutex<Witness>, wait: &str) -> bool {
    let sent = Sent::random(random);
    let (path, body) = sent.request(wait);
    let answer = api.ask(Method::POST, &path, Some(&body)).await;
    let mut witness = witness.lock().unwrap();
    match answer {
        Ok(answer) => {
            witness.was_told(&sent, &answer);
            true
        }
        Err(_) => {
            witness.unanswered.extend(sent.id.is_some().then_some(sent));
            false
        }
    }
}

async fn create(api: &Api, random: &mut Random, witness: &Mutex<Witness>) -> bool {
    let id = random.message_id();
    let Ok(answer) = api.ask(Method::POST, "/processes", Some(&definition(&id))).await else { return false };
    answer.expect(201);
    witness.lock().unwrap().created.push(id);
    true
}

/// Has a worker store a snapshot, or sends it away, in the midst of its work.
async fn disturb(api: &Api, random: &mut Random) -> bool {
    let process = process(random.below(PROCESSES));
    let asked = match random.below(2) {
        0 => api.ask(Method::POST, &format!("/processes/{process}/snapshot"), Some(&Value::Null)).await,
        _ => api.ask(Method::DELETE, &format!("/processes/{process}/worker"), None).await,
    };
    let Ok(answer) = asked else { return false };
    assert!(matches!(answer.status, 200 | 204 | 404), "{}", answer.text);
    true
}

async fn read_outcome(api: &Api, random: &mut Random, witness: &Mutex<Witness>) -> bool {
    let process = process(random.below(PROCESSES));
    let Ok(answer) = api.ask(Method::GET, &format!("/processes/{process}/compute"), None).await else { return false };
    let row = answer.expect(200).row().expect("an outcome");
    witness.lock().unwrap().saw(&process, row);
    true
}

async fn read_newest(api: &Api, random: &mut Random, witness: &Mutex<Witness>) -> bool {
    let process = process(random.below(PROCESSES));
    let Ok(rows) = api.newest_results(&process, 20).await else { return false };
    let mut witness = witness.lock().unwrap();
    rows.into_iter().for_each(|row| witness.saw(&process, row));
    true
}
