//! What a module is to the fence: its types, and a trait for each kind of callback.
//!
//! A module implements all of them for one type of its own, and hands that to [`export!`](crate::export!). Every call
//! is resolved at compile time.

use nginx_sys::ngx_module_t;

use crate::{
    blocks::Block,
    cycle::{Checked, Start, Takeover},
    disk::Watch,
    incoming::Reading,
    message::Message,
    push::Failure,
    request::{Head, Response, Step},
    session::Session,
    slots::Inherit,
    thread::Pool,
    zone::Memory,
};

/// What a module keeps, and where.
pub trait Types: Sized + 'static {
    /// What its lines in the log begin with.
    const NAME: &'static str;
    /// The pools of threads that it works in.
    const POOLS: &'static [Pool];
    /// The settings of a whole configuration.
    type Main: Default;
    /// An application's settings.
    type App: Default + Inherit;
    /// A location's settings.
    type Location: Default + Inherit;
    /// What it keeps of a session; dropped with the connection.
    type Session: Default;
}

/// The life of a configuration.
pub trait Configuration: Types {
    /// `rtmp` was read to its end. An application's settings may be told what stands around it.
    fn learn(main: &mut Self::Main, blocks: &mut [Block<'_, Self>]);
    /// All was read. An error is logged, and the configuration does not take effect.
    fn check(cx: &mut Checked<'_, Self>) -> Result<(), String>;
    /// Whether a zone of so many bytes has room for anything.
    fn fits(bytes: usize) -> bool;
    /// Begins a zone in memory that is all zeroes; `size` is what was asked for, of which the module has `bytes`.
    fn lay_out(memory: &Memory, size: usize, bytes: usize) -> Result<(), String>;
    /// The zone is mapped; `fresh` says that nobody has used it. `user` and group are those of the workers, `None` when
    /// they stay who the master is. Returns warnings. After an error the configuration does not take effect.
    fn prepare(
        memory: &Memory,
        main: &mut Self::Main,
        fresh: bool,
        user: Option<(u32, u32)>,
    ) -> Result<Vec<String>, String>;
    /// The line in the log that says something about the zone.
    fn about_zone(main: &Self::Main, message: &str) -> String;
    /// What is wrong with a zone of another size than the running one, which has `bytes`.
    fn other_size(bytes: usize) -> String;
    /// The configuration takes effect.
    fn commit(cx: &mut Start<'_, Self>) -> Takeover;
    /// Whether what writes files for an application is found and can be stopped ([`disk`](crate::disk)).
    fn watch_files(app: &Self::App) -> Watch;
}

/// The life of a worker.
pub trait Worker: Types {
    /// It begins.
    fn start();
    /// It exits.
    fn stop();
    /// Ten times a second: 100 ms after the one before, give or take 50.
    fn tick();
}

/// The life of a session.
pub trait Connections: Types {
    /// A connection was accepted, or is being made. Returns whether it may go on.
    fn on_connect(session: &mut Session<'_, Self>) -> bool;
    /// The handshake is over. Returns whether the connection may go on.
    fn on_handshake(session: &mut Session<'_, Self>) -> bool;
    /// A stream is about to be closed, or the connection is going.
    fn before_close(session: &mut Session<'_, Self>);
    /// Files of a stream are about to be closed.
    fn before_writing(session: &mut Session<'_, Self>);
    /// A stream was closed, or the connection is going.
    fn on_close(session: &mut Session<'_, Self>);
    /// The connection is gone.
    fn on_disconnect(session: &mut Session<'_, Self>);
    /// nginx-rtmp is about to log an error of a client's connection. Returns whether it may.
    fn may_log(session: &mut Session<'_, Self>, line: &[u8]) -> bool;
    /// The session's timer went off.
    fn on_timer(session: &mut Session<'_, Self>);
    /// The other end was told that the stream ends, and reads that before the connection is closed.
    fn linger(session: &mut Session<'_, Self>);
}

/// A command on which nginx-rtmp may ask a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `on_connect`.
    Connect,
    /// `on_publish`.
    Publish,
    /// `on_play`.
    Play,
}

/// What becomes of a `connect` command.
pub enum ConnectFlow {
    /// nginx-rtmp gets it as it came.
    Untouched,
    /// nginx-rtmp gets this in its place: all behind the command's name.
    Rewritten(Vec<u8>),
    /// It was answered.
    Done,
}

/// What becomes of a `publish` command.
pub enum PublishFlow {
    /// nginx-rtmp gets it as it came.
    Untouched,
    /// nginx-rtmp gets this name (with arguments) and type instead.
    Forward {
        /// `name` or `name?args`.
        name: Vec<u8>,
        /// `live`, `record` or `append`.
        kind: &'static str,
    },
    /// It was answered, or will be.
    Done,
}

/// What becomes of a `play` command.
pub enum PlayFlow {
    /// nginx-rtmp gets it as it came.
    Untouched,
    /// nginx-rtmp gets this name (with arguments) instead.
    Forward(Vec<u8>),
    /// It was answered.
    Done,
}

/// What becomes of the answer of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// nginx-rtmp goes on with it.
    GoOn,
    /// nginx-rtmp goes on with it, and connects to another server. It logs the whole URL, of which this part is hidden.
    Relay(String),
    /// The client was told: nginx-rtmp hears that it was refused, and the connection lingers.
    Refused,
}

/// What clients say.
pub trait Commands: Types {
    /// Whether the module has anything to say about commands.
    fn is_on() -> bool;
    /// `connect`; `command` is what follows that word.
    fn on_connect_command(session: &mut Session<'_, Self>, command: &[u8]) -> ConnectFlow;
    /// `publish`, with its name and arguments, and its type; `None` where they cannot be read.
    fn on_publish_command(session: &mut Session<'_, Self>, words: Option<(&[u8], &[u8])>) -> PublishFlow;
    /// `play`, with its name and arguments.
    fn on_play_command(session: &mut Session<'_, Self>, name: &[u8]) -> PlayFlow;
    /// `play`, at more length than any name has. Returns whether nginx-rtmp may see the command.
    fn may_play_at_length(session: &mut Session<'_, Self>) -> bool;
    /// nginx-rtmp is about to publish what it pulls. Returns whether it may.
    fn on_pull(session: &mut Session<'_, Self>, name: &[u8]) -> bool;
    /// nginx-rtmp is about to publish what a client sends.
    fn on_publish(session: &mut Session<'_, Self>);
    /// nginx-rtmp serves a player.
    fn on_play(session: &mut Session<'_, Self>, name: &str);
    /// A program answered: `answer` is empty when it did not. `transaction` is that of a `connect`.
    fn on_answer(session: &mut Session<'_, Self>, ask: Ask, answer: &[u8], transaction: f64) -> Admission;
    /// A command failed in one of nginx-rtmp's handlers. `asked`: a program could not be asked.
    fn on_failure(session: &mut Session<'_, Self>, ask: Ask, asked: bool, transaction: f64);
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// nginx-rtmp gets it.
    Open,
    /// It is ignored.
    Drop,
    /// The connection is closed.
    Close,
}

/// What is sent, from bytes to messages.
pub trait Incoming: Types {
    /// A message came, before nginx-rtmp's own modules see it.
    fn on_message(session: &mut Session<'_, Self>, message: &mut Message<'_>) -> Passage;
    /// A message of which `read` bytes were read now has `length`. Returns whether the connection may go on.
    fn on_running(session: &mut Session<'_, Self>, read: u32, length: u32) -> bool;
    /// A message came, of a type that nginx-rtmp does not know. Returns whether the connection may go on.
    fn on_unknown_kind(session: &mut Session<'_, Self>, kind: u8) -> bool;
    /// The longest of the messages that are being read on a connection that nginx made has this length. Returns whether
    /// the connection may go on.
    fn on_length(session: &mut Session<'_, Self>, length: u32) -> bool;
    /// Bytes are about to be read.
    fn before_reading(session: &mut Session<'_, Self>) -> Reading;
    /// Bytes came, before anybody looked at them. Returns whether the connection may go on.
    fn on_bytes(session: &mut Session<'_, Self>, bytes: usize) -> bool;
}

/// What a `_result` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// `connect`.
    Connect,
    /// `createStream`.
    CreateStream,
    /// `publish`.
    Publish,
    /// Nothing that was asked.
    Nothing,
}

/// What becomes of connections to push targets, by their tickets.
pub trait Targets: Types {
    /// The longest answer that is read.
    const MAX_ANSWER: usize;
    /// The other end says `_result`, with this transaction number.
    fn on_result(session: &mut Session<'_, Self>, transaction: Option<f64>) -> Answered;
    /// The connection is up.
    fn on_connected(ticket: u64);
    /// It failed, or is gone.
    fn on_failed(ticket: u64, failure: Failure);
    /// `publish` was sent, and the stream follows.
    fn on_sending(ticket: u64);
    /// The target says how the publish went.
    fn on_status(ticket: u64, level: &str, code: &str, description: &str);
    /// The target refuses `connect` or what follows it (`_error`).
    fn on_error(ticket: u64, code: &str, description: &str);
}

/// Requests over HTTP.
pub trait Requests: Types {
    /// The longest body that is read.
    const MAX_BODY: usize;
    /// Whether a request may be made at all, before its body is read.
    fn admit(head: &Head<'_, Self>) -> Result<(), Response>;
    /// A request came, with its body; `None` where that is too large.
    fn dispatch(head: &Head<'_, Self>, body: Option<&[u8]>) -> Step;
    /// A request for statistics.
    fn stat(head: &Head<'_, Self>) -> Response;
}

/// A module of nginx, with its tables.
///
/// # Safety
///
/// The three functions return modules of nginx that live for ever, each always the same, whose contexts and commands are
/// those of [`export`](mod@crate::export) for this very type, and which nobody else uses.
/// [`export!`](crate::export!) implements the trait so.
pub unsafe trait Module:
    Configuration + Worker + Connections + Commands + Incoming + Targets + Requests
{
    /// The core module: a whole configuration's settings.
    fn core_module() -> *mut ngx_module_t;
    /// The module of nginx-rtmp's kind: an application's settings, a session's state.
    fn rtmp_module() -> *mut ngx_module_t;
    /// The module of http's kind: a location's settings.
    fn http_module() -> *mut ngx_module_t;
    /// The name of the second, as `ngx_module_names` has it.
    const RTMP_NAME: &'static str;
}
