//! The API: its answers and its refusals.

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Player, Publisher, until};

use super::{keyed, time, wait_live};

#[test]
fn health_tells_of_workers_and_zone() {
    let nginx = keyed().workers(2).start();
    // On a busy machine health may also report a worker that is late, so the test waits until all is well.
    let health = until("all is well", 10.0, || {
        let health = nginx.api().get("/v1/health").expect(200);
        (health["status"] == "ok").then_some(health)
    });
    assert_eq!(health["reasons"], json!([]));
    let workers = health["workers"].as_array().unwrap();
    let mut pids: Vec<_> = workers.iter().map(|worker| worker["pid"].as_i64().unwrap() as i32).collect();
    pids.sort_unstable();
    assert_eq!(pids, nginx.workers().iter().map(|worker| worker.0).collect::<Vec<_>>());
    for worker in workers {
        assert_eq!(worker["draining"], false);
        assert!(worker["heartbeat_ms"].as_u64().unwrap() < 5000, "{worker}");
        time(&worker["since"]);
    }
    assert_eq!(health["zone"]["size"], 2 << 20);
    let used = health["zone"]["used"].as_u64().unwrap();
    nginx.api().create_key("live", "show");
    assert!(nginx.api().get("/v1/health").expect(200)["zone"]["used"].as_u64().unwrap() > used);
}

#[test]
fn applications_are_listed_with_what_they_ask_for() {
    let nginx = keyed()
        .app("open", "weir_publish open; weir_push on; hls on; hls_path @DIR@/hls;")
        .app("free", "")
        .start();
    let api = nginx.api();
    let (listed, port) = (api.get("/v1/applications").expect(200), nginx.rtmp());
    assert_eq!(
        listed,
        json!({"applications": [
            {"name": "free", "publish": "off", "push": false, "play": "off", "play_http": "off", "hls": false, "rtmp_port": port},
            {"name": "live", "publish": "key", "push": false, "play": "off", "play_http": "off", "hls": false, "rtmp_port": port},
            {"name": "open", "publish": "open", "push": true, "play": "off", "play_http": "off", "hls": true, "rtmp_port": port},
        ]})
    );
    let refused = api.delete("/v1/streams/livve/show").expect(404);
    let message = refused["error"]["message"].as_str().unwrap();
    assert_eq!(message, "nginx has no application \"livve\": nginx has \"free\", \"live\", \"open\"");
    let refused = api.delete("/v1/streams/live/show").expect(404);
    assert_eq!(refused["error"]["message"], "no stream \"live/show\" is live");
    // A typing mistake makes no key and no target.
    for (path, body) in [
        ("/v1/keys", json!({"app": "livve", "stream": "show"})),
        ("/v1/targets", json!({"app": "livve", "stream": "show", "url": "rtmp://192.0.2.1/live/key"})),
    ] {
        let refused = api.post(path, &body).expect(400);
        assert_eq!(refused["error"]["message"], format!("field \"app\": {message}"), "{path}");
    }
    assert_eq!(api.get("/v1/keys").expect(200)["keys"], json!([]));
}

#[test]
fn a_player_with_the_ticket_of_this_nginx_is_not_counted() {
    let nginx = keyed().app("open", "weir_publish open;").start();
    let api = nginx.api();
    let ticket = api.get("/v1/ticket").expect(200)["ticket"].as_str().unwrap().to_owned();
    let _publisher = Publisher::to(nginx.rtmp(), "open/show").start().started();
    wait_live(&api, "open", "show");
    let own = Player::start(nginx.rtmp(), &format!("open/show?weir_ticket={ticket}"));
    own.wait_video(10);
    let stream = || api.stream("open", "show").unwrap();
    let counted = || (stream()["viewers"]["rtmp"].as_u64(), stream()["bytes_out"].as_u64());
    assert_eq!(counted(), (Some(0), Some(0)));
    // A player with another ticket is counted, and so is a player of a name that ends with the ticket.
    let stranger = Player::start(nginx.rtmp(), "open/show?weir_ticket=0123456789abcdef0123456789abcdef");
    stranger.wait_video(10);
    until("the stranger is counted", 10.0, || counted().0 == Some(1) && counted().1 > Some(0));
    let players = api.get("/v1/streams/open/show/players").expect(200);
    assert_eq!(players["players"].as_array().unwrap().len(), 1, "{players}");
    let bytes = counted().1;
    drop(own);
    until("the stranger's bytes are counted on", 10.0, || counted().1 > bytes);
    assert_eq!(api.get("/v1/ticket").expect(200)["ticket"], ticket.as_str());
    nginx.reload();
    assert_eq!(nginx.api().get("/v1/ticket").expect(200)["ticket"], ticket.as_str());
    // The ticket comes from the random numbers of the zone, which also decide which records share a chain.
    let other = keyed().start();
    assert_ne!(other.api().get("/v1/ticket").expect(200)["ticket"], ticket.as_str());
}

