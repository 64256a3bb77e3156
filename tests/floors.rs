//! The floors of the house: a module uses its own floor and those below it, and there are no circles.
//!
//! The sources are read as text. Comments, texts and whatever is for tests only are left out; each path that begins at the
//! crate's root counts as a use of its first module.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends there")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Which top-level modules stand on which floor.
const FLOORS: [&[&str]; 6] = [
    &["ids", "clock", "tag", "units", "glob", "cron", "config", "logging", "stats", "metrics", "export", "alert"],
    &["process", "group", "supervise", "monitor", "push"],
    &["store", "device", "client", "host"],
    &["actors"],
    &["http"],
    &["main", "cli", "compact", "node"],
];

/// One file: its path below `src`, with `/`, and its text.
type File = (String, String);

/// One use of a module by another.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    place: String,
    user: String,
    used: String,
}

#[test]
fn the_house_keeps_to_its_floors() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    read_all(&src, "", &mut files);
    assert!(files.len() > 50, "only {} files were found below {}", files.len(), src.display());
    let problems = problems(&files);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn read_all(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            read_all(&entry.path(), &format!("{path}/"), files);
        } else if name.ends_with(".rs") {
            files.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// Everything that is wrong with a tree of files.
fn problems(files: &[File]) -> Vec<String> {
    let uses: Vec<Use> = files.iter().filter(|(path, _)| !is_for_tests(path)).flat_map(uses_of).collect();
    let mut problems = Vec::new();
    for one in &uses {
        let Use { place, user, used } = one;
        match (floor(user), floor(used)) {
            (None, _) => problems.push(format!("{place}: module {user} stands on no floor")),
            (_, None) => problems.push(format!("{place}: {user} uses {used}, which stands on no floor")),
            (Some(own), Some(other)) if other > own => {
                problems.push(format!("{place}: {user} (floor {own}) uses {used} (floor {other})"));
            }
            _ => {}
        }
    }
    problems.extend(circle(&uses));
    problems
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn is_for_tests(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs"))
}

/// The top-level module that a file belongs to, and how many modules deep it lies.
fn module_of(path: &str) -> (String, usize) {
    let parts: Vec<&str> = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    (parts[0].to_owned(), parts.len())
}

fn uses_of((path, text): &File) -> Vec<Use> {
    let (user, depth) = module_of(path);
    // The crate's root introduces every module, that is all.
    if user == "lib" {
        return Vec::new();
    }
    let code = without_tests(&without_comments_and_texts(text));
    // The program sees the library as a crate of its own.
    let roots = if user == "main" { vec!["mainstay::".to_owned()] } else { roots(depth) };
    let mut uses = Vec::new();
    for root in roots {
        for (at, _) in code.match_indices(&root) {
            let is_whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
            if !is_whole {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            for used in first_names(&code[at + root.len()..]) {
                if used != user && used.starts_with(|c: char| c.is_lowercase()) {
                    uses.push(Use { place: format!("src/{path}:{line}"), user: user.clone(), used });
                }
            }
        }
    }
    uses
}

/// What leads to the crate's root from a file `depth` modules deep.
fn roots(depth: usize) -> Vec<String> {
    vec!["crate::".to_owned(), "super::".repeat(depth)]
}

/// The first names of the paths that follow a root: one, or those of a list in braces.
fn first_names(rest: &str) -> Vec<String> {
    let name =
        |text: &str| -> String { text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let Some(list) = rest.trim_start().strip_prefix('{') else { return vec![name(rest)] };
    let (mut names, mut level, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => {
                names.push(name(&list[start..at]));
                break;
            }
            '}' => level -= 1,
            ',' if level == 0 => {
                names.push(name(&list[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The code with blanks in place of comments and of what stands in quotes. Lines stay where they are.
fn without_comments_and_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = skipped(rest, code.chars().next_back());
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    code
}

/// How many bytes at the beginning of `rest` are a comment, a text or a character.
fn skipped(rest: &str, before: Option<char>) -> usize {
    let until = |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    let is_in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !is_in_word && let Some(raw) = rest.strip_prefix('r').or_else(|| rest.strip_prefix("br")) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let opening = rest.len() - raw.len() + hashes + 1;
            return until(opening, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    // A lifetime has no second quote after one character.
    let mut after = rest.chars().skip(1);
    if rest.starts_with('\'') && (after.next() == Some('\\') || after.next() == Some('\'')) {
        return quoted(rest, '\'');
    }
    0
}

/// The length of a text in quotes, these included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// The code with blanks in place of each item that is compiled for tests only.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let item = &rest[at..];
        let mut level = 0;
        let end = item.char_indices().skip(MARK.len()).find(|(_, c)| {
            level += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            level == 0 && matches!(c, '}' | ';')
        });
        let end = end.map_or(item.len(), |(at, c)| at + c.len_utf8());
        kept.push_str(&rest[..at]);
        kept.extend(item[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &item[end..];
    }
    kept + rest
}

/// A circle of modules, if there is one, with the place of each step.
fn circle(uses: &[Use]) -> Option<String> {
    let mut steps: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for Use { place, user, used } in uses {
        steps.entry(user).or_default().entry(used).or_insert(place);
    }
    for start in steps.keys() {
        // Whatever can be reached, with the way to it.
        let mut ways: Vec<(&str, Vec<String>)> = vec![(start, Vec::new())];
        let mut seen = BTreeSet::new();
        while let Some((module, way)) = ways.pop() {
            for (used, place) in steps.get(module).into_iter().flatten() {
                let mut way = way.clone();
                way.push(format!("{place}: {module} uses {used}"));
                if used == start {
                    return Some(format!("a circle of modules:\n  {}", way.join("\n  ")));
                }
                if seen.insert(*used) {
                    ways.push((used, way));
                }
            }
        }
    }
    None
}

fn tree(files: &[(&str, &str)]) -> Vec<File> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_step_up_is_found_with_its_place() {
    for (path, text, expected) in [
        ("ids.rs", "\nuse crate::store::Store;\n", "src/ids.rs:2: ids (floor 0) uses store (floor 2)"),
        ("store/a/b.rs", "fn f() { crate::http::g() }", "src/store/a/b.rs:1: store (floor 2) uses http (floor 4)"),
        ("group/mod.rs", "use super::actors::Hub;", "src/group/mod.rs:1: group (floor 1) uses actors (floor 3)"),
        ("group/a.rs", "use super::super::actors::Hub;", "src/group/a.rs:1: group (floor 1) uses actors (floor 3)"),
        ("ids.rs", "use crate::{clock, process::{A, B}};", "src/ids.rs:1: ids (floor 0) uses process (floor 1)"),
        ("ids.rs", "/* \" */ use\ncrate::store;", "src/ids.rs:2: ids (floor 0) uses store (floor 2)"),
        ("ids.rs", "const Q: char = '\"'; use crate::store;", "src/ids.rs:1: ids (floor 0) uses store (floor 2)"),
        ("ids.rs", "fn f<'a>() {} use crate::store; // '", "src/ids.rs:1: ids (floor 0) uses store (floor 2)"),
        (
            "ids.rs",
            "#[cfg(test)]\nmod tests {\n    fn f() { {} }\n}\nuse crate::store;",
            "src/ids.rs:5: ids (floor 0) uses store (floor 2)",
        ),
        ("shed.rs", "use crate::ids;", "src/shed.rs:1: module shed stands on no floor"),
        ("node.rs", "use crate::shed;", "src/node.rs:1: node uses shed, which stands on no floor"),
    ] {
        assert_eq!(problems(&tree(&[(path, text)])), [expected], "{text}");
    }
}

#[test]
fn steps_down_and_along_are_fine_and_so_is_what_only_looks_like_a_step() {
    for (path, text) in [
        ("store/a.rs", "use crate::ids::Slot; use crate::device::LogReader; use super::b;"),
        ("store/a.rs", "//! See crate::http.\n/* crate::http */ const T: &str = \"crate::http\";"),
        ("store/a.rs", "const T: &str = r#\"a \" crate::http\"#; const U: &str = \"\\\"crate::http\";"),
        ("store/a.rs", "const T: &[u8] = br\"crate::http\";"),
        ("store/a.rs", "#[cfg(test)]\nmod tests { use crate::http; }"),
        ("store/a.rs", "#[cfg(test)]\nmod tests;\nuse crate::ids;"),
        ("store/tests/a.rs", "use crate::http;"),
        ("store/a/tests.rs", "use crate::http;"),
        ("store/a.rs", "use other_crate::http; use a::crate_::http;"),
        ("store/a.rs", "use crate::Root;"),
        ("main.rs", "use mainstay::{cli, node};"),
        ("lib.rs", "pub mod http; use crate::http::A;"),
    ] {
        assert_eq!(problems(&tree(&[(path, text)])), [""; 0], "{text}");
    }
}

#[test]
fn a_circle_on_one_floor_is_found() {
    let files = tree(&[
        ("store.rs", "use crate::device;"),
        ("device.rs", "use crate::ids;\nuse crate::host;"),
        ("host.rs", "use crate::store;"),
    ]);
    let found = problems(&files);
    assert_eq!(found.len(), 1);
    for step in
        ["src/store.rs:1: store uses device", "src/device.rs:2: device uses host", "src/host.rs:1: host uses store"]
    {
        assert!(found[0].contains(step), "{}", found[0]);
    }
}
