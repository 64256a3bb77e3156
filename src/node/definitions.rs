//! The processes of the configuration, and whether what it names can be there.

use std::path::Path;
use std::sync::Arc;

use super::NodeError;
use super::addresses;
use crate::actors::Hub;
use crate::config::{self, Config, ConfigError, Problem, ProcessConfig};
use crate::device::check_code;
use crate::process::worker::Define;
use crate::process::{LOCAL, ProcessOrigin, ProcessRecord, RequestError, Specification};
use crate::store::Store;

/// Loads the configuration at `path`, or what is taken without one, and looks whether every configured source can be code at
/// all, and every address one.
///
/// # Errors
/// What is wrong. Addresses are looked at where nothing else is.
pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    let config = config::load(path, &|kind, source| check_code(kind, source).map_err(|error| error.to_string()))?;
    no_problems(addresses::problems(&config))?;
    Ok(config)
}

/// Looks whether every configured process can be defined over what `store` holds, on a node of at most `most` processes.
/// Nothing is written.
///
/// # Errors
/// Every process that cannot, as a problem of the configuration; or that the store cannot be read.
pub(super) fn check_stored(config: &Config, store: &Store, most: u64) -> Result<(), NodeError> {
    let mut room = most.saturating_sub(store.process_count());
    let mut problems = Vec::new();
    for (index, process) in config.processes.iter().enumerate() {
        let held = store.process(&process.id).map_err(|error| NodeError::Store(error.to_string()))?;
        let contradiction = match held {
            Some(held) => contradiction(process, &held),
            None if room == 0 => Some(Contradiction {
                key: "id",
                found: format!("{:?}, one process too many", process.id.as_str()),
                expected: format!("at most {most} stored processes, retired ones included (limits.max_processes)"),
            }),
            None => {
                room -= 1;
                None
            }
        };
        problems.extend(contradiction.map(|Contradiction { key, found, expected }| Problem {
            file: config.origin.to_string(),
            place: None,
            key: format!("process[{index}].{key}"),
            found,
            expected,
            nearest: None,
        }));
    }
    Ok(no_problems(problems)?)
}

/// What the configuration says of a process, and what the store says against it.
#[derive(Debug, PartialEq, Eq)]
struct Contradiction {
    key: &'static str,
    found: String,
    expected: String,
}

fn contradiction(process: &ProcessConfig, held: &ProcessRecord) -> Option<Contradiction> {
    let id = process.id.as_str();
    let other = match held.origin {
        ProcessOrigin::Config if held.device == process.device => return None,
        ProcessOrigin::Config => {
            let found = format!("{:?}", process.device.as_str());
            let expected = format!("{:?}, which the log of process {id} was begun with", held.device.as_str());
            return Some(Contradiction { key: "device", found, expected });
        }
        ProcessOrigin::Api => "created over HTTP",
        ProcessOrigin::Spawned => "spawned by another process",
    };
    let found = format!("{id:?}, a process that was {other}");
    Some(Contradiction { key: "id", found, expected: "an id that only the configuration has used".to_owned() })
}

fn no_problems(mut problems: Vec<Problem>) -> Result<(), ConfigError> {
    let omitted = problems.len().saturating_sub(ConfigError::MOST);
    problems.truncate(ConfigError::MOST);
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems, omitted }) }
}

/// Makes every configured process what the configuration says.
pub(super) async fn define_all(hub: &Hub, config: &Config) -> Result<(), NodeError> {
    for process in &config.processes {
        define(hub, process).await.map_err(|error| match error {
            RequestError::Store(text) | RequestError::Unknown(text) => NodeError::Store(text),
            RequestError::Internal(text) => NodeError::Internal(text),
            error => NodeError::Setup(format!("{}: process {}: {error}", config.origin, process.id)),
        })?;
    }
    Ok(())
}

/// Makes one configured process what the configuration says.
pub(super) async fn define(hub: &Hub, process: &ProcessConfig) -> Result<bool, RequestError> {
    let source: Arc<[u8]> = process.source.text.clone();
    let specification = Specification {
        tags: process.tags.clone(),
        limits: process.limits.clone(),
        error_strategy: process.error_strategy,
        cron: process.cron.clone(),
        ..Specification::new(process.device, &source)
    };
    let definition = hub.environment().resolve(&specification);
    let define = Define { origin: ProcessOrigin::Config, definition, source, from: LOCAL.to_owned() };
    hub.define(&process.id, define).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DeviceKind, Origin, parse};

    #[test]
    fn a_configured_process_goes_on_with_a_configured_log_of_its_device_alone() {
        let text = "[[process]]\nid = \"p\"\ndevice = \"lua\"\nsource = \"p.lua\"";
        let config = parse(text, &Origin::Embedded, &|_| Ok(Vec::new())).unwrap();
        let process = &config.processes[0];
        for (origin, device, expected) in [
            (ProcessOrigin::Config, DeviceKind::Lua, None),
            (ProcessOrigin::Config, DeviceKind::Exec, Some(("device", "\"lua\""))),
            (ProcessOrigin::Api, DeviceKind::Lua, Some(("id", "\"p\", a process that was created over HTTP"))),
            (ProcessOrigin::Api, DeviceKind::Wasm, Some(("id", "\"p\", a process that was created over HTTP"))),
            (
                ProcessOrigin::Spawned,
                DeviceKind::Lua,
                Some(("id", "\"p\", a process that was spawned by another process")),
            ),
        ] {
            let held = ProcessRecord { id: process.id.clone(), origin, device, created: 0 };
            let found = contradiction(process, &held);
            let found = found.as_ref().map(|contradiction| (contradiction.key, contradiction.found.as_str()));
            assert_eq!(found, expected, "{origin:?} {device}");
        }
    }
}