#[test]
fn keys_are_created_listed_and_never_shown_again() {
    let nginx = keyed().start();
    let api = nginx.api();
    assert_eq!(api.get("/v1/keys").expect(200), json!({"keys": []}));
    let body = json!({"app": "live", "stream": "show", "note": "studio", "expires_at": "2099-01-01T00:00:00Z",
        "publish_from": ["192.0.2.0/24", "2001:db8::/32"]});
    let mut created = api.post("/v1/keys", &body).expect(201);
    let key = created["key"].as_str().unwrap().to_owned();
    let tail = key.strip_prefix("wk_").unwrap();
    assert!(tail.len() == 32 && tail.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')), "{key}");
    created.as_object_mut().unwrap().remove("key");
    let id = created["id"].as_str().unwrap();
    assert!(id.len() == 17 && id.starts_with('k'), "{id}");
    for field in ["app", "stream", "note", "expires_at", "publish_from"] {
        assert_eq!(created[field], body[field], "{field}");
    }
    assert_eq!((&created["source"], &created["previous_valid_until"]), (&json!("api"), &Value::Null));
    time(&created["created_at"]);
    assert_eq!(api.get("/v1/keys").expect(200), json!({"keys": [created]}));
    assert_ne!(api.create_key("live", "show").key, key);
}

#[test]
fn streams_tell_who_publishes() {
    let nginx = keyed().app("open", "weir_publish open;").start();
    let api = nginx.api();
    assert_eq!(api.get("/v1/streams").expect(200), json!({"streams": []}));
    let key = api.create_key("live", "show");
    let _keyed =
        Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).from("127.0.0.3").start().started();
    let _open = Publisher::to(nginx.rtmp(), "open/show").start().started();
    let stream = wait_live(&api, "live", "show");
    assert_eq!(
        stream["publisher"],
        json!({"addr": "127.0.0.3", "key_id": key.id, "worker_pid": nginx.workers()[0].0})
    );
    time(&stream["since"]);
    assert!(!stream["session"].as_str().unwrap().is_empty());
    let open = wait_live(&api, "open", "show");
    assert_eq!(open["publisher"]["key_id"], Value::Null);
    assert_ne!(open["session"], stream["session"]);
}

