//! Converts the module's events to the events for hooks. Pure. It adds the kind of the stream, and treats the end of a publisher who
//! returns within `linger` as an interruption.
//!
//! A lost publisher gives `stream.interrupted` immediately. If the publisher returns within `linger`, `stream.resumed` follows; otherwise
//! `stream.ended` follows after that time. For a stream without `linger`, the end is reported immediately.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use weir_model::event::hooks::{
    HookEvent, OfRendition, RenditionKind, RenditionSource, StreamInterrupted, StreamResumed,
};
use weir_model::event::{EndReason, Event as ModuleEvent, StreamKind};

use crate::config::{Config, Delivery, Rule, rendition_of};
use crate::events::Event;

/// An event for hooks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// Id of the message, the same for each attempt to deliver it.
    pub id: String,
    /// Kind, for example `stream.started`.
    pub kind: String,
    /// A JSON object.
    pub data: Value,
}

impl Told {
    /// Adds fields, or replaces them.
    fn add(&mut self, fields: &impl Serialize) {
        if let (Some(data), Ok(Value::Object(fields))) =
            (self.data.as_object_mut(), serde_json::to_value(fields))
        {
            data.extend(fields);
        }
    }

    /// Makes this an event that only hooks receive.
    fn become_event(&mut self, event: &HookEvent) {
        self.kind = event.kind().to_owned();
        self.add(event);
    }
}

/// State between events.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    rules: Vec<Rule>,
    /// Streams whose publisher is away, by application and name.
    away: BTreeMap<(String, String), Away>,
}

#[derive(Debug)]
struct Away {
    until: Instant,
    /// Id of the lost publish.
    session: String,
    /// Event that is sent if the publisher does not return.
    end: Told,
}

impl Teller {
    /// Sets the rules.
    pub(crate) fn configure(&mut self, config: &Config) {
        self.rules.clone_from(&config.rules);
    }

    /// Converts an event of the module.
    pub(crate) fn take(&mut self, event: &Event, now: Instant) -> Told {
        let mut told =
            Told { id: format!("weir_{}", event.id), kind: event.kind.clone(), data: event.data.clone() };
        let Some(key) = stream_of(&event.data) else { return told };
        self.mark(&key, &mut told);
        if told.data["kind"].as_str().is_some_and(|kind| kind == StreamKind::Slate.as_str()) {
            return told;
        }
        match event.of_module() {
            Some(ModuleEvent::StreamStarted(_)) => {
                let Some(away) = self.away.remove(&key) else { return told };
                let interrupted_session = away.session;
                told.become_event(&HookEvent::StreamResumed(StreamResumed { interrupted_session }));
                told
            }
            Some(ModuleEvent::StreamEnded(ended)) if ended.reason == EndReason::Disconnected => {
                let linger = self.linger(&key);
                if linger.is_zero() {
                    return told;
                }
                let end = Told { id: format!("{}_ended", told.id), ..told.clone() };
                self.away.insert(key, Away { until: now + linger, session: ended.session, end });
                let linger_ms = u64::try_from(linger.as_millis()).unwrap_or(u64::MAX);
                told.become_event(&HookEvent::StreamInterrupted(StreamInterrupted { linger_ms }));
                told
            }
            Some(ModuleEvent::StreamEnded(_)) => {
                // The publisher or an administrator has ended the stream, so no return is expected.
                self.away.remove(&key);
                told
            }
            _ => told,
        }
    }

    /// Returns the time at which the next absence is too long.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.away.values().map(|away| away.until).min()
    }

    /// Returns the ends of streams whose publishers have been away for too long. With `None`, returns the ends of all absent streams.
    pub(crate) fn overdue(&mut self, now: Option<Instant>) -> Vec<Told> {
        let is_over = |away: &Away| now.is_none_or(|now| away.until <= now);
        let over: Vec<_> =
            self.away.iter().filter(|(_, away)| is_over(away)).map(|(key, _)| key.clone()).collect();
        over.iter().filter_map(|key| self.away.remove(key)).map(|away| away.end).collect()
    }

    /// Marks renditions: the module knows only publishers and slates, and reports a rendition as a publisher.
    fn mark(&self, (app, name): &(String, String), told: &mut Told) {
        if let Some((rule, source, rung)) = rendition_of(&self.rules, app, name) {
            let (app, name, rung) = (rule.app.to_string(), source.to_string(), rung.to_string());
            let rendition_of = RenditionSource { app, name, rung };
            told.add(&OfRendition { kind: RenditionKind::Rendition, rendition_of });
        }
    }

    fn linger(&self, (app, name): &(String, String)) -> Duration {
        let rule = self.rules.iter().find(|rule| rule.app.as_str() == app && rule.stream.fits(name));
        match rule.map(|rule| &rule.delivery) {
            Some(Delivery::Files(files)) => files.linger,
            _ => Duration::ZERO,
        }
    }
}

