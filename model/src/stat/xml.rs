//! `weir_stat xml`: the elements, order and nesting of nginx-rtmp's `rtmp_stat`, for all workers.
//!
//! The output follows the answer of nginx-rtmp 1.2.2 to `rtmp_stat all` (`ngx_rtmp_stat_module.c`), so that the same
//! programs can read it. Exporters stop at a stream without a list of clients, so clients always appear; their
//! addresses appear only if requested.

use std::collections::HashMap;

use super::text::{push_escaped, push_number};
use crate::media::{AudioFacts, VideoFacts};
use crate::server::{BlockApplication, Server};
use crate::snapshot::{FilePlayerSnapshot, PlayerSnapshot, PublisherSnapshot, Snapshot, StreamSnapshot};
use crate::time::Timestamp;

/// Capacity for a stream and a client, so that the text is allocated once.
const STREAM_LEN: usize = 1000;
const CLIENT_LEN: usize = 240;

/// Renders the snapshot; if `full`, with the addresses of clients.
pub fn render(snapshot: &Snapshot, full: bool) -> String {
    let mut out = String::with_capacity(room(snapshot));
    out.push_str("<?xml version=\"1.0\" encoding=\"utf-8\" ?>\r\n<rtmp>\r\n");
    line(&mut out, "nginx_version", &snapshot.nginx_version);
    line(&mut out, "nginx_rtmp_version", &snapshot.rtmp_version);
    line(&mut out, "compiler", "rustc");
    line(&mut out, "built", concat!("weir ", env!("CARGO_PKG_VERSION")));
    number_line(&mut out, "pid", snapshot.pid.into());
    number_line(&mut out, "uptime", snapshot.now.millis_since(snapshot.since) / 1000);
    number_line(&mut out, "naccepted", snapshot.accepted);
    number_line(&mut out, "bw_in", snapshot.bitrate_in);
    number_line(&mut out, "bytes_in", snapshot.bytes_in);
    number_line(&mut out, "bw_out", snapshot.bitrate_out);
    number_line(&mut out, "bytes_out", snapshot.bytes_out);
    for applications in servers(snapshot) {
        out.push_str("<server>\r\n");
        for app in applications {
            application(&mut out, app, snapshot.now, full);
        }
        out.push_str("</server>\r\n");
    }
    out.push_str("</rtmp>\r\n");
    out
}

fn room(snapshot: &Snapshot) -> usize {
    let applications: usize = snapshot.servers.iter().map(|block| block.applications.len() + 1).sum();
    let streams = (snapshot.streams.len() + applications + 1) * STREAM_LEN;
    let clients = |stream: &StreamSnapshot| (stream.players.len() + 1) * CLIENT_LEN;
    // Counts one stream element per player, because each file may have only one player.
    let files = snapshot.file_players.len() * (CLIENT_LEN + STREAM_LEN);
    streams + files + snapshot.streams.iter().map(clients).sum::<usize>()
}

/// An application with its streams and its players of files.
struct Application<'s> {
    name: &'s str,
    live: bool,
    files: bool,
    streams: Vec<&'s StreamSnapshot>,
    players: Vec<&'s FilePlayerSnapshot>,
}

/// Returns the applications of each `server` block. Blocks that the configuration no longer has, but that old workers
/// still serve, come last.
fn servers(snapshot: &Snapshot) -> Vec<Vec<Application<'_>>> {
    let configured = snapshot.servers.iter().map(|block| (&block.server, block.applications.as_slice()));
    let mut blocks: Vec<(&Server, &[BlockApplication])> = configured.collect();
    let used = snapshot.streams.iter().map(|stream| &stream.server);
    for used in used.chain(snapshot.file_players.iter().map(|file| &file.server)) {
        if !blocks.iter().any(|(server, _)| server.is_same(used)) {
            blocks.push((used, &[]));
        }
    }
    let mut streams: Vec<&StreamSnapshot> = snapshot.streams.iter().collect();
    let mut players: Vec<&FilePlayerSnapshot> = snapshot.file_players.iter().collect();
    let mut all = Vec::with_capacity(blocks.len());
    for (server, configured) in blocks {
        let (own, others) = streams.into_iter().partition(|stream| stream.server.is_same(server));
        let (of_files, other_players) = players.into_iter().partition(|file| file.server.is_same(server));
        (streams, players) = (others, other_players);
        all.push(applications(configured, own, of_files));
    }
    all
}

