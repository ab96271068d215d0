//! The live streams, and their changes between two snapshots.

use std::collections::BTreeMap;

use weir_model::snapshot::StreamSnapshot;
use weir_model::{AppName, StreamName, Timestamp, VideoFacts};

/// Time after which missing headers of a new publisher count as absent, in milliseconds. The first headers may arrive one after the
/// other.
const SETTLING_MS: u64 = 2500;

/// A stream's application and public name.
pub(crate) type StreamId = (AppName, StreamName);

/// A live stream whose media is known well enough to transcode it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// nginx-rtmp application.
    pub app: AppName,
    /// Public name.
    pub name: StreamName,
    /// Id of the publish.
    pub session: String,
    /// The stream is a slate that replaces a lost publisher.
    pub slate: bool,
    /// Its video, if any.
    pub video: Option<Video>,
    /// Its audio, if any.
    pub audio: Option<Audio>,
}

/// Properties of the video that a ladder depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Video {
    /// Codec, for example `H264`.
    pub codec: String,
    /// Width in pixels; 0 if unknown.
    pub width: u32,
    /// Height in pixels; 0 if unknown.
    pub height: u32,
}

/// Properties of the audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Audio {
    /// Codec, for example `AAC`.
    pub codec: String,
}

impl Live {
    /// Returns `APP/NAME`.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.app, self.name)
    }
}

/// The streams that are live now.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    live: BTreeMap<StreamId, Live>,
    /// Port of the `server` block that the daemon plays from, if it is known.
    port: Option<u16>,
}

/// Changes between two snapshots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Streams that are new, or have another publish or other media than before.
    pub started: Vec<Live>,
    /// Streams that are no longer live.
    pub ended: Vec<StreamId>,
    /// A stream has just begun, and its media is not fully known yet.
    pub unsettled: bool,
}

impl Streams {
    /// Returns an empty set of streams. `port` is the port that the daemon plays from.
    pub(crate) fn at_port(port: u16) -> Streams {
        Streams { port: Some(port), ..Streams::default() }
    }

    /// Applies a snapshot from time `now`. Streams whose names Weir does not allow are ignored, because names become paths of files.
    pub(crate) fn update(&mut self, snapshot: &[StreamSnapshot], now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        let mut next = BTreeMap::new();
        for (id, stream) in self.one_a_name(snapshot) {
            let settled = (stream.video.is_some() && stream.audio.is_some())
                || now.millis_since(stream.since) >= SETTLING_MS;
            let known = self.live.get(&id).filter(|known| known.session == stream.session);
            let live = match (known, settled && has_media(stream)) {
                (_, true) => facts(&id, stream),
                // The known media of a session does not change.
                (Some(known), false) => known.clone(),
                (None, false) => {
                    changes.unsettled = true;
                    continue;
                }
            };
            if self.live.get(&id) != Some(&live) {
                changes.started.push(live.clone());
            }
            next.insert(id, live);
        }
        changes.ended = self.live.keys().filter(|id| !next.contains_key(*id)).cloned().collect();
        self.live = next;
        changes
    }

    /// Chooses one stream per name: the one that was followed before, or the first one at the block that the daemon plays from.
    fn one_a_name<'s>(&self, snapshot: &'s [StreamSnapshot]) -> BTreeMap<StreamId, &'s StreamSnapshot> {
        let mut chosen: BTreeMap<StreamId, &StreamSnapshot> = BTreeMap::new();
        let rank = |id: &StreamId, stream: &StreamSnapshot| {
            let here = self.port.is_some_and(|port| stream.server.name().ends_with(&format!(":{port}")));
            (here, self.live.get(id).is_some_and(|known| known.session == stream.session))
        };
        for stream in snapshot {
            let (Ok(app), Ok(name)) = (stream.app.parse::<AppName>(), stream.name.parse::<StreamName>())
            else {
                continue;
            };
            let id = (app, name);
            let better = chosen.get(&id).is_none_or(|other| rank(&id, stream) > rank(&id, other));
            if better {
                chosen.insert(id, stream);
            }
        }
        chosen
    }

    /// Returns the live streams.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Live> {
        self.live.values()
    }
}

