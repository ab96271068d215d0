//! Plays a stream from nginx for as long as it is watched. The stream may end and return in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep};
use weir_media::live::{Output, Packager};
use weir_media::run::cut::Wanted;
use weir_rtmp::client::ClientEvent;
use weir_rtmp::url::Url;

use super::board::{Board, Entry};
use super::clocks::Timeline;
use super::reader::Reader;
use super::station::Station;
use crate::clock;
use crate::context::Context;
use crate::publisher::link::Link;
use crate::relay::recent::Overlap;
use crate::streams::StreamId;
use crate::supervise::backoff::Backoff;

/// Time for which a stream is still played after its last viewer has left.
pub(super) const LINGER: Duration = Duration::from_secs(10);
/// Time for which viewers wait for a publisher that is gone.
const ABSENCE: Duration = Duration::from_secs(60);
/// Pauses between attempts to play.
const RETRY: Backoff = Backoff { first: Duration::from_millis(300), max: Duration::from_secs(5) };
/// Duration after which a connection counts as a success.
const GOOD: Duration = Duration::from_secs(10);
/// Shortest time between two log lines of the same kind.
const QUIET: Duration = Duration::from_secs(60);

/// Time within which nginx sends the media that this process has published itself.
const AGAIN: Duration = Duration::from_secs(1);

/// Reason why playing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nobody watches.
    Unwatched,
    /// The publisher is gone or replaced.
    Publisher,
    /// The connection broke.
    Connection,
}

/// Plays until `leave` returns true because nobody watches, or until the publisher has been away too long.
/// `family` returns the stream that this one is a rendition of.
pub(super) async fn run(
    station: &Arc<Station>,
    context: &Context,
    board: &Board,
    family: impl Fn() -> Option<StreamId>,
    leave: impl Fn() -> bool,
) {
    let mut live = board.watch();
    let mut packager = Packager::default();
    let mut gone_at: Option<Instant> = None;
    let (mut failures, mut told) = (0, None);
    loop {
        let Some(entry) = find(&mut live, station) else {
            station.publisher_gone();
            let since = *gone_at.get_or_insert_with(Instant::now);
            if since.elapsed() > ABSENCE || leave() {
                return;
            }
            tokio::select! {
                _ = live.changed() => {}
                () = sleep(Duration::from_secs(1)) => {}
            }
            continue;
        };
        gone_at = None;
        let began = Instant::now();
        let clock =
            Clock::of(board, family().and_then(|source| board.find(&source)).as_ref().unwrap_or(&entry));
        let end = play(station, context, &entry, &mut live, (&mut packager, &clock), &mut told, &leave).await;
        if began.elapsed() >= GOOD {
            failures = 0;
        }
        packager.reconnected();
        match end {
            End::Unwatched => return,
            End::Publisher => {}
            End::Connection => {
                if leave() {
                    return;
                }
                // Another nginx may be running by then.
                sleep(RETRY.wait(failures, clock::random_u32())).await;
                failures += 1;
            }
        }
    }
}

/// The clock of a stream and its renditions.
struct Clock<'b> {
    board: &'b Board,
    id: StreamId,
    session: String,
}

impl<'b> Clock<'b> {
    /// Returns the clock of a source.
    fn of(board: &'b Board, source: &Entry) -> Self {
        Self { board, id: source.id(), session: source.live.session.clone() }
    }

    fn timeline(&self) -> Timeline {
        Timeline { clocks: self.board.clocks.clone(), id: self.id.clone(), session: self.session.clone() }
    }

    /// Sets the times of the following media.
    fn align(&self, packager: &mut Packager) {
        let known = self.board.clocks.of(&self.id, &self.session);
        if let Some(offset) = known.or(packager.is_new().then_some(0)) {
            packager.align(offset);
        }
    }

