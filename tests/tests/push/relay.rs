//! Streams as targets receive them: each frame once and at its time, at stock servers as well, and an end that the target is notified of.

use std::process::{Command, Stdio};

use serde_json::json;
use weir_rtmp::flv::{Reader, TagKind};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::peer::assert_unbroken;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{NodeMediaServer, Peer, Player, Publisher, Xml, ffmpeg, products, until};

use super::{Stage, add, patch, source};

#[test]
fn a_stock_server_takes_the_stream_and_plays_it() {
    let stock = Config::stock().app("in", "").http("location /stat { rtmp_stat all; }").start();
    let stage = Stage::set(source(""));
    let id = stage.add(&format!("rtmp://127.0.0.1:{}/in/key", stock.rtmp()));
    stage.wait_state(&id, "live");
    let player = Player::start(stock.rtmp(), "in/key");
    player.wait_video(60);
    let seen = player.seen();
    assert!(seen.gap().as_secs_f64() < 1.0, "{:?}", seen.gap());
    let streams = || {
        let text = weir_tests::harness::Api::new(&stock.url("")).get("/stat").text;
        Xml::read(&text).number("count(//stream[name='key']/publishing)")
    };
    assert_eq!(streams(), 1.0);
    stage.is_undisturbed();
    let Stage { publisher, nginx: _nginx, .. } = stage;
    publisher.close();
    until("the server has no such stream any more", 5.0, || streams() == 0.0);
}

#[test]
fn two_targets_get_the_same() {
    let stage = Stage::set(source(""));
    let other = Peer::takes();
    let id = stage.add(&other.url("a/b/key?x=1"));
    stage.wait_state(&id, "live");
    let call = other.wait_frames("key?x=1", 200);
    assert_eq!(call.app, "a/b");
    assert_eq!(call.tc_url, other.url("a/b"));
    assert_unbroken(&call.frames);
    stage.is_undisturbed();
    let session = stage.session(&id);
    assert!(session["bytes_out"].as_u64().unwrap() > 1000, "{session}");
    assert_eq!(session["reconnects"], 0);
    assert!(session["last_error"].is_null());
}

#[test]
fn a_target_for_any_stream_gets_each_over_its_own_connection() {
    let nginx = source("").start();
    let (api, peer) = (nginx.api(), Peer::takes());
    let id = add(&api, "*", &peer.url("app/all"));
    let publishers =
        ["live/show", "live/more"].map(|path| Publisher::to(nginx.rtmp(), path).start().started());
    until("both are pushed", 10.0, || {
        peer.open("all").iter().filter(|call| call.frames.len() > 40).count() == 2
    });
    let sessions = api.get(&format!("/v1/targets/{id}")).expect(200)["sessions"].clone();
    assert_eq!(sessions.as_array().unwrap().len(), 2, "{sessions}");
    publishers.into_iter().for_each(Publisher::close);
    until("both connections are closed", 5.0, || peer.open("all").is_empty());
    for call in peer.calls() {
        assert_unbroken(&call.frames);
        assert!(
            call.commands.ends_with(&["FCUnpublish".to_owned(), "deleteStream".to_owned()]),
            "{:?}",
            call.commands
        );
    }
}

/// nginx-rtmp's own `push rtmp://host/app` does the same.
#[test]
fn without_a_key_streams_keep_their_names() {
    let peer = Peer::takes();
    let nginx = source(&format!("weir_push_to {};", peer.url("archive"))).start();
    let api = nginx.api();
    let id = add(&api, "*", &peer.url("edge/"));
    let named = serde_json::json!({"app": "live", "stream": "show", "url": peer.url("edge")});
    let said = api.post("/v1/targets", &named).error(400, "bad_request");
    assert_eq!(said, "field \"url\": no stream key, expected rtmp://host/app/key");
    let publishers =
        ["live/show", "live/more"].map(|path| Publisher::to(nginx.rtmp(), path).start().started());
    let arrived = |name: &str| peer.open(name).iter().filter(|call| call.frames.len() > 20).count();
    until("both are at both", 10.0, || arrived("show") == 2 && arrived("more") == 2);
    let url = api.get(&format!("/v1/targets/{id}")).expect(200)["url"].clone();
    assert!(url.as_str().unwrap().ends_with("/***"), "{url}");
    publishers.into_iter().for_each(Publisher::close);
    until("all connections are closed", 5.0, || arrived("show") + arrived("more") == 0);
    for call in peer.calls() {
        assert!(
            call.commands.ends_with(&["FCUnpublish".to_owned(), "deleteStream".to_owned()]),
            "{:?}",
            call.commands
        );
    }
}