/// Returns each application of a block with its streams and its players of files. Applications that the configuration
/// no longer has come last.
fn applications<'s>(
    configured: &'s [BlockApplication],
    streams: Vec<&'s StreamSnapshot>,
    players: Vec<&'s FilePlayerSnapshot>,
) -> Vec<Application<'s>> {
    let mut all: Vec<Application<'_>> = Vec::with_capacity(configured.len());
    let mut places = HashMap::with_capacity(configured.len());
    let mut at = |all: &mut Vec<Application<'s>>, name: &'s str| {
        *places.entry(name).or_insert_with(|| {
            let (streams, players) = (Vec::new(), Vec::new());
            all.push(Application { name, live: false, files: false, streams, players });
            all.len() - 1
        })
    };
    for app in configured {
        let place = at(&mut all, &app.name);
        (all[place].live, all[place].files) = (app.live, app.files);
    }
    // Old workers may serve applications that the configuration no longer has.
    for stream in streams {
        let place = at(&mut all, &stream.app);
        all[place].live = true;
        all[place].streams.push(stream);
    }
    for file in players {
        let place = at(&mut all, &file.app);
        all[place].files = true;
        all[place].players.push(file);
    }
    all
}

fn application(out: &mut String, app: Application<'_>, now: Timestamp, full: bool) {
    out.push_str("<application>\r\n");
    line(out, "name", app.name);
    if app.live {
        out.push_str("<live>\r\n");
        for stream in &app.streams {
            self::stream(out, stream, now, full);
        }
        let total = app.streams.iter().fold(0, |sum: u64, stream| sum.saturating_add(clients(stream)));
        number_line(out, "nclients", total);
        out.push_str("</live>\r\n");
    }
    if app.files {
        files(out, app.players, now, full);
    }
    out.push_str("</application>\r\n");
}

/// Appends the players of files, by the name of the file (ngx_rtmp_stat_play).
fn files(out: &mut String, mut players: Vec<&FilePlayerSnapshot>, now: Timestamp, full: bool) {
    out.push_str("<play>\r\n");
    players.sort_by(|one, other| one.name.cmp(&other.name));
    for of_file in players.chunk_by(|one, other| one.name == other.name) {
        out.push_str("<stream>\r\n");
        line(out, "name", &of_file[0].name);
        for file in of_file {
            let player = &file.player;
            begin_client(out, &player.id, shown(&player.addr, full), now.millis_since(player.since));
            number(out, "timestamp", file.position_ms.into());
            out.push_str("</client>\r\n");
        }
        out.push_str("<active/>");
        number_line(out, "nclients", of_file.len() as u64);
        out.push_str("</stream>\r\n");
    }
    number_line(out, "nclients", players.len() as u64);
    out.push_str("</play>\r\n");
}

/// Counts clients like nginx-rtmp: the players and the publisher.
fn clients(stream: &StreamSnapshot) -> u64 {
    stream.viewers.rtmp.saturating_add(stream.publisher.is_some().into())
}

fn stream(out: &mut String, stream: &StreamSnapshot, now: Timestamp, full: bool) {
    out.push_str("<stream>\r\n");
    line(out, "name", &stream.name);
    number(out, "time", now.millis_since(stream.since));
    number_line(out, "bw_in", stream.bitrate_in);
    number_line(out, "bytes_in", stream.bytes_in);
    number_line(out, "bw_out", stream.bitrate_out);
    number_line(out, "bytes_out", stream.bytes_out);
    number_line(out, "bw_audio", stream.bitrate_audio);
    number_line(out, "bw_video", stream.bitrate_video);
    for player in &stream.players {
        self::player(out, player, now, full);
    }
    if let Some(publisher) = &stream.publisher {
        self::publisher(out, stream, publisher, now, full);
    }
    if stream.publisher.is_some() {
        meta(out, stream.video.unwrap_or_default(), stream.audio);
    }
    number_line(out, "nclients", clients(stream));
    viewers(out, stream);
    if stream.publisher.is_some() {
        out.push_str("<publishing/>\r\n<active/>\r\n");
    }
    out.push_str("</stream>\r\n");
}

