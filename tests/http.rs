//! The HTTP face in process: the whole contract of `/processes`, `/groups`, `/monitors`, `/dead-letters`, `/events`,
//! `/host/processes`, `/metrics`, `/series`, `/stats`, `/health`, `/alerts`, `/livez` and `/readyz`, over a store in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that meets what it does not expect ends there")]

#[path = "http/access.rs"]
mod access;
#[path = "http/bad_groups.rs"]
mod bad_groups;
#[path = "http/bad_input.rs"]
mod bad_input;
#[path = "http/bases.rs"]
mod bases;
#[path = "http/bounds.rs"]
mod bounds;
#[path = "http/chain.rs"]
mod chain;
#[path = "http/creating.rs"]
mod creating;
#[path = "http/cron.rs"]
mod cron;
#[path = "http/events.rs"]
mod events;
#[path = "http/groups.rs"]
mod groups;
#[path = "http/health.rs"]
mod health;
#[path = "http/ids.rs"]
mod ids;
#[path = "http/letters.rs"]
mod letters;
#[path = "http/listened.rs"]
mod listened;
#[path = "http/metrics.rs"]
mod metrics;
#[path = "http/modules.rs"]
mod modules;
#[path = "http/monitors.rs"]
mod monitors;
#[path = "http/pages.rs"]
mod pages;
#[path = "http/pushed.rs"]
mod pushed;
#[path = "http/random.rs"]
mod random;
#[path = "http/rig.rs"]
mod rig;
#[path = "http/series.rs"]
mod series;
#[path = "http/shapes.rs"]
mod shapes;
#[path = "http/sharing.rs"]
mod sharing;
#[path = "http/sockets.rs"]
mod sockets;
#[path = "http/verifying.rs"]
mod verifying;
