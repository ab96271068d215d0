//! Everything that is live in all workers at one moment, for the API and the statistics.

use std::collections::HashMap;

use weir_model::{
    Refusal, Server, Timestamp,
    server::ServerBlock,
    snapshot::{
        AudienceSnapshot, FilePlayerSnapshot, PlayerSnapshot, PublisherSnapshot, Snapshot, StreamSnapshot,
        Viewers, WorkerSnapshot, ZoneSnapshot,
    },
    target::{PushState, PushView, Target, TargetId, TargetView},
    verdict::Credential,
};
use weir_zone::{Audience, LivePlayer, LivePush, LiveStream, WorkerFacts};

use crate::{process, runtime::Runtime};

/// Reads the zone.
#[must_use]
pub fn take(runtime: &Runtime) -> Snapshot {
    let now = process::now();
    let zone = runtime.zone();
    let workers = workers(runtime);
    let (streams, mut file_players) = live(runtime);
    if runtime.servers.len() < 2 {
        file_players.iter_mut().for_each(|file| file.server = Server::nowhere());
    }
    let (guard, refused) = (zone.guard_counts(), zone.refusal_counts());
    let sum = |of: fn(&StreamSnapshot) -> u64| streams.iter().map(of).sum();
    Snapshot {
        now,
        nginx_version: process::nginx_version(),
        rtmp_version: process::rtmp_version(),
        pid: process::pid(),
        since: workers.iter().map(|worker| worker.since).min().unwrap_or(now),
        accepted: zone.accepted(),
        guard: std::array::from_fn(|index| guard[index]),
        refused: refused.into_iter().take(Refusal::LABELS.len()).collect(),
        bytes_in: sum(|stream| stream.bytes_in),
        bytes_out: sum(|stream| stream.bytes_out),
        bitrate_in: sum(|stream| stream.bitrate_in),
        bitrate_out: sum(|stream| stream.bitrate_out),
        workers,
        zone: ZoneSnapshot { size: zone.size(), used: zone.used_bytes() },
        servers: servers(runtime),
        streams: told(runtime, streams),
        file_players,
    }
}

/// Returns the `server` blocks. A single block needs no name.
fn servers(runtime: &Runtime) -> Vec<ServerBlock> {
    let mut blocks = runtime.servers.clone();
    if let [only] = blocks.as_mut_slice() {
        only.server = Server::nowhere();
    }
    blocks
}

/// Returns the streams in the form for clients: with their `server` block if there are several.
#[must_use]
pub fn told(runtime: &Runtime, mut streams: Vec<StreamSnapshot>) -> Vec<StreamSnapshot> {
    if runtime.servers.len() < 2 {
        streams.iter_mut().for_each(|stream| stream.server = Server::nowhere());
    }
    streams
}

/// Returns the workers that are alive.
#[must_use]
pub fn workers(runtime: &Runtime) -> Vec<WorkerSnapshot> {
    let now = process::now();
    let known = runtime.zone().lock(process::pid()).workers().into_iter();
    let view = |worker: WorkerFacts| WorkerSnapshot {
        pid: worker.pid,
        master_pid: worker.master,
        since: worker.since,
        draining: worker.draining,
        heartbeat_ms: now.millis_since(worker.heartbeat),
    };
    known.filter(|worker| process::alive(worker.pid)).map(view).collect()
}

/// Returns the live streams with their players and targets, by application and name.
#[must_use]
pub fn streams(runtime: &Runtime) -> Vec<StreamSnapshot> {
    live(runtime).0
}

