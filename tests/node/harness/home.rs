//! A folder with a configuration, scripts and the data of a node.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::program::Program;

/// What the configuration says beside what every test wants: port 0, JSON lines, data in the folder.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    filter: Option<String>,
    data_dir: Option<PathBuf>,
    sections: Vec<(&'static str, String)>,
    processes: Vec<(String, String, String)>,
    programs: Vec<(String, String, String)>,
    remotes: Vec<(String, String, String)>,
    routes: Vec<(String, String)>,
    top: String,
    more: String,
}

impl Settings {
    /// With another log filter than `debug` for everything of the node's own.
    pub fn filter(mut self, filter: &str) -> Self {
        self.filter = Some(filter.to_owned());
        self
    }

    /// With its data elsewhere.
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// With a line in a section.
    pub fn set(mut self, section: &'static str, line: &str) -> Self {
        self.sections.push((section, line.to_owned()));
        self
    }

    /// With a process that runs `script`; `more` are further lines of its entry.
    pub fn process(mut self, id: &str, script: &str, more: &str) -> Self {
        self.processes.retain(|(known, _, _)| known != id);
        self.processes.push((id.to_owned(), script.to_owned(), more.to_owned()));
        self
    }

    /// With a process that runs a program of the folder; `more` are further lines of its entry.
    pub fn program(mut self, id: &str, command: &[&str], more: &str) -> Self {
        self.programs.push((id.to_owned(), format!("{command:?}"), more.to_owned()));
        self
    }

    /// With a process that is computed at an address; `more` are further lines of its entry.
    pub fn remote(mut self, id: &str, url: &str, more: &str) -> Self {
        self.remotes.push((id.to_owned(), url.to_owned(), more.to_owned()));
        self
    }

    /// With a route to another node for the processes that `target` describes.
    pub fn route(mut self, target: &str, url: &str) -> Self {
        self.routes.push((target.to_owned(), url.to_owned()));
        self
    }

    /// With a line before all sections.
    pub fn top(mut self, line: &str) -> Self {
        line.clone_into(&mut self.top);
        self
    }

    /// With these lines behind everything else, in place of those that stood there.
    pub fn more(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.more);
        self
    }

    fn text(&self) -> String {
        let data_dir = self.data_dir.clone().unwrap_or_else(|| PathBuf::from("data"));
        let filter = self.filter.as_deref().unwrap_or("info,group=debug,worker=debug");
        let mut sections = vec![
            ("node", format!("name = \"test\"\ndata_dir = {data_dir:?}")),
            ("log", format!("format = \"json\"\nfilter = {filter:?}")),
        ];
        if !self.sections.iter().any(|(_, line)| line.starts_with("listen")) {
            sections.push(("http", "listen = \"127.0.0.1:0\"".to_owned()));
        }
        sections.extend(self.sections.iter().cloned());
        sections.sort_by_key(|(name, _)| *name);
        let (mut text, mut open) = (format!("{}\n", self.top), "");
        for (name, line) in &sections {
            if *name != open {
                let _ = writeln!(text, "\n[{name}]");
                open = name;
            }
            let _ = writeln!(text, "{line}");
        }
        for (target, url) in &self.routes {
            let _ = writeln!(text, "\n[[route]]\ntarget = \"{target}\"\nurl = \"{url}\"");
        }
        for (id, _, more) in &self.processes {
            let _ = writeln!(text, "\n[[process]]\nid = \"{id}\"\ndevice = \"lua\"\nsource = \"{id}.lua\"\n{more}");
        }
        for (id, command, more) in &self.programs {
            let _ = writeln!(text, "\n[[process]]\nid = \"{id}\"\ndevice = \"exec\"\ncommand = {command}\n{more}");
        }
        for (id, url, more) in &self.remotes {
            let _ = writeln!(text, "\n[[process]]\nid = \"{id}\"\ndevice = \"remote\"\nurl = \"{url}\"\n{more}");
        }
        text + "\n" + &self.more
    }
}

/// A folder with `mainstay.toml` in it. It goes with the value.
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// A new folder with this configuration.
    pub fn new(settings: &Settings) -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        home.configure(settings);
        home
    }

    /// Writes another configuration over the one that is there.
    pub fn configure(&self, settings: &Settings) {
        for (id, script, _) in &settings.processes {
            self.write(&format!("{id}.lua"), script);
        }
        self.write("mainstay.toml", &settings.text());
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file in the temporary folder");
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the data is, unless the settings say otherwise.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Starts the program and waits until it listens.
    pub async fn start(&self) -> Program {
        let program = self.launch();
        program.listening().await;
        program
    }

    /// Starts the program and waits for nothing.
    pub fn launch(&self) -> Program {
        self.launch_with(&[])
    }

    /// Starts the program by way of another, whose arguments it ends, and waits for nothing.
    pub fn launch_by(&self, by: &[&str]) -> Program {
        let config = self.path("mainstay.toml");
        let config = config.to_str().expect("a path of text");
        Program::launch_by(self.folder.path(), by, &["--config", config])
    }

    /// Starts the program with variables of its environment.
    pub fn launch_with(&self, environment: &[(&str, &str)]) -> Program {
        let config = self.path("mainstay.toml");
        let config = config.to_str().expect("a path of text");
        Program::launch(self.folder.path(), &["--config", config], environment)
    }
}
