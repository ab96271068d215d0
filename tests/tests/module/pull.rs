//! Streams that nginx-rtmp pulls itself need no key, but Weir claims and lists their names like any other.

use weir_tests::harness::hook::Answer;
use weir_tests::harness::shown::events;
use weir_tests::harness::{Api, Hook, Manners, Nginx, Peer, Player, Publisher, files, until};

use super::misplaced_keys::media;
use super::{BAD_NAME, keyed, wait_gone, wait_live};

fn start() -> Nginx {
    keyed()
        .app("source", "")
        .app("pulled", "weir_publish key; pull rtmp://127.0.0.1:@RTMP@/source;")
        .app("open", "weir_publish open; pull rtmp://127.0.0.1:@RTMP@/source;")
        .start()
}

#[test]
fn a_pulled_stream_is_played_and_listed() {
    let nginx = start();
    let api = nginx.api();
    let _source = Publisher::to(nginx.rtmp(), "source/show").start().started();
    for app in ["pulled", "open"] {
        let player = Player::start(nginx.rtmp(), &format!("{app}/show"));
        player.wait_video(5);
        assert!(wait_live(&api, app, "show")["publisher"]["key_id"].is_null());
        Publisher::to(nginx.rtmp(), &format!("{app}/show")).start().refused(BAD_NAME);
        player.wait_video(5);
        drop(player);
        wait_gone(&api, app, "show");
    }
}

#[test]
fn a_pull_does_not_replace_a_publisher() {
    let nginx = start();
    let api = nginx.api();
    let _source = Publisher::to(nginx.rtmp(), "source/show").start().started();
    let key = api.create_key("pulled", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("pulled/{key}")).start().started();
    let session = wait_live(&api, "pulled", "show")["session"].clone();
    let player = Player::start(nginx.rtmp(), "pulled/show");
    player.wait_video(5);
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    assert_eq!(api.stream("pulled", "show").unwrap()["session"], session);
}

#[test]
fn pushed_streams_bear_the_public_name() {
    let nginx = keyed()
        .app("pushing", "weir_publish key; push rtmp://127.0.0.1:@RTMP@/copy;")
        .app("copy", "weir_publish open;")
        .start();
    let api = nginx.api();
    let key = api.create_key("pushing", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("pushing/{key}?a=1")).start().started();
    wait_live(&api, "copy", "show");
    Player::start(nginx.rtmp(), "copy/show").wait_video(5);
    publisher.close();
    until("both are gone", 5.0, || api.streams().is_empty());
}

/// Cameras and services have passwords and keys in the URLs of `pull` and `push` lines. nginx-rtmp shows these URLs as addresses.
#[test]
fn the_secrets_of_pull_and_push_lines_are_shown_nowhere() {
    const SECRET: &str = "Secr3t-4711";
    let formats = ["html", "xml", "json", "prometheus"];
    let (camera, service) = (Peer::start(Manners::Says(media())), Peer::takes());
    let hook = Hook::start(Answer::Yes);
    let hooks = format!("on_update {0}; notify_update_timeout 1s;", hook.url());
    let pages: String =
        formats.iter().map(|name| format!("location /{name} {{ weir_stat {name} full; }} ")).collect();
    let login = format!("app/main.bcs?channel=0&user=admin&password={SECRET}");
    let nginx = keyed()
        .http(&pages)
        .http("location /rtmp_stat { rtmp_stat all; }")
        .server("access_log @DIR@/rtmp.log;")
        .app("static", &format!("weir_publish key; pull {} name=show static; {hooks}", camera.url(&login)))
        .app(
            "pulled",
            &format!("weir_publish open; pull {} name=show; {hooks}", camera.url(&format!("app/{SECRET}"))),
        )
        .app(
            "path",
            &format!("weir_publish open; pull {} name=show playPath={SECRET}; {hooks}", camera.url("app")),
        )
        .app(
            "pushed",
            &format!(
                "weir_publish open; push {}; {hooks}",
                service.url(&format!("app/{SECRET}?key={SECRET}"))
            ),
        )
        .start();
    let api = nginx.api();
    let _publisher = Publisher::to(nginx.rtmp(), "pushed/show").start().started();
    service.wait_frames(&format!("{SECRET}?key={SECRET}"), 10);
    let players = ["pulled", "path"].map(|app| Player::start(nginx.rtmp(), &format!("{app}/show")));
    until("both are played", 10.0, || players.iter().all(|player| player.seen().video >= 5));
    for app in ["static", "pulled", "path"] {
        wait_live(&api, app, "show");
    }
    until("on_update", 10.0, || hook.count("call=update") > 3);
    let web = Api::new(&nginx.url(""));
    let mut shown = vec![api.get("/v1/streams").text, web.get("/rtmp_stat").text, events(&nginx)];
    shown.extend(formats.iter().map(|name| web.get(&format!("/{name}")).text));
    shown.extend(hook.bodies());
    for text in &shown {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(shown[2].contains("stream.started"), "{}", shown[2]);
    assert_eq!(files::that_mention(nginx.folder(), SECRET), [nginx.path("nginx.conf")]);
    // The other ends receive the passwords and keys.
    assert!(camera.calls().iter().all(|call| call.name.contains(SECRET)));
}
