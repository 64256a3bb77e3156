//! Devices by themselves, against a server that plays a script.

mod nodes;
mod units;

use std::sync::Arc;

use crate::client::Peers;
use crate::client::tests::server::Server;
use crate::config::limits::Limits;
use crate::config::{Remote, RemoteKind};
use crate::device::remote::RemoteFactory;
use crate::device::tests::made::definition;
use crate::device::{Call, Device, DeviceError, DeviceFactory as _, Interrupt, Mode};
use crate::group::WaitTable;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::{Cause, DeviceKind, Entry, Message, Origin, Outcome, Tag};

fn process() -> ProcessId {
    ProcessId::parse("counter").unwrap()
}

/// A device that asks the server under these limits.
fn made(server: &Server, kind: RemoteKind, limits: Limits, interrupt: &Interrupt) -> Box<dyn Device> {
    let remote = Remote { url: server.url("/base/"), kind };
    let source = serde_json::to_vec(&remote).unwrap();
    let definition = definition(DeviceKind::Remote, "", &source, &limits);
    let factory = RemoteFactory::new(WaitTable::default(), Peers::default());
    factory.create(&process(), &definition, &source, interrupt.clone(), Mode::Live).unwrap()
}

fn entry(slot: u64, origin: Origin) -> Entry {
    let message = Message {
        id: MessageId::derived(&[b"a message"]),
        from: "alice".to_owned(),
        owner: "alice".to_owned(),
        target: process().to_string(),
        anchor: "mine".to_owned(),
        tags: vec![Tag::new("Action", "Add")],
        data: "5".to_owned(),
        timestamp: 1_700_000_000_000,
    };
    Entry { origin, ..Entry::of_client(Slot(slot), message) }
}

/// What came of a call, with the device.
type Came = (Box<dyn Device>, Result<Call, DeviceError>);

/// Calls the device on a thread that may wait.
async fn calling(
    mut device: Box<dyn Device>,
    call: impl FnOnce(&mut dyn Device) -> Result<Call, DeviceError> + Send + 'static,
) -> Came {
    let called = tokio::task::spawn_blocking(move || {
        let came = call(device.as_mut());
        (device, came)
    });
    called.await.unwrap()
}

async fn computing(device: Box<dyn Device>, slot: u64) -> Came {
    calling(device, move |device| device.compute(&entry(slot, Origin::Client), Mode::Live)).await
}

/// What a call is expected to come to.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// A success with this output.
    Output(&'static str),
    /// An error of the slot, in which this is said.
    Error(&'static str),
    /// A limit of the slot, which is named.
    Limit(&'static str),
    /// A fault, in which this is said.
    Fault(&'static str),
    /// That there is no such thing.
    NotSupported,
}

fn check(came: &Result<Call, DeviceError>, expected: Expected, what: &str) {
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    match (came, expected) {
        (Ok(Call::Done(Cause::Success, Outcome { output, error: None, .. })), Expected::Output(text)) => {
            assert_eq!(output.as_str(), text, "{what}");
        }
        (Ok(Call::Done(Cause::Error, outcome)), Expected::Error(text)) => {
            assert!(said(&outcome.error).contains(text), "{what}: {outcome:?}");
        }
        (Ok(Call::Done(Cause::Limit(key), outcome)), Expected::Limit(name)) => {
            assert_eq!(key.to_string(), name, "{what}");
            assert!(said(&outcome.error).starts_with(&format!("limit {name}: ")), "{what}: {outcome:?}");
        }
        (Err(DeviceError::Fault(fault)), Expected::Fault(text)) => {
            assert!(fault.contains(text) && fault.contains("slot ") && fault.contains("counter"), "{what}: {fault}");
        }
        (Err(DeviceError::NotSupported(device)), Expected::NotSupported) => assert_eq!(*device, "remote"),
        _ => panic!("{what}: {came:?} instead of {expected:?}"),
    }
}

fn snapshot(device: &dyn Device) -> Arc<[u8]> {
    device.snapshot().unwrap()
}
