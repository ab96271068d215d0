//! Samples of the daemon's events, for tests.

use super::DaemonEvent;
use super::admin::{
    AccountAction, ByAdmin, ChatAction, ChatPlace, EdgeAction, JobAction, KeyAction, LinkAction, LoginAction,
    NamedTarget, RecordingAction, StreamAction, TargetAction,
};
use super::fields::{
    AdmissionFailed, AdmissionFailure, ChatCounts, ChatMessageChanged, ChatPersonChanged, ChatSaid,
    ChatSlowed, ChatTimedOut, DaemonEnded, Deliver, InputEnd, InputEnded, InputFailed, InputStarted,
    MissedByClient, NotEnoughBandwidth, RecordingFinished, RecordingRemoved, RecordingResumed,
    RecordingStarted, RecordingStopped, RecordingUpload, SlateEnd, SlateEnded, SlateStarted, StreamCodecs,
    StreamReady, WebRtcUnsuitable, WhipEnded, WhipStarted, WorkerKilled,
};
use crate::time::Timestamp;

const AT: Timestamp = Timestamp::from_millis(1_795_197_600_000);

fn app() -> String {
    "live".to_owned()
}

fn name() -> String {
    "show".to_owned()
}

fn session() -> String {
    "s1a1fa86ebb70001".to_owned()
}

impl DaemonEvent {
    /// Returns an event of each kind in the order of [`DaemonEvent::KINDS`], and of each action in the dashboard.
    pub fn one_of_each() -> Vec<DaemonEvent> {
        let mut all = of_streams();
        all.extend(of_recordings());
        all.extend(of_inputs());
        all.extend(of_webrtc());
        all.extend(of_chats());
        all.extend(of_admission());
        all.push(DaemonEvent::Missed(MissedByClient { after: Some(3) }));
        all.extend(of_the_dashboard());
        all
    }
}

fn of_streams() -> Vec<DaemonEvent> {
    vec![
        DaemonEvent::StreamReady(StreamReady {
            at: AT,
            app: app(),
            deliver: Deliver::Files,
            name: name(),
            renditions: vec!["source".to_owned(), "480p".to_owned()],
            session: session(),
        }),
        DaemonEvent::StreamCodecs(StreamCodecs {
            at: AT,
            app: app(),
            audio: None,
            name: name(),
            not_in_hls: vec!["HEVC".to_owned()],
            not_in_jobs: Vec::new(),
            session: session(),
            video: Some("HEVC".to_owned()),
        }),
        DaemonEvent::WorkerKilled(WorkerKilled { at: AT, pid: 7 }),
        DaemonEvent::DaemonEnded(DaemonEnded { at: AT }),
    ]
}

fn of_recordings() -> Vec<DaemonEvent> {
    let file = || "/var/lib/weir/show.mp4".into();
    let finished = |cut_off, duration_ms| {
        let (app, name, session) = (app(), name(), session());
        DaemonEvent::RecordingFinished(RecordingFinished {
            at: AT,
            app,
            bytes: 9,
            cut_off,
            duration_ms,
            file: file(),
            name,
            session,
        })
    };
    let upload = |reason: Option<&str>| RecordingUpload {
        at: AT,
        app: app(),
        file: file(),
        key: "weir/show.mp4".to_owned(),
        name: name(),
        reason: reason.map(str::to_owned),
        upload: "store".to_owned(),
    };
    vec![
        DaemonEvent::RecordingStarted(RecordingStarted {
            at: AT,
            app: app(),
            file: file(),
            name: name(),
            session: session(),
        }),
        finished(false, Some(1000)),
        finished(true, None),
        DaemonEvent::RecordingStopped(RecordingStopped {
            at: AT,
            app: app(),
            folder: "/var/lib/weir".into(),
            name: name(),
            reason: "no space left".to_owned(),
            session: session(),
        }),
        DaemonEvent::RecordingResumed(RecordingResumed {
            at: AT,
            app: app(),
            name: name(),
            session: session(),
        }),
        DaemonEvent::RecordingUploaded(upload(None)),
        DaemonEvent::RecordingUploadFailed(upload(Some("timed out"))),
        DaemonEvent::RecordingRemoved(RecordingRemoved { at: AT, app: app(), file: file(), name: name() }),
    ]
}

fn of_inputs() -> Vec<DaemonEvent> {
    let input = || "rtsp".to_owned();
    let (server, until) = ("0.0.0.0:1935".to_owned(), AT.plus_seconds(60));
    vec![
        DaemonEvent::InputStarted(InputStarted { at: AT, app: app(), input: input(), name: name() }),
        DaemonEvent::InputEnded(InputEnded {
            at: AT,
            app: app(),
            error: None,
            input: input(),
            name: name(),
            reason: InputEnd::Ended,
        }),
        DaemonEvent::InputFailed(InputFailed {
            at: AT,
            app: app(),
            error: "no answer".to_owned(),
            input: input(),
            name: name(),
        }),
        DaemonEvent::SlateStarted(SlateStarted {
            at: AT,
            app: app(),
            name: name(),
            server: server.clone(),
            until,
        }),
        DaemonEvent::SlateEnded(SlateEnded {
            at: AT,
            app: app(),
            name: name(),
            reason: SlateEnd::Publisher,
            server,
        }),
    ]
}

