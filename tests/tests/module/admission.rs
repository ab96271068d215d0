//! If nginx-rtmp, not Weir, refuses a publisher, the publisher gets the reason, and the log has it in one line.

use weir_tests::harness::hook::Answer;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Hook, Outcome, Player, Publisher, files, until};

use super::{DENIED, HLS, keyed, wait_gone};

/// Publishes with a good key, and returns the reason of the refusal.
#[track_caller]
fn refused(app: &str, port: u16, name: &str, code: &str) -> String {
    Publisher::to(port, &format!("{app}/{name}")).start().refused(code)
}

#[test]
fn what_on_publish_says_is_passed_on() {
    let hook = Hook::start(Answer::No);
    let directives =
        format!("on_publish {}; on_publish_done {}; on_done {};", hook.url(), hook.url(), hook.url());
    let nginx = keyed()
        .server("netcall_timeout 1s;")
        .app("hooked", &format!("weir_publish key; {directives}"))
        .app("plain", &directives)
        .start();
    let api = nginx.api();
    let key = api.create_key("hooked", "show").key;
    for (answer, reason) in [
        (Answer::No, "not admitted: on_publish answered with status 403"),
        (Answer::Trouble, "not admitted: on_publish answered with status 503"),
        (Answer::Never, "not admitted: on_publish does not answer"),
    ] {
        hook.answer(answer);
        assert_eq!(refused("hooked", nginx.rtmp(), &key, DENIED), reason);
        wait_gone(&api, "hooked", "show");
        assert_eq!(refused("plain", nginx.rtmp(), "show", DENIED), reason);
        let line =
            nginx.log_lines("publish refused: ").into_iter().find(|line| line.contains("stream: \"show\""));
        let line = line.unwrap();
        assert!(
            line.contains("app: \"hooked\", stream: \"show\"") && line.contains("client: 127.0.0.1"),
            "{line}"
        );
    }
    // nginx-rtmp's hooks have not seen this publish begin, so they do not see it end.
    assert_eq!(hook.count("call=publish_done") + hook.count("call=done"), 0, "{:?}", hook.bodies());
    hook.answer(Answer::Yes);
    Publisher::to(nginx.rtmp(), &format!("hooked/{key}")).start().started().close();
    until("on_publish_done", 5.0, || hook.count("call=publish_done") == 1);
}

#[test]
fn a_program_that_is_down_is_named() {
    let nobody = weir_tests::harness::ports::Port::reserve();
    let url = format!("http://127.0.0.1:{}/", nobody.number());
    let nginx = keyed()
        .app("hooked", &format!("weir_publish key; on_publish {url};"))
        .app("plain", &format!("on_publish {url}; on_play {url};"))
        .start();
    let api = nginx.api();
    let key = api.create_key("hooked", "show").key;
    let reason = "not admitted: on_publish does not answer";
    assert_eq!(refused("hooked", nginx.rtmp(), &key, DENIED), reason);
    assert_eq!(refused("plain", nginx.rtmp(), "show", DENIED), reason);
    wait_gone(&api, "hooked", "show");
    let player = Player::start(nginx.rtmp(), "plain/show");
    until("the player is sent away", 5.0, || player.seen().closed);
    let told = player.seen().statuses;
    assert!(
        told.iter().any(|status| status.description == "not admitted: on_play does not answer"),
        "{told:?}"
    );
}

#[test]
fn what_on_play_says_is_passed_on() {
    let hook = Hook::start(Answer::No);
    let app = format!("weir_publish open; on_play {}; on_play_done {};", hook.url(), hook.url());
    let nginx = keyed().app("hooked", &app).start();
    let publisher = Publisher::to(nginx.rtmp(), "hooked/show").start().started();
    let player = Player::start(nginx.rtmp(), "hooked/show");
    until("the player is sent away", 5.0, || player.seen().closed);
    let seen = player.seen();
    assert!(
        seen.statuses.iter().any(|status| status.code == "NetStream.Play.Failed"
            && status.description == "not admitted: on_play answered with status 403"),
        "{seen:?}"
    );
    assert_eq!(seen.video, 0);
    let line = nginx.log_lines("play refused: not admitted: on_play").pop().unwrap();
    assert!(
        line.contains("app: \"hooked\", stream: \"show\"") && line.contains("client: 127.0.0.1"),
        "{line}"
    );
    hook.answer(Answer::Yes);
    Player::start(nginx.rtmp(), "hooked/show").wait_video(3);
    publisher.close();
}