#[test]
fn a_bad_request_names_the_field() {
    let nginx = keyed().start();
    let api = nginx.api();
    let good = || json!({"app": "live", "stream": "show"});
    let with = |field: &str, value: Value| {
        let mut body = good();
        body[field] = value;
        body
    };
    for (field, value) in [
        ("app", json!(1)),
        ("app", json!("")),
        ("app", json!("a/../b")),
        ("stream", json!(null)),
        ("stream", json!("-x")),
        ("stream", json!("a".repeat(129))),
        ("note", json!([])),
        ("note", json!("n".repeat(201))),
        ("note", json!("a\nb")),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!("2001-01-01T00:00:00Z")),
        ("expires_at", json!(5)),
        ("publish_from", json!("192.0.2.0/24")),
        ("publish_from", json!([1])),
        ("publish_from", json!(["192.0.2.1/24"])),
        ("publish_from", json!(vec!["192.0.2.1"; 17])),
        ("colour", json!("blue")),
    ] {
        let message = api.post("/v1/keys", &with(field, value.clone())).error(400, "bad_request");
        assert!(message.contains(&format!("\"{field}\"")), "{field} {value}: {message}");
    }
    let key = api.create_key("live", "show");
    for body in
        [json!({"overlap_s": -1}), json!({"overlap_s": "x"}), json!({"overlap_s": 1.5}), json!({"x": 1})]
    {
        let message = api.post(&format!("/v1/keys/{}/rotate", key.id), &body).error(400, "bad_request");
        assert!(message.contains("overlap_s") || message.contains("\"x\""), "{message}");
    }
    for body in ["", "{", "[]", "null", "\"x\"", "{\"app\":\"live\",\"app\":\"x\"", "\u{0}"] {
        let request = api.request("POST", "/v1/keys").header("Content-Type", "application/json").body(body);
        api.send(request).error(400, "bad_request");
    }
    for (body, field) in [
        (r#"{"app":"live","stream":"a","stream":"b"}"#, "stream"),
        (r#"{"app":"live","stream":"a","note":null,"note":"x"}"#, "note"),
        (r#"{"app":"live","stream":"a","publish_from":["::1"],"publish_from":[]}"#, "publish_from"),
    ] {
        for path in ["/v1/keys", "/v1/targets", "/v1/tokens", &format!("/v1/keys/{}/rotate", key.id)] {
            let request = api.request("POST", path).header("Content-Type", "application/json").body(body);
            let message = api.send(request).error(400, "bad_request");
            assert_eq!(message, format!("field \"{field}\": given twice, expected once"), "{path}");
        }
    }
    for query in ["/v1/streams?app=live&app=x", "/v1/keys?limit=1&limit=2"] {
        let message = api.get(query).error(400, "bad_request");
        assert!(message.contains("given twice"), "{query}: {message}");
    }
    let unknown = api.get("/v1/keys?limits=1").error(400, "bad_request");
    assert!(unknown.contains("\"limits\""), "{unknown}");
    let unknown =
        api.post("/v1/keys?dry=1", &json!({"app": "live", "stream": "b"})).error(400, "bad_request");
    assert!(unknown.contains("\"dry\""), "{unknown}");
    api.get("/v1/health?_=1").expect(200);
    let deep = format!("{{\"note\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    let request = api.request("POST", "/v1/keys").header("Content-Type", "application/json").body(deep);
    api.send(request).error(400, "bad_request");
    assert_eq!(api.get("/v1/keys").expect(200)["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn paths_and_methods_that_do_not_exist() {
    let nginx = keyed().start();
    let api = nginx.api();
    for path in ["", "/", "/v1", "/v1/", "/v1/nothing", "/v2/keys", "/v1/keysx", "/v1/keys/k0/x/y"] {
        api.get(path).error(404, "not_found");
    }
    for id in ["k0000000000000000", "k1", "x", "k00000000000000zz", "%6b", "k000000000000000000"] {
        api.delete(&format!("/v1/keys/{id}")).error(404, "not_found");
        api.post(&format!("/v1/keys/{id}/rotate"), &json!({})).error(404, "not_found");
    }
    for (method, path, allowed) in [
        ("POST", "/v1/health", "GET, HEAD"),
        ("DELETE", "/v1/health", "GET, HEAD"),
        ("PUT", "/v1/keys", "GET, HEAD, POST"),
        ("DELETE", "/v1/keys", "GET, HEAD, POST"),
        ("PATCH", "/v1/keys/k0000000000000000", "DELETE"),
        ("GET", "/v1/keys/k0000000000000000/rotate", "POST"),
        ("POST", "/v1/streams", "GET, HEAD, DELETE"),
    ] {
        let request = || api.request(method, path).header("Content-Type", "application/json").body("{}");
        api.send(request()).error(405, "method_not_allowed");
        assert_eq!(request().send().unwrap().headers()["allow"], allowed, "{method} {path}");
    }
    let head = api.send(api.request("HEAD", "/v1/health"));
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[test]
fn changes_need_the_content_type_that_a_form_cannot_send() {
    let nginx = keyed().start();
    let api = nginx.api();
    let id = api.create_key("live", "show").id;
    let body = r#"{"app":"live","stream":"show"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
    ] {
        for (method, path) in [
            ("POST", "/v1/keys".to_owned()),
            ("POST", format!("/v1/keys/{id}/rotate")),
            ("DELETE", format!("/v1/keys/{id}")),
        ] {
            let request = api.request(method, &path).header("Content-Type", kind).body(body);
            api.send(request).error(415, "unsupported_media_type");
        }
    }
    api.send(api.request("POST", "/v1/keys").body(body)).error(415, "unsupported_media_type");
    api.send(api.request("DELETE", &format!("/v1/keys/{id}"))).error(415, "unsupported_media_type");
    let request =
        api.request("POST", "/v1/keys").header("Content-Type", "Application/JSON; charset=utf-8").body(body);
    api.send(request).expect(201);
}

#[test]
fn bodies_are_bounded() {
    let nginx = keyed().start();
    let api = nginx.api();
    let body = |size: usize| {
        let head = r#"{"app":"live","stream":"show","note":""#;
        format!("{head}{}\"}}", "n".repeat(size - head.len() - 2))
    };
    let post = |body: String| {
        api.send(api.request("POST", "/v1/keys").header("Content-Type", "application/json").body(body))
    };
    post(body(64 * 1024)).error(400, "bad_request");
    post(body(64 * 1024 + 1)).error(413, "too_large");
    let blanks = format!(r#"{{"app":"live","stream":"show"{}}}"#, " ".repeat(60_000));
    post(blanks).expect(201);
}

#[test]
fn bodies_are_read_where_nginx_writes_them_to_files() {
    let nginx = keyed().http("client_body_in_file_only clean;").start();
    let body = r#"{"app":"live","stream":"show"}"#;
    let api = nginx.api();
    let request = api.request("POST", "/v1/keys").header("Content-Type", "application/json").body(body);
    api.send(request).expect(201);
}

#[test]
fn without_a_token_file_only_the_machine_itself_is_served() {
    let nginx = Config::weir()
        .main("weir_zone 2m;")
        .http("listen unix:@DIR@/http.sock; location /api { weir_api; }")
        .http("set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;")
        .start();
    let api = nginx.api();
    api.get("/v1/health").expect(200);
    for header in ["192.0.2.1", "2001:db8::1"] {
        let answer = api.send(api.request("GET", "/v1/health").header("X-Real-IP", header));
        answer.error(403, "forbidden");
    }
}

#[test]
fn with_a_token_file_whoever_has_it_is_served() {
    let token = "0123456789abcdef-token";
    let nginx = Config::weir()
        .file("token", format!("{token}\n"))
        .main("weir_zone 2m;")
        .http("location /api { weir_api; weir_api_token @DIR@/token; }")
        .http("set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;")
        .start();
    let api = nginx.api();
    let without = api.send(api.request("GET", "/v1/health"));
    without.error(401, "unauthorized");
    for wrong in ["", "x", "0123456789abcdef-tokem", "0123456789abcdef-token2"] {
        let api = Api::new(&nginx.url("/api")).with_token(wrong);
        api.get("/v1/keys").error(401, "unauthorized");
        api.post("/v1/keys", &json!({"app": "live", "stream": "show"})).error(401, "unauthorized");
    }
    let basic = api.request("GET", "/v1/health").header("Authorization", format!("Basic {token}"));
    api.send(basic).error(401, "unauthorized");
    let api = Api::new(&nginx.url("/api")).with_token(token);
    api.create_key("live", "show");
    let far = api.send(api.request("GET", "/v1/health").header("X-Real-IP", "192.0.2.1"));
    far.expect(200);
    assert!(!nginx.log().contains(token));
}

#[test]
fn nginx_own_access_rules_apply_on_top() {
    let nginx = keyed().http("location /closed { deny all; weir_api; }").start();
    assert_eq!(Api::new(&nginx.url("/closed")).get("/v1/health").status, 403);
}