fn of_webrtc() -> Vec<DaemonEvent> {
    vec![
        DaemonEvent::NotEnoughBandwidth(NotEnoughBandwidth {
            at: AT,
            app: app(),
            loss: Some(0.25),
            name: name(),
            next: None,
            viewers: 2,
            watched: "live/show".to_owned(),
        }),
        DaemonEvent::WebRtcUnsuitable(WebRtcUnsuitable {
            at: AT,
            app: app(),
            name: name(),
            reason: "B-frames".to_owned(),
        }),
        DaemonEvent::WhipStarted(WhipStarted { app: app(), stream: name() }),
        DaemonEvent::WhipEnded(WhipEnded { app: app(), reason: "it was ended".to_owned(), stream: name() }),
    ]
}

fn of_chats() -> Vec<DaemonEvent> {
    let (by, from) = (|| "ana".to_owned(), || "Ben".to_owned());
    let message = || ChatMessageChanged { at: AT, app: app(), by: by(), id: "m1".to_owned(), stream: name() };
    let person = || ChatPersonChanged { at: AT, app: app(), by: by(), from: from(), stream: name() };
    vec![
        DaemonEvent::ChatMessage(ChatSaid {
            at: AT,
            app: app(),
            from: from(),
            id: "m1".to_owned(),
            moderator: false,
            stream: name(),
            text: "hello".to_owned(),
            verified: true,
        }),
        DaemonEvent::ChatDeleted(message()),
        DaemonEvent::ChatRestored(message()),
        DaemonEvent::ChatTimedOut(ChatTimedOut {
            at: AT,
            app: app(),
            by: by(),
            from: from(),
            seconds: 300,
            stream: name(),
        }),
        DaemonEvent::ChatBanned(person()),
        DaemonEvent::ChatUnbanned(person()),
        DaemonEvent::ChatSlow(ChatSlowed { at: AT, app: app(), by: by(), seconds: 30, stream: name() }),
        DaemonEvent::ChatCounts(ChatCounts {
            at: AT,
            app: app(),
            joined: 2,
            left: 1,
            messages: 3,
            peak: 2,
            stream: name(),
        }),
    ]
}

fn of_admission() -> [DaemonEvent; 2] {
    let failed = |admitted, reason| AdmissionFailed {
        at: AT,
        addr: "192.0.2.1".to_owned(),
        admitted,
        app: app(),
        name: name(),
        reason,
    };
    [
        DaemonEvent::AdmissionRefused(failed(false, AdmissionFailure::Refused)),
        DaemonEvent::AdmissionUnanswered(failed(true, AdmissionFailure::BackendDown)),
    ]
}

fn by<A>(action: A) -> ByAdmin<A> {
    ByAdmin { at: AT, who: "ana".to_owned(), action }
}

fn of_the_dashboard() -> Vec<DaemonEvent> {
    let (role, id) = (|| "admin".to_owned(), |id: &str| id.to_owned());
    let (key, overlap_s) = (|| id("k0000000000000001"), 3600);
    let target = || NamedTarget { id: id("t0000000000000001"), app: app(), name: name() };
    let mut all: Vec<DaemonEvent> = Vec::new();
    all.extend(
        [LoginAction::In { role: role() }, LoginAction::Out, LoginAction::Created { role: role() }]
            .map(|action| DaemonEvent::AdminLogin(by(action))),
    );
    all.push(DaemonEvent::AdminAccount(by(AccountAction::Password)));
    all.extend(
        [
            KeyAction::Added { id: key(), app: app(), name: name() },
            KeyAction::Rotated { id: key(), app: app(), name: name(), overlap_s },
            KeyAction::Revoked { id: key(), app: Some(app()), name: Some(name()) },
        ]
        .map(|action| DaemonEvent::AdminKey(by(action))),
    );
    all.extend(
        [
            TargetAction::Added(target()),
            TargetAction::Paused(target()),
            TargetAction::Resumed(target()),
            TargetAction::Changed(target()),
            TargetAction::Removed { id: target().id, app: Some(app()), name: Some(name()) },
        ]
        .map(|action| DaemonEvent::AdminTarget(by(action))),
    );
    let dropped = StreamAction::Dropped { app: app(), name: name(), ban_s: 60 };
    let made = LinkAction::Made { app: app(), name: name(), jti: "j1".to_owned(), expires_at: AT };
    let removed = RecordingAction::Removed { app: app(), name: name(), file: "show.mp4".into() };
    all.extend([
        DaemonEvent::AdminStream(by(dropped)),
        DaemonEvent::AdminStream(by(StreamAction::PlayerDropped { app: app(), name: name() })),
        DaemonEvent::AdminLink(by(made)),
        DaemonEvent::AdminLink(by(LinkAction::Revoked { jti: None, sub: Some(id("live/*")) })),
        DaemonEvent::AdminJob(by(JobAction::Restarted { id: id("live/show/ladder") })),
        DaemonEvent::AdminRecording(by(removed)),
    ]);
    all.extend(in_chats().map(|action| DaemonEvent::AdminChat(by(action))));
    all.extend(
        [EdgeAction::Drained { id: id("e1") }, EdgeAction::Undrained { id: id("e1") }]
            .map(|action| DaemonEvent::AdminEdge(by(action))),
    );
    all
}

