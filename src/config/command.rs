//! What is run for a process whose device is a program of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kind::{self, Mismatch};
use super::origin::Origin;
use super::process::Source;
use super::reader::Table;

/// Where programs are looked for unless `environment` has a `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The program of a process. As JSON it is the source of its definition, so that another command is another definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program, as a path or as a name to look for in `PATH`, and its arguments.
    pub command: Vec<String>,
    /// The folder it is run in.
    pub directory: PathBuf,
    /// All the variables that it sees, `PATH` always among them.
    pub environment: BTreeMap<String, String>,
    /// A program that fails at one slot so often has failed.
    pub max_attempts: u32,
    /// The time from the request to end to the end by force.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

impl Command {
    /// Reads the keys of a process that are about its program. The path of the source is the program's.
    pub(super) fn read(table: &mut Table<'_, '_>, origin: &Origin) -> Option<Source> {
        let words = table.list("command", argument());
        if words.first().is_none_or(String::is_empty) {
            table.problem("command", "no program", "a list of texts: the program and its arguments");
        }
        let directory = table.or("directory", PathBuf::from("."), kind::path());
        let variables = table.map("environment", argument());
        if let Some((name, _)) = variables.iter().find(|(name, _)| name.is_empty() || name.contains(['=', '\0'])) {
            table.problem("environment", format!("the name {name:?}"), "names without = and zero bytes");
        }
        let mut environment: BTreeMap<_, _> = variables.into_iter().collect();
        environment.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
        let command = Self {
            command: words,
            directory: origin.resolve(directory),
            environment,
            max_attempts: table.or("max_attempts", 3, kind::between(1..=1000)),
            grace: table.or("grace", Duration::from_secs(2), kind::duration(Duration::ZERO)),
        };
        let path = PathBuf::from(command.command.first()?);
        match serde_json::to_vec(&command) {
            Ok(text) => Some(Source { path, text: text.into() }),
            Err(error) => {
                table.problem("directory", error.to_string(), "a path in UTF-8");
                None
            }
        }
    }
}

fn argument() -> kind::Kind<'static, String> {
    kind::parsed("a text without zero bytes", |text| match text.contains('\0') {
        true => Err(Mismatch::because("it holds a zero byte")),
        false => Ok(text.to_owned()),
    })
}
