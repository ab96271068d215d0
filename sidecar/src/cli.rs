//! The command line, as clap definitions alone: help, completions and man pages are made from these.
// Brackets in a help text are not links.
#![allow(rustdoc::broken_intra_doc_links)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use weir_model::key::KeyId;
use weir_model::{AppName, Network, StreamName};

mod args;
pub mod check;
pub mod daemon;
pub mod target;

use crate::values::{
    ActionName, Bitrate, Expiry, FrameRate, FrameSize, Host, Interval, Label, PlayerId, Span, StreamOrAll,
};
pub use args::{JsonArg, ServerBlockArg};
use check::{CheckHlsArgs, CheckHttpArgs, CheckNodeArgs, CheckRtmpArgs, NotifyArgs};
use daemon::{BecomeArgs, JobCommand, ServeArgs};
use target::{TargetAddArgs, TargetIdArgs, TargetListArgs};

/// Stream keys, tokens, live streams and test streams of an nginx with Weir.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
#[command(
    after_help = "`weir completions SHELL` prints a completion script, `weir man DIR` writes the man pages.\n\
Exit status: 0 done, 1 refused or unhealthy, 2 wrong usage."
)]
pub struct Cli {
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
pub struct ApiArgs {
    /// Where it is, http(s)://HOST[:PORT]/PATH or unix:SOCKET:/PATH (or in WEIR_API)
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

    /// File with its bearer token (or named in WEIR_API_TOKEN_FILE)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "WEIR_API_TOKEN_FILE",
        hide_env = true,
        value_hint = ValueHint::FilePath
    )]
    pub api_token_file: Option<PathBuf>,
}

/// The first word.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: transcode live streams as weir.toml says
    Serve(ServeArgs),
    /// The daemon's ffmpeg jobs
    #[command(subcommand)]
    Job(JobCommand),
    /// Stream keys: who may publish
    #[command(subcommand)]
    Key(KeyCommand),
    /// Live streams
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Push targets: where streams are sent on to
    #[command(subcommand)]
    Target(TargetCommand),
    /// Tokens: who may play, or publish without a key
    #[command(subcommand)]
    Token(TokenCommand),
    /// Signing secrets for tokens
    #[command(subcommand)]
    Secret(SecretCommand),
    /// The state file of the module: keys and targets on the disk
    #[command(subcommand)]
    State(StateCommand),
    /// Watch the live streams in the terminal
    Top(TopArgs),
    /// Name what is dangerous in an nginx-rtmp configuration
    Lint(LintArgs),
    /// Health checks: exit 0 healthy, 1 not, and one line why
    #[command(subcommand)]
    Check(CheckCommand),
    /// keepalived's notify script: take the pushes of this machine over, or release them
    Notify(NotifyArgs),
    /// Publish colour bars, a clock and a beep each second
    TestStream(TestStreamArgs),
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
pub enum KeyCommand {
    /// Make a key; it is shown only this once
    Add(KeyAddArgs),
    /// List the keys, without their secrets
    List(KeyListArgs),
    /// Make a key invalid at once and drop the publisher that uses it
    Revoke(KeyRevokeArgs),
    /// Replace a key's secret; the new one is shown only this once
    Rotate(KeyRotateArgs),
    /// Print a line for weir_key_file; reads the key from standard input
    Hash(KeyHashArgs),
}

/// `weir key add`
#[derive(Debug, Args)]
pub struct KeyAddArgs {
    /// nginx-rtmp application, as in `application live { ... }`
    pub app: AppName,
    /// Public name that the stream will bear
    pub stream: StreamName,
    /// A remark for people
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// When it ends: 2026-12-24T18:00:00Z, or after 30d, 12h, 90m
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<Expiry>,
    /// Accept it only from this network; may be given several times
    #[arg(long, value_name = "CIDR")]
    pub from: Vec<Network>,
    /// The `server` block
    #[command(flatten)]
    pub block: ServerBlockArg,
    /// The host for OBS
    #[command(flatten)]
    pub server: ServerArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir key list`
#[derive(Debug, Args)]
pub struct KeyListArgs {
    /// Only this application's
    #[arg(long)]
    pub app: Option<AppName>,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir key revoke`
#[derive(Debug, Args)]
pub struct KeyRevokeArgs {
    /// The key's id, from `weir key list`
    pub id: KeyId,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir key rotate`
#[derive(Debug, Args)]
pub struct KeyRotateArgs {
    /// The key's id, from `weir key list`
    pub id: KeyId,
    /// How long the old secret stays valid: 10m, 1h, 0s
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub overlap: Span,
    /// The host for OBS
    #[command(flatten)]
    pub server: ServerArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir key hash`
#[derive(Debug, Args)]
pub struct KeyHashArgs {
    /// Public name that the stream will bear
    pub stream: StreamName,
    /// A remark at the end of the line
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Make a new key rather than read one; the line goes to standard output, the key to standard error
    #[arg(long)]
    pub new: bool,
}

/// `weir stream ...`
#[derive(Debug, Subcommand)]
pub enum StreamCommand {
    /// List the live streams of every worker
    List(StreamListArgs),
    /// Drop a stream's publisher, or one of its RTMP players
    Drop(StreamDropArgs),
}

/// `weir stream list`
#[derive(Debug, Args)]
pub struct StreamListArgs {
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir stream drop`
#[derive(Debug, Args)]
pub struct StreamDropArgs {
    /// nginx-rtmp application, as `weir stream list` shows it
    pub app: OsString,
    /// The stream's public name, as `weir stream list` shows it; -- before a name that begins with -
    pub name: OsString,
    /// The `server` block
    #[command(flatten)]
    pub block: ServerBlockArg,
    /// Refuse its key for so long: 60s, 10m, at most 1d
    #[arg(long, value_name = "TIME")]
    pub ban: Option<Span>,
    /// Drop this RTMP player, and not the publisher
    #[arg(long, value_name = "ID", conflicts_with = "ban")]
    pub player: Option<PlayerId>,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir top`
#[derive(Debug, Args)]
#[command(after_help = "q or Ctrl-C leaves.")]
pub struct TopArgs {
    /// How often it asks: 1s, 10s, 1m
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: Interval,
    /// Print it once, as it does where standard output is no terminal
    #[arg(long)]
    pub once: bool,
}

/// `weir lint`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 nothing was found, 1 something was, 2 the configuration cannot be read."
)]
pub struct LintArgs {
    /// The main file; what it includes is read too
    #[arg(value_name = "NGINX_CONF", default_value = "/etc/nginx/nginx.conf", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Lines or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir target ...`
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// Push a stream to another server, from now on and whenever it is live
    Add(TargetAddArgs),
    /// List the targets and how their pushes stand
    List(TargetListArgs),
    /// Push to a target again
    Enable(TargetIdArgs),
    /// Push to a target no more, but keep it
    Disable(TargetIdArgs),
    /// Forget a target; what is pushed there ends
    Remove(TargetIdArgs),
}

/// `weir token ...`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Mint a token, here with --secret or else by the module
    Mint(TokenMintArgs),
}

