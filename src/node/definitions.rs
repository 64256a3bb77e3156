//! The processes of the configuration, and whether what it names can be there.

use std::path::Path;
use std::sync::Arc;

use super::NodeError;
use super::addresses;
use crate::actors::Hub;
use crate::config::{self, Config, ConfigError, ProcessConfig};
use crate::device::check_code;
use crate::process::worker::Define;
use crate::process::{LOCAL, ProcessOrigin, RequestError, Specification};

/// Loads the configuration at `path`, or what is taken without one, and looks whether every configured source can be code at
/// all, and every address one.
///
/// # Errors
/// What is wrong. Addresses are looked at where nothing else is.
pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    let config = config::load(path, &|kind, source| check_code(kind, source).map_err(|error| error.to_string()))?;
    let problems = addresses::problems(&config);
    if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems, omitted: 0 }) }
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
