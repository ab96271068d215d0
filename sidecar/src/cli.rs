//! The command line as clap definitions. Help texts, completions and man pages are generated from them.
// Brackets in a help text are no links.
#![allow(rustdoc::broken_intra_doc_links)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};
use weir_model::key::KeyId;
use weir_model::link::Base;
use weir_model::token::TokenId;
use weir_model::{AppName, Network, StreamName};

pub(crate) mod admin;
mod args;
pub(crate) mod chat;
pub(crate) mod check;
pub(crate) mod daemon;
pub(crate) mod doctor;
pub(crate) mod edge;
pub(crate) mod fleet;
mod generated;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod secret;
pub(crate) mod target;
mod test_stream;

use crate::values::{ActionName, Expiry, Interval, PlayerId, Span, StreamOrAll};
pub(crate) use args::{JsonArg, KeyFileArg, ServerArg, ServerBlockArg};
use chat::ChatCommand;
use check::{CheckHlsArgs, CheckHttpArgs, CheckNodeArgs, CheckRtmpArgs, NotifyArgs};
use daemon::{BecomeArgs, JobCommand, ServeArgs};
use doctor::DoctorArgs;
use edge::{DrainArgs, EdgeCommand, PairArgs};
pub(crate) use generated::{CompletionsArgs, ManArgs};
use history::HistoryCommand;
use secret::SecretCommand;
use target::{TargetAddArgs, TargetIdArgs, TargetListArgs};
pub(crate) use test_stream::TestStreamArgs;

/// Manage stream keys, push targets and live streams of an nginx with Weir, and run its daemon.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
#[command(
    after_help = "`weir completions SHELL` prints a completion script, `weir man DIR` writes the man pages.\n\
Exit status: 0 done, 1 refused or unhealthy, 2 wrong usage."
)]
pub(crate) struct Cli {
    /// Where nginx is, and who asks
    #[command(flatten)]
    pub api: ApiArgs,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Where the module's API is and how to be let in; understood by every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The module's API")]
pub(crate) struct ApiArgs {
    /// URL of the API: http(s)://HOST[:PORT]/PATH or unix:SOCKET:/PATH (or in WEIR_API)
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "WEIR_API",
        hide_env = true,
        default_value = "http://127.0.0.1:8080/api",
        value_hint = ValueHint::Url
    )]
    pub api: crate::nginx::ApiUrl,

    /// File with the API's bearer token (or named in WEIR_API_TOKEN_FILE)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "WEIR_API_TOKEN_FILE",
        hide_env = true,
        value_hint = ValueHint::FilePath
    )]
    pub api_token_file: Option<PathBuf>,

    /// Whether an option or a variable says where the API is or how to be let in.
    #[arg(skip)]
    pub is_given: bool,
}

impl Cli {
    /// Parses the arguments; the first one is the program's own name.
    pub(crate) fn of(args: &[OsString]) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(args)?;
        let mut cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut Self::command()))?;
        let is_url_given = matches.value_source("api").is_some_and(|by| by != ValueSource::DefaultValue);
        cli.api.is_given = is_url_given || cli.api.api_token_file.is_some();
        Ok(cli)
    }
}

/// The first word.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon: transcode, record and watch live streams as configured in weir.toml
    Serve(ServeArgs),
    /// List and restart the daemon's ffmpeg jobs
    #[command(subcommand)]
    Job(JobCommand),
    /// List, drain and undrain the edges of this origin
    #[command(subcommand)]
    Edge(EdgeCommand),
    /// Rent servers for an event: plan, create, watch and delete its edges
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Show whether the two nodes of a pair have the same keys, targets, bans and administrators
    Pair(PairArgs),
    /// Take this machine out of service, or back: no new viewers, and keepalived moves its address
    Drain(DrainArgs),
    /// Show what happened: past streams, their viewers, targets and recordings
    #[command(subcommand)]
    History(HistoryCommand),
    /// Export what was said in the chat
    #[command(subcommand)]
    Chat(ChatCommand),
    /// Manage stream keys, which publishers need
    #[command(subcommand)]
    Key(KeyCommand),
    /// List and drop live streams
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Manage push targets, the servers that live streams are pushed to
    #[command(subcommand)]
    Target(TargetCommand),
    /// Mint and revoke tokens, with which people publish without a key, or watch
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print links with which people watch a protected stream, and a QR code
    Link(LinkArgs),
    /// Create signing secrets for tokens
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Save the module's state file, which holds keys and targets
    #[command(subcommand)]
    State(StateCommand),
    /// Watch the live streams in the terminal
    Top(TopArgs),
    /// Find dangerous settings in an nginx-rtmp configuration
    Lint(LintArgs),
    /// Write the files of a machine: nginx.conf, weir.toml, keepalived.conf, secrets
    Init(init::InitArgs),
    /// Check health: exit status 0 healthy, 1 unhealthy, and one line with the reason
    #[command(subcommand)]
    Check(CheckCommand),
    /// Find what is wrong with this installation, with the remedy
    Doctor(DoctorArgs),
    /// keepalived's notify script: enable or disable the push targets of this machine
    Notify(NotifyArgs),
    /// Publish colour bars, a clock and a beep every second
    TestStream(TestStreamArgs),
    /// Manage the accounts of the dashboard
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Become another program, as the daemon starts it
    #[command(hide = true)]
    Become(BecomeArgs),
    /// Print a completion script
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Write the man pages
    #[command(hide = true)]
    Man(ManArgs),
}

