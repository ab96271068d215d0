//! What each command does, one a file. A command gives its whole output; it is printed here.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::daemon::JobCommand;
use crate::cli::{
    ApiArgs, Cli, Command, KeyCommand, SecretCommand, StateCommand, StreamCommand, TargetCommand,
    TokenCommand,
};
use crate::nginx::{self, Nginx};
use crate::{health, test_stream};

mod applications;
mod become_child;
mod check;
mod generated;
mod job_list;
mod job_logs;
mod job_restart;
mod key_add;
mod key_hash;
mod key_list;
mod key_revoke;
mod key_rotate;
mod lint;
mod man;
mod notify;
mod obs;
mod secret_new;
mod serve;
mod state_save;
mod stream_drop;
mod stream_list;
mod table;
mod target_add;
mod target_enable;
mod target_list;
mod target_remove;
mod token_mint;
mod top;

/// Why a command did not do what it was asked for. One line each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The API refused, or there is none.
    #[error(transparent)]
    Nginx(#[from] nginx::Error),
    /// A file cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// As it was given.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Standard input has nothing fitting.
    #[error("standard input: {0}")]
    Input(String),
    /// The result cannot be printed.
    #[error("standard output: {source}{}", consequence.as_deref().unwrap_or_default())]
    Output {
        /// What the system says.
        source: io::Error,
        /// What is lost, and how to get it back.
        consequence: Option<String>,
    },
    /// The runtime, random bytes and such.
    #[error("{0}")]
    System(String),
    /// A terminal that cannot be written to, or no signals.
    #[error("terminal: {0}")]
    Terminal(io::Error),
    /// nginx's configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] weir_model::lint::ReadError),
    /// A token that cannot be minted.
    #[error("{0}")]
    Token(String),
    /// What was checked is not healthy.
    #[error(transparent)]
    Unhealthy(#[from] health::Unhealthy),
    /// The daemon could not work with its configuration.
    #[error("{}: {problems}", path.display())]
    Check {
        /// The configuration.
        path: PathBuf,
        /// What it could not use, on one line.
        problems: String,
    },
    /// The daemon cannot run.
    #[error(transparent)]
    Daemon(#[from] crate::daemon::Error),
    /// The daemon refused, or there is none.
    #[error(transparent)]
    DaemonClient(#[from] crate::daemon::client::Error),
    /// The test stream ended otherwise than asked for.
    #[error(transparent)]
    TestStream(#[from] test_stream::Error),
}

impl Error {
    /// The kind of error, for programs: the API's own word where it refused.
    pub fn code(&self) -> &str {
        match self {
            Self::Usage(_) => super::USAGE,
            Self::TestStream(error) if error.is_usage() => super::USAGE,
            Self::Nginx(nginx::Error::Refused { code, .. }) => code,
            Self::Nginx(nginx::Error::Unreachable { .. } | nginx::Error::NotTheApi { .. }) => "unreachable",
            Self::DaemonClient(_) => "daemon",
            Self::Unhealthy(_) => "unhealthy",
            Self::Check { .. } | Self::Configuration(_) => "configuration",
            Self::Daemon(crate::daemon::Error::Config(_)) => "configuration",
            Self::File { .. } | Self::Nginx(nginx::Error::TokenFile { .. }) => "file",
            _ => "failed",
        }
    }

    /// 2 for wrong usage, 1 for all else.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Configuration(_) => super::WRONG_USAGE,
            Self::TestStream(error) if error.is_usage() => super::WRONG_USAGE,
            _ => 1,
        }
    }

    fn file(path: &Path, why: impl ToString) -> Self {
        Self::File { path: path.into(), why: why.to_string() }
    }
}

/// Everything a command prints.
#[derive(Default)]
struct Output {
    /// The result.
    stdout: String,
    /// What goes with it and must not be mixed into it.
    stderr: String,
    /// Said when nobody could read the result.
    if_unread: Option<String>,
}

impl From<String> for Output {
    fn from(stdout: String) -> Self {
        Self { stdout, ..Self::default() }
    }
}

impl Output {
    /// The API's answer as it came.
    fn json(text: &str) -> Self {
        format!("{}\n", text.trim_end()).into()
    }
}

/// Runs a command, prints its output, and gives the exit status.
pub fn run(cli: Cli) -> Result<u8, Error> {
    let api = &cli.api;
    let mut status = 0;
    let output = match &cli.command {
        Command::Key(command) => match command {
            KeyCommand::Add(args) => ask(api, async |nginx| key_add::run(args, api, nginx).await)?,
            KeyCommand::List(args) => ask(api, async |nginx| key_list::run(args, nginx).await)?,
            KeyCommand::Revoke(args) => ask(api, async |nginx| key_revoke::run(args, nginx).await)?,
            KeyCommand::Rotate(args) => ask(api, async |nginx| key_rotate::run(args, api, nginx).await)?,
            KeyCommand::Hash(args) => key_hash::run(args)?,
        },
        Command::Stream(command) => match command {
            StreamCommand::List(args) => ask(api, async |nginx| stream_list::run(args, nginx).await)?,
            StreamCommand::Drop(args) => ask(api, async |nginx| stream_drop::run(args, nginx).await)?,
        },
        Command::Target(command) => match command {
            TargetCommand::Add(args) => {
                let url = target_add::url(args)?;
                ask(api, async |nginx| target_add::run(args, &url, nginx).await)?
            }
            TargetCommand::List(args) => ask(api, async |nginx| target_list::run(args, nginx).await)?,
            TargetCommand::Enable(args) => {
                ask(api, async |nginx| target_enable::run(args, true, nginx).await)?
            }
            TargetCommand::Disable(args) => {
                ask(api, async |nginx| target_enable::run(args, false, nginx).await)?
            }
            TargetCommand::Remove(args) => ask(api, async |nginx| target_remove::run(args, nginx).await)?,
        },
        Command::Top(args) => ask(api, async |nginx| top::run(args, nginx).await)?,
        Command::Token(TokenCommand::Mint(args)) => match &args.secret {
            Some(secret) => token_mint::here(args, secret)?,
            None => ask(api, async |nginx| token_mint::by_nginx(args, nginx).await)?,
        },
        Command::Secret(SecretCommand::New(args)) => secret_new::run(args)?,
        Command::State(StateCommand::Save(args)) => {
            ask(api, async |nginx| state_save::run(args, nginx).await)?
        }
        Command::Lint(args) => {
            let (output, found) = lint::run(args)?;
            status = u8::from(found);
            output
        }
        Command::Check(command) => {
            let (output, healthy) = check::run(command, api)?;
            status = u8::from(!healthy);
            output
        }
        Command::Notify(args) => ask(api, async |nginx| notify::run(args, nginx).await)?,
        Command::TestStream(args) => {
            runtime()?.block_on(test_stream::run(args))?;
            Output::default()
        }
        Command::Serve(args) => serve::run(args)?,
        Command::Job(command) => {
            let asked = async {
                match command {
                    JobCommand::List(args) => job_list::run(args).await,
                    JobCommand::Logs(args) => job_logs::run(args).await,
                    JobCommand::Restart(args) => job_restart::run(args).await,
                }
            };
            runtime()?.block_on(asked)?
        }
        Command::Become(args) => match become_child::run(args)? {},
        Command::Completions(args) => generated::completions(args),
        Command::Man(args) => man::run(args)?,
    };
    print(&output)?;
    Ok(status)
}

/// Asks the API: only such commands start a runtime and an HTTP client.
fn ask(api: &ApiArgs, command: impl AsyncFnOnce(&Nginx) -> Result<Output, Error>) -> Result<Output, Error> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let nginx = Nginx::new(api.api.clone(), api.api_token_file.as_deref())?;
        let output = command(&nginx).await;
        let warnings = nginx.take_warnings().into_iter().map(|warning| format!("weir: warning: {warning}\n"));
        output.map(|output| Output { stderr: output.stderr + &warnings.collect::<String>(), ..output })
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::System(format!("no runtime: {e}")))
}

fn print(output: &Output) -> Result<(), Error> {
    let _ = io::stderr().write_all(output.stderr.as_bytes());
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(output.stdout.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        // A reader who has seen enough of a listing (`| head -1`) is no error.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe && output.if_unread.is_none() => Ok(()),
        Err(source) => Err(Error::Output { source, consequence: output.if_unread.clone() }),
        Ok(()) => Ok(()),
    }
}

/// Now.
fn now() -> weir_model::Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    weir_model::Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Unpredictable bytes of the operating system.
fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::System(format!("no random bytes: {e}")))?;
    Ok(bytes)
}
