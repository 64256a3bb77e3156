//! The shipped file is the reference: it has every key, and the defaults.

use std::collections::BTreeSet;

use super::super::load::embedded_source;
use super::super::reader::known_keys;
use super::super::*;

/// The shipped file with the keys that are off turned on.
fn all_keys_on() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    SHIPPED.lines().map(on).collect()
}

fn parse_shipped(text: &str) -> Result<Config, ConfigError> {
    parse(text, &Origin::Embedded, &embedded_source)
}

#[test]
fn the_shipped_file_holds_the_defaults() {
    let shipped = parse_shipped(SHIPPED).unwrap();
    let ids: Vec<_> = shipped.processes.iter().map(|process| process.id.as_str()).collect();
    assert_eq!(ids, ["counter", "ledger", "heartbeat"]);
    assert!(shipped.processes.iter().all(|process| !process.source.text.is_empty()));
    assert_eq!(Config { processes: Vec::new(), ..shipped }, Config::default());
}

#[test]
fn a_file_without_keys_is_the_default_too() {
    assert_eq!(parse_shipped("").unwrap(), Config::default());
    assert_eq!(Config::default().node.data_dir, std::path::Path::new("./data"));
}

#[test]
fn the_file_itself_loads_like_the_embedded_copy() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFAULT_PATH);
    let loaded = load(Some(&file), &any_code).unwrap();
    let embedded = parse_shipped(SHIPPED).unwrap();
    let texts =
        |config: &Config| -> Vec<_> { config.processes.iter().map(|process| process.source.text.clone()).collect() };
    assert_eq!(texts(&loaded), texts(&embedded));
}

#[test]
fn the_shipped_file_has_every_known_key() {
    let text = all_keys_on();
    let known = known_keys(&text, |root| Config::read(root, &Origin::Embedded, &embedded_source, &any_code));
    let mut there = BTreeSet::new();
    keys_of(&text.parse().unwrap(), "", &mut there);
    // The shipped file names the limits of a process once, in [limits], and the names of tags, annotations and variables are
    // free.
    let free = ["process.limits.", "process.tags.", "process.cron.tags.", "process.environment.", "alert.annotations."];
    let is_listed = |key: &&String| !free.iter().any(|path| key.starts_with(path));
    let known: Vec<_> = known.iter().filter(is_listed).collect();
    let there: Vec<_> = there.iter().filter(is_listed).collect();
    assert_eq!(known, there);
    assert!(known.len() > 40);
}

fn keys_of(table: &toml::Table, path: &str, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for table in items.iter().filter_map(toml::Value::as_table) {
            keys_of(table, &path, keys);
        }
        keys.insert(path);
    }
}

#[test]
fn every_key_of_the_shipped_file_is_missed_when_it_is_renamed() {
    let text = all_keys_on();
    parse_shipped(&text).unwrap();
    let mut renamed = 0;
    for (at, name) in names(&text) {
        let end = at + name.len();
        let changed = format!("{}x{}", &text[..end], &text[end..]);
        let line = changed[..end].matches('\n').count() + 1;
        let problems = parse_shipped(&changed).unwrap_err().problems;
        let unknown = problems.iter().find(|problem| problem.found == "an unknown key");
        let unknown = unknown.unwrap_or_else(|| panic!("{name}x in line {line} went unnoticed"));
        assert_eq!(unknown.place.unwrap().line, line, "{unknown}");
        assert_eq!(unknown.nearest.as_deref(), Some(name), "{unknown}");
        renamed += 1;
    }
    assert!(renamed > 50, "{renamed}");
}

/// The names of tables and keys in `text`, with their offsets, but for those of tags and annotations.
fn names(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            let path = line.trim_matches(['[', ']', '\n']);
            let name = path.rsplit('.').next().unwrap();
            names.extend(line.rfind(name).map(|at| (start + at, name)));
        } else if !line.starts_with('#') {
            let before_equals = line.match_indices(" = ").map(|(at, _)| &line[..at]);
            let keys = before_equals.map(|before| {
                let at = before.rfind(['{', ',', ' ']).map_or(0, |at| at + 1);
                (start + at, &before[at..])
            });
            names.extend(keys.filter(|(_, name)| !name.starts_with(char::is_uppercase) && *name != "summary"));
        }
        start += line.len();
    }
    names
}
