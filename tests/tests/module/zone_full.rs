//! A full zone reports that it is full, and does not affect the entries in it.

use serde_json::json;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Outcome, Publisher, until};

use super::DENIED;

#[test]
fn keys_fill_it_and_room_comes_back() {
    let nginx = Config::weir()
        .main("weir_zone 128k;")
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key;")
        .app("open", "weir_publish open;")
        .start();
    let api = nginx.api();
    let first = api.create_key("live", "show");
    let mut count = 1;
    let refused = until("the zone is full", 30.0, || {
        let answer = api.post("/v1/keys", &json!({"app": "live", "stream": "s", "note": "n".repeat(200)}));
        count += usize::from(answer.status == 201);
        (answer.status != 201).then_some(answer)
    });
    refused.error(507, "zone_full");
    assert_eq!(api.get("/v1/keys").expect(200)["keys"].as_array().unwrap().len(), count);
    let zone = api.get("/v1/health").expect(200)["zone"].clone();
    assert!(zone["used"].as_u64().unwrap() <= zone["size"].as_u64().unwrap(), "{zone}");
    // A stream also needs memory in the zone: Weir refuses it with a reason, and live streams continue.
    let small = until("no room is left", 30.0, || {
        let answer = api.post("/v1/keys", &json!({"app": "live", "stream": "s"}));
        (answer.status != 201).then_some(answer)
    });
    small.error(507, "zone_full");
    let mut live = Vec::new();
    let reason = loop {
        let publisher = Publisher::to(nginx.rtmp(), &format!("open/s{}", live.len())).silent().start();
        match publisher.outcome() {
            Outcome::Started if live.len() < 1000 => live.push(publisher),
            _ => break publisher.refused(DENIED),
        }
    };
    assert!(reason.contains("zone full"), "{reason}");
    Publisher::to(nginx.rtmp(), &format!("live/{}", first.key)).start().refused(DENIED);
    assert!(live.iter().all(|publisher| !publisher.is_closed()));
    assert!(nginx.log().contains("zone full"));

    drop(live);
    until("the streams are gone", 5.0, || api.streams().is_empty());
    let keys = api.get("/v1/keys").expect(200);
    let others = keys["keys"].as_array().unwrap().iter().filter(|key| key["id"] != first.id.as_str());
    for key in others.take(5) {
        api.delete(&format!("/v1/keys/{}", key["id"].as_str().unwrap())).expect(200);
    }
    Publisher::to(nginx.rtmp(), &format!("live/{}", first.key)).start().started();
    api.create_key("live", "again");
}

#[test]
fn one_megabyte_holds_four_thousand_keys() {
    // The test writes the keys to the state file, because 4,000 requests would take too long.
    let nginx = Config::weir()
        .file(
            "keys",
            (0..4000)
                .map(|n| {
                    let name = format!("stream-with-a-name-of-{n:010}");
                    let digest = weir_model::Secret::new(format!("wk_{n}")).digest().to_hex();
                    assert_eq!(name.len(), 32);
                    format!("{name} {digest}\n")
                })
                .collect::<String>(),
        )
        .main("weir_zone 1m;")
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key; weir_key_file @DIR@/keys;")
        .start();
    assert_eq!(nginx.api().get("/v1/keys").expect(200)["keys"].as_array().unwrap().len(), 4000);
    for n in [0, 1999, 3999] {
        Publisher::to(nginx.rtmp(), &format!("live/wk_{n}")).start().started();
    }
}