#[test]
fn a_publisher_that_just_goes_is_an_end_too() {
    let stage = Stage::set(source(""));
    stage.publisher.send_more(500);
    let Stage { publisher, witness, nginx: _nginx, .. } = stage;
    publisher.kill();
    let call = witness.wait_closed("witness");
    assert!(
        call.commands.ends_with(&["FCUnpublish".to_owned(), "deleteStream".to_owned()]),
        "{:?}",
        call.commands
    );
}

/// The URL has a link-local address without an interface: `connect()` fails before it returns, and nginx-rtmp retries the `push` later. If
/// the publisher has left by then, the retry must not happen; in the sanitized nginx a late retry is a use of freed memory.
#[test]
fn a_push_line_that_fails_at_once_ends_with_its_publisher() {
    let nginx = Config::weir()
        .with_api()
        .app("live", "push rtmp://[fe80::1]:1935/away; push_reconnect 200ms;")
        .start();
    let witness = Publisher::to(nginx.rtmp(), "live/witness").start().started();
    for round in 0..10 {
        let publisher = Publisher::to(nginx.rtmp(), &format!("live/show{round}")).start().started();
        if round % 2 == 0 { publisher.close() } else { publisher.kill() }
    }
    // This takes longer than the retries would have waited.
    witness.send_more(1000);
    until("attempts for a publisher that is still there", 5.0, || {
        nginx.log_lines("relay: ").iter().filter(|line| line.contains("witness")).count() > 2
            || nginx.log_lines("connect() to [fe80::1]").len() > 12
    });
}

#[test]
fn nothing_is_pushed_where_it_is_off() {
    let nginx = Config::weir().with_api().app("live", "weir_publish open;").start();
    let (api, peer) = (nginx.api(), Peer::takes());
    let id = add(&api, "show", &peer.url("app/key"));
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    publisher.send_more(1000);
    assert_eq!(super::session(&api, &id)["state"], "off");
    assert!(peer.calls().is_empty());
}

#[test]
fn ffmpeg_as_a_server_takes_the_stream_and_sees_its_end() {
    let stage = Stage::set(source(""));
    let (port, folder) = (Port::reserve(), tempfile::tempdir().unwrap());
    let file = folder.path().join("taken.flv");
    let mut server = Command::new(products::ffmpeg("ffmpeg"))
        .args(["-nostdin", "-v", "error", "-listen", "1", "-i"])
        .arg(format!("rtmp://127.0.0.1:{}/in/key", port.number()))
        .args(["-c", "copy"])
        .arg(&file)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let id = stage.add(&format!("rtmp://127.0.0.1:{}/in/key", port.number()));
    stage.wait_state(&id, "live");
    stage.publisher.send_more(8000);
    stage.is_undisturbed();
    let Stage { publisher, nginx: _nginx, .. } = stage;
    publisher.close();
    let status = until("ffmpeg ends with the stream", 10.0, || server.try_wait().unwrap());
    assert!(status.success(), "{status}");
    let mut reader = Reader::new();
    reader.feed(&std::fs::read(&file).unwrap());
    let tags = std::iter::from_fn(|| reader.next_tag().unwrap());
    let times: Vec<_> =
        tags.filter(|tag| tag.kind == TagKind::Video && !tag.is_header()).map(|tag| tag.timestamp).collect();
    assert!(times.len() > 80, "{}", times.len());
    // There are 20 frames per second, then the end of the sequence.
    assert!(times[..times.len() - 1].windows(2).all(|two| two[1] - two[0] == 50), "{times:?}");
}

#[test]
fn a_server_that_is_no_nginx_takes_the_stream_plays_it_and_sees_its_end() {
    let (stage, server) = (Stage::set(source("")), NodeMediaServer::start());
    let id = stage.add(&server.url("in/key?sign=1"));
    stage.wait_state(&id, "live");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.flv");
    let mut player = Command::new(products::ffmpeg("ffmpeg"))
        .args(["-nostdin", "-v", "error", "-i", &server.url("in/key"), "-t", "4", "-c", "copy"])
        .arg(&file)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let status = until("four seconds were played", 30.0, || player.try_wait().unwrap());
    assert!(status.success(), "{status}\n{}", server.log());
    let times = ffmpeg::video_times(&file);
    assert!(times.len() > 60, "{times:?}");
    assert!(times.windows(2).all(|two| (two[1] - two[0] - 0.05).abs() < 0.002), "{times:?}");
    // The stream ends, and a new one begins under the same name.
    patch(&stage.api, &id, &json!({"enabled": false}));
    until("the server sees the end", 5.0, || server.publishers("in/key") == (1, 1));
    patch(&stage.api, &id, &json!({"enabled": true}));
    stage.wait_state(&id, "live");
    until("and the new begin", 5.0, || server.publishers("in/key") == (2, 1));
    stage.is_undisturbed();
}
