//! The code of processes that somebody makes while the node runs.

use std::sync::Arc;

use super::environment::Environment;
use crate::ids::BlobHash;
use crate::process::{DeviceKind, RequestError};

/// The code that a process of this kind is to have: its text, or the module of this id that is stored here. It is known to be
/// code. `BadRequest` names the field.
pub async fn code(
    environment: &Arc<Environment>,
    device: DeviceKind,
    source: Option<String>,
    module: Option<&str>,
) -> Result<Arc<[u8]>, RequestError> {
    let bad = |why: String| RequestError::BadRequest(why);
    match (device, source, module) {
        (DeviceKind::Lua, Some(source), None) => check(environment, device, "source", source.into_bytes().into()).await,
        (DeviceKind::Lua, None, None) => Err(bad(format!("device {device} needs its code as `source`"))),
        (DeviceKind::Lua, _, Some(_)) => Err(bad(format!("device {device} takes `source`, not `module`"))),
        (DeviceKind::Wasm, None, Some(module)) => stored(environment, module).await,
        (DeviceKind::Wasm, None, None) => {
            Err(bad(format!("device {device} needs the id of its `module`; POST /modules gives one")))
        }
        (DeviceKind::Wasm, Some(_), _) => {
            Err(bad(format!("device {device} takes `module`, not `source`; POST /modules gives the id of one")))
        }
        (DeviceKind::Exec | DeviceKind::Remote, _, _) => Err(RequestError::DeviceNotAllowed(device.to_string())),
    }
}

/// Checks and keeps a module. Its id.
pub async fn store_module(environment: &Arc<Environment>, bytes: Arc<[u8]>) -> Result<BlobHash, RequestError> {
    let bytes = check(environment, DeviceKind::Wasm, "module", bytes).await?;
    let store = environment.store.clone();
    blocking(move || store.put_module(&bytes)).await?.map_err(RequestError::Unknown)
}

async fn stored(environment: &Arc<Environment>, module: &str) -> Result<Arc<[u8]>, RequestError> {
    let hash = BlobHash::try_from(module.to_owned()).map_err(|error| {
        RequestError::BadRequest(format!("module: found {module:?}, expected the id of a module: {error}"))
    })?;
    let store = environment.store.clone();
    let read = blocking(move || store.module(&hash)).await?;
    let found = read.map_err(|error| RequestError::Store(error.to_string()))?;
    found.ok_or_else(|| {
        RequestError::BadRequest(format!("module: {hash} is not stored here; POST it to /modules first"))
    })
}

async fn check(
    environment: &Arc<Environment>,
    device: DeviceKind,
    field: &str,
    code: Arc<[u8]>,
) -> Result<Arc<[u8]>, RequestError> {
    let (factory, checked) = (environment.factory.clone(), code.clone());
    let done = blocking(move || factory.check(&device, &checked)).await?;
    done.map(|()| code).map_err(|error| RequestError::BadRequest(format!("{field}: {error}")))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RequestError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| RequestError::Internal("the node is stopping".to_owned()))
}
