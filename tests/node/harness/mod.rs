//! What the tests share: a folder, a configuration, the running program, its log, a client.

mod alertmanager;
mod api;
mod events;
mod frozen;
mod handler;
mod home;
mod hook;
mod program;
mod random;
mod relay;
mod scripts;
mod stub;
mod tool;
mod unit;

pub use alertmanager::Alertmanager;
pub use api::{Answer, Api, Row};
pub use frozen::Frozen;
pub use handler::{handled, has_python, lives, numbers, running, runs, until_gone, with_handler, write_handler};
pub use home::{Home, Settings};
pub use hook::Hook;
pub use program::Program;
pub use random::{Random, seed};
pub use relay::{Relay, Tarpit};
pub use scripts::{COUNTER, COUNTER_BY_TEN};
pub use stub::Stub;
pub use tool::tool;
pub use unit::{Mood, Unit};

use std::time::Duration;

use tokio::time::Instant;

/// What does not happen within this time does not happen.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often something is looked at that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(10);

/// Looks at something until it is there. `what` says what was waited for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether everything must be tested, or what the machine does not allow may be left out.
pub fn must_test_all() -> bool {
    std::env::var_os("MAINSTAY_REQUIRE_ALL").is_some_and(|value| value == "1")
}

/// Leaves a test out, loudly; fails it where everything must be tested.
pub fn leave_out(why: &str) {
    assert!(!must_test_all(), "MAINSTAY_REQUIRE_ALL is set, but {why}");
    eprintln!("LEFT OUT: {why}");
}