fn has_media(stream: &StreamSnapshot) -> bool {
    stream.video.is_some() || stream.audio.is_some()
}

fn facts((app, name): &StreamId, stream: &StreamSnapshot) -> Live {
    let video = |video: VideoFacts| Video {
        codec: video.codec().to_owned(),
        width: video.width.into(),
        height: video.height.into(),
    };
    Live {
        app: app.clone(),
        name: name.clone(),
        session: stream.session.clone(),
        slate: stream.slate,
        video: stream.video.map(video),
        audio: stream.audio.map(|audio| Audio { codec: audio.codec().to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stream(name: &str, session: &str, media: bool) -> StreamSnapshot {
        let video = media.then(|| json!({ "codec": "H264", "width": 1280, "height": 720, "fps": 25.1 }));
        let audio = media.then(|| json!({ "codec": "AAC" }));
        let publisher = json!({ "addr": "127.0.0.1", "worker_pid": 1 });
        let value = json!({ "app": "live", "name": name, "session": session, "since": "2026-11-20T18:00:00Z",
            "publisher": publisher, "video": video, "audio": audio });
        serde_json::from_value(value).unwrap()
    }

    fn at(millis: u64) -> Timestamp {
        let since: Timestamp = "2026-11-20T18:00:00Z".parse().unwrap();
        Timestamp::from_millis(since.as_millis() + millis)
    }

    fn names(changes: &Changes) -> (Vec<&str>, Vec<&str>) {
        let started = changes.started.iter().map(|live| live.name.as_str()).collect();
        (started, changes.ended.iter().map(|(_, name)| name.as_str()).collect())
    }

    #[test]
    fn snapshots_differ_in_what_came_and_went() {
        let mut streams = Streams::default();
        let changes = streams.update(&[stream("a", "s1", true), stream("b", "s2", true)], at(100));
        assert_eq!(names(&changes), (vec!["a", "b"], vec![]));
        assert_eq!(
            streams.update(&[stream("a", "s1", true), stream("b", "s2", true)], at(200)),
            Changes::default()
        );
        // Another publisher uses the name between two snapshots.
        let changes = streams.update(&[stream("b", "s3", true), stream("c", "s4", true)], at(300));
        assert_eq!(names(&changes), (vec!["b", "c"], vec!["a"]));
        assert_eq!(names(&streams.update(&[], at(400))), (vec![], vec!["b", "c"]));
    }

    #[test]
    fn a_stream_is_told_of_when_its_media_is_known() {
        let mut streams = Streams::default();
        let changes = streams.update(&[stream("a", "s1", false)], at(100));
        assert!(changes.unsettled && changes.started.is_empty());
        let mut sound = stream("a", "s1", true);
        sound.video = None;
        assert!(streams.update(std::slice::from_ref(&sound), at(200)).unsettled);
        let changes = streams.update(std::slice::from_ref(&sound), at(3000));
        assert_eq!(names(&changes), (vec!["a"], vec![]));
        assert_eq!(streams.iter().next().unwrap().video, None);
    }

    #[test]
    fn of_one_name_at_two_server_blocks_one_is_followed() {
        let at_port = |port: u16, session: &str| {
            let mut stream = stream("a", session, true);
            stream.server = weir_model::Server::new([port.to_string().parse().unwrap()]);
            stream
        };
        let mut streams = Streams::at_port(1935);
        let both = [at_port(1936, "s1"), at_port(1935, "s2")];
        assert_eq!(streams.update(&both, at(100)).started[0].session, "s2");
        assert_eq!(streams.update(&both, at(200)), Changes::default());
        // Without a port, the followed stream is chosen.
        let mut streams = Streams::default();
        assert_eq!(streams.update(&both[1..], at(100)).started[0].session, "s2");
        assert_eq!(streams.update(&both, at(200)), Changes::default());
        assert_eq!(streams.update(&both[..1], at(300)).started[0].session, "s1");
    }

    #[test]
    fn names_that_would_be_no_file_names_are_left_alone() {
        let mut streams = Streams::default();
        let snapshot = [stream("../x", "s1", true), stream("a b", "s2", true), stream(".x", "s3", true)];
        assert_eq!(streams.update(&snapshot, at(0)), Changes::default());
    }
}
