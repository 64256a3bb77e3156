//! No document is too odd: it is a configuration, or it has problems of one line each.

use proptest::prelude::*;

use super::super::*;
use super::lines_of;

/// What holds of any document.
fn assert_sane(text: &str) {
    match parse(text, &Origin::File("n.toml".into()), &|_| Ok(Vec::new())) {
        Ok(config) => {
            assert!(config.workers.compute_threads <= config.workers.compute_threads_max);
            assert!(!config.http.tokens.is_empty() || config.http.listen.ip().to_canonical().is_loopback());
            assert!(config.limits.process.gas > 0);
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            assert_eq!(error.to_string().lines().count(), error.problems.len() + usize::from(error.omitted > 0));
            for problem in error.problems {
                let place = problem.place.unwrap();
                let line = text.split('\n').nth(place.line - 1).unwrap();
                assert!((1..=line.chars().count() + 1).contains(&place.column), "{problem}");
            }
        }
    }
}

const KEYS: &[&str] = &[
    "node",
    "log",
    "http",
    "workers",
    "limits",
    "store",
    "process",
    "name",
    "data_dir",
    "format",
    "filter",
    "listen",
    "tokens",
    "token",
    "hosts",
    "max_body",
    "max_connections",
    "compute_threads",
    "compute_threads_max",
    "max_crashes",
    "gas",
    "memory",
    "compute_time",
    "disk_reserve",
    "id",
    "device",
    "source",
    "tags",
    "value",
    "error_strategy",
    "cron",
    "every",
    "timezone",
    "at",
    "missed",
    "metrics",
    "interval",
    "group",
    "match_name",
    "anomaly",
    "metric",
    "labels",
    "threshold",
    "health",
    "check",
    "kind",
    "target",
    "receiver",
    "peer",
    "url",
    "alert",
    "when",
    "stat",
    "annotations",
    "receivers",
    "rule_files",
];

const TEXTS: &[&str] = &[
    "",
    "* * * * *",
    "2030-01-01T00:00:00Z",
    "info",
    "lua",
    "all",
    "throw",
    "5m",
    "0s",
    "64MiB",
    "0.0.0.0:1",
    "[::1]:1",
    "a",
    "../a",
    "a=\"x\"",
    "> 1",
    "log",
    "webhook",
    "http://a:1/b",
    "worker",
    "tcp",
    "{{ $value }}",
    "\n",
];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![9 => prop::sample::select(KEYS).prop_map(str::to_owned), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = toml::Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(toml::Value::Integer),
        (0..100i64).prop_map(toml::Value::Integer),
        any::<f64>().prop_map(toml::Value::Float),
        any::<bool>().prop_map(toml::Value::Boolean),
        prop::sample::select(TEXTS).prop_map(|text| toml::Value::String(text.to_owned())),
        any::<String>().prop_map(toml::Value::String),
    ];
    leaf.prop_recursive(3, 30, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(toml::Value::Array),
            prop::collection::vec((key(), inner), 0..6)
                .prop_map(|entries| toml::Value::Table(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn random_documents(entries in prop::collection::vec((key(), value()), 0..6)) {
        let table: toml::Table = entries.into_iter().collect();
        assert_sane(&table.to_string());
    }

    #[test]
    fn random_texts(text in any::<String>(), like_toml in r#"([a-c."'\[\]{}=,#0-9_\-e \n]|\[\[process\]\]\n|limits){0,40}"#) {
        assert_sane(&text);
        assert_sane(&like_toml);
    }

    #[test]
    fn the_shipped_file_damaged(at in any::<prop::sample::Index>(), cut in 0..40usize, with in any::<String>()) {
        let mut text: Vec<char> = SHIPPED.chars().collect();
        let start = at.index(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, with.chars());
        assert_sane(&text.into_iter().collect::<String>());
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("n.toml");
        std::fs::write(&file, &bytes).unwrap();
        if let Err(error) = load(Some(&file), &any_code) {
            prop_assert!(!error.problems.is_empty());
        }
    }
}

#[test]
fn deep_documents() {
    let path = ["a"; 78].join(".");
    let tables = |levels: usize| format!("{path} = {}1{}", format!("{{ {path} = ").repeat(levels), "}".repeat(levels));
    for text in [
        format!("[{path}]\n{}", tables(79)),
        tables(1000),
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}{}", "[".repeat(70), "]".repeat(70)),
        format!("{} = 1", ["a"; 100_000].join(".")),
    ] {
        assert_ne!(lines_of(&text), Vec::<String>::new());
    }
}