/// Appends the viewers, over RTMP and other protocols. nginx-rtmp does not have this element.
fn viewers(out: &mut String, stream: &StreamSnapshot) {
    out.push_str("<viewers>");
    for (kind, count) in stream.viewers.by_kind() {
        number(out, kind, count);
    }
    number(out, "peak", stream.viewers_peak);
    number(out, "total", stream.viewers_total);
    out.push_str("</viewers>\r\n");
}

/// As in nginx-rtmp, unknown facts about the frame size are 0, and other unknown facts are omitted.
fn meta(out: &mut String, video: VideoFacts, audio: Option<AudioFacts>) {
    out.push_str("<meta><video>");
    number(out, "width", video.width.into());
    number(out, "height", video.height.into());
    // nginx-rtmp writes a whole number here.
    number(out, "frame_rate", (u64::from(video.fps_milli) + 500) / 1000);
    known(out, "codec", video.codec());
    known(out, "profile", video.profile());
    if video.level != 0 {
        number(out, "compat", video.compat.into());
        out.push_str("<level>");
        push_number(out, u64::from(video.level) / 10);
        out.push('.');
        push_number(out, u64::from(video.level) % 10);
        out.push_str("</level>");
    }
    out.push_str("</video><audio>");
    if let Some(audio) = audio {
        known(out, "codec", audio.codec());
        known(out, "profile", audio.profile());
        if audio.channels != 0 {
            number(out, "channels", audio.channels.into());
        }
        if audio.sample_rate != 0 {
            number(out, "sample_rate", audio.sample_rate.into());
        }
    }
    out.push_str("</audio></meta>\r\n");
}

fn player(out: &mut String, player: &PlayerSnapshot, now: Timestamp, full: bool) {
    let millis = now.millis_since(player.since);
    client(out, &player.id, shown(&player.addr, full), millis, player.dropped, player.avsync_ms);
    out.push_str("<active/></client>\r\n");
}

fn publisher(
    out: &mut String,
    stream: &StreamSnapshot,
    publisher: &PublisherSnapshot,
    now: Timestamp,
    full: bool,
) {
    let millis = now.millis_since(stream.since);
    client(out, &stream.session, shown(&publisher.addr, full), millis, 0, stream.avsync_ms);
    out.push_str("<publishing/><active/></client>\r\n");
}

/// Returns the address, if it may be shown. The element stays, because programs that read `rtmp_stat` expect it.
fn shown(addr: &str, full: bool) -> &str {
    if full { addr } else { "" }
}

/// Appends a client without its end tag. The id is a number in `rtmp_stat`, of 32 bits in programs that read it, so
/// this is the lower half of Weir's number. Weir stores neither `flashver` nor the timestamp of the last message: the
/// first is empty, and the second is the time since the client began, which is correct for encoders that count from 0.
fn client(out: &mut String, id: &str, addr: &str, millis: u64, dropped: u64, avsync_ms: i32) {
    begin_client(out, id, addr, millis);
    number(out, "dropped", dropped);
    out.push_str("<avsync>");
    if avsync_ms < 0 {
        out.push('-');
    }
    push_number(out, avsync_ms.unsigned_abs().into());
    out.push_str("</avsync>");
    // A timestamp of RTMP has 32 bits.
    number(out, "timestamp", millis & 0xffff_ffff);
}

/// Appends the elements that clients of streams and of files both have.
fn begin_client(out: &mut String, id: &str, addr: &str, millis: u64) {
    out.push_str("<client>");
    let id = u64::from_str_radix(id.trim_start_matches('s'), 16).unwrap_or_default();
    number(out, "id", id & 0xffff_ffff);
    element(out, "address", addr);
    number(out, "time", millis);
    element(out, "flashver", "");
}

fn known(out: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        element(out, name, text);
    }
}

fn element(out: &mut String, name: &str, text: &str) {
    begin(out, name);
    push_escaped(out, text);
    end(out, name);
}

fn number(out: &mut String, name: &str, value: u64) {
    begin(out, name);
    push_number(out, value);
    end(out, name);
}

fn line(out: &mut String, name: &str, text: &str) {
    element(out, name, text);
    out.push_str("\r\n");
}

fn number_line(out: &mut String, name: &str, value: u64) {
    number(out, name, value);
    out.push_str("\r\n");
}

fn begin(out: &mut String, name: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
}

fn end(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests;
