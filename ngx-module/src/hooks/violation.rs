//! Refusals of the guard. Weir counts and logs them, and reports them to the push that owns the connection.

use ngx_rtmp::log::{self, Level};
use weir_model::{event::Event, guard::Violation, push::LastError, throttle::LogLine};
use weir_zone::Summary;

use super::refusal;
use crate::{process, push, runtime, session::Session};

/// Counts a refusal, and logs it once per minute for each address and reason. Reports it to the push that owns the connection.
pub(super) fn refuse(session: &mut Session, violation: Violation) {
    if let Some(ticket) = session.ticket() {
        push::on_failed(&mut session.all(), ticket, LastError::Guarded(violation));
    }
    let Some(runtime) = runtime::current() else { return };
    runtime.zone().count_guard(violation.index());
    let now = process::now();
    let bucket = refusal::bucket_of(session);
    let line = runtime.zone().lock(process::pid()).guard_refusal(bucket, violation.index(), now);
    let more = match line {
        LogLine::Silent => return,
        LogLine::Each => String::new(),
        LogLine::Summary { unlogged } => format!(", {unlogged} more since the last line"),
    };
    let denied = refusal::denied(session, violation.label());
    refusal::tell(session, &Event::GuardRefused(denied));
    let app = match session.app() {
        "" => String::new(),
        app => format!(", app: \"{app}\""),
    };
    session.log(Level::Error, format_args!("connection closed by the guard: {violation}{more}{app}"));
}

pub(super) fn allow(outcome: Result<(), Violation>, session: &mut Session) -> bool {
    if let Err(violation) = outcome {
        refuse(session, violation);
    }
    outcome.is_ok()
}

/// Logs one line about the refusals of an address since its last line.
pub fn log_summary(summary: &Summary) {
    if let Some(violation) = Violation::ALL.get(summary.reason) {
        let (more, client) = (summary.unlogged, refusal::client_of(summary.bucket));
        log::cycle(
            Level::Error,
            format_args!("connection closed by the guard: {violation}, {more} more times, client: {client}"),
        );
    }
}
