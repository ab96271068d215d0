//! What clients say, and what becomes of it.

use super::{session::Session, types::Types};

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
