//! Each field of a row is independent: marks that share a word do not reset each other, and numbers that share a word
//! do not mix.

use weir_model::{
    KeyId, VideoFacts,
    event::{EndReason, Event},
    media::AudioFacts,
    target::{PushState, TargetId},
    verdict::Credential,
};
use weir_zone::{NewPush, NewStream, Rates, Stage};

use super::{NOW, PID, add_target, after, claim, digest, heap, insert, key, register, stream, target, used};

#[test]
fn what_is_found_out_of_a_stream_comes_back() {
    let heap = heap();
    let zone = heap.zone();
    let id = claim(&zone, &stream("show", register(&zone, PID)));
    let video = VideoFacts {
        codec_id: 7,
        profile: 100,
        level: 41,
        width: 1920,
        height: 1080,
        fps_milli: 29_970,
        ..VideoFacts::default()
    };
    let audio = AudioFacts { codec_id: 10, aac_profile: 2, channels: 2, sample_rate: 48_000 };
    let rates = Rates { all: 6_000_000, audio: 128_000 };
    zone.row(id).unwrap().describe(rates, Some(video), Some(audio), -40);
    let live = zone.lock(PID).streams_named("live", "show", |_| true).remove(0);
    assert_eq!((live.rates, live.avsync_ms), (rates, -40));
    assert_eq!((live.video, live.audio), (Some(video), Some(audio)));
    // More than a row can tell is told as the most that it can.
    zone.row(id).unwrap().describe(Rates { all: u64::MAX, audio: 1 }, None, None, 7);
    let live = zone.lock(PID).streams_named("live", "show", |_| true).remove(0);
    assert_eq!((live.rates, live.avsync_ms), (Rates { all: u32::MAX.into(), audio: 1 }, 7));
    assert_eq!((live.video, live.audio), (None, None));
}

#[test]
fn why_a_stream_ended() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let reason = |unpublished: bool, dropped: u8| {
        let id = claim(&zone, &NewStream { credential: Credential::Key(KeyId(5)), ..stream("show", worker) });
        let before = zone.last_event();
        // An order may come before the stream is seen live, twice, and together with a goodbye.
        (0..dropped).for_each(|_| assert_eq!(zone.order_close_keys(PID, &[KeyId(5)].into()), 1));
        zone.lock(PID).started(id, NOW);
        zone.lock(PID).started(id, NOW);
        assert_eq!(zone.row(id).unwrap().is_ordered_to_close(), dropped > 0);
        if unpublished {
            zone.lock(PID).unpublished(id);
        }
        zone.lock(PID).release(id, after(1500));
        let (events, missed) = zone.lock(PID).events_after(before, 10);
        assert_eq!(missed, 0);
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["stream.started", "stream.ended"]);
        let fields: serde_json::Value = serde_json::from_str(&events[1].fields).unwrap();
        let Ok(Event::StreamEnded(ended)) = Event::read(&events[1].kind, &fields) else { panic!("{fields}") };
        assert_eq!(ended.duration_ms, 1500);
        ended.reason
    };
    assert_eq!(reason(false, 0), EndReason::Disconnected);
    assert_eq!(reason(true, 0), EndReason::Unpublished);
    assert_eq!(reason(false, 1), EndReason::Dropped);
    assert_eq!(reason(false, 2), EndReason::Dropped);
    assert_eq!(reason(true, 1), EndReason::Dropped);
}

#[test]
fn a_stream_that_was_never_live_does_not_end() {
    let heap = heap();
    let zone = heap.zone();
    let id = claim(&zone, &stream("show", register(&zone, PID)));
    zone.lock(PID).release(id, NOW);
    assert_eq!(zone.last_event(), 0);
}

#[test]
fn a_key_is_valid_or_not() {
    let heap = heap();
    let zone = heap.zone();
    assert!(!zone.lock(PID).is_valid_key(&digest(1)));
    insert(&zone, &key(1), Stage::Valid);
    insert(&zone, &key(2), Stage::Pending { pid: PID });
    assert!(zone.lock(PID).is_valid_key(&digest(1)));
    assert!(!zone.lock(PID).is_valid_key(&digest(2)));
    zone.lock(PID).revoke_key(KeyId(1));
    assert!(!zone.lock(PID).is_valid_key(&digest(1)));
}

#[test]
fn whether_the_state_file_could_be_written() {
    let heap = heap();
    let zone = heap.zone();
    let said = [true, false, false, true].map(|written| {
        zone.set_state_written(written);
        zone.is_state_written()
    });
    assert_eq!(said, [true, false, false, true]);
    assert!(heap.zone().is_state_written());
}

/// Switching a target off writes one word: it cannot fail for want of room, and takes no block.
#[test]
fn a_target_is_switched_in_place() {
    let heap = heap();
    let zone = heap.zone();
    add_target(&zone, &target(1));
    let before = used(&zone);
    for enabled in [false, true, true] {
        let wanted = weir_model::Target { enabled, ..target(1) };
        assert_eq!(zone.lock(PID).replace_target(&wanted), Ok(true));
        assert_eq!((zone.lock(PID).target(TargetId(1)), used(&zone)), (Some(wanted), before));
    }
}

#[test]
fn a_push_remembers_its_last_error_until_it_is_another() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let stream = claim(&zone, &stream("show", worker));
    let new = NewPush {
        target: TargetId(1),
        stream,
        app: "live",
        name: "show",
        state: PushState::Connecting,
        worker,
    };
    let id = zone.lock(PID).add_push(&new, NOW).unwrap();
    let say = |error: Option<&str>| {
        zone.lock(PID).set_push_state(id, PushState::Waiting, NOW, Some(after(500)), error);
        let [push] = zone.lock(PID).pushes(|_| true).try_into().unwrap();
        assert_eq!(
            (push.app.as_str(), push.name.as_str(), push.retry_at),
            ("live", "show", Some(after(500)))
        );
        push.last_error
    };
    assert_eq!(say(None), None);
    assert_eq!(say(Some("refused")).unwrap(), "refused");
    assert_eq!(say(None).unwrap(), "refused");
    assert_eq!(say(Some("closed by the target")).unwrap(), "closed by the target");
}