    /// Notes the times of new media, for other streams with this clock.
    fn note(&self, packager: &Packager) {
        if self.board.clocks.of(&self.id, &self.session).is_none() && !packager.is_new() {
            let is_live = |id: &StreamId| self.board.find(id).is_some();
            self.board.clocks.note(&self.id, &self.session, packager.offset(), is_live);
        }
    }
}

fn find(live: &mut watch::Receiver<Arc<Vec<Entry>>>, station: &Station) -> Option<Entry> {
    live.borrow_and_update().iter().find(|entry| entry.id() == station.id).cloned()
}

async fn play(
    station: &Arc<Station>,
    context: &Context,
    entry: &Entry,
    live: &mut watch::Receiver<Arc<Vec<Entry>>>,
    (packager, clock): (&mut Packager, &Clock<'_>),
    told: &mut Option<Instant>,
    leave: &impl Fn() -> bool,
) -> End {
    let path = entry.live.path();
    let mut link = match Link::play(&url(context, entry)).await {
        Ok(link) => link,
        Err(error) => {
            if told.is_none_or(|last| last.elapsed() >= QUIET) {
                *told = Some(Instant::now());
                tracing::warn!(stream = path, "the stream is not played for viewers: {error}");
            }
            return End::Connection;
        }
    };
    tracing::info!(stream = path, "the stream is played for viewers of the daemon");
    let wanted = Wanted { video: entry.live.video.is_some(), audio: entry.live.audio.is_some() };
    let (mut reader, origin) = (Reader::new(wanted), Instant::now());
    clock.align(packager);
    station.follow(clock.timeline());
    let mut look = interval(Duration::from_secs(1));
    let mut outputs = Vec::new();
    let (mut recents, mut overlap) = (Some(&context.recents), Overlap::default());
    // The stream may have changed before the connection was open.
    let mut has_news = true;
    loop {
        tokio::select! {
            turn = link.turn() => {
                if turn.is_err() {
                    return End::Connection;
                }
            }
            _ = live.changed() => has_news = true,
            _ = look.tick() => {
                if leave() {
                    tracing::info!(stream = path, "nobody watches: the stream is no longer played");
                    return End::Unwatched;
                }
            }
        }
        while let Some(event) = link.client.next_event() {
            match event {
                ClientEvent::Media(tag) => {
                    if let Some(recents) = recents.take() {
                        // At this moment, the newest media is all that nginx has sent to others before this tag.
                        let newest = recents.newest(&station.id);
                        overlap = Overlap::of(&newest);
                        let mut take = |tag| reader.take(tag, origin.elapsed(), packager, &mut outputs);
                        newest.into_iter().for_each(&mut take);
                    }
                    let is_again = origin.elapsed() < AGAIN && overlap.has(&tag);
                    if !is_again {
                        reader.take(tag, origin.elapsed(), packager, &mut outputs);
                    }
                }
                ClientEvent::Status(status) if status.level == "error" => return End::Connection,
                ClientEvent::Closed => return End::Connection,
                _ => {}
            }
        }
        if !outputs.is_empty() {
            if outputs.iter().any(|output| matches!(output, Output::Fragment(_))) {
                clock.note(packager);
            }
            station.put(std::mem::take(&mut outputs));
        }
        // The last media of the old publisher was taken before this check.
        if std::mem::take(&mut has_news) && find(live, station).is_none_or(|now| !is_same(&now, entry)) {
            return End::Publisher;
        }
    }
}

/// Returns whether both entries are the same publish with the same kinds of media.
fn is_same(now: &Entry, then: &Entry) -> bool {
    let (now, then) = (&now.live, &then.live);
    now.session == then.session
        && now.video.is_some() == then.video.is_some()
        && now.audio.is_some() == then.audio.is_some()
}

fn url(context: &Context, entry: &Entry) -> Url {
    let server = &context.config().nginx.rtmp;
    Url {
        tls: false,
        credentials: None,
        host: server.host.trim_matches(['[', ']']).to_owned(),
        port: server.port,
        app: entry.live.app.to_string(),
        name: context.own_name(&entry.live).expose().to_owned(),
    }
}
