//! A viewer that reads too slowly for the stream is skipped to a keyframe and notified; a viewer that reads nothing or sends too much is
//! disconnected. All other viewers get each frame.

use weir_rtmp::flv::{Tag, TagKind};
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Publisher, Sidecar, WebSocket, until};

use super::{kind, open, watch};

/// Makes a frame large: it appends a NAL unit of filler data (ITU-T H.264, 7.3.2.7).
fn large(tag: Tag) -> Tag {
    if tag.kind != TagKind::Video || tag.is_header() {
        return tag;
    }
    let mut filler = vec![0xff; 300_000];
    filler[0] = 0x0c;
    let length = (filler.len() as u32).to_be_bytes();
    Tag { payload: [&tag.payload[..], &length, &filler].concat(), ..tag }
}

#[test]
fn a_slow_viewer_is_skipped_or_dropped_and_no_other_notices() {
    let nginx = open().rtmp("max_message 4M;").start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let edited = Publisher::to(nginx.rtmp(), "live/show").edited(|tag| Some(large(tag)));
    let publisher = edited.start().started();
    let mut good = watch(&sidecar, "show");
    let mut slow = WebSocket::connect_narrow(sidecar.web(), "/stream/live/show/ws");
    let stopped = WebSocket::connect_narrow(sidecar.web(), "/stream/live/show/ws");
    // Both other viewers do not read while this one does.
    let messages = good.during(6.0);
    let mut seen = Vec::new();
    until("the slow one is told", 20.0, || {
        let message = slow.receive().expect("a message");
        seen.push(kind(&message));
        seen.last().unwrap() == "skipped"
    });
    // The stream continues with a keyframe; the viewer already has the init segment.
    let Some(Message::Binary(next)) = slow.receive() else { panic!("{seen:?}") };
    let sync = 0x0200_0000_u32.to_be_bytes();
    assert!(next[..200].windows(4).any(|four| four == sync), "{:?}", &next[..200]);

    let starts: Vec<u64> = messages.iter().filter_map(time).collect();
    assert!(starts.len() > 100, "{starts:?}");
    assert!(starts.windows(2).all(|pair| (40..60).contains(&(pair[1] - pair[0]))), "{starts:?}");
    assert!(messages.iter().all(|message| kind(message) != "skipped"));
    until("the one that takes nothing is dropped", 25.0, || {
        let _ = good.during(0.2);
        let list = super::ask(sidecar.web(), "/v1/live", &[]).json();
        list["streams"][0]["viewers"]["ws"] == 2
    });
    drop((publisher, stopped));
}

/// Returns the time of the first frame in a fragment.
fn time(message: &Message) -> Option<u64> {
    let Message::Binary(bytes) = message else { return None };
    let at = bytes.windows(4).position(|four| four == b"tfdt")?;
    Some(u64::from_be_bytes(*bytes.get(at + 8..)?.first_chunk()?))
}

#[test]
fn a_viewer_can_find_out_whether_the_connection_works() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = super::publish(&nginx, "show");
    let mut viewer = watch(&sidecar, "show");
    for _ in 0..3 {
        viewer.send("ping").unwrap();
        let mut received = std::iter::from_fn(|| viewer.receive()).take(500);
        assert!(received.any(|message| super::kind(&message) == "pong"));
    }
}

#[test]
fn a_viewer_that_says_too_much_is_closed() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = super::publish(&nginx, "show");
    let mut viewer = watch(&sidecar, "show");
    for _ in 0..200 {
        if viewer.send("hello").is_err() {
            break;
        }
    }
    let end = std::iter::from_fn(|| viewer.receive()).find(|message| matches!(message, Message::Close(..)));
    assert_eq!(end, Some(Message::Close(1008, "too many messages".into())));
    let mut viewer = watch(&sidecar, "show");
    let _ = viewer.send(&"x".repeat(5000));
    std::thread::spawn(move || while viewer.receive().is_some() {});
    until("it is closed", 10.0, || {
        let list = super::ask(sidecar.web(), "/v1/live", &[]).json();
        list["streams"][0]["viewers"]["ws"] == 0
    });
}
