//! Input that a client controls reaches a shell in `exec` only as data.

use weir_rtmp::amf0::{Value, Writer};
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::hook::Answer;
use weir_tests::harness::{Hook, Player, Publisher, files, until};

use super::{BAD_NAME, keyed, wait_gone, wait_live};

/// Returns these directives; each starts a shell that appends the variables to a file.
fn told(directives: &[&str], variables: &str) -> String {
    directives
        .iter()
        .map(|directive| format!("{directive} sh -c \"echo {directive} {variables} >> @DIR@/told.txt\"; "))
        .collect()
}

#[test]
fn arguments_that_a_shell_would_read_are_refused() {
    let by_publisher = told(&["exec_publish", "exec_publish_done", "exec_push"], "$args");
    let by_player = told(&["exec_play", "exec_play_done"], "$args");
    let mut nginx = keyed()
        .app("keyed", &format!("weir_publish key; {by_publisher}"))
        .app("open", &format!("weir_publish open; {by_publisher}"))
        .app("played", &format!("weir_publish open; {by_player}"))
        .start();
    nginx.allow("unknown process");
    let api = nginx.api();
    let key = api.create_key("keyed", "show").key;
    for args in ["a=b&touch", "a=b&touch&c=d", "a=~"] {
        for path in [format!("keyed/show?key={key}&{args}"), format!("open/show?{args}")] {
            let reason = Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
            assert!(reason.contains("only one argument"), "{args}: {reason}");
        }
    }
    let publisher = Publisher::to(nginx.rtmp(), "played/show").start().started();
    for args in ["a=b&touch", "a=$(touch)", "a;touch", "`touch`", "|touch", "a>b", "-n"] {
        let player = Player::start(nginx.rtmp(), &format!("played/show?{args}"));
        until("the player is sent away", 5.0, || player.seen().closed);
        assert_eq!(player.seen().video, 0, "{args}");
    }
    assert!(!nginx.path("told.txt").exists());
    // A single argument is harmless to a shell.
    Player::start(nginx.rtmp(), "played/show?who=me").wait_video(1);
    publisher.close();
    for path in [format!("keyed/{key}?who=me"), "open/show?who=me".to_owned()] {
        Publisher::to(nginx.rtmp(), &path).start().started().close();
    }
    for line in
        ["exec_publish who=me", "exec_publish_done who=me", "exec_play who=me", "exec_play_done who=me"]
    {
        until(line, 10.0, || files::text(&nginx.path("told.txt")).contains(line));
    }
}

#[test]
fn names_that_a_shell_would_read_are_not_played() {
    let by_player = told(&["exec_play", "exec_play_done", "exec_pull"], "$name");
    let mut nginx = keyed().app("played", &format!("weir_publish open; {by_player}")).start();
    nginx.allow("unknown process");
    for name in ["a;touch x", "$(touch)", "`touch`", ">x", "-n", "a&b"] {
        let player = Publisher::to(nginx.rtmp(), "played/none").manual().start();
        player.wait_stream_created();
        let mut writer = Writer::new();
        writer.string(b"play").number(5.0).null().string(name.as_bytes());
        let message =
            Message { kind: MessageKind::COMMAND, stream_id: 1, timestamp: 0, payload: writer.into_bytes() };
        player.manually(move |connection| connection.client.send_message(8, &message));
        player.wait_closed(5.0);
    }
    assert!(!nginx.path("told.txt").exists());
}

#[test]
fn what_connect_says_becomes_a_word_where_a_program_gets_it() {
    let directives = told(&["exec_publish"], "$flashver $tcurl");
    let hook = Hook::start(Answer::Yes);
    let mut nginx = keyed()
        .server(&format!("on_connect {};", hook.url()))
        .app("open", &format!("weir_publish open; {directives}"))
        .app("other", "weir_publish open;")
        .start();
    nginx.allow("unknown process");
    let publish = |app: &str| {
        let mut writer = Writer::new();
        let fields = [
            ("app", Value::String(app.as_bytes())),
            ("flashVer", Value::String(b"FMLE/3.0 (x; touch y)")),
            ("tcUrl", Value::String(b"rtmp://h/open?a=$(touch z)")),
        ];
        writer.string(b"connect").number(1.0).object(&fields);
        let connect =
            Message { kind: MessageKind::COMMAND, stream_id: 0, timestamp: 0, payload: writer.into_bytes() };
        let mut writer = Writer::new();
        writer.string(b"publish").number(5.0).null().string(b"show").string(b"live");
        let publish =
            Message { kind: MessageKind::COMMAND, stream_id: 1, timestamp: 0, payload: writer.into_bytes() };
        let publisher = Publisher::to(nginx.rtmp(), "open/none").silent().unconnected().start();
        publisher.wait_handshaken();
        let before = hook.requests().len();
        publisher.manually(move |connection| connection.client.send_message(3, &connect));
        until("on_connect", 5.0, || hook.requests().len() > before);
        publisher.manually(move |connection| connection.client.send_message(8, &publish));
        publisher
    };
    let publisher = publish("open");
    let told = "exec_publish FMLE/3.0__x__touch_y_ rtmp://h/open_a___touch_z_";
    until("exec_publish", 10.0, || files::text(&nginx.path("told.txt")).trim_end() == told);
    publisher.close();
    assert_eq!(hook.count("flashver=FMLE/3.0%20(x%3B%20touch%20y)"), 0, "{:?}", hook.bodies());
    // An application without `exec` passes the fields on as they came.
    let publisher = publish("other");
    until("on_connect", 5.0, || hook.count("app=other&flashver=FMLE/3.0%20(x%3B%20touch%20y)") > 0);
    publisher.close();
}

/// Services sign their arguments; a backend gets them complete if no `exec` uses them.
#[test]
fn signed_arguments_reach_a_backend() {
    let hook = Hook::start(Answer::Yes);
    let app = format!("weir_publish open; on_publish {}; exec_publish sh -c \"echo $name\";", hook.url());
    let nginx = keyed().app("open", &app).start();
    let publisher = Publisher::to(nginx.rtmp(), "open/show?sign=0f%7C&x=%2B1&t=12").start().started();
    wait_live(&nginx.api(), "open", "show");
    assert_eq!(hook.count("&sign=0f%7C&x=%2B1&t=12"), 1, "{:?}", hook.bodies());
    publisher.close();
    wait_gone(&nginx.api(), "open", "show");
}
