//! `weir_max_bitrate`: a publisher above the limit causes a warning event after 10 s and is closed with a reason after 20 s. A publisher
//! below it, or above it within its burst, continues.

use serde_json::json;
use weir_tests::harness::{Publisher, until};

use super::{config, publish};

#[test]
fn a_publisher_that_sends_too_much_is_warned_of_and_closed() {
    let nginx = config()
        .app("live", "weir_max_bitrate 8k;")
        .app("wide", "weir_max_bitrate 80m;")
        .app("burst", "weir_max_bitrate 8k burst=1g;")
        .start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let others: Vec<Publisher> = ["wide/show", "burst/show"].map(|path| publish(&nginx, path)).into();
    let events = super::events(&nginx);
    until("a warning", 25.0, || events.lock().unwrap().contains("event: publish.bitrate"));
    assert!(!publisher.is_closed());
    publisher.wait_closed(25.0);
    until("the end is told", 5.0, || events.lock().unwrap().contains("event: stream.ended"));
    let all = events.lock().unwrap().clone();
    let told = |kind: &str| -> Vec<serde_json::Value> {
        let of = all.split("\n\n").filter(|event| event.contains(&format!("event: {kind}\n")));
        of.map(|event| serde_json::from_str(event.split("data: ").nth(1).unwrap()).unwrap()).collect()
    };
    let [warned, closed] = told("publish.bitrate").try_into().unwrap();
    assert_eq!(
        (&warned["app"], &warned["name"], &warned["limit"]),
        (&json!("live"), &json!("show"), &json!(8192))
    );
    assert!(warned["bitrate"].as_u64() > Some(8192), "{warned}");
    assert_eq!((&warned["closed"], &closed["closed"]), (&json!(false), &json!(true)));
    assert_eq!(told("stream.ended")[0]["reason"], "bitrate");
    let line = nginx.wait_log("publisher disconnected: bitrate above weir_max_bitrate for 20 s");
    assert!(
        line.contains("app: \"live\", stream: \"show\", bitrate: ") && line.contains("limit: 8192 bit/s"),
        "{line}"
    );
    let status = publisher.statuses().pop().unwrap();
    assert_eq!(status.code, "NetStream.Publish.Denied");
    assert!(status.description.contains("at most 8192 bit/s are allowed"), "{status:?}");
    assert!(others.iter().all(|publisher| !publisher.is_closed()));
}
