//! Codec headers and metadata that arrive before nginx-rtmp has accepted the publish: viewers can watch the stream all the same. A refused
//! publish leaves nothing behind.

use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::clients::Connection;
use weir_tests::harness::hook::Answer;
use weir_tests::harness::media::{Enhanced, sample};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::publisher::Builder;
use weir_tests::harness::{Api, Hook, Nginx, Player, Publisher, files, until};

use super::{keyed, wait_gone, wait_live};

/// Returns HLS directives with a folder per application.
fn hls(app: &str) -> String {
    format!("hls on; hls_path @DIR@/hls-{app}; hls_fragment 1s; hls_playlist_length 60s;")
}

/// Waits until the stream can be decoded: nginx-rtmp has read both headers and writes segments. It writes segments only once it has the AVC
/// header.
#[track_caller]
fn assert_decodable(nginx: &Nginx, api: &Api, app: &str, name: &str) {
    let stream = until("both codec headers are read", 20.0, || {
        let stream = api.stream(app, name)?;
        (!stream["video"].is_null() && stream["video"]["profile"] != "" && stream["audio"]["profile"] == "LC")
            .then_some(stream)
    });
    assert_eq!(
        (&stream["video"]["codec"], &stream["video"]["width"]),
        (&"H264".into(), &160.into()),
        "{stream}"
    );
    assert_eq!(stream["audio"]["sample_rate"], 44_100, "{stream}");
    let playlist = nginx.path(&format!("hls-{app}/{name}.m3u8"));
    until("segments of HLS", 15.0, || !files::segments(&playlist).is_empty());
}

/// Does the same as `assert_decodable`, and checks that a player gets the stream.
#[track_caller]
fn assert_watchable(nginx: &Nginx, api: &Api, app: &str, name: &str) {
    assert_decodable(nginx, api, app, name);
    Player::start(nginx.rtmp(), &format!("{app}/{name}")).wait_video(10);
}

/// Runs with a zone only, with keys, and with open names.
#[test]
fn a_hasty_publisher_is_watchable_however_late_on_publish_answers() {
    for (policy, ms) in [("", 0), ("weir_publish key;", 400), ("weir_publish open;", 1500)] {
        let hook = Hook::start(Answer::Late(ms));
        let nginx =
            keyed().app("slow", &format!("{policy} {} on_publish {};", hls("slow"), hook.url())).start();
        let api = nginx.api();
        let path = if policy.contains("key") {
            format!("slow/{}", api.create_key("slow", "show").key)
        } else {
            "slow/show".to_owned()
        };
        let _publisher = Publisher::to(nginx.rtmp(), &path).hasty().start().started();
        assert_watchable(&nginx, &api, "slow", "show");
    }
}

#[test]
fn a_hasty_publisher_that_takes_over_is_watchable() {
    let nginx = keyed()
        .workers(2)
        .main("rtmp_auto_push on;")
        .app("take", &format!("weir_publish key; weir_duplicate takeover; {}", hls("take")))
        .start();
    let api = nginx.api();
    let path = format!("take/{}", api.create_key("take", "show").key);
    let first = Publisher::to(nginx.rtmp(), &path).start().started();
    let session = wait_live(&api, "take", "show")["session"].clone();
    let _second = Publisher::to(nginx.rtmp(), &path).hasty().start().started();
    first.wait_closed(3.0);
    until("the newcomer is listed", 5.0, || {
        api.stream("take", "show").is_some_and(|stream| stream["session"] != session)
    });
    assert_watchable(&nginx, &api, "take", "show");
}

/// The publisher is stock nginx-rtmp, or a Weir target: neither waits for the answer to `publish`.
#[test]
fn what_another_server_pushes_is_watchable() {
    let hook = Hook::start(Answer::Late(400));
    let inner = keyed()
        .app("slow", &format!("weir_publish key; {} on_publish {};", hls("slow"), hook.url()))
        .app("off", &format!("{} on_publish {};", hls("off"), hook.url()))
        .start();
    let api = inner.api();
    let key = |name: &str| api.create_key("slow", name).key;
    let port = inner.rtmp();
    let stock = Config::stock()
        .app(
            "src",
            &format!(
                "push rtmp://127.0.0.1:{port}/slow/{}; push rtmp://127.0.0.1:{port}/off/free;",
                key("a")
            ),
        )
        .start();
    let weir = Config::weir()
        .with_api()
        .app("src", &format!("weir_push_to rtmp://127.0.0.1:{port}/slow/{};", key("b")))
        .start();
    let _publishers = [&stock, &weir].map(|nginx| Publisher::to(nginx.rtmp(), "src/show").start().started());
    for (app, name) in [("slow", "a"), ("off", "free"), ("slow", "b")] {
        assert_watchable(&inner, &api, app, name);
    }
}

/// Returns a backend that answers with `answer`, an nginx that asks it, and a publisher whose media the test sends itself.
fn silent(answer: Answer) -> (Hook, Nginx, Builder) {
    let hook = Hook::start(answer);
    let nginx = keyed()
        .app("slow", &format!("weir_publish open; {} on_publish {};", hls("slow"), hook.url()))
        .start();
    let builder = Publisher::to(nginx.rtmp(), "slow/show").manual().silent();
    (hook, nginx, builder)
}

