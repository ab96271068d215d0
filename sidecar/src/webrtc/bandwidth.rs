//! Chooses what a viewer watches if its network does not carry the stream: the next smaller rendition of the ladder, and the next larger
//! one when the network carries it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use str0m::Event;
use str0m::media::Mid;

use super::carry::{Carry, Report, Verdict};
use crate::clock;
use crate::context::Context;
use crate::ladder::family::{rungs, source_of};
use crate::live::board::Board;
use crate::live::hub::Hub;
use crate::live::station::{Kind, Viewer};
use crate::streams::StreamId;

/// Of one stream, it is told no more often.
const QUIET: Duration = Duration::from_secs(10);
/// A rendition that has no key frame by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(8);

/// What all viewers have in common.
#[derive(Debug)]
pub(super) struct Renditions {
    context: Arc<Context>,
    board: Arc<Board>,
    hub: Arc<Hub>,
    /// When it was told of a stream, and how many viewers had less since.
    told: Mutex<HashMap<StreamId, (Instant, u64)>>,
}

impl Renditions {
    pub(super) fn new(context: Arc<Context>, hub: Arc<Hub>) -> Self {
        Self { context, board: hub.board().clone(), hub, told: Mutex::default() }
    }

    /// The live streams that are `asked` in another size, with their bitrates, the smallest first.
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

    /// The network of a viewer of `asked` does not carry `current`.
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
        let data = json!({
            "at": clock::now(), "app": asked.0, "name": asked.1, "viewers": viewers, "watched": path(current),
            "next": next.map(path), "loss": report.loss,
        });
        self.context.bus.tell("not_enough_bandwidth", data);
    }
}

/// One viewer.
pub(super) struct Bandwidth {
    renditions: Arc<Renditions>,
    began: Instant,
    carry: Carry,
    report: Report,
    video: Option<Mid>,
    asked: StreamId,
    current: StreamId,
    /// Where it goes on, as soon as that has a key frame.
    next: Option<(Viewer, Instant)>,
    /// It may have another rendition.
    is_free: bool,
    /// What its network did not carry, and that was told, since it carried all that it asked for.
    told: Vec<StreamId>,
}

/// Where a viewer goes on.
pub(super) enum Step {
    /// As it is.
    Stay,
    /// With a rendition.
    To(Viewer),
    /// With the stream that it asked for.
    Back,
}

impl Bandwidth {
    /// Of a viewer of a stream, which can get renditions if it is `is_free`.
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

    /// Hears what the engine tells.
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

    /// Looks what to do, once per second.
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

    /// What it watches has ended. Returns whether it was a rendition, so that the viewer goes on with what it asked for.
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
                let viewer = self.renditions.hub.watch(&to, Kind::Uncounted);
                self.next = viewer.map(|viewer| (viewer, Instant::now()));
                Step::Stay
            }
            None => Step::Stay,
        }
    }

    /// Whether what it goes on with has begun, and is for WebRTC.
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
        Step::To(viewer)
    }
}

/// The largest that is clearly smaller.
fn smaller(family: &[(u64, StreamId)], current: &StreamId) -> Option<StreamId> {
    let now = family.iter().find(|(_, id)| id == current)?.0;
    family.iter().rev().find(|(bitrate, _)| *bitrate < now / 5 * 4).map(|(_, id)| id.clone())
}

/// The smallest that is larger, and no larger than what was asked for.
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
        // Nearly the same is no help.
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
