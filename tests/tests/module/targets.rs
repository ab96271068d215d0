//! `/v1/targets`: the API creates, lists, changes and removes push targets. Secrets of a URL appear only in the state file.

mod kept;

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use weir_tests::harness::api::Answer;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, Publisher, files, until};

use super::{keyed, time, wait_live};

/// Secrets that no answer and no log shows.
const KEY: &str = "sk_4711-secret";
const PASSWORD: &str = "pw-secret";

/// Returns a target with a URL of its own, which differs in its last part.
fn body(stream: &str) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let x = NEXT.fetch_add(1, Ordering::Relaxed);
    json!({"app": "live", "stream": stream, "url": format!("rtmp://me:{PASSWORD}@127.0.0.1:9/a/b/{KEY}?x={x}")})
}

#[track_caller]
fn create(api: &Api, stream: &str) -> String {
    id(&api.post("/v1/targets", &body(stream)).expect(201))
}

#[track_caller]
fn id(target: &Value) -> String {
    target["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn list(api: &Api) -> Vec<Value> {
    api.get("/v1/targets").expect(200)["targets"].as_array().unwrap().clone()
}

fn patch(api: &Api, id: &str, body: &Value) -> Answer {
    api.send(api.request("PATCH", &format!("/v1/targets/{id}")).json(body))
}

#[track_caller]
fn keeps_its_secrets(nginx: &Nginx) {
    for secret in [KEY, PASSWORD] {
        let mut found = files::that_mention(nginx.folder(), secret);
        found.retain(|path| !path.ends_with("state"));
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }
}

#[test]
fn a_stream_is_pushed_to_a_url_once() {
    let nginx = keyed().app("other", "weir_push_to rtmp://127.0.0.1:9/x/conf name=show;").start();
    let api = nginx.api();
    let to = |stream: &str| json!({"app": "live", "stream": stream, "url": format!("rtmp://me:{PASSWORD}@127.0.0.1:9/a/b/{KEY}")});
    let create = |stream: &str| id(&api.post("/v1/targets", &to(stream)).expect(201));
    let first = create("show");
    let refused = |body: &Value, id: &str| {
        let message = api.post("/v1/targets", body).error(409, "conflict");
        assert!(message.starts_with(&format!("target \"{id}\" already pushes ")), "{message}");
        assert!(!message.contains(KEY) && !message.contains(PASSWORD), "{message}");
    };
    // `*` includes every stream, so it includes this one.
    for stream in ["show", "*"] {
        refused(&to(stream), &first);
    }
    // Other spellings of the same URL are also refused.
    for url in [
        format!("RTMP://me:{PASSWORD}@127.0.0.1:9/a/b/{KEY}"),
        format!("rtmp://m%65:{PASSWORD}@127.0.0.1:9/a/b/{KEY}"),
    ] {
        refused(&json!({"app": "live", "stream": "show", "url": url}), &first);
    }
    let other = create("another");
    let moved = json!({"url": "rtmp://127.0.0.1:9/a/b/moved"});
    patch(&api, &first, &moved).expect(200);
    // The old URL is free again, and the other target has a URL of its own.
    let again = create("show");
    let message = patch(&api, &again, &moved).error(409, "conflict");
    assert!(message.starts_with(&format!("target \"{first}\" already pushes \"live/show\"")), "{message}");
    patch(&api, &again, &json!({"url": to("show")["url"], "note": "same"})).expect(200);
    patch(&api, &other, &moved).expect(200);
    // Targets of the configuration count, too.
    let all = list(&api);
    let of_file = all.iter().find(|target| target["source"] == "file").unwrap();
    let body = json!({"app": "other", "stream": "show", "url": "rtmp://127.0.0.1:9/x/conf"});
    refused(&body, of_file["id"].as_str().unwrap());
}

#[test]
fn targets_are_made_listed_changed_and_removed() {
    let nginx = keyed().start();
    let api = nginx.api();
    assert_eq!(api.get("/v1/targets").expect(200), json!({"targets": []}));
    let made = api.post("/v1/targets", &body("show")).expect(201);
    let first = id(&made);
    assert!(first.len() == 17 && first.starts_with('t'), "{first}");
    let masked = "rtmp://me:***@127.0.0.1:9/a/b/***";
    let wanted = json!({"id": first, "app": "live", "stream": "show", "url": masked, "enabled": true, "note": "",
        "source": "api", "sessions": []});
    assert_eq!(made, wanted);
    assert_eq!(api.get(&format!("/v1/targets/{first}")).expect(200), wanted);
    let off = json!({"app": "live", "stream": "*", "url": "rtmps://Example.org/app/k", "enabled": false, "note": "caf\u{e9}"});
    let other = api.post("/v1/targets", &off).expect(201);
    assert_eq!(
        (&other["stream"], &other["enabled"], &other["note"]),
        (&off["stream"], &off["enabled"], &off["note"])
    );
    assert_eq!(other["url"], "rtmps://Example.org/app/***");
    assert_eq!(list(&api), [wanted.clone(), other.clone()]);

    for (change, field, value) in [
        (json!({"enabled": false}), "enabled", json!(false)),
        (json!({"note": "n".repeat(200)}), "note", json!("n".repeat(200))),
        (json!({"url": "rtmp://[::1]/x/y"}), "url", json!("rtmp://[::1]/x/***")),
        (json!({"enabled": true, "note": null}), "enabled", json!(true)),
        (json!({}), "stream", json!("show")),
    ] {
        let changed = patch(&api, &first, &change).expect(200);
        assert_eq!(changed[field], value, "{change}");
        assert_eq!(list(&api), [changed, other.clone()], "{change}: it stays where it was");
    }
    assert_eq!(list(&api)[0]["note"], "n".repeat(200));

    assert_eq!(api.delete(&format!("/v1/targets/{first}")).expect(200), json!({"id": first}));
    assert_eq!(list(&api), [other]);
    for answer in [
        api.get(&format!("/v1/targets/{first}")),
        patch(&api, &first, &json!({"enabled": true})),
        api.delete(&format!("/v1/targets/{first}")),
    ] {
        assert_eq!(answer.error(404, "not_found"), format!("there is no target \"{first}\""));
    }
    keeps_its_secrets(&nginx);
}

#[test]
fn a_bad_request_names_the_field_and_no_secret() {
    let nginx = keyed().start();
    let api = nginx.api();
    let first = create(&api, "show");
    let before = list(&api);
    let url = |text: &str| json!(text.replace('K', KEY));
    for (field, value, message) in [
        ("app", json!(null), "field \"app\": expected a string, found nothing"),
        ("app", json!("a/../b"), "field \"app\": "),
        ("stream", json!(7), "field \"stream\": expected a string, found a number"),
        (
            "stream",
            json!(""),
            "field \"stream\": empty name, expected 1 to 128 characters; \"*\" alone means any stream",
        ),
        ("stream", json!("sh*w"), "field \"stream\": invalid character '*' in the stream name"),
        ("url", json!(null), "field \"url\": expected a string, found nothing"),
        ("url", url("http://host/app/K"), "field \"url\": unknown scheme, expected rtmp:// or rtmps://"),
        ("url", url("rtmp://host/K"), "field \"url\": no stream key, expected rtmp://host/app/key"),
        (
            "url",
            url("rtmp://ho st/app/K"),
            "field \"url\": space, control character or character outside ascii at byte 9",
        ),
        ("url", url("rtmp://127.1/app/K"), "field \"url\": bad host, expected a name, an IPv4 address"),
        ("url", url("rtmp://host:0/app/K"), "field \"url\": bad port, expected 1 to 65535"),
        ("url", url("rtmp://me:a/b@host/app/K"), "field \"url\": bad port"),
        ("url", url("rtmp://host//K"), "field \"url\": empty part in the path"),
        ("url", url(&format!("rtmp://host/app/{}K", "k".repeat(2048))), "field \"url\": url of "),
        ("url", json!("rtmp://host/app/***"), "field \"url\": *** replaces the key or the password"),
        ("enabled", json!("yes"), "field \"enabled\": expected true or false, found a string"),
        ("note", json!("a\nb"), "field \"note\": "),
        ("note", json!("n".repeat(201)), "field \"note\": "),
        ("id", json!("t0000000000000000"), "unknown field \"id\", known are app, stream, url, enabled, note"),
    ] {
        let mut body = body("show");
        body[field] = value.clone();
        let said = api.post("/v1/targets", &body).error(400, "bad_request");
        assert!(said.starts_with(message) && !said.contains(KEY), "{value}: {said}");
    }
    for (change, message) in [
        (json!({"enabled": 1}), "field \"enabled\": expected true or false, found a number"),
        (json!({"url": format!("rtmp://host/{KEY}")}), "field \"url\": no stream key"),
        (json!({"stream": "other"}), "unknown field \"stream\", known are enabled, url, note"),
        (json!([]), "the body: expected a JSON object, found a list"),
    ] {
        let said = patch(&api, &first, &change).error(400, "bad_request");
        assert!(said.starts_with(message) && !said.contains(KEY), "{change}: {said}");
    }
    assert_eq!(list(&api), before);
    keeps_its_secrets(&nginx);
}

#[test]
fn paths_methods_and_content_types() {
    let nginx = keyed().start();
    let api = nginx.api();
    let first = create(&api, "show");
    for id in ["t0000000000000000", "t1", "x", "k0000000000000000", "t+00000000000001", "%74"] {
        api.get(&format!("/v1/targets/{id}")).error(404, "not_found");
        patch(&api, id, &json!({})).error(404, "not_found");
        api.delete(&format!("/v1/targets/{id}")).error(404, "not_found");
    }
    api.get("/v1/targets/x/y").error(404, "not_found");
    for (method, path) in [
        ("PUT", "/v1/targets".to_owned()),
        ("DELETE", "/v1/targets".to_owned()),
        ("PATCH", "/v1/targets".to_owned()),
        ("POST", format!("/v1/targets/{first}")),
    ] {
        let request = api.request(method, &path).header("Content-Type", "application/json").body("{}");
        api.send(request).error(405, "method_not_allowed");
    }
    for (method, path) in [
        ("POST", "/v1/targets".to_owned()),
        ("PATCH", format!("/v1/targets/{first}")),
        ("DELETE", format!("/v1/targets/{first}")),
    ] {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let request =
                api.request(method, &path).header("Content-Type", kind).body(body("show").to_string());
            api.send(request).error(415, "unsupported_media_type");
        }
        api.send(api.request(method, &path)).error(415, "unsupported_media_type");
    }
    let head = api.send(api.request("HEAD", &format!("/v1/targets/{first}")));
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(list(&api).len(), 1);
}

