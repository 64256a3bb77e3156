//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::ids::ProcessId;

/// Hosts long-lived, message-driven processes with a durable log each.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: ConfigArgs,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the node. This is what happens without a command, too.
    Run(ConfigArgs),
    /// Looks whether the configuration is good, and lists what isn't. Starts nothing.
    Check(ConfigArgs),
    /// Archives the logs before the oldest snapshots, with the node stopped. What is archived stays readable.
    Compact(CompactArgs),
    /// Ends the programs of a node that is gone. The node starts it; it is not for people.
    #[command(hide = true)]
    Guard(GuardArgs),
    /// Becomes a program of a process. The node starts it; it is not for people.
    #[command(hide = true)]
    Launch(LaunchArgs),
}

/// What to compact, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct CompactArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only this process. Without it all are compacted.
    #[arg(long, value_name = "ID", value_parser = process_id)]
    pub process: Option<ProcessId>,
    /// The last slots of each log stay in it, so many at least.
    #[arg(long, value_name = "SLOTS", default_value_t = 0)]
    pub keep_slots: u64,
    /// Computes each log again up to its oldest snapshot before it is archived, where its device is deterministic.
    #[arg(long)]
    pub verify: bool,
    /// Only says what would be done, and what could not be: snapshots are read, restored and compared as always.
    #[arg(long)]
    pub dry_run: bool,
}

fn process_id(text: &str) -> Result<ProcessId, String> {
    ProcessId::parse(text).map_err(|error| error.to_string())
}

/// Whose programs to end.
#[derive(Clone, Debug, Args)]
pub struct GuardArgs {
    /// The file whose lock says that an earlier guardian is still at it.
    #[arg(long)]
    pub lock: PathBuf,
    /// What the programs of the node have in their environment.
    #[arg(long)]
    pub mark: String,
    /// Takes the place of one that died: those who have the mark are the living node's.
    #[arg(long)]
    pub again: bool,
}

/// What to become.
#[derive(Clone, Debug, Args)]
pub struct LaunchArgs {
    /// The most memory that the program may write to, in bytes.
    #[arg(long)]
    pub data: u64,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub program: Vec<OsString>,
}

/// Which configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// The configuration file. Without it ./config/mainstay.toml is taken if it is there, else the copy in the program.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Cli {
    /// What is to be done.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Run(self.run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Option<(bool, Option<PathBuf>)> {
        let cli = Cli::try_parse_from(std::iter::once("mainstay").chain(arguments.iter().copied())).ok()?;
        Some(match cli.command() {
            Command::Run(args) => (true, args.config),
            Command::Check(args) => (false, args.config),
            Command::Compact(_) | Command::Guard(_) | Command::Launch(_) => return None,
        })
    }

    #[test]
    fn running_is_what_happens_without_a_command() {
        let file = Some(PathBuf::from("f.toml"));
        assert_eq!(parsed(&[]), Some((true, None)));
        assert_eq!(parsed(&["--config", "f.toml"]), Some((true, file.clone())));
        assert_eq!(parsed(&["run", "--config", "f.toml"]), Some((true, file.clone())));
        assert_eq!(parsed(&["check", "--config", "f.toml"]), Some((false, file)));
        let compact = ["mainstay", "compact", "--config", "f.toml", "--process", "p", "--keep-slots", "7", "--dry-run"];
        let Command::Compact(args) = Cli::try_parse_from(compact).unwrap().command() else { panic!("another command") };
        assert_eq!((args.config.config, args.process), (Some("f.toml".into()), Some(ProcessId::parse("p").unwrap())));
        assert_eq!((args.keep_slots, args.verify, args.dry_run), (7, false, true));
        assert_eq!(parsed(&["compact", "--process", "no/id"]), None);
        assert_eq!(parsed(&["fly"]), None);
        assert_eq!(parsed(&["run", "--speed", "9"]), None);
    }
}
