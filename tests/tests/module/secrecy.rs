//! A key appears in no file, playlist, log line at level `info`, API answer, hook, pushed stream or process list; the public name appears
//! in all those places.

use std::fs;
use std::path::PathBuf;

use weir_tests::harness::hook::Answer;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Hook, Player, Publisher, files, until};

use super::{BAD_NAME, HLS, keyed, wait_gone, wait_live};

/// Returns the command lines and environments of all processes that contain `needle`.
fn processes_that_mention(needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let text = files::text(&entry.path().join(file));
            if text.contains(needle) {
                found.push(format!("{}: {}", entry.path().display(), text.replace('\0', " ")));
            }
        }
    }
    found
}

#[test]
fn the_key_is_nowhere_and_the_name_is_everywhere() {
    let hook = Hook::start(Answer::Yes);
    let app = format!(
        "weir_publish key; {HLS} dash on; dash_path @DIR@/dash; dash_fragment 1s; \
         record all; record_path @DIR@; record_suffix .flv; \
         push rtmp://127.0.0.1:@RTMP@/copy; \
         exec_push /bin/sh -c \"echo name=$name args=$args >> @DIR@/exec.txt; exec sleep 60\"; \
         on_publish {url}; on_publish_done {url}; on_update {url}; notify_update_timeout 1s;",
        url = hook.url()
    );
    let mut nginx = Config::weir()
        .main("weir_zone 2m state=@DIR@/state;")
        .http("location /api { weir_api; }")
        .app("secret", &app)
        .app("copy", "")
        .http("location /stat { rtmp_stat all; }")
        .start();
    // nginx-rtmp kills the programs that it started, and nginx does not know of these processes.
    nginx.allow("unknown process");
    let api = nginx.api();
    let key = api.create_key("secret", "show").key;
    let secret = key.strip_prefix("wk_").unwrap();

    for path in [format!("secret/{key}"), format!("secret/ignored?key={key}&a=1")] {
        let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
        wait_live(&api, "secret", "show");
        Player::start(nginx.rtmp(), "secret/show").wait_video(3);
        Player::start(nginx.rtmp(), "copy/show").wait_video(3);
        until("an HLS playlist", 10.0, || nginx.path("hls/show.m3u8").exists());
        until("a DASH playlist", 10.0, || nginx.path("dash/show.mpd").exists());
        until("on_update", 10.0, || hook.count("call=update") > 0);
        until("exec_push", 10.0, || files::text(&nginx.path("exec.txt")).contains("name=show"));
        assert_eq!(processes_that_mention(secret), Vec::<String>::new());
        for answer in [api.get("/v1/streams"), api.get("/v1/keys"), api.get("/v1/health")] {
            assert!(!answer.text.contains(secret), "{}", answer.text);
        }
        let stat = reqwest::blocking::get(nginx.url("/stat")).unwrap().text().unwrap();
        assert!(stat.contains("show") && !stat.contains(secret), "{stat}");
        publisher.close();
        wait_gone(&api, "secret", "show");
    }
    // Wrong keys are as secret as valid keys: they may be valid on another server.
    let wrong = "wk_ofanotherserver";
    Publisher::to(nginx.rtmp(), &format!("secret/{wrong}")).start().refused(BAD_NAME);
    Publisher::to(nginx.rtmp(), &format!("secret/show?key={wrong}")).start().refused(BAD_NAME);

    assert!(hook.count("name=show") >= 4, "{:?}", hook.bodies());
    for secret in [secret, wrong] {
        assert_eq!(hook.count(secret), 0, "{:?}", hook.bodies());
        assert_eq!(files::that_mention(nginx.folder(), secret), Vec::<PathBuf>::new());
    }
    assert!(nginx.path("show.flv").exists());
}

/// If a player requested a key as a name, nginx-rtmp's own log line would show the key.
#[test]
fn a_key_is_not_played() {
    let nginx = keyed().app("open", "weir_publish open;").start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    for path in [format!("live/{key}"), format!("live/{key}?a=1")] {
        let player = Player::start(nginx.rtmp(), &path);
        until("the player is sent away", 5.0, || player.seen().closed);
        assert_eq!(player.seen().video, 0);
    }
    publisher.send_more(200);
    assert_eq!(files::that_mention(nginx.folder(), &key), Vec::<PathBuf>::new());
}
