//! Devices of programs by themselves, on real programs of the shell: no node, no store.

#[cfg(test)]
mod programs {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use mainstay::config::limits::Limits;
    use mainstay::device::exec::{ExecFactory, ExecHost, ExecOptions};
    use mainstay::device::{Call, Device, DeviceError, DeviceFactory, Interrupt, Mode, Ping};
    use mainstay::group::WaitTable;
    use mainstay::ids::{MessageId, ProcessId, Slot};
    use mainstay::process::{Cause, Defaults, DeviceKind, Entry, ErrorStrategy, Message, Outcome, Specification};
    use tempfile::TempDir;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Answers `init`, and the other methods by what `cases` says; `$id` is the request's number.
    fn handler(cases: &str) -> String {
        format!(
            r#"
            ok() {{ printf '{{"jsonrpc":"2.0","id":%s,"result":%s}}\n' "$id" "$1"; }}
            lack() {{ printf '{{"jsonrpc":"2.0","id":%s,"error":{{"code":-32601,"message":"none"}}}}\n' "$id"; }}
            while IFS= read -r request; do
                id=${{request#'{{"jsonrpc":"2.0","id":'}}
                method=${{id#*'"method":"'}}
                id=${{id%%,*}}
                method=${{method%%\"*}}
                case $method in
                {cases}
                *) lack ;;
                esac
            done
            "#
        )
    }

    struct Bench {
        folder: TempDir,
        factory: ExecFactory,
        host: ExecHost,
        process: ProcessId,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let helper = Path::new(env!("CARGO_BIN_EXE_mainstay")).to_owned();
            let host =
                ExecHost::new(ExecOptions { helper, folder: folder.path().join("exec"), waits: WaitTable::default() });
            let process = ProcessId::parse("p").unwrap();
            Self { folder, factory: ExecFactory::new(host.clone()), host, process }
        }

        fn command(&self, script: &str) -> Vec<u8> {
            let command = serde_json::json!({
                "command": ["sh", "-c", script], "directory": self.folder.path(),
                "environment": { "PATH": "/usr/bin:/bin" }, "max_attempts": 2, "grace": "100ms",
            });
            command.to_string().into_bytes()
        }

        fn device(&self, script: &str, interrupt: Interrupt, mode: Mode) -> Box<dyn Device> {
            let source = self.command(script);
            let specification = Specification::new(DeviceKind::Exec, &source);
            let limits = Limits { compute_time: PATIENCE, ..Limits::default() };
            let defaults = Defaults { limits, error_strategy: ErrorStrategy::Ignore };
            let definition = specification.resolve(&defaults, &self.factory.info(DeviceKind::Exec).engine);
            self.factory.create(&self.process, &definition, &source, interrupt, mode).unwrap()
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            self.host.stop(PATIENCE);
        }
    }

    fn entry(slot: u64) -> Entry {
        let message = Message {
            id: MessageId::derived(&[&slot.to_be_bytes()]),
            from: "local".to_owned(),
            owner: "local".to_owned(),
            target: "p".to_owned(),
            anchor: String::new(),
            tags: Vec::new(),
            data: String::new(),
            timestamp: 0,
        };
        Entry::of_client(Slot(slot), message)
    }

    fn output(called: Result<Call, DeviceError>) -> String {
        match called {
            Ok(Call::Done(Cause::Success, Outcome { output, .. })) => output.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_without_state_needs_compute_alone() {
        let bench = Bench::new();
        let mut device = bench.device(&handler(r#"compute) ok '{"Output":7}' ;;"#), Interrupt::default(), Mode::Live);
        assert_eq!(device.init(&entry(0), Mode::Live).unwrap(), Call::Done(Cause::Success, Outcome::empty()));
        assert_eq!(output(device.compute(&entry(1), Mode::Live)), "7");
        assert_eq!(&*device.snapshot().unwrap(), b"null");
    }

    #[test]
    fn nobody_asks_a_program_before_it_was_greeted() {
        let bench = Bench::new();
        let script = handler(r#"init|ping|compute) echo "$method" >> asked; ok '{}' ;;"#);
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                for slot in 1..20 {
                    let _ = std::fs::remove_file(bench.folder.path().join("asked"));
                    let mut device = bench.device(&script, Interrupt::default(), Mode::Live);
                    output(device.compute(&entry(slot), Mode::Live));
                    let asked = std::fs::read_to_string(bench.folder.path().join("asked")).unwrap();
                    assert!(asked.starts_with("init\n"), "{asked}");
                }
            });
            while !working.is_finished() {
                bench.host.ping(&bench.process, PATIENCE);
            }
            working.join().unwrap();
        });
    }

    #[test]
    fn what_is_stored_is_never_asked_for_again() {
        let bench = Bench::new();
        let script = handler(r#"init|compute) ok '{}'; echo "$method" >> asked ;;"#);
        let mut device = bench.device(&script, Interrupt::default(), Mode::Live);
        for refused in [device.init(&entry(0), Mode::Replay), device.compute(&entry(1), Mode::Replay)] {
            let Err(DeviceError::Fault(text)) = refused else { panic!("{refused:?}") };
            assert!(text.contains("never"), "{text}");
        }
        assert!(!bench.folder.path().join("asked").exists(), "no program was started");
        output(device.compute(&entry(1), Mode::Live));
        assert_eq!(std::fs::read_to_string(bench.folder.path().join("asked")).unwrap(), "init\ncompute\n");
    }

    #[test]
    fn a_state_goes_from_one_definition_to_the_next() {
        let bench = Bench::new();
        let keeps = r#"snapshot) ok '{"kept":[1, 2]}' ;; compute) ok '{}' ;;"#;
        let mut first = bench.device(&handler(keeps), Interrupt::default(), Mode::Live);
        output(first.compute(&entry(1), Mode::Live));
        let state = first.snapshot().unwrap();
        assert_eq!(&*state, br#"{"kept":[1, 2]}"#);
        let shows =
            r#"restore) told=${request#*'"state":'}; ok null ;; compute) ok "{\"Output\":${told%??},\"State\":0}" ;;"#;
        let mut second = bench.device(&handler(shows), Interrupt::default(), Mode::Live);
        second.restore(&state).unwrap();
        drop(first);
        assert_eq!(output(second.compute(&entry(2), Mode::Live)), r#"{"kept":[1, 2]}"#);
        assert_eq!(&*second.snapshot().unwrap(), b"0");
        for bad in [&b"{"[..], b"[1,\n2]", b"\xff", b""] {
            assert!(matches!(second.restore(bad), Err(DeviceError::Restore(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_program_that_refuses_its_state_or_does_not_start_is_no_outcome() {
        let bench = Bench::new();
        let table = [
            (handler(r#"restore) lack ;;"#), "does not take its state back"),
            (handler("init) exit 3 ;;"), "the program does not start: the program ended"),
            ("exec no-such-program".to_owned(), "the program does not start: the program ended"),
        ];
        for (script, expected) in table {
            let mut device = bench.device(&script, Interrupt::default(), Mode::Live);
            device.restore(b"1").unwrap();
            let refused = device.compute(&entry(1), Mode::Live);
            let Err(DeviceError::Fault(text)) = &refused else { panic!("{refused:?}") };
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_program_that_ends_is_noticed_while_somebody_holds_its_output() {
        let bench = Bench::new();
        let leaves = r#"compute) [ -e left ] && ok '{}' || { sleep 1000 & : > left; exit 3; } ;;"#;
        let mut device = bench.device(&handler(leaves), Interrupt::default(), Mode::Live);
        let broken = device.compute(&entry(1), Mode::Live);
        let Err(DeviceError::Fault(text)) = &broken else { panic!("{broken:?}") };
        assert!(text.contains("the program ended and left somebody"), "{text}");
        output(device.compute(&entry(1), Mode::Live));
        drop(device);
        // What it said before it ended counts.
        let says = r#"compute) sleep 1000 & ok '{"State":1}'; exit 0 ;;"#;
        output(bench.device(&handler(says), Interrupt::default(), Mode::Live).compute(&entry(2), Mode::Live));
    }

    #[test]
    fn two_programs_of_a_process_never_run_at_once() {
        let bench = Bench::new();
        // It hears no request to end. Whoever finds the one before it alive says so.
        let cases = r#"compute) if [ -e pid ] && kill -0 "$(cat pid)"; then lack; else echo $$ > pid; ok '{}'; fi ;;"#;
        let script = format!("trap '' TERM; {}", handler(cases));
        let mut first = bench.device(&script, Interrupt::default(), Mode::Live);
        output(first.compute(&entry(1), Mode::Live));
        let mut second = bench.device(&script, Interrupt::default(), Mode::Live);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| second.compute(&entry(2), Mode::Live));
            drop(first);
            output(second.join().unwrap());
        });
    }

    #[test]
    fn copies_for_trials_live_beside_the_process_itself() {
        let bench = Bench::new();
        let script = handler(r#"init) ok '{"dry_run":true}' ;; compute|dry_run) ok "{\"Output\":\"$method\"}" ;;"#);
        let mut own = bench.device(&script, Interrupt::default(), Mode::Live);
        let mut copy = bench.device(&script, Interrupt::default(), Mode::Trial);
        assert_eq!(output(own.compute(&entry(1), Mode::Live)), "\"compute\"");
        assert_eq!(output(copy.dry_run(&entry(2))), "\"dry_run\"");
        assert_eq!(output(own.compute(&entry(2), Mode::Live)), "\"compute\"");
    }

    #[test]
    fn an_interrupted_call_leaves_no_outcome_and_counts_as_an_attempt() {
        let bench = Bench::new();
        let hangs = handler(r#"compute) echo > begun; sleep 1000 ;;"#);
        let interrupt = Interrupt::default();
        let mut device = bench.device(&hangs, interrupt.clone(), Mode::Live);
        let called = std::thread::scope(|scope| {
            let calling = scope.spawn(|| device.compute(&entry(1), Mode::Live));
            while !bench.folder.path().join("begun").exists() && !calling.is_finished() {
                std::thread::yield_now();
            }
            interrupt.raise();
            calling.join().unwrap()
        });
        assert_eq!(called.unwrap(), Call::Interrupted);
        assert_eq!(device.compute(&entry(1), Mode::Live).unwrap(), Call::Interrupted);
        drop(device);
        let tells = r#"compute) at=${request#*'"attempt":'}; ok "{\"Output\":${at%%,*}}" ;;"#;
        let mut next = bench.device(&handler(tells), Interrupt::default(), Mode::Live);
        assert_eq!(output(next.compute(&entry(1), Mode::Live)), "2");
        assert_eq!(output(next.compute(&entry(2), Mode::Live)), "1");
    }

    #[test]
    fn whoever_watches_over_a_program_can_ask_it() {
        let bench = Bench::new();
        let (factory, process) = (&bench.factory, &bench.process);
        let ping = |time| factory.ping(DeviceKind::Exec, process, time);
        assert_eq!(ping(PATIENCE), Ping::Idle);
        let cases = "ping) if [ -e ill ]; then sleep 1000; else ok null; fi ;;
            compute) echo > begun; while ! [ -e open ]; do sleep 0.01; done; ok '{}' ;;";
        let mut device = bench.device(&handler(cases), Interrupt::default(), Mode::Live);
        device.init(&entry(0), Mode::Live).unwrap();
        assert_eq!(ping(PATIENCE), Ping::Well);
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| device.compute(&entry(1), Mode::Live));
            while !bench.folder.path().join("begun").exists() && !calling.is_finished() {
                std::thread::yield_now();
            }
            assert_eq!(ping(Duration::ZERO), Ping::Busy);
            std::fs::write(bench.folder.path().join("open"), "").unwrap();
            output(calling.join().unwrap());
        });
        assert_eq!(ping(PATIENCE), Ping::Well);
        std::fs::write(bench.folder.path().join("ill"), "").unwrap();
        assert!(matches!(ping(Duration::from_millis(50)), Ping::Ill(text) if text.contains("no answer to ping")));
        drop(device);
        assert_eq!(ping(PATIENCE), Ping::Idle);
    }

    #[test]
    fn a_bad_command_is_refused_before_it_is_run() {
        let bench = Bench::new();
        let check = |source: &[u8]| bench.factory.check(&DeviceKind::Exec, source).map_err(|error| error.to_string());
        assert_eq!(check(&bench.command("true")), Ok(()));
        for bad in [&b""[..], b"{}", b"\xff"] {
            assert!(check(bad).is_err());
        }
        let replaced = |from: &str, to: &str| {
            let text = String::from_utf8(bench.command("true")).unwrap();
            assert!(text.contains(from), "{text}");
            check(text.replace(from, to).as_bytes()).unwrap_err()
        };
        assert!(replaced("\"sh\",", "\"no-such\",").contains("is not at PATH"));
        assert!(replaced("\"sh\",", "\"./no-such\",").contains("no-such"));
        assert!(replaced("\"sh\",", "\"\",").contains("no program"));
        assert!(replaced("[\"sh\",\"-c\",\"true\"]", "[]").contains("no program"));
        let folder = Arc::<str>::from(bench.folder.path().to_str().unwrap());
        assert!(replaced(&folder, "/no-such").contains("no folder"));
    }
}
