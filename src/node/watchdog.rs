//! Tells the service manager that the node lives, as long as its own actors answer.

use sd_notify::NotifyState;
use tracing::error;

use super::notify;
use crate::actors::Hub;

/// Feeds the service manager's watchdog, if it keeps one. A registry that doesn't answer in half its time goes unfed.
pub(super) async fn feed(hub: Hub) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let pause = period / 3;
    loop {
        match tokio::time::timeout(pause, hub.ping()).await {
            Ok(true) => notify(&[NotifyState::Watchdog]),
            _ => error!(target: "node", event = "not_answering", "a registry does not answer; the watchdog is not fed"),
        }
        tokio::time::sleep(pause).await;
    }
}