#[test]
fn a_connect_that_is_refused_is_told_why() {
    let hook = Hook::start(Answer::No);
    let nginx = keyed().server(&format!("on_connect {};", hook.url())).start();
    let publisher = Publisher::to(nginx.rtmp(), "live/none").manual().start();
    publisher.wait_closed(5.0);
    let told = publisher.statuses();
    assert!(
        told.iter().any(|status| status.code == "NetConnection.Connect.Rejected"
            && status.description == "not admitted: on_connect answered with status 403"),
        "{told:?}"
    );
    hook.answer(Answer::Yes);
    let key = nginx.api().create_key("live", "show").key;
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    // The reason also names an application that does not exist.
    let publisher = Publisher::to(nginx.rtmp(), "nowhere/none").manual().start();
    publisher.wait_closed(5.0);
    let told = publisher.statuses();
    assert!(told.iter().any(|status| status.description.contains("no such application")), "{told:?}");
}

/// nginx-rtmp itself checks `deny` after `exec`, `record` and `on_publish`.
#[test]
fn denied_addresses_leave_no_trace() {
    let hook = Hook::start(Answer::Yes);
    let url = hook.url();
    let directives = format!(
        "record all; record_path @DIR@/rec; on_publish {url}; on_play {url}; \
         exec_publish /bin/sh -c \"echo ran >> @DIR@/ran.txt\"; exec_play /bin/sh -c \"echo ran >> @DIR@/ran.txt\";"
    );
    let mut nginx = keyed()
        .app(
            "closed",
            &format!("weir_publish key; deny publish 127.0.0.2; deny play 127.0.0.2; {directives}"),
        )
        .app("plain", &format!("allow publish 127.0.0.1; deny publish all; deny play all; {directives}"))
        .start();
    nginx.allow("unknown process");
    let api = nginx.api();
    let key = api.create_key("closed", "show").key;
    for (app, name) in [("closed", key.as_str()), ("plain", "show")] {
        let publisher = Publisher::to(nginx.rtmp(), &format!("{app}/{name}")).from("127.0.0.2").start();
        assert_eq!(publisher.refused(DENIED), "denied to this address");
        let player = Player::start_from("127.0.0.2", nginx.rtmp(), &format!("{app}/show"));
        until("the player is sent away", 5.0, || player.seen().closed);
        let told = player.seen().statuses;
        assert!(told.iter().any(|status| status.description == "denied to this address"), "{told:?}");
    }
    assert!(files::below(&nginx.path("rec")).is_empty());
    assert!(!nginx.path("ran.txt").exists());
    assert_eq!(hook.bodies(), Vec::<String>::new());
    assert_eq!(nginx.log_lines("publish refused: denied to this address, app: ").len(), 2);
    for (app, name) in [("closed", key.as_str()), ("plain", "show")] {
        let outcome = Publisher::to(nginx.rtmp(), &format!("{app}/{name}")).start().outcome();
        assert_eq!(outcome, Outcome::Started, "{app}");
    }
}

/// HLS, DASH and recorders have already begun when `on_publish` answers.
#[test]
fn a_redirect_leaves_no_files() {
    let hook = Hook::start(Answer::Redirect("other".to_owned()));
    let app = format!(
        "weir_publish key; {HLS} dash on; dash_path @DIR@/dash; record all; record_path @DIR@/rec; on_publish {};",
        hook.url()
    );
    let nginx = Config::weir()
        .with_api()
        .app("hooked", &format!("{app} exec_publish /bin/sh -c \"echo ran >> @DIR@/ran.txt\";"))
        .start();
    let api = nginx.api();
    let key = api.create_key("hooked", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("hooked/{key}")).hasty().start();
    publisher.wait_closed(10.0);
    let told = publisher.statuses();
    assert!(told.iter().any(|status| status.description == "on_publish renamed the stream"), "{told:?}");
    wait_gone(&api, "hooked", "show");
    for folder in ["hls", "dash", "rec"] {
        assert!(files::below(&nginx.path(folder)).is_empty(), "{folder}");
    }
    assert!(!nginx.path("ran.txt").exists());
    assert_eq!(nginx.log_lines("publish refused: on_publish renamed the stream").len(), 1);
}
