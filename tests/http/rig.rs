//! A node whose HTTP face is called directly, without sockets.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Actor, Addr};
use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody as _, to_bytes};
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::Data;
use bytes::Bytes;
use mainstay::actors::fake_machine::FakeMachine;
use mainstay::actors::{
    Book, Delivery, Environment, Exhibit, Feeder, Gatherer, GroupMonitor, GroupRegistry, Hub, HubOptions, Measured,
    MemoryLedger, Observers, Readiness, Services, TrialRoom, Watcher,
};
use mainstay::client::{self, Client};
use mainstay::clock::Clock;
use mainstay::config::{Config, Origin, parse};
use mainstay::device::fake::Fakes;
use mainstay::device::lua::LuaFactory;
use mainstay::device::{ComputePool, DeviceFactory, PoolOptions};
use mainstay::http::{Face, Observed, app};
use mainstay::ids::ProcessId;
use mainstay::metrics::{Lags, Processes};
use mainstay::process::Defaults;
use mainstay::process::worker::WorkerOptions;
use mainstay::stats::SeriesStore;
use mainstay::store::faulty::{Faults, Faulty};
use mainstay::store::{Memory, Store, StoreOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What is awaited from other threads comes within this time, by a wide margin.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(5);

/// The counter that is shipped.
pub const COUNTER: &str = include_str!("../../config/processes/counter.lua");

type Calling = Pin<Box<dyn Future<Output = HttpResponse>>>;

/// A node behind its HTTP face.
pub struct Node {
    pub hub: Hub,
    pub face: Data<Face>,
    pub readiness: Arc<Readiness>,
    pub book: Book,
    pub observers: Observers,
    pub fakes: Fakes,
    pub faults: Faults,
    pub config: Config,
    /// The machine whose processes are watched, where `[watch]` is enabled.
    pub machine: FakeMachine,
    pub watcher: Option<Addr<Watcher>>,
    /// What is measured. Collections are made by [`Node::gatherer`] only.
    pub exhibit: Arc<Exhibit>,
    call: Rc<dyn Fn(TestRequest) -> Calling>,
    _folder: TempDir,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON, which came with this status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers.get("content-type").unwrap(), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The message of a refusal, which has this status and code and is of the one shape that refusals have.
    #[track_caller]
    pub fn refusal(&self, status: u16, code: &str) -> String {
        let body = self.json(status);
        let message = body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(body, json!({ "error": { "code": code, "message": message } }));
        assert!(!message.is_empty());
        message
    }
}

/// Runs `test` on a node with this configuration, whose processes run on Lua.
pub fn lua<T: Future<Output = ()>>(config: &str, test: impl FnOnce(Rc<Node>) -> T) {
    run(config, |_, _| Arc::new(LuaFactory), test);
}

/// Runs `test` on a node with this configuration, whose processes run on every kind of device.
pub fn devices<T: Future<Output = ()>>(config: &str, test: impl FnOnce(Rc<Node>) -> T) {
    run(config, |config, _| Arc::new(mainstay::node::devices(config).unwrap()), test);
}

/// Runs `test` on a node with this configuration, whose processes do what they are told.
pub fn fake<T: Future<Output = ()>>(config: &str, test: impl FnOnce(Rc<Node>) -> T) {
    run(config, |_, fakes| Arc::new(fakes.clone()), test);
}

fn run<T: Future<Output = ()>>(
    config: &str,
    factory: impl FnOnce(&Config, &Fakes) -> Arc<dyn DeviceFactory>,
    test: impl FnOnce(Rc<Node>) -> T,
) {
    let origin = Origin::File("test.toml".into());
    let config = parse(config, &origin, &|_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
    let fakes = Fakes::default();
    let factory = factory(&config, &fakes);
    actix::System::new().block_on(async move {
        let node = Rc::new(Node::start(config, fakes, factory).await);
        test(node.clone()).await;
        // Whatever hangs at the gate may end.
        node.fakes.let_go();
        node.hub.shutdown().await;
        node.hub.environment().pool.stop();
    });
}

fn environment(config: &Config, store: Store, factory: Arc<dyn DeviceFactory>) -> Environment {
    let workers = &config.workers;
    let pool = PoolOptions { threads: 2, threads_max: workers.compute_threads_max, turn: workers.compute_turn };
    Environment {
        store,
        pool: ComputePool::start(pool).unwrap(),
        trials: TrialRoom::default(),
        crashes: Arc::default(),
        services: OnceLock::new(),
        factory,
        clock: Clock::system(),
        options: WorkerOptions {
            process_workers: workers.process_workers,
            max_idle: workers.process_worker_max_idle,
            cache_frequency: workers.process_cache_frequency,
            async_cache: workers.process_async_cache,
            snapshots_kept: config.store.snapshots_kept,
            id_retention: config.limits.id_retention,
        },
        defaults: Defaults { limits: config.limits.process.clone(), error_strategy: workers.error_strategy },
        configured: arc_swap::ArcSwap::default(),
        meters: Arc::new(Processes::new(100)),
        memory: MemoryLedger::new(workers.total_memory),
        workers_max: workers.workers_max,
        give_up_after: Duration::from_millis(50),
    }
}

impl Node {
    async fn start(config: Config, fakes: Fakes, factory: Arc<dyn DeviceFactory>) -> Self {
        let faults = Faults::default();
        let folder = tempfile::tempdir().unwrap();
        let engine = Arc::new(Faulty::new(Arc::new(Memory::default()), faults.clone()));
        let data_dir = folder.path().to_owned();
        let store = Store::open(StoreOptions { data_dir, disk_reserve: 0, engine }).unwrap();
        let environment = Arc::new(environment(&config, store, factory));
        let registry = GroupRegistry::new(environment.clone()).start();
        let hub = Hub::new(vec![registry], environment, HubOptions::new(&config));
        let client = Client::new(client::Options::default()).unwrap();
        let delivery = Arc::new(Delivery::new(hub.clone(), &config, &client).unwrap());
        Services::start(&delivery, &config, &client, &[]);
        let group_monitor = GroupMonitor::new(hub.clone(), config.workers.group_monitor).start();
        let readiness = Arc::new(Readiness::default());
        let now_from_cache = config.workers.process_now_from_cache;
        let machine = FakeMachine::default();
        let (watcher, watching) = if config.watch.enabled {
            let begun = Watcher::begin(hub.clone(), config.watch.clone(), Arc::new(machine.clone()));
            Some(begun.await.unwrap()).unzip()
        } else {
            (None, None)
        };
        let book = Book::new(SeriesStore::new(config.metrics.series_capacity, config.metrics.max_series));
        let observers = Observers::start(&hub, &config, &client, &book, None, None);
        let (meters, clock) = (hub.environment().meters.clone(), hub.environment().clock.clone());
        let exhibit = Arc::new(Exhibit::new(meters, book.clone(), clock));
        let (health, alerts) = (observers.health.clone(), observers.alerts.clone());
        let face = Face::new(hub.clone(), group_monitor, delivery, readiness.clone(), &config.http, now_from_cache);
        let face = Data::new(face.showing(Observed { watching, exhibit: exhibit.clone(), health, alerts }));
        let service = Rc::new(init_service(app(face.clone())).await);
        let call = move |request: TestRequest| -> Calling {
            let service = service.clone();
            Box::pin(async move {
                let answered = actix_web::dev::Service::call(&*service, request.to_request()).await;
                match answered {
                    Ok(answered) => answered.into_parts().1.map_into_boxed_body(),
                    Err(error) => HttpResponse::from_error(error),
                }
            })
        };
        let call = Rc::new(call);
        let _folder = folder;
        Self { hub, face, readiness, book, observers, fakes, faults, config, machine, watcher, exhibit, call, _folder }
    }

    /// Who makes collections of this node, with the groups and anomalies of its configuration.
    pub fn gatherer(&self, feeders: Vec<Feeder>) -> Gatherer {
        let lags = Arc::new(Lags::new(10));
        lags.ring("main").push(Duration::from_millis(1));
        let (exhibit, environment) = (self.exhibit.clone(), self.hub.environment().clone());
        let mut gatherer = Gatherer::new(Measured { exhibit, environment, lags, feeders });
        gatherer.measure(self.config.metrics.groups.clone(), self.config.anomalies.clone());
        gatherer
    }

    pub async fn send(&self, request: TestRequest) -> Answer {
        let (head, body) = (self.call)(request).await.into_parts();
        let status = head.status().as_u16();
        let body = to_bytes(body).await.unwrap_or_else(|error| panic!("the body: {error}"));
        Answer { status, headers: head.headers().clone(), body }
    }

    /// An answer whose body comes piece by piece.
    pub async fn open(&self, request: TestRequest) -> Open {
        let (head, body) = (self.call)(request).await.into_parts();
        assert_eq!(head.status().as_u16(), 200);
        Open { headers: head.headers().clone(), body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(TestRequest::delete().uri(path)).await
    }

    /// Posts `body` as it is.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(TestRequest::post().uri(path).set_payload(body.into())).await
    }

    /// Creates a process with this source.
    pub async fn create(&self, id: &str, source: &str) -> ProcessId {
        let body = json!({ "id": id, "device": "lua", "source": source });
        self.post("/processes", body.to_string()).await.json(201);
        let process = ProcessId::parse(id).unwrap();
        self.get(&format!("/processes/{id}/compute?slot=0")).await.json(200);
        // An outcome may be told before the store has it.
        self.hub.settle(&process).await.unwrap();
        process
    }

    /// Starts a call and lets the test go on.
    pub fn start_get(self: &Rc<Self>, path: &str) -> actix_rt::task::JoinHandle<Answer> {
        let (node, path) = (self.clone(), path.to_owned());
        actix_rt::spawn(async move { node.get(&path).await })
    }

    /// Starts to post `body` and lets the test go on.
    pub fn start_post(self: &Rc<Self>, path: &str, body: &str) -> actix_rt::task::JoinHandle<Answer> {
        let (node, path, body) = (self.clone(), path.to_owned(), body.to_owned());
        actix_rt::spawn(async move { node.post(&path, body).await })
    }

    /// Holds a base of a process. Returns its name.
    pub async fn hold_base(&self, process: &str, wanted: &str) -> String {
        let body = self.post(&format!("/processes/{process}/base"), wanted.to_owned()).await.json(201);
        let group = body["group"].as_str().unwrap().to_owned();
        assert_eq!(body, json!({ "group": group }));
        group
    }

    /// Resolves a message on a base.
    pub async fn resolve(&self, group: &str, message: &str) -> Answer {
        self.post(&format!("/groups/{group}/resolve"), message.to_owned()).await
    }

    /// Every group that is led.
    pub async fn groups(&self) -> Vec<Value> {
        let body = self.get("/groups").await.json(200);
        assert_eq!(body.as_object().unwrap().len(), 1);
        body["groups"].as_array().unwrap().clone()
    }

    /// Returns one group once it is led as is said.
    pub async fn group_where(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                if let Some(found) = self.groups().await.into_iter().find(&fits) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
    }

    /// Returns once nobody leads `group`.
    pub async fn gone(&self, group: &str) {
        let looking = async {
            while self.groups().await.iter().any(|status| status["group"] == *group) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{group} is led for ever"));
    }

    /// Returns once so many calls stand at the gate.
    pub async fn held(&self, calls: usize) {
        let fakes = self.fakes.clone();
        assert!(tokio::task::spawn_blocking(move || fakes.wait_until_held(calls, PATIENCE)).await.unwrap());
    }
}

/// An answer whose body is still to come.
pub struct Open {
    pub headers: HeaderMap,
    body: BoxBody,
}

impl Open {
    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Option<String> {
        let next = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_next(cx));
        let piece = tokio::time::timeout(PATIENCE, next).await.unwrap_or_else(|_| panic!("waited in vain for a piece"));
        piece.map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap())
    }
}

/// Looks at something until it is there. `what` says what was waited for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// The rows of a page, and whether there are more.
#[track_caller]
pub fn rows(page: &Value) -> (Vec<Value>, bool) {
    assert_eq!(keys(page), ["edges", "pageInfo"]);
    assert_eq!(keys(&page["pageInfo"]), ["hasNextPage"]);
    let edges = page["edges"].as_array().unwrap().clone();
    assert!(edges.iter().all(|edge| keys(edge) == ["cursor", "node"]), "{page}");
    (edges, page["pageInfo"]["hasNextPage"].as_bool().unwrap())
}

/// The names in an object, sorted.
#[track_caller]
pub fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
