//! Internal sessions are not viewers: auto_push between workers, and players with the daemon's ticket. This holds in the API, in each
//! format of `weir_stat`, and for a limit.

use weir_tests::harness::{Player, until};

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
