//! `weir_max_viewers`: over HLS and RTMP, a further viewer gets an answer to come back later; viewers who already watch continue.

use weir_tests::harness::{Nginx, Player, Publisher, until};

use super::{Client, config, counted, get, publish, start};

fn limited(most: u64) -> Nginx {
    start(config().app("live", &format!("weir_max_viewers {most};")).workers(2).main("rtmp_auto_push on;"))
}

#[test]
fn the_next_viewer_is_told_to_come_back_later() {
    let nginx = limited(3);
    let mut client = Client::new(nginx.http());
    let status = |client: &mut Client, path: &str, n: u8| client.watch(path, &format!("192.0.2.{n}"), "a");
    assert_eq!(status(&mut client, "/hls/nothing.m3u8", 1), 404);
    for n in 1..=3 {
        assert_eq!(status(&mut client, "/hls/show.m3u8", n), 200);
    }
    let refused = Client::new(nginx.http()).ask("GET", "/hls/show.m3u8", &["User-Agent: b"]);
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("Retry-After: 10\r\n"), "{}", refused.head);
    // The limit covers any stream, any protocol, and a segment alone.
    for path in ["/hls/show-1.ts", "/hls/other.m3u8", "/dash/show.mpd", "/ladder/live/show/480p/1.m4s"] {
        assert_eq!(get(&nginx, path, "b").status, 503, "{path}");
    }
    assert_eq!(get(&nginx, "/hls/show.jpg", "b").status, 200);
    for n in 1..=3 {
        let mut client = Client::new(nginx.http());
        assert_eq!(status(&mut client, "/hls/show.m3u8", n), 200);
        assert_eq!(status(&mut client, "/hls/show-1.ts", n), 200);
    }
    assert_eq!(counted(&nginx.api(), "show", "hls"), 3);
}

#[test]
fn only_the_ticket_passes_the_limit_and_each_refusal_is_logged() {
    let nginx = limited(1);
    assert_eq!(get(&nginx, "/hls/show.m3u8", "a").status, 200);
    let ask = |header: &str| {
        Client::new(nginx.http()).ask("GET", "/hls/show.m3u8", &["User-Agent: weir/0.1.0", header]).status
    };
    let ticket = nginx.api().get("/v1/ticket").expect(200)["ticket"].as_str().unwrap().to_owned();
    for (header, status) in [
        ("Accept: */*".to_owned(), 503),
        ("Cookie: weir_ticket=x".to_owned(), 503),
        (format!("Cookie: weir_tickets={ticket}"), 503),
        (format!("Cookie: weir_ticket={ticket}"), 200),
        // From another address the ticket has no effect.
        (format!("X-Forwarded-For: 192.0.2.1\r\nCookie: weir_ticket={ticket}"), 503),
    ] {
        assert_eq!(ask(&header), status, "{header}");
    }
    for _ in 0..30 {
        assert_eq!(ask("Accept: */*"), 503);
    }
    let lines = nginx.log_lines(
        "play refused: too many viewers: weir_max_viewers is reached, app: \"live\", stream: \"show\"",
    );
    // There are ten lines per minute and address; one request came from another address.
    assert_eq!(lines.len(), 11, "{}", nginx.log());
    assert_eq!(counted(&nginx.api(), "show", "hls"), 1);
}

#[test]
fn what_is_not_there_is_watched_by_nobody() {
    let nginx = limited(3);
    let mut client = Client::new(nginx.http());
    for n in 0..200 {
        assert_eq!(client.watch(&format!("/hls/nothing{n}.m3u8"), "192.0.2.1", "a"), 404);
    }
    assert_eq!(nginx.api().get("/v1/viewers").expect(200)["streams"], serde_json::json!([]));
    assert_eq!(client.watch("/hls/show.m3u8", "192.0.2.1", "a"), 200);
    for n in 2..=50 {
        assert_eq!(client.watch(&format!("/hls/show-9999{n}.ts"), &format!("192.0.2.{n}"), "a"), 404);
    }
    let show = &nginx.api().get("/v1/viewers").expect(200)["streams"][0];
    assert_eq!((&show["viewers"]["hls"], &show["viewers_total"]), (&1.into(), &1.into()), "{show}");
}

#[test]
fn players_and_viewers_share_the_limit() {
    let nginx = limited(3);
    let publisher = publish(&nginx, "live/show");
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(1);
    assert_eq!(
        (get(&nginx, "/hls/show.m3u8", "a").status, get(&nginx, "/hls/show.m3u8", "b").status),
        (200, 200)
    );
    assert_eq!(get(&nginx, "/hls/show.m3u8", "c").status, 503);
    let refused = Player::start(nginx.rtmp(), "live/show");
    refused.wait_closed(10.0);
    let seen = refused.seen();
    let status = seen.statuses.last().unwrap();
    assert_eq!((status.code.as_str(), seen.video), ("NetStream.Play.Failed", 0));
    assert_eq!(status.description, "too many viewers: weir_max_viewers is reached");
    let line = nginx.wait_log("play refused: too many viewers");
    assert!(line.contains("app: \"live\""), "{line}");
    // A playing player continues, and when it leaves, another viewer may watch.
    let before = player.seen().video;
    player.wait_video(before + 10);
    drop(player);
    until("there is a place again", 5.0, || counted(&nginx.api(), "show", "rtmp") == 0);
    let next = Player::start(nginx.rtmp(), "live/show");
    next.wait_video(1);
    assert!(!publisher.is_closed());
}

#[test]
fn many_who_come_at_once_are_no_more_than_may() {
    let nginx = limited(5);
    let _publisher: Publisher = publish(&nginx, "live/show");
    let players: Vec<Player> = (0..20).map(|_| Player::start(nginx.rtmp(), "live/show")).collect();
    let closed = || players.iter().filter(|player| player.seen().closed).count();
    until("all but five are refused", 15.0, || closed() == 15);
    let playing = players.iter().filter(|player| !player.seen().closed);
    playing.for_each(|player| player.wait_video(5));
    assert_eq!(counted(&nginx.api(), "show", "rtmp"), 5);
}
