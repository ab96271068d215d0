//! `weir_play token` of an application: a player needs a token, in any worker, and a player without one is told the reason. The publisher
//! is not affected, and connections of nginx itself need no token.

use weir_model::token::Claims;
use weir_rtmp::amf0::Writer;
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::hook::Answer;
use weir_tests::harness::{Hook, Nginx, Player, Publisher, until};

use super::attacks::wrong_tokens;
use super::{claims, config, signed, token};

const FAILED: &str = "NetStream.Play.Failed";

fn start(workers: usize) -> Nginx {
    start_with(workers, "")
}

fn start_with(workers: usize, directives: &str) -> Nginx {
    let config =
        config().workers(workers).app("live", &format!("weir_publish key; weir_play token; {directives}"));
    match workers {
        1 => config.start(),
        _ => config.main("rtmp_auto_push on; rtmp_auto_push_reconnect 100ms;").start(),
    }
}

/// Returns the status that a player gets when it requests `live/NAME`.
#[track_caller]
fn told(nginx: &Nginx, name: &str) -> (String, String) {
    let player = Player::start(nginx.rtmp(), &format!("live/{name}"));
    player.wait_closed(10.0);
    let seen = player.seen();
    assert_eq!(seen.video, 0, "{name}");
    let status = seen.statuses.last().unwrap();
    (status.code.clone(), status.description.clone())
}

#[test]
fn a_player_needs_a_token_for_the_stream() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start_with(1, &format!("on_play {};", hook.url()));
    let key = nginx.api().create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let good = token("show");
    for token in [good.as_str(), &token("*")] {
        let player = Player::start(nginx.rtmp(), &format!("live/show?token={token}"));
        player.wait_video(5);
    }
    let mut refused = vec![
        ("show".to_owned(), "no token: this stream needs one"),
        ("show?token=".to_owned(), "no token: this stream needs one"),
        ("show?tokens=x".to_owned(), "no token: this stream needs one"),
        (format!("show-2?token={good}"), "token of another stream"),
        (format!("other?token={good}"), "token of another stream"),
    ];
    let wrong = wrong_tokens();
    refused.extend(wrong.iter().map(|(token, reason)| (format!("show?token={token}"), *reason)));
    for (name, reason) in refused {
        let (code, said) = told(&nginx, &name);
        match name.len() {
            // The guard refuses a name that is longer than any token.
            4097.. => assert_eq!(code, "NetStream.Play.StreamNotFound", "{said}"),
            _ => assert_eq!((&*code, &*said), (FAILED, reason), "{name}"),
        }
    }
    assert!(!publisher.is_closed());
    assert_eq!(hook.count("call=play&"), 2, "{:?}", hook.bodies());
    let line = nginx.wait_log("play refused: token expired");
    assert!(line.contains("app: \"live\", stream: \"show\"") && line.contains("[error]"), "{line}");
    for token in wrong.iter().map(|(token, _)| token).chain([&good]) {
        assert!(!nginx.log().contains(token.as_str()), "{}", nginx.log());
        assert!(hook.bodies().iter().all(|body| !body.contains(token.as_str())));
    }
}

#[test]
fn a_long_token_is_read_and_the_name_s_limit_holds_without_it() {
    let nginx = start(1);
    let key = nginx.api().create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let claims = Claims {
        jti: Some("x".repeat(64).parse().unwrap()),
        iat: Some(weir_model::Timestamp::default()),
        ip: Some("127.0.0.0/8".parse().unwrap()),
        ..claims()
    };
    let long = signed(&claims);
    assert!(long.len() > 255);
    Player::start(nginx.rtmp(), &format!("live/show?x=1&token={long}")).wait_video(5);
    let (code, _) = told(&nginx, &format!("show?token={long}&{}", "x".repeat(260)));
    assert_eq!(code, "NetStream.Play.StreamNotFound");
}

#[test]
fn every_worker_asks_for_it() {
    let nginx = start(2);
    let key = nginx.api().create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let good = token("show");
    // These are enough players for both workers to have some.
    let players: Vec<_> =
        (0..8).map(|_| Player::start(nginx.rtmp(), &format!("live/show?token={good}"))).collect();
    players.iter().for_each(|player| player.wait_video(3));
    for _ in 0..8 {
        assert_eq!(told(&nginx, "show").0, FAILED);
    }
    assert!(!publisher.is_closed());
    drop(players);
    until("no player is left", 10.0, || {
        nginx.api().stream("live", "show").is_some_and(|stream| stream["viewers"]["rtmp"] == 0)
    });
}

