//! Another state file replaces the first one: its content is in force whatever its generation, and after the reload the zone has exactly
//! the content of the file.

use std::fs;

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, Publisher};

use super::BAD_NAME;

fn server() -> Nginx {
    let config = Config::weir().main("weir_zone 2m state=@DIR@/state;").http("location /api { weir_api; }");
    config.app("live", "weir_publish key; weir_push on;").start()
}

fn field(api: &Api, list: &str, field: &str) -> Vec<String> {
    let answer = api.get(&format!("/v1/{list}")).expect(200);
    let text = |item: &Value| item[field].as_str().unwrap().to_owned();
    answer[list].as_array().unwrap().iter().map(text).collect()
}

fn add_target(nginx: &Nginx, stream: &str) {
    let target = json!({"app": "live", "stream": stream, "url": "rtmp://127.0.0.1:9/app/key"});
    nginx.api().post("/v1/targets", &target).expect(201);
}

#[test]
fn a_file_of_the_same_generation_is_taken_over() {
    let (one, two) = (server(), server());
    let kept: Vec<_> = (0..3).map(|n| one.api().create_key("live", &format!("camera{n}"))).collect();
    let gone: Vec<_> = (0..3).map(|n| two.api().create_key("live", &format!("desk{n}"))).collect();
    add_target(&one, "camera0");
    add_target(&two, "desk0");
    let generation = |nginx: &Nginx| {
        let text = fs::read_to_string(nginx.path("state")).unwrap();
        text.split(' ').nth(2).unwrap().to_owned()
    };
    assert_eq!(generation(&one), generation(&two));
    let publisher = Publisher::to(two.rtmp(), &format!("live/{}", gone[1].key)).start().started();
    fs::copy(one.path("state"), two.path("state")).unwrap();
    two.reload();
    // This publisher is connected to the old worker.
    publisher.wait_closed(5.0);
    let api = two.api();
    assert_eq!(field(&api, "keys", "stream"), ["camera0", "camera1", "camera2"]);
    assert_eq!(field(&api, "targets", "stream"), ["camera0"]);
    Publisher::to(two.rtmp(), &format!("live/{}", kept[0].key)).start().started();
    Publisher::to(two.rtmp(), &format!("live/{}", gone[0].key)).start().refused(BAD_NAME);
    api.delete(&format!("/v1/keys/{}", kept[1].id)).expect(200);
    // The next change does not bring back entries of the old file.
    api.create_key("live", "new");
    assert_eq!(field(&api, "keys", "stream"), ["camera0", "camera2", "new"]);
    let file = weir_model::State::decode(&fs::read(two.path("state")).unwrap()).unwrap();
    let streams: Vec<_> = file.keys.iter().map(|key| key.stream.as_str()).collect();
    assert_eq!((streams, file.targets.len()), (vec!["camera0", "camera2", "new"], 1));
}
