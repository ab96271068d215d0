//! The commands of clients, and the module's decisions about them.

use super::{session::Session, types::Types};

/// A command for which nginx-rtmp may ask a program over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `on_connect`.
    Connect,
    /// `on_publish`.
    Publish,
    /// `on_play`.
    Play,
}

/// The module's decision about a `connect` command.
pub enum ConnectFlow {
    /// nginx-rtmp gets the command unchanged.
    Untouched,
    /// nginx-rtmp gets these bytes instead: everything after the command's name.
    Rewritten(Vec<u8>),
    /// The module has answered the command.
    Done,
}

/// The module's decision about a `publish` command.
pub enum PublishFlow {
    /// nginx-rtmp gets the command unchanged.
    Untouched,
    /// nginx-rtmp gets this name (with arguments) and this type instead.
    Forward {
        /// `name` or `name?args`.
        name: Vec<u8>,
        /// `live`, `record` or `append`.
        kind: &'static str,
    },
    /// The module has answered the command, or will answer it.
    Done,
}

/// The module's decision about a `play` command.
pub enum PlayFlow {
    /// nginx-rtmp gets the command unchanged.
    Untouched,
    /// nginx-rtmp gets this name (with arguments) instead.
    Forward(Vec<u8>),
    /// The module has answered the command.
    Done,
}

/// The module's decision about a program's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// nginx-rtmp continues with the answer.
    GoOn,
    /// nginx-rtmp continues with the answer, and connects to another server. It logs the whole URL, in which the fence hides this part.
    Relay(String),
    /// The module has told the client the reason. nginx-rtmp learns that the client is refused, and the connection lingers.
    Refused,
}

/// Callbacks for the commands of clients.
pub trait Commands: Types {
    /// Returns whether the module judges commands at all.
    fn is_on() -> bool;
    /// Judges a `connect`; `command` is the rest of the message after the command's name.
    fn on_connect_command(session: &mut Session<'_, Self>, command: &[u8]) -> ConnectFlow;
    /// Judges a `publish` by its name with arguments, and its type; `words` is `None` if they cannot be read.
    fn on_publish_command(session: &mut Session<'_, Self>, words: Option<(&[u8], &[u8])>) -> PublishFlow;
    /// Judges a `play` by its name with arguments.
    fn on_play_command(session: &mut Session<'_, Self>, name: &[u8]) -> PlayFlow;
    /// Judges a `play` that is longer than any valid name. Returns whether nginx-rtmp may see the command.
    fn may_play_at_length(session: &mut Session<'_, Self>) -> bool;
    /// Called before nginx-rtmp publishes a stream that it pulls. Returns whether nginx-rtmp may publish it.
    fn on_pull(session: &mut Session<'_, Self>, name: &[u8]) -> bool;
    /// Called before nginx-rtmp publishes a stream that a client sends.
    fn on_publish(session: &mut Session<'_, Self>);
    /// Called when nginx-rtmp serves a player.
    fn on_play(session: &mut Session<'_, Self>, name: &str);
    /// Judges a program's answer; `answer` is empty if the program did not answer. `transaction` belongs to a `connect`.
    fn on_answer(session: &mut Session<'_, Self>, ask: Ask, answer: &[u8], transaction: f64) -> Admission;
    /// Called when a command failed in one of nginx-rtmp's handlers. `asked`: nginx-rtmp could not ask the program.
    fn on_failure(session: &mut Session<'_, Self>, ask: Ask, asked: bool, transaction: f64);
}