/// `weir key ...`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key and show it once
    Add(KeyAddArgs),
    /// List the keys, without their secrets
    List(KeyListArgs),
    /// Make a key invalid immediately and disconnect its publisher
    Revoke(KeyRevokeArgs),
    /// Replace a key's secret and show the new one once
    Rotate(KeyRotateArgs),
    /// Print a line for weir_key_file from a key on standard input
    Hash(KeyHashArgs),
}

/// `weir key add`
#[derive(Debug, Args)]
pub(crate) struct KeyAddArgs {
    /// nginx-rtmp application, as in `application live { ... }`
    pub app: AppName,
    /// Public name of the stream
    pub stream: StreamName,
    /// Note for administrators
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// When the key expires: 2026-12-24T18:00:00Z, or after 30d, 12h, 90m [default: never]
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<Expiry>,
    /// Accept the key only from this network; may be given several times [default: any]
    #[arg(long, value_name = "CIDR")]
    pub from: Vec<Network>,
    /// The `server` block
    #[command(flatten)]
    pub block: ServerBlockArg,
    /// The host for OBS
    #[command(flatten)]
    pub server: ServerArg,
    /// Where the key goes
    #[command(flatten)]
    pub file: KeyFileArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir key list`
#[derive(Debug, Args)]
pub(crate) struct KeyListArgs {
    /// Only keys of this application
    #[arg(long)]
    pub app: Option<AppName>,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir key revoke`
#[derive(Debug, Args)]
pub(crate) struct KeyRevokeArgs {
    /// ID of the key, from `weir key list`
    pub id: KeyId,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir key rotate`
#[derive(Debug, Args)]
pub(crate) struct KeyRotateArgs {
    /// ID of the key, from `weir key list`
    pub id: KeyId,
    /// How long the old secret stays valid: 10m, 1h, 0s
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub overlap: Span,
    /// The host for OBS
    #[command(flatten)]
    pub server: ServerArg,
    /// Where the key goes
    #[command(flatten)]
    pub file: KeyFileArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir key hash`
#[derive(Debug, Args)]
pub(crate) struct KeyHashArgs {
    /// Public name of the stream
    pub stream: StreamName,
    /// Comment at the end of the line
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Create a key instead of reading one; prints the line to standard output, the key to standard error
    #[arg(long)]
    pub new: bool,
}

/// `weir stream ...`
#[derive(Debug, Subcommand)]
pub(crate) enum StreamCommand {
    /// List the live streams of every worker
    List(StreamListArgs),
    /// Drop a stream's publisher, or one of its RTMP players
    Drop(StreamDropArgs),
}

/// `weir stream list`
#[derive(Debug, Args)]
pub(crate) struct StreamListArgs {
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir stream drop`
#[derive(Debug, Args)]
pub(crate) struct StreamDropArgs {
    /// nginx-rtmp application, as `weir stream list` shows it
    pub app: OsString,
    /// Public name of the stream, as `weir stream list` shows it; write -- before a name that begins with -
    pub name: OsString,
    /// The `server` block
    #[command(flatten)]
    pub block: ServerBlockArg,
    /// Also refuse the publisher's key for this time: 60s, 10m, at most 1d
    #[arg(long, value_name = "TIME")]
    pub ban: Option<Span>,
    /// Drop this RTMP player instead of the publisher
    #[arg(long, value_name = "ID", conflicts_with = "ban")]
    pub player: Option<PlayerId>,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir top`
#[derive(Debug, Args)]
#[command(after_help = "Press q or Ctrl-C to quit. With --json, the command prints the list once.")]
pub(crate) struct TopArgs {
    /// Refresh interval: 1s, 10s, 1m; from 1s to 1h
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: Interval,
    /// Print the list once and exit; the default if standard output is no terminal
    #[arg(long)]
    pub once: bool,
    /// Which daemon's inputs
    #[command(flatten)]
    pub daemon: daemon::SocketArg,
}

/// `weir lint`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 nothing found or only notes, 1 dangers, warnings or hints found, 2 the configuration cannot be read."
)]
pub(crate) struct LintArgs {
    /// The main configuration file; its includes are read too
    #[arg(value_name = "NGINX_CONF", default_value = "/etc/nginx/nginx.conf", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Lines or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir target ...`
#[derive(Debug, Subcommand)]
pub(crate) enum TargetCommand {
    /// Push a stream to another server whenever it is live
    Add(TargetAddArgs),
    /// List the targets and the state of their pushes
    List(TargetListArgs),
    /// Resume a paused target
    Enable(TargetIdArgs),
    /// Pause a target without deleting it
    Disable(TargetIdArgs),
    /// Delete a target and stop its pushes
    Remove(TargetIdArgs),
}

/// `weir token ...`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Mint a token: locally with --secret, otherwise by nginx
    Mint(TokenMintArgs),
    /// Make tokens invalid immediately and disconnect who uses them: one token, or all of a stream so far
    Revoke(TokenRevokeArgs),
    /// List the revoked tokens
    Revoked(TokenRevokedArgs),
}

/// `weir token revoke`
#[derive(Debug, Args)]
#[command(after_help = "A token without \"iat\" counts as minted before any revocation of its stream.")]
pub(crate) struct TokenRevokeArgs {
    /// Revoke each token for streams of this nginx-rtmp application that was minted before now
    #[arg(required_unless_present = "jti", conflicts_with = "jti", requires = "stream")]
    pub app: Option<AppName>,
    /// Public name of the stream, or '*' for all streams of the application
    #[arg(requires = "app")]
    pub stream: Option<StreamOrAll>,
    /// Revoke the one token with this jti
    #[arg(allow_hyphen_values = true, long, value_name = "ID")]
    pub jti: Option<TokenId>,
    /// When the token with this jti expires: 2026-12-24T18:00:00Z, or after 30d, 12h, 90m [default: keep the revocation for 366 days]
    #[arg(long, value_name = "WHEN", requires = "jti")]
    pub expires: Option<Expiry>,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir token revoked`
#[derive(Debug, Args)]
pub(crate) struct TokenRevokedArgs {
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir token mint`
#[derive(Debug, Args)]
pub(crate) struct TokenMintArgs {
    /// nginx-rtmp application
    pub app: AppName,
    /// Public name of the stream, or '*' for all streams of the application
    pub stream: StreamOrAll,
    /// What the token allows [default: play, if weir_play protects the application; otherwise the option is required]
    #[arg(long, value_enum)]
    pub action: Option<ActionName>,
    /// With --action chat: what the bearer is called in the chat
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// With --action chat: the bearer may delete messages, and time out and ban people
    #[arg(long)]
    pub moderator: bool,
    /// How long the token is valid: 1h, 30m, 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub ttl: Span,
    /// Accept the token only from this network [default: any]
    #[arg(long, value_name = "CIDR")]
    pub ip: Option<Network>,
    /// File with the signing secret (weir_secret of nginx.conf): mint without asking nginx
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub secret: Option<PathBuf>,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir link`
#[derive(Debug, Args)]
#[command(after_help = "The QR code is printed if standard output is a terminal.")]
pub(crate) struct LinkArgs {
    /// nginx-rtmp application
    pub app: AppName,
    /// Public name of the stream
    pub stream: StreamName,
    /// How long the links are valid: 3h, 30m, 7d
    #[arg(long, value_name = "TIME", default_value = "3h")]
    pub ttl: Span,
    /// Accept the links only from this network [default: any]
    #[arg(long, value_name = "CIDR")]
    pub ip: Option<Network>,
    /// Address of this server for viewers [default: url of [web] in weir.toml, or the API's host]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Option<Base>,
    /// Configuration with the addresses ([web] url; [nginx] watch_url, hls_url, dash_url, rtmp_url) [default: /etc/weir/weir.toml, if it is there]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Lines or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir state ...`
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Write the state file from nginx's memory, and keep a damaged file beside it
    Save(StateSaveArgs),
}

/// `weir state save`
#[derive(Debug, Args)]
pub(crate) struct StateSaveArgs {
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir check ...`
#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Check that an RTMP server answers; with --stream, that it sends media
    Rtmp(CheckRtmpArgs),
    /// Check that an HTTP server answers
    Http(CheckHttpArgs),
    /// Check that an HLS playlist advances and its last segment is available
    Hls(CheckHlsArgs),
    /// Check nginx's workers, the zone and the disks of this machine
    Node(CheckNodeArgs),
}
