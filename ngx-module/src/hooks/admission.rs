//! Refusals that are nginx-rtmp's own: the client is told why, and the log says it in one line.
//!
//! nginx-rtmp ends the connection where `on_connect`, `on_publish` or `on_play` keeps the client out, and where
//! one of its handlers fails.

use ngx_rtmp::module::Admission;
use weir_model::{
    admission::{self, Answer, Denial},
    refusal::{Command, Refusal},
    verdict::Policy,
};

use super::{publishing::Publish, refusal::refuse_command};
use crate::session::Session;

/// A program answered: `answer` is empty when it did not. `transaction` is that of a `connect`.
pub fn on_answer(session: &mut Session, command: Command, answer: &[u8], transaction: f64) -> Admission {
    let denial = match admission::read(answer) {
        Answer::Yes => return Admission::GoOn,
        Answer::Redirect(location) if command == Command::Publish && renames(session, &location) => {
            return told(session, command, Refusal::Renamed, transaction);
        }
        Answer::Redirect(location) => {
            return admission::path_of(&location)
                .map_or(Admission::GoOn, |path| Admission::Relay(path.to_owned()));
        }
        Answer::No(status) => Denial::Status(status),
        Answer::None => Denial::NoAnswer,
    };
    told(session, command, Refusal::NotAdmitted { command, denial }, transaction)
}

/// A command failed in one of nginx-rtmp's handlers, while it was called. `asked`: a program could not be asked.
pub fn on_failure(session: &mut Session, command: Command, asked: bool, transaction: f64) {
    let refusal = match command {
        Command::Connect if session.is_without_application() => Refusal::NoApplication,
        _ if asked => Refusal::NotAdmitted { command, denial: Denial::NoAnswer },
        _ => Refusal::Failed,
    };
    told(session, command, refusal, transaction);
}

fn told(session: &mut Session, command: Command, refusal: Refusal, transaction: f64) -> Admission {
    if session.state().is_some_and(|state| !state.is_closing()) {
        refuse_command(session, command, refusal, transaction);
    }
    Admission::Refused
}

/// Whether a redirect gives another name to a stream that is known by its own.
fn renames(session: &mut Session, location: &str) -> bool {
    let is_ours = session.settings().is_some_and(|settings| settings.publish() != Policy::Off);
    let name = match session.known_state().map(|state| &state.publish) {
        Some(Publish::Live(live)) => live.name().to_owned(),
        _ => return false,
    };
    is_ours && !admission::is_relay(location) && location != name
}
