//! `PUT /v1/viewers`: viewers of the daemon are in the same place as viewers of nginx; each report replaces the one before.

use serde_json::json;
use weir_tests::harness::until;

use super::{audience, config, get, publish, start};

fn put(nginx: &weir_tests::harness::Nginx, body: &serde_json::Value) -> weir_tests::harness::api::Answer {
    let api = nginx.api();
    api.send(api.request("PUT", "/v1/viewers").json(body))
}

#[test]
fn a_report_is_part_of_the_stream() {
    let nginx = start(config().app("live", "").workers(2));
    let api = nginx.api();
    let _publisher = publish(&nginx, "live/show");
    get(&nginx, "/hls/show.m3u8", "a");
    let report = json!({ "streams": [
        { "app": "live", "stream": "show", "llhls": 1, "ws": 2, "webrtc": 0 },
        { "app": "live", "stream": "else", "webrtc": 4 },
    ] });
    assert_eq!(put(&nginx, &report).status, 204);
    let stream = api.stream("live", "show").unwrap();
    assert_eq!(
        stream["viewers"],
        json!({ "rtmp": 0, "hls": 1, "dash": 0, "llhls": 1, "ws": 2, "webrtc": 0 })
    );
    assert_eq!((&stream["viewers_peak"], &stream["viewers_total"]), (&json!(4), &json!(4)));
    assert_eq!(audience(&api, "else")["viewers"]["webrtc"], 4);
    let answer = put(&nginx, &json!({ "streams": [{ "app": "live", "stream": "show", "ws": 1 }] }));
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let stream = api.stream("live", "show").unwrap();
    assert_eq!((&stream["viewers"]["llhls"], &stream["viewers"]["ws"]), (&json!(0), &json!(1)));
    until("what nobody watches is left out", 5.0, || audience(&api, "else").is_null());
    // Without another report, the numbers expire.
    until("the report lapses", 25.0, || api.stream("live", "show").unwrap()["viewers"]["ws"] == 0);
}

#[test]
fn what_is_wrong_is_named() {
    let nginx = start(config());
    for (body, message) in [
        (json!({}), "missing field `streams`"),
        (json!([[]]), "body: expected an object"),
        (json!({ "streams": [["live", "show", 1, 0, 0]] }), "field \"streams[0]\": expected an object"),
        (json!({ "streams": [{ "app": "live", "stream": "" }] }), "field \"streams[0].stream\""),
        (json!({ "streams": [{ "app": "live", "stream": "a", "hls": 1 }] }), "unknown field `hls`"),
    ] {
        let said = put(&nginx, &body).error(400, "bad_request");
        assert!(said.contains(message), "{said}");
    }
    let api = nginx.api();
    let plain = api.send(api.request("PUT", "/v1/viewers").body("{}"));
    plain.error(415, "unsupported_media_type");
    let said = api.post("/v1/viewers", &json!({})).error(405, "method_not_allowed");
    assert!(said.contains("GET") && said.contains("PUT"), "{said}");
}
