//! Chooses the rendition of a viewer: the next smaller one of the ladder if the viewer's network does not carry the stream, and the next
//! larger one when the network carries it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use str0m::Event;
use str0m::media::Mid;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::NotEnoughBandwidth;

use super::carry::{Carry, Report, Verdict};
use crate::clock;
use crate::context::Context;
use crate::ladder::family::{rungs, source_of};
use crate::live::board::Board;
use crate::live::hub::Hub;
use crate::live::station::{Viewer, ViewerKind};
use crate::streams::StreamId;

/// Shortest time between two `not_enough_bandwidth` events of the same stream.
const QUIET: Duration = Duration::from_secs(10);
/// Longest wait for the first keyframe of a rendition.
const PATIENCE: Duration = Duration::from_secs(8);

/// State that all viewers share.
#[derive(Debug)]
pub(super) struct Renditions {
    context: Arc<Context>,
    board: Arc<Board>,
    hub: Arc<Hub>,
    /// When the last event of a stream was sent, and the number of reports since then.
    told: Mutex<HashMap<StreamId, (Instant, u64)>>,
}

impl Renditions {
    pub(super) fn new(context: Arc<Context>, hub: Arc<Hub>) -> Self {
        Self { context, board: hub.board().clone(), hub, told: Mutex::default() }
    }

    /// Returns the live streams that show `asked` in any size, with their bitrates, the smallest first.
    fn family(&self, asked: &StreamId) -> Vec<(u64, StreamId)> {
        let config = self.context.config();
        let source = source_of(&config, asked).unwrap_or_else(|| asked.clone());
        let all = rungs(&config, &source).into_iter().chain([source]);
        let mut found: Vec<(u64, StreamId)> = all
            .filter_map(|id| Some((self.board.find(&id)?.bitrate, id)))
            .filter(|(bitrate, _)| *bitrate > 0)
            .collect();
        found.sort();
        found
    }

    /// Reports that the network of a viewer of `asked` does not carry `current`.
    fn tell(&self, asked: &StreamId, current: &StreamId, next: Option<&StreamId>, report: Report) {
        let now = Instant::now();
        let viewers = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.retain(|id, (at, _)| id == asked || now.duration_since(*at) < QUIET);
            let (at, viewers) = told.entry(asked.clone()).or_insert((now - QUIET, 0));
            *viewers += 1;
            if now.duration_since(*at) < QUIET {
                return;
            }
            *at = now;
            std::mem::take(viewers)
        };
        let path = |id: &StreamId| format!("{}/{}", id.0, id.1);
        self.context.bus.tell(&DaemonEvent::NotEnoughBandwidth(NotEnoughBandwidth {
            at: clock::now(),
            app: asked.0.to_string(),
            loss: report.loss,
            name: asked.1.to_string(),
            next: next.map(path),
            viewers,
            watched: path(current),
        }));
    }
}

/// State of one viewer.
pub(super) struct Bandwidth {
    renditions: Arc<Renditions>,
    began: Instant,
    carry: Carry,
    report: Report,
    video: Option<Mid>,
    asked: StreamId,
    current: StreamId,
    /// The stream that the viewer changes to as soon as this stream has a keyframe, and the time of the decision.
    next: Option<(Viewer, Instant)>,
    /// The viewer may get another rendition.
    is_free: bool,
    /// The reported streams that the network did not carry. The list is emptied when the network carries the stream that the viewer asked
    /// for.
    told: Vec<StreamId>,
}

/// Next step of a viewer.
pub(super) enum Step {
    /// The viewer keeps its stream.
    Stay,
    /// The viewer changes to a rendition.
    To(Viewer),
    /// The viewer returns to the stream that it asked for.
    Back,
}

impl Bandwidth {
    /// Returns the state of a new viewer of a stream. The viewer can get renditions if it is `is_free`.
    pub(super) fn new(renditions: Arc<Renditions>, asked: StreamId, is_free: bool) -> Self {
        Self {
            renditions,
            began: Instant::now(),
            carry: Carry::default(),
            report: Report::default(),
            video: None,
            current: asked.clone(),
            asked,
            next: None,
            is_free,
            told: Vec::new(),
        }
    }

    /// Takes an event of the engine.
    pub(super) fn note(&mut self, event: &Event, video: Option<Mid>) {
        self.video = video;
        match event {
            Event::MediaEgressStats(stats) if Some(stats.mid) == self.video => {
                let loss = stats.loss.into_iter().chain(self.report.loss).reduce(f32::max);
                self.report = Report { loss, round_trip: stats.rtt.or(self.report.round_trip) };
            }
            Event::PeerStats(stats) => {
                let loss = stats.egress_loss_fraction.into_iter().chain(self.report.loss).reduce(f32::max);
                self.report = Report { loss, round_trip: stats.rtt.or(self.report.round_trip) };
            }
            _ => {}
        }
    }