fn in_chats() -> [ChatAction; 6] {
    let place = || ChatPlace { app: app(), name: name(), id: None, from: None, seconds: None };
    let message = || ChatPlace { id: Some("m1".to_owned()), ..place() };
    let person = || ChatPlace { from: Some("Ben".to_owned()), ..place() };
    [
        ChatAction::Deleted(message()),
        ChatAction::Restored(message()),
        ChatAction::TimedOut(ChatPlace { seconds: Some(300), ..person() }),
        ChatAction::Banned(person()),
        ChatAction::Unbanned(person()),
        ChatAction::Slow(ChatPlace { seconds: Some(30), ..place() }),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_kind_is_read_as_it_was_written() {
        let all = DaemonEvent::one_of_each();
        let mut kinds: Vec<&str> = all.iter().map(DaemonEvent::kind).collect();
        kinds.dedup();
        assert_eq!(kinds, DaemonEvent::KINDS);
        for event in all {
            let value: Value = serde_json::to_value(&event).unwrap();
            assert!(value.is_object(), "{event:?}");
            assert_eq!(DaemonEvent::read(event.kind(), &value).unwrap(), event);
            let has_time = !matches!(event.kind(), "missed" | "whip.started" | "whip.ended");
            assert_eq!(value["at"].as_str(), has_time.then_some("2026-11-20T18:00:00Z"), "{event:?}");
        }
    }

    #[test]
    fn an_action_is_beside_its_facts() {
        let all = DaemonEvent::one_of_each();
        let of = |kind: &str, action: &str| {
            let found = all.iter().filter(|event| event.kind() == kind).map(|event| json!(event));
            found.into_iter().find(|fields| fields["action"] == action).unwrap()
        };
        let at = "2026-11-20T18:00:00Z";
        assert_eq!(of("admin.login", "out"), json!({ "at": at, "who": "ana", "action": "out" }));
        assert_eq!(
            of("admin.key", "rotated"),
            json!({ "at": at, "who": "ana", "action": "rotated", "id": "k0000000000000001", "app": "live",
                "name": "show", "overlap_s": 3600 })
        );
        assert_eq!(
            of("admin.chat", "timed_out"),
            json!({ "at": at, "who": "ana", "action": "timed_out", "app": "live", "name": "show", "from": "Ben",
                "seconds": 300 })
        );
        let by_admin = all.iter().filter_map(DaemonEvent::admin);
        assert!(by_admin.clone().all(|by| by == ("ana", AT)));
        let named = all.iter().filter(|event| event.kind().starts_with("admin."));
        assert_eq!(by_admin.count(), named.count());
    }

    #[test]
    fn what_is_not_known_is_absent_or_null() {
        let all = DaemonEvent::one_of_each();
        let fields = |kind: &str| -> Vec<Value> {
            all.iter().filter(|event| event.kind() == kind).map(|event| json!(event)).collect()
        };
        let [whole, cut_off] = fields("recording.finished").try_into().unwrap();
        assert_eq!((whole.get("cut_off"), &whole["duration_ms"]), (None, &json!(1000)));
        assert_eq!((&cut_off["cut_off"], cut_off.get("duration_ms")), (&json!(true), None));
        // Programs that read these fields expect them in each event.
        for (kind, field) in [
            ("recording.uploaded", "reason"),
            ("input.ended", "error"),
            ("stream.codecs", "audio"),
            ("not_enough_bandwidth", "next"),
        ] {
            assert_eq!(fields(kind)[0].get(field), Some(&Value::Null), "{kind}");
        }
        let unknown =
            SlateEnded { at: AT, app: app(), name: name(), reason: SlateEnd::Time, server: String::new() };
        assert_eq!(json!(unknown).get("server"), None);
        assert_eq!(json!(MissedByClient { after: None }), json!({}));
        for end in [InputEnd::Ended, InputEnd::Failed, InputEnd::Stopped] {
            assert_eq!(json!(end), end.as_str());
        }
    }
}
