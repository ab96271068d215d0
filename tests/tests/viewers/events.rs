//! The event `viewers`: it comes when the numbers of a stream change, at most every five seconds, and immediately after a client
//! connects.

use std::time::{Duration, Instant};

use serde_json::json;
use weir_tests::harness::until;

use super::{config, events, get, start};

#[test]
fn numbers_that_change_are_told_and_not_too_often() {
    let nginx = start(config().workers(2));
    get(&nginx, "/hls/show.m3u8", "agent-0");
    let told = events(&nginx);
    let seen = || -> Vec<serde_json::Value> {
        let all = told.lock().unwrap();
        let of = all.split("\n\n").filter(|event| event.contains("event: viewers\n"));
        of.map(|event| serde_json::from_str(event.split("data: ").nth(1).unwrap()).unwrap()).collect()
    };
    until("who connects is told how it stands", 5.0, || seen().len() == 1);
    let began = Instant::now();
    assert_eq!((&seen()[0]["app"], &seen()[0]["name"]), (&json!("live"), &json!("show")));
    assert_eq!(
        seen()[0]["viewers"],
        json!({ "rtmp": 0, "hls": 1, "dash": 0, "llhls": 0, "ws": 0, "webrtc": 0 })
    );
    for n in 1..10 {
        get(&nginx, "/hls/show.m3u8", &format!("agent-{n}"));
    }
    until("the change is told", 10.0, || seen().len() == 2);
    // The test saw the first event up to a tick after it was sent.
    assert!(began.elapsed() > Duration::from_millis(4500), "{:?}", began.elapsed());
    let last = seen().pop().unwrap();
    assert_eq!(
        (&last["viewers"]["hls"], &last["viewers_peak"], &last["viewers_total"]),
        (&json!(10), &json!(10), &json!(10))
    );
    assert!(last["at"].is_string() && !told.lock().unwrap().contains("id:"), "{last}");
    // Without a change there is no event; the next change causes one.
    get(&nginx, "/hls/show.m3u8", "agent-1");
    get(&nginx, "/dash/show.mpd", "agent-1");
    until("the next change is told", 10.0, || seen().len() == 3);
    assert_eq!(seen()[2]["viewers"]["dash"], 1);
}