    /// Decides the next step. Called once per second.
    pub(super) fn look(&mut self) -> Step {
        let (report, now) = (std::mem::take(&mut self.report), self.began.elapsed());
        if let Some((viewer, since)) = self.next.take() {
            return self.arrive(viewer, since);
        }
        match self.carry.take(report, now) {
            Verdict::Stay => Step::Stay,
            Verdict::TooMuch => {
                let family = self.renditions.family(&self.asked);
                let smaller = smaller(&family, &self.current).filter(|_| self.is_free);
                if !self.told.contains(&self.current) {
                    self.told.push(self.current.clone());
                    self.renditions.tell(&self.asked, &self.current, smaller.as_ref(), report);
                }
                self.go(smaller)
            }
            Verdict::More if self.current != self.asked => {
                let family = self.renditions.family(&self.asked);
                self.carry.try_more(now);
                self.go(larger(&family, &self.current, &self.asked))
            }
            Verdict::More => {
                self.told.clear();
                Step::Stay
            }
        }
    }

    /// Notes that the viewer's stream has ended. Returns whether it was a rendition: the viewer then returns to the stream that it asked
    /// for.
    pub(super) fn lost(&mut self) -> bool {
        let was_rendition = self.current != self.asked;
        self.current = self.asked.clone();
        was_rendition
    }

    fn go(&mut self, to: Option<StreamId>) -> Step {
        match to {
            Some(to) if to == self.asked => {
                self.current = to;
                Step::Back
            }
            Some(to) => {
                let viewer = self.renditions.hub.watch(&to, ViewerKind::Uncounted);
                self.next = viewer.map(|viewer| (viewer, Instant::now()));
                Step::Stay
            }
            None => Step::Stay,
        }
    }

    /// Changes the viewer to the new stream if this stream has begun and WebRTC can carry it.
    fn arrive(&mut self, viewer: Viewer, since: Instant) -> Step {
        let station = viewer.station().clone();
        let is_fit = match station.start() {
            None if since.elapsed() < PATIENCE => {
                self.next = Some((viewer, since));
                return Step::Stay;
            }
            None => false,
            Some(start) => start.about.video.as_ref().is_some_and(|header| header.codec.is_avc()),
        };
        if !is_fit || station.has_b_frames() {
            return Step::Stay;
        }
        self.current = station.id.clone();
        self.carry.changed(self.began.elapsed());
        Step::To(viewer)
    }
}

/// Returns the largest stream whose bitrate is below 80 % of the current one.
fn smaller(family: &[(u64, StreamId)], current: &StreamId) -> Option<StreamId> {
    let now = family.iter().find(|(_, id)| id == current)?.0;
    family.iter().rev().find(|(bitrate, _)| *bitrate < now / 5 * 4).map(|(_, id)| id.clone())
}

/// Returns the smallest stream that is larger than the current one and not larger than the stream that the viewer asked for.
fn larger(family: &[(u64, StreamId)], current: &StreamId, asked: &StreamId) -> Option<StreamId> {
    let of = |id: &StreamId| family.iter().find(|(_, known)| known == id).map(|(bitrate, _)| *bitrate);
    let Some((now, most)) = of(current).zip(of(asked)) else { return Some(asked.clone()) };
    let fits = |(bitrate, id): &&(u64, StreamId)| (*bitrate > now && *bitrate < most) || id == asked;
    family.iter().find(fits).map(|(_, id)| id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_at_a_time_and_no_further_than_what_was_asked_for() {
        let id = |name: &str| -> StreamId { ("live".parse().unwrap(), name.parse().unwrap()) };
        let names = [(300, "low"), (1000, "middle"), (2800, "high"), (3000, "source")];
        let family: Vec<_> = names.into_iter().map(|(bitrate, name)| (bitrate, id(name))).collect();
        let down = |from: &str| smaller(&family, &id(from)).map(|(_, name)| name.to_string());
        // A rendition of nearly the same bitrate is no help.
        assert_eq!(down("source").as_deref(), Some("middle"));
        assert_eq!((down("middle").as_deref(), down("low"), down("other")), (Some("low"), None, None));
        let up = |from: &str, asked: &str| {
            larger(&family, &id(from), &id(asked)).map(|(_, name)| name.to_string())
        };
        assert_eq!(up("low", "source").as_deref(), Some("middle"));
        assert_eq!(up("low", "middle").as_deref(), Some("middle"));
        assert_eq!(
            (up("middle", "source").as_deref(), up("other", "high").as_deref()),
            (Some("high"), Some("high"))
        );
    }
}