/// `weir token mint`
#[derive(Debug, Args)]
pub struct TokenMintArgs {
    /// nginx-rtmp application
    pub app: AppName,
    /// The stream, or '*' for each of the application
    pub stream: StreamOrAll,
    /// What it allows
    #[arg(long, value_enum, default_value_t = ActionName::Publish)]
    pub action: ActionName,
    /// How long it is valid: 1h, 30m, 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub ttl: Span,
    /// Accept it only from this network
    #[arg(long, value_name = "CIDR")]
    pub ip: Option<Network>,
    /// The signing secret (weir_secret of nginx.conf): mint without asking nginx
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub secret: Option<PathBuf>,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir secret ...`
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Write a new random secret to FILE, mode 0600
    New(SecretNewArgs),
}

/// `weir secret new`
#[derive(Debug, Args)]
pub struct SecretNewArgs {
    /// The file to make
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    pub force: bool,
    /// Give the file to this user and its group; for root
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,
}

/// `weir state ...`
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Write the state file anew from nginx's memory, and keep a damaged one beside it
    Save(StateSaveArgs),
}

/// `weir state save`
#[derive(Debug, Args)]
pub struct StateSaveArgs {
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir check ...`
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// An RTMP server answers; with --stream, a stream really comes
    Rtmp(CheckRtmpArgs),
    /// An HTTP server answers
    Http(CheckHttpArgs),
    /// An HLS stream advances, and its last segment loads
    Hls(CheckHlsArgs),
    /// nginx's workers, the zone and the disks of this machine
    Node(CheckNodeArgs),
}

/// `weir test-stream`
#[derive(Debug, Args)]
#[command(
    after_help = "The key is best given with --key-file or in WEIR_STREAM_KEY: whatever stands in URL \
is in the list of processes that every user of this machine can read. Needs ffmpeg and a font \
(Debian: ffmpeg, fonts-dejavu-core)."
)]
pub struct TestStreamArgs {
    /// Where to publish: rtmp://HOST[:PORT]/APP, or with /STREAM where no key is asked for; APP may have several parts
    #[arg(value_hint = ValueHint::Url)]
    pub url: String,
    /// File with the stream key, - for standard input (or the key in WEIR_STREAM_KEY)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key_file: Option<PathBuf>,
    /// What to write below the clock [default: the application]
    #[arg(long, value_name = "LABEL")]
    pub name: Option<Label>,
    /// Size of the picture
    #[arg(long, value_name = "WxH", default_value = "1280x720")]
    pub size: FrameSize,
    /// Frames a second
    #[arg(long, value_name = "FPS", default_value = "30")]
    pub rate: FrameRate,
    /// Bit rate of the picture, bit/s: 2500k, 4M
    #[arg(long, value_name = "RATE", default_value = "2500k")]
    pub bitrate: Bitrate,
    /// End after this time: 10s, 5m [default: never]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Span>,
    /// Connect anew when the connection is lost; a refusal still ends it
    #[arg(long)]
    pub reconnect: bool,
}

/// `weir completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `weir man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder for the pages; made when missing
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// `--server`, for the lines that go into OBS.
#[derive(Clone, Debug, Args)]
pub struct ServerArg {
    /// HOST[:PORT] of the line for OBS [default: public_name of weir.toml, or this machine's host name]
    #[arg(long, value_name = "HOST")]
    pub server: Option<Host>,
}
