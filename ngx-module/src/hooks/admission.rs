//! nginx-rtmp's own refusals. Weir tells the client the reason, and logs one line.
//!
//! nginx-rtmp closes the connection if `on_connect`, `on_publish` or `on_play` refuses the client, and if one of its handlers fails.

use ngx_rtmp::module::Admission;
use weir_model::{
    admission::{self, Answer, Denial},
    refusal::{Refusal, RefusedCommand},
    verdict::Policy,
};

use super::{publishing::Publish, refusal::refuse_command};
use crate::session::Session;

/// Judges a program's answer; `answer` is empty if the program did not answer. `transaction` belongs to a `connect`.
pub fn on_answer(
    session: &mut Session,
    command: RefusedCommand,
    answer: &[u8],
    transaction: f64,
) -> Admission {
    let denial = match admission::read(answer) {
        Answer::Yes => return Admission::GoOn,
        Answer::Redirect(location) if command == RefusedCommand::Publish && renames(session, &location) => {
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

/// Handles a command that failed in one of nginx-rtmp's handlers. `asked`: nginx-rtmp could not ask the program.
pub fn on_failure(session: &mut Session, command: RefusedCommand, asked: bool, transaction: f64) {
    let refusal = match command {
        RefusedCommand::Connect if session.is_without_application() => Refusal::NoApplication,
        _ if asked => Refusal::NotAdmitted { command, denial: Denial::NoAnswer },
        _ => Refusal::Failed,
    };
    told(session, command, refusal, transaction);
}

fn told(session: &mut Session, command: RefusedCommand, refusal: Refusal, transaction: f64) -> Admission {
    if session.state().is_some_and(|state| !state.is_closing()) {
        refuse_command(session, command, refusal, transaction);
    }
    Admission::Refused
}

/// Returns whether a redirect would rename a stream that Weir knows by its own name.
fn renames(session: &mut Session, location: &str) -> bool {
    let is_ours = session.settings().is_some_and(|settings| settings.publish() != Policy::Off);
    let name = match session.known_state().map(|state| &state.publish) {
        Some(Publish::Live(live)) => live.name().to_owned(),
        _ => return false,
    };
    is_ours && !admission::is_relay(location) && location != name
}
