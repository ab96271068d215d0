//! Hooks get events only of the streams that they select, and a publisher that reconnects within `linger` is reported as interrupted and
//! resumed.

use serde_json::Value;
use weir_tests::harness::hook::Answer;
use weir_tests::harness::{Hook, Publisher, Sidecar, until};

use super::{Files, arrived, kinds, open, publish};

const LADDER: &str = "[ladder.l]\nrungs = [\"source\"]\n[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\n\
    folder = \"@MEDIA@\"\nlinger = \"60s\"\n";

#[test]
fn a_publisher_who_comes_back_was_interrupted() {
    let (nginx, files, hook) = (open().start(), Files::new(), Hook::start(Answer::Yes));
    let config = files.hooks() + &files.webhook("backend", &hook, "events = [\"stream.*\"]") + LADDER;
    let _sidecar = Sidecar::start(&nginx, &config);
    let publisher = publish(&nginx, "show");
    arrived(&hook, "stream.started");
    // The publisher's connection breaks; a publisher that says goodbye would have ended.
    publisher.kill();
    let interrupted = arrived(&hook, "stream.interrupted");
    let interrupted: Value = serde_json::from_str(&interrupted.body).unwrap();
    assert_eq!(interrupted["data"]["linger_ms"], 60_000);
    let _publisher = publish(&nginx, "show");
    let resumed = arrived(&hook, "stream.resumed");
    let resumed: Value = serde_json::from_str(&resumed.body).unwrap();
    assert_eq!(resumed["data"]["interrupted_session"], interrupted["data"]["session"]);
    assert_eq!(resumed["data"]["kind"], "publisher");
    // A stream that an administrator ends does not count as lost.
    nginx.api().delete("/v1/streams/live/show").expect(200);
    arrived(&hook, "stream.dropped");
    arrived(&hook, "stream.ended");
    let mut heard: Vec<String> = kinds(&hook).into_iter().filter(|kind| kind != "stream.ready").collect();
    // Both come at once.
    heard[3..].sort_unstable();
    let of_streams =
        ["stream.started", "stream.interrupted", "stream.resumed", "stream.dropped", "stream.ended"];
    assert_eq!(heard, of_streams);
}

#[test]
fn only_the_streams_that_are_asked_for_are_told() {
    let nginx = open().app("other", "weir_publish open;").start();
    let (files, hook, rest) = (Files::new(), Hook::start(Answer::Yes), Hook::start(Answer::Yes));
    let config = files.hooks()
        + &files.webhook("cams", &hook, "events = [\"stream.started\"]\nstreams = [\"live/cam*\"]")
        + &files.webhook(
            "rest",
            &rest,
            "events = [\"stream.started\"]\nstreams = [\"live/show\", \"other/*\"]",
        );
    let _sidecar = Sidecar::start(&nginx, &config);
    let _cam = publish(&nginx, "cam1");
    let _show = publish(&nginx, "show");
    let _other = Publisher::to(nginx.rtmp(), "other/cam1").start().started();
    let told = |hook: &Hook| {
        let name = |body: &str| {
            let event: Value = serde_json::from_str(body).unwrap();
            format!("{}/{}", event["data"]["app"].as_str().unwrap(), event["data"]["name"].as_str().unwrap())
        };
        hook.requests().iter().map(|request| name(&request.body)).collect::<Vec<_>>()
    };
    until("the others are told", 15.0, || told(&rest).len() == 2);
    until("the camera is told", 15.0, || !told(&hook).is_empty());
    assert_eq!(told(&rest), ["live/show", "other/cam1"]);
    assert_eq!(told(&hook), ["live/cam1"]);
}
