//! The commands, one file per command. A command returns its whole output; this module prints it.

use crate::cli::chat::ChatCommand;
use crate::cli::daemon::JobCommand;
use crate::cli::edge::EdgeCommand;
use crate::cli::history::HistoryCommand;
use crate::cli::secret::SecretCommand;
use crate::cli::{
    ApiArgs, Cli, Command, KeyCommand, StateCommand, StreamCommand, TargetCommand, TokenCommand,
};
use crate::clock::now;
use crate::nginx::Nginx;
use crate::test_stream;

mod admin;
mod applications;
mod become_child;
mod chat_export;
mod check;
mod doctor;
mod drain;
mod edge_drain;
mod edge_join;
mod edge_list;
mod edge_ticket;
mod error;
mod fleet;
mod generated;
mod history_export;
mod history_list;
mod history_show;
mod init;
mod job_list;
mod job_logs;
mod job_restart;
mod key_add;
mod key_hash;
mod key_list;
mod key_revoke;
mod key_rotate;
mod limits;
mod link;
mod lint;
mod man;
mod notify;
mod obs;
mod output;
mod pair;
mod secret_new;
mod serve;
mod state_save;
mod stream_drop;
mod stream_list;
mod system;
mod table;
mod target_add;
mod target_enable;
mod target_list;
mod target_remove;
mod token_mint;
mod token_revoke;
mod token_revoked;
mod top;

pub(crate) use error::{Error, USAGE, WRONG_USAGE};
use output::{Output, print};
use system::{random, runtime};

/// Runs a command, prints its output, and returns the exit status.
pub(crate) fn run(cli: Cli) -> Result<u8, Error> {
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
        Command::Top(args) => ask(api, async |nginx| top::run(args, cli.json.json, nginx).await)?,
        Command::Token(TokenCommand::Mint(args)) => match &args.secret {
            Some(secret) => token_mint::here(args, secret)?,
            None => ask(api, async |nginx| token_mint::by_nginx(args, nginx).await)?,
        },
        Command::Token(TokenCommand::Revoke(args)) => {
            ask(api, async |nginx| token_revoke::run(args, nginx).await)?
        }
        Command::Token(TokenCommand::Revoked(args)) => {
            ask(api, async |nginx| token_revoked::run(args, nginx).await)?
        }
        Command::Link(args) => ask(api, async |nginx| link::run(args, api, nginx).await)?,
        Command::Secret(SecretCommand::New(args)) => secret_new::run(args)?,
        Command::State(StateCommand::Save(args)) => {
            ask(api, async |nginx| state_save::run(args, nginx).await)?
        }
        Command::Init(args) => init::run(args)?,
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
        Command::Doctor(args) => {
            let (output, sick) = doctor::run(args, api)?;
            status = u8::from(sick);
            output
        }
        Command::Notify(args) => ask(api, async |nginx| notify::run(args, nginx).await)?,
        Command::TestStream(args) => {
            runtime()?.block_on(test_stream::run(args))?;
            Output::default()
        }
        Command::Admin(command) => admin::run(command)?,
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
        Command::Edge(command) => {
            let asked = async {
                match command {
                    EdgeCommand::List(args) => edge_list::run(args).await,
                    EdgeCommand::Drain(args) => edge_drain::run(args, true).await,
                    EdgeCommand::Undrain(args) => edge_drain::run(args, false).await,
                    EdgeCommand::Ticket(args) => edge_ticket::run(args).await,
                    EdgeCommand::Join(args) => edge_join::run(args).await,
                }
            };
            runtime()?.block_on(asked)?
        }
        Command::Pair(args) => runtime()?.block_on(pair::run(args))?,
        Command::History(command) => {
            let asked = async {
                match command {
                    HistoryCommand::List(args) => history_list::run(args).await,
                    HistoryCommand::Show(args) => history_show::run(args).await,
                    HistoryCommand::Export(args) => history_export::run(args).await,
                }
            };
            runtime()?.block_on(asked)?
        }
        Command::Fleet(command) => {
            let (output, good) = runtime()?.block_on(fleet::run(command))?;
            status = u8::from(!good);
            output
        }
        Command::Chat(ChatCommand::Export(args)) => runtime()?.block_on(chat_export::run(args))?,
        Command::Drain(args) => drain::run(args)?,
        Command::Become(args) => match become_child::run(args)? {},
        Command::Completions(args) => generated::completions(args),
        Command::Man(args) => man::run(args)?,
    };
    print(&output)?;
    Ok(status)
}

/// Runs a command that needs the API: only such commands start a runtime and an HTTP client.
fn ask(api: &ApiArgs, command: impl AsyncFnOnce(&Nginx) -> Result<Output, Error>) -> Result<Output, Error> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let nginx = Nginx::new(api.api.clone(), api.api_token_file.as_deref())?;
        let output = command(&nginx).await.map_err(Error::in_words_of_the_command_line);
        let warnings = nginx.take_warnings().into_iter().map(|warning| format!("weir: warning: {warning}\n"));
        output.map(|output| Output { stderr: output.stderr + &warnings.collect::<String>(), ..output })
    })
}