#[test]
fn a_full_zone_takes_no_more_and_switches_what_it_has() {
    let nginx = Config::weir().main("weir_zone 128k;").http("location /api { weir_api; }").start();
    let api = nginx.api();
    let large = || {
        let mut large = body("show");
        large["note"] = json!("n".repeat(200));
        large
    };
    let mut made = Vec::new();
    let refused = until("the zone is full", 30.0, || {
        let answer = api.post("/v1/targets", &large());
        if answer.status == 201 {
            made.push(id(&answer.json));
            return None;
        }
        Some(answer)
    });
    refused.error(507, "zone_full");
    let small = until("no room is left for a small one", 30.0, || {
        let answer = api.post("/v1/targets", &body("s"));
        (answer.status != 201).then_some(answer)
    });
    small.error(507, "zone_full");
    let first = &made[0];
    let before = list(&api);
    let longer = json!({"url": format!("rtmp://127.0.0.1/a/{}", "k".repeat(250))});
    patch(&api, first, &longer).error(507, "zone_full");
    assert_eq!(list(&api), before);
    patch(&api, first, &json!({"enabled": false})).expect(200);
    assert_eq!(list(&api)[0]["enabled"], false);
    for id in made.iter().skip(1).take(3) {
        api.delete(&format!("/v1/targets/{id}")).expect(200);
    }
    patch(&api, first, &longer).expect(200);
    assert_eq!(id(&list(&api)[0]), *first);
}