/// Returns the live streams, and the players of files.
fn live(runtime: &Runtime) -> (Vec<StreamSnapshot>, Vec<FilePlayerSnapshot>) {
    let alive = process::census();
    let locked = runtime.zone().lock(process::pid());
    let (streams, players) = (locked.streams(&alive), locked.players(&alive));
    let (made, pushes) = (locked.targets(), locked.pushes(&alive));
    let audiences = locked.audiences();
    drop(locked);
    // Viewers over HTTP watch a name. If several server blocks have this name, the stream that began first gets the viewers.
    let mut audiences = {
        let mut named = ByName::default();
        audiences.into_iter().for_each(|one| *named.of(&one.app, &one.name) = one.audience);
        named
    };
    let mut file_players = Vec::new();
    let mut of: ByName<Vec<LivePlayer>> = ByName::default();
    // The daemon's plays for its jobs do not count as viewers.
    for player in players.into_iter().filter(|player| !player.own) {
        file_players.extend(file_player(&player));
        of.of(&player.app, &player.stream).push(player);
    }
    let targets = known(&made, runtime);
    let mut sessions = Sessions::new(&targets, pushes);
    let mut view = |stream: LiveStream| {
        let named = of.take(&stream.app, &stream.name);
        let (own, others): (Vec<LivePlayer>, Vec<LivePlayer>) =
            named.into_iter().partition(|player| player.server.is_same(&stream.server));
        if !others.is_empty() {
            *of.of(&stream.app, &stream.name) = others;
        }
        let players = own.iter().map(player_view).collect();
        let pushed = sessions.of(&stream).into_iter();
        let pushed = pushed.map(|(at, session)| targets[at].view(vec![session])).collect();
        let audience = audiences.take(&stream.app, &stream.name);
        stream_view(stream, players, audience, pushed)
    };
    (streams.into_iter().map(&mut view).collect(), file_players)
}

/// Values by application and name. A lookup copies neither.
#[derive(Default)]
struct ByName<V> {
    values: HashMap<String, V>,
    key: String,
}

impl<V: Default> ByName<V> {
    fn set_key(&mut self, app: &str, name: &str) {
        self.key.clear();
        self.key.push_str(app);
        // Neither part contains this byte.
        self.key.push('\0');
        self.key.push_str(name);
    }

    /// Returns the value, which is made if there is none.
    fn of(&mut self, app: &str, name: &str) -> &mut V {
        self.set_key(app, name);
        self.values.entry(self.key.clone()).or_default()
    }

    /// Takes the value out.
    fn take(&mut self, app: &str, name: &str) -> V {
        if self.values.is_empty() {
            return V::default();
        }
        self.set_key(app, name);
        self.values.remove(&self.key).unwrap_or_default()
    }
}

/// Returns every target with its sessions: first the targets of the API, then those of the configuration.
#[must_use]
pub fn targets(runtime: &Runtime) -> Vec<TargetView> {
    let made = runtime.zone().lock(process::pid()).targets();
    with_sessions(runtime, &known(&made, runtime))
}

/// Returns a target with its sessions.
#[must_use]
pub fn target(runtime: &Runtime, target: &Target) -> TargetView {
    with_sessions(runtime, &[target]).pop().unwrap_or_else(|| target.view(Vec::new()))
}

fn with_sessions(runtime: &Runtime, targets: &[&Target]) -> Vec<TargetView> {
    let alive = process::census();
    let locked = runtime.zone().lock(process::pid());
    let (streams, pushes) = (locked.streams(&alive), locked.pushes(&alive));
    drop(locked);
    let mut sessions = Sessions::new(targets, pushes);
    let mut views: Vec<TargetView> = targets.iter().map(|target| target.view(Vec::new())).collect();
    for stream in &streams {
        for (at, session) in sessions.of(stream) {
            views[at].sessions.push(session);
        }
    }
    views
}

fn known<'t>(made: &'t [Target], runtime: &'t Runtime) -> Vec<&'t Target> {
    made.iter().chain(runtime.file_targets.iter().map(|target| &**target)).collect()
}

/// The pushes between streams and targets.
struct Sessions<'t> {
    /// The indexes of the targets for an application and a stream, or `*`.
    targets: HashMap<(&'t str, &'t str), Vec<usize>>,
    known: Vec<&'t Target>,
    /// The pushes by target and publish.
    pushes: HashMap<(TargetId, u64), LivePush>,
    now: Timestamp,
}