fn publish(connection: &mut Connection) {
    connection.client.send_publish();
}

fn send(connection: &mut Connection, tags: &[Tag], from: u32) {
    for tag in tags {
        let (stream, kind) = match tag.kind {
            TagKind::Audio => (4, MessageKind::AUDIO),
            TagKind::Video => (6, MessageKind::VIDEO),
            TagKind::Script => (5, MessageKind::DATA),
        };
        let timestamp = from + tag.timestamp;
        connection
            .client
            .send_message(stream, &Message { kind, stream_id: 1, timestamp, payload: tag.payload.clone() });
    }
}

/// Returns all headers of the sample in one aggregate message.
fn aggregate() -> Message {
    let mut payload = Vec::new();
    for tag in &sample().headers {
        let kind = match tag.kind {
            TagKind::Audio => 8,
            TagKind::Video => 9,
            TagKind::Script => 18,
        };
        payload.push(kind);
        payload.extend(&u32::try_from(tag.payload.len()).unwrap().to_be_bytes()[1..]);
        payload.extend([0; 7]);
        payload.extend(&tag.payload);
        payload.extend((tag.payload.len() as u32 + 11).to_be_bytes());
    }
    Message { kind: MessageKind::AGGREGATE, stream_id: 1, timestamp: 0, payload }
}

#[test]
fn headers_in_an_aggregate_and_before_the_publish_command_count() {
    for before in [false, true] {
        let (_hook, nginx, builder) = silent(Answer::Late(400));
        let publisher = builder.start();
        publisher.wait_stream_created();
        publisher.manually(move |connection| {
            if before {
                send(connection, &sample().headers, 0);
                publish(connection);
            } else {
                publish(connection);
                connection.client.send_message(6, &aggregate());
            }
        });
        let publisher = publisher.started();
        publisher.manually(|connection| {
            (0..4).for_each(|round| send(connection, &sample().frames, round * sample().duration));
        });
        assert_decodable(&nginx, &nginx.api(), "slow", "show");
    }
}

#[test]
fn a_refused_publish_leaves_nothing() {
    let (hook, nginx, _) = silent(Answer::LateNo(600));
    let publisher = Publisher::to(nginx.rtmp(), "slow/show").hasty().start();
    publisher.wait_closed(10.0);
    assert_eq!(hook.requests().len(), 1);
    wait_gone(&nginx.api(), "slow", "show");
    assert_eq!(files::below(&nginx.path("hls-slow")), Vec::<std::path::PathBuf>::new());
}

/// If a publish is closed before it is accepted, its headers are not used for the next publish.
#[test]
fn closing_before_the_start_forgets_the_headers() {
    let (hook, nginx, builder) = silent(Answer::Never);
    let publisher = builder.start();
    publisher.wait_stream_created();
    publisher.manually(|connection| {
        publish(connection);
        send(connection, &sample().headers, 0);
        connection.client.send_close_stream();
    });
    until("the first publish was asked for", 5.0, || hook.requests().len() == 1);
    hook.answer(Answer::Yes);
    publisher.manually(|connection| {
        connection.client.set_name(b"other");
        publish(connection);
    });
    let publisher = publisher.started();
    publisher.manually(|connection| send(connection, &sample().frames, 0));
    let api = nginx.api();
    let stream = until("frames of the second publish", 10.0, || {
        api.stream("slow", "other").filter(|stream| stream["video"]["codec"] == "H264")
    });
    assert_eq!(stream["video"]["profile"], "", "{stream}");
    assert_eq!(stream["video"]["width"], 0, "{stream}");
}

/// nginx-rtmp keeps no headers for these codecs, but players that join later must get them too.
#[test]
fn a_hasty_publisher_of_enhanced_rtmp_is_watchable_however_late_on_publish_answers() {
    for codec in [Enhanced::Hevc, Enhanced::Av1] {
        for ms in [0, 1500] {
            let hook = Hook::start(Answer::Late(ms));
            let nginx =
                keyed().app("slow", &format!("weir_publish open; on_publish {};", hook.url())).start();
            let pictures = codec.pictures();
            let (header, edit) = (pictures.header().to_vec(), move |tag| Some(pictures.replace(tag)));
            let _publisher = Publisher::to(nginx.rtmp(), "slow/show").hasty().edited(edit).start().started();
            let api = nginx.api();
            let stream = until("the header is read", 20.0, || {
                api.stream("slow", "show").filter(|stream| stream["video"]["width"] == 160)
            });
            assert_eq!(stream["video"]["codec"], codec.name().to_uppercase(), "{stream}");
            assert_eq!(stream["audio"]["profile"], "LC", "{stream}");
            let player = Player::start(nginx.rtmp(), "slow/show");
            player.wait_video(10);
            let first = player.seen().first_videos;
            assert_eq!(first[0], header, "{codec:?} after {ms} ms");
            assert_eq!(first[1][0] >> 4 & 7, 1, "a keyframe: {:?}", &first[1][..9]);
        }
    }
}
