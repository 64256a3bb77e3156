//! What the service manager is told.

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use super::harness::{COUNTER, DEADLINE, Home, Settings};

/// A socket as a service manager has it.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(home: &Home) -> Self {
        let path = home.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, path: path.to_str().unwrap().to_owned() }
    }

    /// Reads what it is told until that is `wanted`, and returns everything since the last call.
    fn hear(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let mut datagram = [0; 4096];
        loop {
            let length = self.socket.recv(&mut datagram).unwrap_or_else(|error| {
                panic!("waited in vain for {wanted}: {error}; heard {heard:?}");
            });
            let text = String::from_utf8_lossy(&datagram[..length]);
            heard.extend(text.lines().map(str::to_owned));
            if heard.iter().any(|line| line == wanted) {
                return heard;
            }
        }
    }
}

#[tokio::test]
async fn it_is_told_of_start_life_reload_and_stop() {
    let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
    let manager = Manager::new(&home);
    let program = home.launch_with(&[("NOTIFY_SOCKET", &manager.path), ("WATCHDOG_USEC", "300000")]);
    let heard = manager.hear("READY=1");
    assert!(!heard.contains(&"STOPPING=1".to_owned()), "{heard:?}");
    program.listening().await;
    // Fed again and again, not once.
    for _ in 0..3 {
        manager.hear("WATCHDOG=1");
    }
    program.signal(Signal::HUP);
    manager.hear("RELOADING=1");
    manager.hear("READY=1");
    program.signal(Signal::TERM);
    manager.hear("STOPPING=1");
    assert_eq!(program.ended().await.code(), Some(0));
}

#[tokio::test]
async fn without_a_watchdog_none_is_fed() {
    let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
    let manager = Manager::new(&home);
    let program = home.launch_with(&[("NOTIFY_SOCKET", &manager.path)]);
    manager.hear("READY=1");
    assert_eq!(program.api().await.outcome("counter", "").await["Output"], 1);
    program.signal(Signal::TERM);
    let heard = manager.hear("STOPPING=1");
    assert!(!heard.contains(&"WATCHDOG=1".to_owned()), "{heard:?}");
    assert_eq!(program.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_socket_that_nobody_hears_does_not_stop_the_start() {
    let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
    let gone = home.path("gone").to_str().unwrap().to_owned();
    let program = home.launch_with(&[("NOTIFY_SOCKET", &gone)]);
    assert_eq!(program.listening().await.outcome("counter", "").await["Output"], 1);
    program.stop().await;
}