impl<'t> Sessions<'t> {
    fn new(known: &[&'t Target], pushes: Vec<LivePush>) -> Sessions<'t> {
        let mut targets: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
        for (at, target) in known.iter().enumerate() {
            targets.entry((target.app.as_str(), target.stream.as_str())).or_default().push(at);
        }
        let pushes = pushes.into_iter().map(|push| ((push.target, push.session), push)).collect();
        Sessions { targets, known: known.to_vec(), pushes, now: process::now() }
    }

    /// Returns the state of a stream at each target that matches the stream, with the target's index. Without a push, the state is `off`.
    fn of(&mut self, stream: &LiveStream) -> Vec<(usize, PushView)> {
        let app = stream.app.as_str();
        let places = [stream.name.as_str(), "*"].map(|name| self.targets.get(&(app, name)));
        let mut places: Vec<usize> = places.into_iter().flatten().flatten().copied().collect();
        places.retain(|at| stream.server.is_within(self.known[*at].server.as_ref()));
        places.sort_unstable();
        let view = |at: usize| match self.pushes.remove(&(self.known[at].id, stream.id.session())) {
            Some(push) => (at, push.view(self.now)),
            None => (at, off(stream)),
        };
        places.into_iter().map(view).collect()
    }
}

fn off(stream: &LiveStream) -> PushView {
    PushView {
        stream: stream.name.clone(),
        state: PushState::Off,
        since: stream.since,
        ..PushView::default()
    }
}

fn stream_view(
    stream: LiveStream,
    players: Vec<PlayerSnapshot>,
    audience: Audience,
    targets: Vec<TargetView>,
) -> StreamSnapshot {
    let key_id = match stream.credential {
        Credential::Key(id) => Some(id),
        Credential::Open | Credential::Token | Credential::Stopgap | Credential::Pull => None,
    };
    StreamSnapshot {
        server: stream.server,
        slate: stream.credential == Credential::Stopgap,
        app: stream.app,
        name: stream.name,
        session: stream.id.to_string(),
        since: stream.since,
        publisher: Some(PublisherSnapshot { addr: stream.addr, key_id, worker_pid: stream.worker_pid }),
        video: stream.video,
        audio: stream.audio,
        bytes_in: stream.bytes_in,
        bytes_out: stream.bytes_out + players.iter().map(|player| player.bytes_out).sum::<u64>(),
        bitrate_in: stream.rates.all,
        bitrate_out: players.iter().map(|player| player.bitrate_out).sum(),
        bitrate_audio: stream.rates.audio,
        bitrate_video: stream.rates.all.saturating_sub(stream.rates.audio),
        dropped: stream.dropped + players.iter().map(|player| player.dropped).sum::<u64>(),
        avsync_ms: stream.avsync_ms,
        viewers: Viewers { rtmp: players.len() as u64, ..viewers(&audience) },
        viewers_peak: audience.peak,
        viewers_total: audience.total,
        players,
        targets,
    }
}

fn viewers(audience: &Audience) -> Viewers {
    let Audience { rtmp, hls, dash, llhls, ws, webrtc, .. } = *audience;
    Viewers { rtmp, hls, dash, llhls, ws, webrtc }
}

/// Returns the viewers of every stream that is or was recently watched, live or not.
#[must_use]
pub fn audiences(runtime: &Runtime) -> Vec<AudienceSnapshot> {
    let all = runtime.zone().lock(process::pid()).audiences().into_iter();
    all.map(|one| AudienceSnapshot {
        viewers: viewers(&one.audience),
        viewers_peak: one.audience.peak,
        viewers_total: one.audience.total,
        app: one.app,
        name: one.name,
    })
    .collect()
}

fn file_player(player: &LivePlayer) -> Option<FilePlayerSnapshot> {
    Some(FilePlayerSnapshot {
        server: player.server.clone(),
        app: player.app.clone(),
        name: player.stream.clone(),
        position_ms: player.file_ms?,
        player: player_view(player),
    })
}

fn player_view(player: &LivePlayer) -> PlayerSnapshot {
    PlayerSnapshot {
        id: player.id.to_string(),
        addr: player.addr.clone(),
        worker_pid: player.worker_pid,
        since: player.since,
        bytes_out: player.bytes_out,
        bitrate_out: player.bitrate_out,
        dropped: player.dropped,
        avsync_ms: player.avsync_ms,
    }
}

/// Parses the number of a publish or a play from its text form.
#[must_use]
pub fn parse_number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix('s')?, 16).ok()
}