#[test]
fn targets_of_the_configuration_are_listed_and_stay() {
    let to = format!("weir_push_to rtmp://me:{PASSWORD}@127.0.0.1:9/a/b/{KEY}");
    let nginx = Config::weir().with_api().app("live", &format!("{to}; {to} name=show;")).start();
    let api = nginx.api();
    let first = create(&api, "*");
    let listed = list(&api);
    assert_eq!(listed.iter().map(|target| &target["source"]).collect::<Vec<_>>(), ["api", "file", "file"]);
    assert_eq!((&listed[1]["stream"], &listed[2]["stream"]), (&json!("*"), &json!("show")));
    for target in &listed[1..] {
        assert_eq!(
            (&target["url"], &target["enabled"]),
            (&json!("rtmp://me:***@127.0.0.1:9/a/b/***"), &json!(true))
        );
        let id = id(target);
        assert_eq!(api.get(&format!("/v1/targets/{id}")).expect(200), *target);
        for answer in [patch(&api, &id, &json!({"enabled": false})), api.delete(&format!("/v1/targets/{id}"))]
        {
            let said = answer.error(409, "conflict");
            assert_eq!(said, format!("target \"{id}\" comes from a \"weir_push_to\": change it there"));
        }
    }
    nginx.reload();
    assert_eq!(list(&api), listed);
    api.delete(&format!("/v1/targets/{first}")).expect(200);
    assert_eq!(list(&api), listed[1..]);
}

