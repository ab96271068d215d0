//! Streams are pushed to the targets of the configuration, and to no others.

use weir_tests::harness::{Nginx, Player, Publisher, nginx::Config, until};

/// Starts an nginx that accepts pushed streams and lists them.
fn sink() -> Nginx {
    Config::weir().with_api().app("in", "weir_publish open;").start()
}

#[test]
fn a_target_of_the_configuration_gets_the_stream_and_is_told_of_its_end() {
    let sink = sink();
    let source = Config::weir()
        .with_api()
        .app(
            "live",
            &format!("weir_publish open; weir_push_to rtmp://127.0.0.1:{}/in/secret-key;", sink.rtmp()),
        )
        .start();
    let publisher = Publisher::to(source.rtmp(), "live/show").start().started();
    let there = super::wait_live(&sink.api(), "in", "secret-key");
    assert_eq!(there["publisher"]["addr"], "127.0.0.1");
    Player::start(sink.rtmp(), "in/secret-key").wait_video(30);
    publisher.close();
    super::wait_gone(&sink.api(), "in", "secret-key");
    sink.wait_log("deleteStream");
    assert_eq!(source.log_lines("secret-key"), Vec::<String>::new());
}

#[test]
fn a_target_that_is_not_there_is_tried_again() {
    let port = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let source = Config::weir()
        .with_api()
        .app("live", &format!("weir_publish open; weir_push_to rtmp://localhost:{port}/in/key name=show;"))
        .start();
    let _publisher = Publisher::to(source.rtmp(), "live/show").start().started();
    let _other = Publisher::to(source.rtmp(), "live/other").start().started();
    source.wait_log("waits: connection refused");
    until("another try", 5.0, || source.log_lines("waits: connection refused").len() > 1);
    assert!(source.log_lines("waits:").iter().all(|line| line.contains("stream: \"show\"")));
}
