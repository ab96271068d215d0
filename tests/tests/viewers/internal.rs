//! Internal sessions are not viewers: auto_push between workers, players with the daemon's ticket, the daemon's jobs, and pulls of the same
//! nginx. This holds in the API, in each format of `weir_stat`, and for a limit.

use weir_tests::harness::{Player, Sidecar, until};

use super::{config, publish, start};

#[test]
fn internal_sessions_count_nowhere() {
    let nginx = start(
        config()
            .app("live", "weir_max_viewers 1;")
            .http("location /xml { weir_stat xml; } location /metrics { weir_stat prometheus; }")
            .workers(3)
            .main("rtmp_auto_push on;"),
    );
    let api = nginx.api();
    let _publisher = publish(&nginx, "live/show");
    let ticket = api.get("/v1/ticket").expect(200)["ticket"].as_str().unwrap().to_owned();
    let own = [0; 2].map(|_| Player::start(nginx.rtmp(), &format!("live/show?weir_ticket={ticket}")));
    own.iter().for_each(|player| player.wait_video(10));
    let stream = api.stream("live", "show").unwrap();
    assert_eq!(
        (&stream["viewers"]["rtmp"], &stream["bitrate_out"], &stream["viewers_total"]),
        (&0.into(), &0.into(), &0.into())
    );
    let players = api.get("/v1/streams/live/show/players").expect(200);
    assert_eq!(players["players"].as_array().unwrap().len(), 0);
    let page = |path: &str| reqwest::blocking::get(nginx.url(path)).unwrap().text().unwrap();
    assert!(
        page("/metrics").contains("weir_stream_players{app=\"live\",stream=\"show\"} 0"),
        "{}",
        page("/metrics")
    );
    assert!(page("/xml").contains("<nclients>1</nclients>"), "{}", page("/xml"));
    // The only place below the limit is free.
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(1);
    until("the player counts", 5.0, || super::counted(&api, "show", "rtmp") == 1);
    own.iter().for_each(|player| player.wait_video(player.seen().video + 5));
}

#[test]
fn the_jobs_of_the_daemon_count_nowhere() {
    let nginx = start(
        config()
            .app("live", "weir_max_viewers 1;")
            .http("location /xml { weir_stat xml; } location /metrics { weir_stat prometheus; }"),
    );
    let api = nginx.api();
    let mut sidecar = Sidecar::start(
        &nginx,
        "[rung.low]\nheight = 44\nbitrate = \"60k\"\n[ladder.l]\nrungs = [\"source\", \"low\"]\npreset = \"ultrafast\"\n\
         [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"@MEDIA@\"\n\
         [[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@/recordings\"\nmin_free = \"1m\"\n",
    );
    let _publisher = publish(&nginx, "live/show");
    for job in ["live/show/ladder", "live/show/record"] {
        sidecar.wait_running(job, 20.0);
    }
    let stream = api.stream("live", "show").unwrap();
    assert_eq!(
        (&stream["viewers"]["rtmp"], &stream["bitrate_out"], &stream["bytes_out"], &stream["viewers_total"]),
        (&0.into(), &0.into(), &0.into(), &0.into())
    );
    let players = api.get("/v1/streams/live/show/players").expect(200);
    assert_eq!(players["players"].as_array().unwrap().len(), 0);
    let page = |path: &str| reqwest::blocking::get(nginx.url(path)).unwrap().text().unwrap();
    assert!(page("/xml").contains("<nclients>1</nclients>"), "{}", page("/xml"));
    assert!(
        page("/metrics").contains("weir_stream_players{app=\"live\",stream=\"show\"} 0"),
        "{}",
        page("/metrics")
    );
    // The only place below the limit is free.
    Player::start(nginx.rtmp(), "live/show").wait_video(1);
}

#[test]
fn a_pull_of_the_same_nginx_counts_nowhere() {
    let nginx = start(
        config()
            .app("live", "weir_max_viewers 1;")
            .app("copy", "pull rtmp://127.0.0.1:@RTMP@/live/show?a=1 name=show static;")
            .app("again", "pull rtmp://127.0.0.1:@RTMP@/live;")
            .workers(2)
            .main("rtmp_auto_push on;"),
    );
    let api = nginx.api();
    let _publisher = publish(&nginx, "live/show");
    let copied = Player::start(nginx.rtmp(), "copy/show");
    copied.wait_video(3);
    let again = Player::start(nginx.rtmp(), "again/show");
    again.wait_video(3);
    let stream = |app: &str| api.stream(app, "show").unwrap();
    assert_eq!(
        (&stream("live")["viewers"]["rtmp"], &stream("live")["bytes_out"], &stream("live")["viewers_total"]),
        (&0.into(), &0.into(), &0.into())
    );
    for app in ["copy", "again"] {
        assert_eq!(stream(app)["viewers"]["rtmp"], 1, "{app}");
    }
    let players = api.get("/v1/streams/live/show/players").expect(200);
    assert_eq!(players["players"].as_array().unwrap().len(), 0);
    // The only place below the limit is free. A client cannot claim to be a pull.
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(1);
    for ticket in ["", "0123456789abcdef0123456789abcdef"] {
        let refused = Player::start(nginx.rtmp(), &format!("live/show?weir_ticket={ticket}"));
        refused.wait_closed(10.0);
        assert_eq!(refused.seen().video, 0);
    }
    assert_eq!(stream("live")["viewers"]["rtmp"], 1);
    // Nobody sees the ticket.
    assert!(!nginx.log().contains("weir_ticket"), "{}", nginx.log());
}
