//! How a check looks at what it checks.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::actors::hub::Hub;
use crate::client::{Call, Client, Endpoint};
use crate::config::{CheckConfig, CheckTarget};
use crate::device::Ping;
use crate::glob::Glob;
use crate::group::Incarnation;
use crate::host::{Counters, HostPid, ProcFs, Stat};
use crate::ids::ProcessId;

/// The kernel cuts the names of host processes off after so many bytes.
const NAME_CUT: usize = 15;

/// This part of a look's time is for a device's answer.
const PATIENCE: f64 = 0.8;

/// Looks at one thing, once each time it is asked to. A look may be dropped at any point.
pub(in crate::actors) struct Looker {
    hub: Hub,
    client: Client,
    target: CheckTarget,
    /// How long a device may take for its answer: less than the look, so that it is known to be the one that is silent.
    patience: Duration,
    /// The worker that answered last, or should have.
    pub(in crate::actors) worker: Option<Incarnation>,
    device: Aside<Ping>,
    host: Aside<Result<bool, String>>,
    addresses: Aside<io::Result<Vec<SocketAddr>>>,
}

impl Looker {
    pub(in crate::actors) fn new(hub: Hub, client: Client, check: &CheckConfig) -> Self {
        Self {
            hub,
            client,
            target: check.target.clone(),
            patience: check.timeout.mul_f64(PATIENCE),
            worker: None,
            device: Aside::default(),
            host: Aside::default(),
            addresses: Aside::default(),
        }
    }

    /// Whether all is well; if not, why.
    pub(in crate::actors) async fn look(&mut self) -> Result<(), String> {
        match &self.target {
            CheckTarget::Worker(process) => {
                let process = process.clone();
                self.look_at_worker(&process).await
            }
            CheckTarget::Http(url) => {
                let endpoint = Endpoint::parse(url).map_err(|error| error.to_string())?;
                let call = Call::to(endpoint).header("Accept", "*/*").map_err(|error| error.to_string())?;
                self.client.look(call).await.map_err(|error| error.to_string())
            }
            CheckTarget::Tcp(address) => {
                let address = address.clone();
                self.look_at_port(&address).await
            }
            CheckTarget::HostProcess(glob) => {
                let (pattern, shown) = (Glob::new(glob), glob.clone());
                match self.host.run(move || runs(&pattern)).await?? {
                    true => Ok(()),
                    false => Err(format!("no host process runs whose name fits {shown:?}")),
                }
            }
        }
    }

    /// What to say of a look that was not over in time.
    pub(in crate::actors) fn late(&self) -> &'static str {
        match &self.target {
            CheckTarget::Worker(_) => "the worker does not answer",
            CheckTarget::Http(_) => "there is no answer",
            CheckTarget::Tcp(_) => "no connection is made",
            CheckTarget::HostProcess(_) => "the list of host processes is not read",
        }
    }

    async fn look_at_worker(&mut self, process: &ProcessId) -> Result<(), String> {
        let pinged = self.hub.ping_worker(process).await.map_err(|error| error.to_string())?;
        let Some(pinged) = pinged else {
            self.worker = None;
            return Ok(());
        };
        self.worker = Some(pinged.incarnation);
        match pinged.hear().await {
            Some(pulse) => pulse.verdict()?,
            // It ended in between, which is not for a ping to judge.
            None => return Ok(()),
        }
        self.look_at_device(process).await
    }

    /// A device that lives outside this host process can be ill while its worker is well.
    async fn look_at_device(&mut self, process: &ProcessId) -> Result<(), String> {
        let environment = self.hub.environment();
        let record = environment.store.process(process).map_err(|error| error.to_string())?;
        let Some(kind) = record.map(|record| record.device).filter(|kind| kind.computes_outside()) else {
            return Ok(());
        };
        let (factory, process, time) = (environment.factory.clone(), process.clone(), self.patience);
        match self.device.run(move || factory.ping(kind, &process, time)).await? {
            Ping::Well | Ping::Busy | Ping::Idle => Ok(()),
            Ping::Ill(why) => Err(why),
        }
    }

    async fn look_at_port(&mut self, address: &str) -> Result<(), String> {
        let named = address.to_owned();
        let found = self.addresses.run(move || named.to_socket_addrs().map(Iterator::collect)).await?;
        let found: Vec<SocketAddr> = found.map_err(|error| format!("the name in {address} is not found: {error}"))?;
        let mut refused = format!("the name in {address} has no address");
        for one in found {
            match TcpStream::connect(one).await {
                Ok(_) => return Ok(()),
                Err(error) => refused = format!("no connection to {address}: {error}"),
            }
        }
        Err(refused)
    }
}

/// Work on a thread of its own, one piece at a time: what a dropped look left behind is over before the next begins. The
/// node does not wait for such a thread when it stops.
struct Aside<T>(Option<oneshot::Receiver<T>>);

impl<T> Default for Aside<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Aside<T> {
    async fn run(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        if let Some(left) = &mut self.0 {
            let _ = left.await;
        }
        let (sender, receiver) = oneshot::channel();
        let spawned = std::thread::Builder::new().name("look".to_owned()).spawn(move || sender.send(work()));
        spawned.map_err(|error| format!("there is no thread to look with: {error}"))?;
        let result = self.0.insert(receiver).await;
        self.0 = None;
        result.map_err(|_| "the look ended early".to_owned())
    }
}

/// Whether a host process runs whose name fits.
fn runs(glob: &Glob) -> Result<bool, String> {
    let proc_fs = ProcFs::open(Arc::new(Counters::default())).map_err(|error| error.to_string())?;
    let pids = proc_fs.pids().map_err(|error| format!("/proc cannot be listed: {error}"))?;
    let fits = |pid: HostPid| {
        let stat = proc_fs.stat(pid).filter(|stat| !stat.is_zombie());
        stat.is_some_and(|stat| glob.matches(stat.name.as_str()) || full_name_fits(glob, &proc_fs, &stat))
    };
    Ok(pids.into_iter().any(fits))
}

/// Whether the file name of the program, or the name it calls itself by, fits where the kernel has cut that off.
fn full_name_fits(glob: &Glob, proc_fs: &ProcFs, stat: &Stat) -> bool {
    if stat.kernel || stat.name.as_str().len() < NAME_CUT {
        return false;
    }
    let own = proc_fs.cmdline(stat.pid).and_then(|arguments| arguments.into_iter().next());
    [proc_fs.exe(stat.pid), own].into_iter().flatten().any(|path| {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        name.starts_with(stat.name.as_str()) && glob.matches(name)
    })
}