#[test]
fn play2_and_a_second_play_need_the_token_too() {
    let nginx = start(1);
    let key = nginx.api().create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let play = |name: &str| {
        let mut writer = Writer::new();
        writer.string(b"play").number(5.0).null().string(name.as_bytes()).number(-2000.0);
        writer.into_bytes()
    };
    let play2 = |name: &str| {
        let mut writer = Writer::new();
        writer.string(b"play2").number(5.0).null().begin_object().key("streamName");
        writer.string(name.as_bytes()).end();
        writer.into_bytes()
    };
    let good = format!("show?token={}", token("show"));
    let players =
        || nginx.api().stream("live", "show").map_or(0, |stream| stream["viewers"]["rtmp"].as_u64().unwrap());
    for (first, second) in [(play(&good), play2(&good)), (play2(&good), play(&good))] {
        for last in [play("show"), play2("show"), play("show?token=x"), play2("show?token=x")] {
            let player = Publisher::to(nginx.rtmp(), "live/none").manual().start();
            player.wait_stream_created();
            let send = |payload: &[u8]| {
                let payload = payload.to_vec();
                let message = Message { kind: MessageKind::COMMAND, stream_id: 1, timestamp: 0, payload };
                player.manually(move |connection| connection.client.send_message(3, &message));
            };
            let refusals = || player.statuses().iter().filter(|status| status.code == FAILED).count();
            send(&first);
            until("the player is counted", 5.0, || players() == 1);
            send(&second);
            send(&last);
            player.wait_closed(5.0);
            // The second command has a token, and the last one has none.
            assert_eq!(refusals(), 1, "{:?}", player.statuses());
            until("the player is gone", 5.0, || players() == 0);
        }
    }
}

#[test]
fn refused_players_do_not_fill_the_log() {
    let nginx = start(1);
    for _ in 0..14 {
        assert_eq!(told(&nginx, "show").0, FAILED);
    }
    assert_eq!(nginx.log_lines("play refused: no token").len(), 10);
}

#[test]
fn a_pull_of_nginx_needs_no_token() {
    let nginx = config()
        .app("live", "weir_publish open;")
        .app("copy", "weir_play token; pull rtmp://127.0.0.1:@RTMP@/live/show name=show static;")
        .start();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let copy = signed(&Claims { sub: "copy/show".parse().unwrap(), ..claims() });
    Player::start(nginx.rtmp(), &format!("copy/show?token={copy}")).wait_video(3);
    let player = Player::start(nginx.rtmp(), "copy/show");
    player.wait_closed(10.0);
    assert_eq!(player.seen().statuses.last().unwrap().code, FAILED);
    // An application without `weir_play token` ignores the token.
    Player::start(nginx.rtmp(), "live/show?token=x").wait_video(3);
}

#[test]
fn a_pull_from_the_same_nginx_needs_no_token_at_its_source() {
    let nginx = config()
        .workers(2)
        .main("rtmp_auto_push on; rtmp_auto_push_reconnect 100ms;")
        .app("live", "weir_publish open; weir_play token;")
        .app("copy", "pull rtmp://127.0.0.1:@RTMP@/live/show name=show static;")
        .start();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    Player::start(nginx.rtmp(), "copy/show").wait_video(3);
    // Only the connection of the pull opens the stream.
    for name in ["show", "show?weir_ticket=", "show?weir_ticket=0123456789abcdef0123456789abcdef"] {
        assert_eq!(told(&nginx, name).0, FAILED, "{name}");
    }
}

#[test]
fn what_nginx_rtmp_reads_in_its_own_way_opens_nothing() {
    let nginx = start(1);
    let key = nginx.api().create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let play = |second: &[u8]| {
        let mut writer = Writer::new();
        writer.string(b"play").number(5.0).raw(second).string(b"show").number(-2000.0);
        writer.into_bytes()
    };
    let play2 = |before: &[u8]| {
        let mut writer = Writer::new();
        writer
            .string(b"play2")
            .number(5.0)
            .null()
            .begin_object()
            .raw(before)
            .key("streamName")
            .string(b"show")
            .end();
        writer.into_bytes()
    };
    // A 0x09 as a value, and an empty field name that does not end the object.
    let (end, empty) = ([0, 1, b'a', 9], [0, 0, 5]);
    let object = |fields: &[u8]| [&[3][..], fields, &[0, 0, 9]].concat();
    for payload in [
        play(&object(&end)),
        play(&[10, 0, 0, 0, 1, 9]),
        play(&[&[3][..], &empty].concat()),
        play(&[9]),
        play2(&end),
        play2(&empty),
    ] {
        let player = Publisher::to(nginx.rtmp(), "live/none").manual().start();
        player.wait_stream_created();
        let message =
            Message { kind: MessageKind::COMMAND, stream_id: 1, timestamp: 0, payload: payload.clone() };
        player.manually(move |connection| connection.client.send_message(3, &message));
        player.wait_closed(5.0);
        assert!(player.statuses().iter().any(|status| status.code == FAILED), "{payload:02x?}");
    }
    assert!(!nginx.log().contains("play: name='show'"), "{}", nginx.log());
}
