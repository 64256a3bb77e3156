//! The program: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use mainstay::cli::{Cli, Command, CompactArgs};
use mainstay::compact::compact;
use mainstay::config::{Config, any_code, load};
use mainstay::device::exec::{guard, launch};
use mainstay::logging::Logging;
use mainstay::node::{self, NodeError};

/// The system's allocator keeps what thousands of workers have freed; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for arguments that make no sense.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nobody may be reading, which changes nothing.
            let _ = error.print();
            return if is_wanted { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    let done = match cli.command() {
        // What is stored has its code with it.
        Command::Compact(args) => load(args.config.config.as_deref(), &any_code)
            .map_err(NodeError::from)
            .and_then(|config| compact_logs(&config, &args)),
        Command::Run(args) => node::load(args.config.as_deref()).map_err(NodeError::from).and_then(run),
        Command::Check(args) => node::load(args.config.as_deref())
            .map_err(NodeError::from)
            .map(|config| say(&format!("{}: good", config.origin))),
        Command::Guard(args) => guard::run(&args.lock, &args.mark, args.again)
            .map_err(|error| NodeError::Internal(format!("{}: {error}", args.lock.display()))),
        // It only returns where it failed.
        Command::Launch(args) => Err(NodeError::Internal(format!(
            "the program {:?} cannot be run: {}",
            args.program.first().map(|name| name.display().to_string()).unwrap_or_default(),
            launch::run(args.data, &args.program)
        ))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(config: Config) -> Result<(), NodeError> {
    let logging = Logging::start(&config.log).map_err(|error| NodeError::Setup(error.to_string()))?;
    actix_rt::System::new().block_on(node::run(config, &logging))
}

fn compact_logs(config: &Config, args: &CompactArgs) -> Result<(), NodeError> {
    let _logging = Logging::start(&config.log).map_err(|error| NodeError::Setup(error.to_string()))?;
    let summary = compact(config, args)?;
    say(&summary.text(&config.node.data_dir));
    if summary.left_alone == 0 { Ok(()) } else { Err(NodeError::LeftAlone(summary.left_alone)) }
}

/// Standard output belongs to the log; what is said to the person at the terminal goes to standard error.
#[expect(clippy::print_stderr, reason = "this is the place")]
fn say(text: &str) {
    eprintln!("{text}");
}