#[test]
fn streams_and_statistics_show_targets_that_are_off() {
    let nginx = Config::weir()
        .main("weir_zone 2m;")
        .http("location /api { weir_api; } location /stat { weir_stat json; } location /full { weir_stat json full; }")
        .app("live", "weir_publish open;")
        .app("other", "weir_publish open;")
        .start();
    let api = nginx.api();
    let (any, named, foreign) = (create(&api, "*"), create(&api, "show"), create(&api, "nobody"));
    let _publishers = ["live/show", "live/more", "other/show"]
        .map(|path| Publisher::to(nginx.rtmp(), path).start().started());
    for (app, name, wanted) in
        [("live", "show", vec![&any, &named]), ("live", "more", vec![&any]), ("other", "show", vec![])]
    {
        let stream = wait_live(&api, app, name);
        let targets = stream["targets"].as_array().unwrap();
        assert_eq!(
            targets.iter().map(id).collect::<Vec<_>>(),
            wanted.iter().map(|id| (*id).clone()).collect::<Vec<_>>()
        );
        for target in targets {
            let session = &target["sessions"][0];
            assert_eq!((&session["stream"], &session["state"]), (&json!(name), &json!("off")), "{target}");
            time(&session["since"]);
            assert_eq!(session["last_error"], Value::Null);
        }
    }
    let sessions = |id: &str| {
        let target = api.get(&format!("/v1/targets/{id}")).expect(200);
        let sessions = target["sessions"].as_array().unwrap().clone();
        sessions.iter().map(|session| session["stream"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (sessions(&any), sessions(&named)),
        (vec!["more".to_owned(), "show".to_owned()], vec!["show".to_owned()])
    );
    assert!(sessions(&foreign).is_empty());

    let web = Api::new(&nginx.url(""));
    let (shown, full) = (web.get("/stat").text, web.get("/full").text);
    assert!(shown.contains(&named) && !shown.contains("127.0.0.1:9"), "{shown}");
    assert!(full.contains("rtmp://me:***@127.0.0.1:9/a/b/***"), "{full}");
    for text in [shown, full, api.get("/v1/streams").text] {
        assert!(!text.contains(KEY) && !text.contains(PASSWORD), "{text}");
    }
    keeps_its_secrets(&nginx);
}