/// Returns application and name of an event's stream.
pub(crate) fn stream_of(data: &Value) -> Option<(String, String)> {
    let name = data["name"].as_str().or_else(|| data["stream"].as_str())?;
    Some((data["app"].as_str()?.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    const TEXT: &str = "[ladder.l]\nrungs = [\"source\", \"480p\"]\n\
        [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"/m\"\nlinger = \"10s\"\n\
        [[stream]]\napp = \"hall\"\nstream = \"*\"\nladder = \"l\"\ndeliver = \"rtmp\"\nto_app = \"out\"\n\
        secret_file = \"/s\"\n";

    fn teller() -> Teller {
        let mut teller = Teller::default();
        teller.configure(&crate::config::parse(Path::new("weir.toml"), TEXT).unwrap());
        teller
    }

    fn event(id: u64, kind: &str, app: &str, name: &str, session: &str, reason: &str) -> Event {
        let data =
            json!({ "app": app, "name": name, "session": session, "reason": reason, "kind": "publisher" });
        Event { id, kind: kind.into(), data }
    }

    #[test]
    fn a_publisher_who_comes_back_was_interrupted() {
        let (mut teller, now) = (teller(), Instant::now());
        let told = teller.take(&event(1, "stream.started", "live", "show", "s1", ""), now);
        assert_eq!((told.id.as_str(), told.kind.as_str()), ("weir_1", "stream.started"));
        let told = teller.take(&event(2, "stream.ended", "live", "show", "s1", "disconnected"), now);
        assert_eq!((told.kind.as_str(), &told.data["linger_ms"]), ("stream.interrupted", &json!(10_000)));
        assert_eq!(teller.deadline(), Some(now + Duration::from_secs(10)));
        assert_eq!(teller.overdue(Some(now + Duration::from_secs(9))), []);
        let told = teller.take(&event(3, "stream.started", "live", "show", "s2", ""), now);
        assert_eq!((told.kind.as_str(), &told.data["interrupted_session"]), ("stream.resumed", &json!("s1")));
        assert_eq!((teller.deadline(), teller.overdue(None)), (None, vec![]));
    }

    #[test]
    fn one_who_does_not_has_ended() {
        let (mut teller, now) = (teller(), Instant::now());
        teller.take(&event(2, "stream.ended", "live", "show", "s1", "disconnected"), now);
        // A slate in the meantime is reported as a slate.
        let mut slate = event(3, "stream.started", "live", "show", "s2", "");
        slate.data["kind"] = "slate".into();
        assert_eq!(teller.take(&slate, now).kind, "stream.started");
        let [told] = teller.overdue(Some(now + Duration::from_secs(10))).try_into().unwrap();
        assert_eq!((told.id.as_str(), told.kind.as_str()), ("weir_2_ended", "stream.ended"));
        assert_eq!(told.data["session"], "s1");
        for reason in ["unpublished", "dropped"] {
            let told = teller.take(&event(4, "stream.ended", "live", "show", "s1", reason), now);
            assert_eq!((told.kind.as_str(), teller.deadline()), ("stream.ended", None));
        }
        // Without a rule, there is no `linger`.
        let told = teller.take(&event(5, "stream.ended", "other", "show", "s1", "disconnected"), now);
        assert_eq!((told.kind.as_str(), teller.deadline()), ("stream.ended", None));
    }

    #[test]
    fn renditions_are_marked() {
        let (mut teller, now) = (teller(), Instant::now());
        let told = teller.take(&event(1, "stream.started", "out", "cam_1_480p", "s1", ""), now);
        assert_eq!(told.data["kind"], "rendition");
        assert_eq!(told.data["rendition_of"], json!({ "app": "hall", "name": "cam_1", "rung": "480p" }));
        for (app, name) in [("out", "cam_720p"), ("out", "480p"), ("hall", "cam_480p")] {
            let told = teller.take(&event(1, "stream.started", app, name, "s1", ""), now);
            assert_eq!(told.data["kind"], "publisher", "{app}/{name}");
        }
    }
}
