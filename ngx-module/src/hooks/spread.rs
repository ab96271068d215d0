//! Pushes of streams between workers, with `rtmp_auto_push on`.

use std::collections::HashSet;

use ngx_rtmp::{log::Level, sessions::Sessions};
use weir_model::Server;

use super::publishing::Publish;
use crate::{
    process,
    runtime::{self, Runtime},
    session::{Session, SessionExt as _},
};

/// Pushes a stream of this worker to every worker that does not get it yet. Runs when the stream goes live, and once per second for workers
/// that started later.
pub fn spread(session: &mut Session) {
    let Some(runtime) = runtime::current().filter(|runtime| runtime.auto_push) else { return };
    let name = match session.known_state().map(|state| &state.publish) {
        Some(Publish::Live(live)) if live.confirmed => live.name.clone(),
        _ => return,
    };
    let known = session.pushed_to();
    let workers = runtime.zone().lock(process::pid()).workers();
    for worker in workers {
        if worker.pid == process::pid() || known.contains(&worker.pid) || !process::alive(worker.pid) {
            continue;
        }
        // A draining worker needs the stream only for the players that it still has.
        if worker.draining && !has_players(&runtime, session, &name, worker.pid) {
            continue;
        }
        let server = session.server();
        let door = worker.doors.iter().find(|door| door.is_for(server));
        if !door.is_some_and(|door| session.push_to_worker(&name, worker.pid, door.name)) {
            session.log(Level::Info, format_args!("stream not pushed to worker {}", worker.pid));
        }
    }
}

fn has_players(runtime: &Runtime, session: &Session, name: &str, pid: u32) -> bool {
    let (server, app) = (session.server(), session.app());
    let players = runtime.zone().lock(process::pid()).players(process::census());
    players.iter().any(|player| {
        player.worker_pid == pid
            && player.stream == name
            && player.app == app
            && player.server.is_same(server)
    })
}

/// Runs in a draining worker. Closes pushes of other workers that no player watches here, because they would keep the worker alive as long
/// as the stream is live.
pub fn close_unplayed(sessions: &mut Sessions<'_>) {
    let mut played = HashSet::new();
    sessions.each(|session: &mut Session| {
        let (server, app) = (session.server().name().to_owned(), session.app().to_owned());
        if let Some(playing) = session.known_state().and_then(|state| state.playing.as_ref()) {
            played.insert((server, app, playing.name.clone()));
        }
    });
    sessions.each(|session: &mut Session| {
        let (server, app) = (session.server().name().to_owned(), session.app().to_owned());
        let unplayed = match session.known_state().map(|state| &state.publish) {
            Some(Publish::FromWorker(name)) => !played.contains(&(server, app, name.clone())),
            _ => false,
        };
        if unplayed {
            session.close();
        }
    });
}

/// Closes the push of another worker with this name. Returns whether there was one. nginx-rtmp allows one publisher per name in a worker.
pub(super) fn close_from_worker(
    sessions: &mut Sessions<'_>,
    server: &Server,
    app: &str,
    wanted: &str,
) -> bool {
    let mut found = false;
    sessions.each(|session: &mut Session| {
        let same = session.app() == app
            && session.server().is_same(server)
            && matches!(session.known_state().map(|state| &state.publish),
                Some(Publish::FromWorker(name)) if name == wanted);
        if same {
            found = true;
            session.close();
        }
    });
    found
}
