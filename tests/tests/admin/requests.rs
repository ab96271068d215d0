//! The dashboard's API: it answers only logged-in users with the right role, and only the dashboard itself. A session from before the login
//! is not accepted. Changes are reported as events. An application that does not exist is refused. Settings show no secret, and recordings
//! are served in ranges. An unknown address is an error in JSON, whatever the browser accepts.

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::wait::until_ok;
use weir_tests::harness::{Publisher, Sidecar, until};

use super::{PASSWORD, Visitor, WEB, add, nginx};

#[test]
fn session_fixation_gains_nothing() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    // The session id that somebody put into the browser before the login is not used after it.
    let mut fixed = Visitor::at(&sidecar);
    fixed.cookie = Some("weir-admin=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into());
    assert_eq!(fixed.log_in("ana", PASSWORD).0, 200);
    assert!(!fixed.cookie.as_deref().unwrap().contains("AAAAAAAA"));
    let old = Visitor { cookie: fixed.cookie.clone(), ..Visitor::at(&sidecar) };
    assert_eq!(fixed.log_in("ana", PASSWORD).0, 200);
    assert_eq!((old.get("session").0, fixed.get("session").0), (401, 200));
    assert_eq!(fixed.ask("POST", "logout", &json!({})).0, 200);
    assert_eq!(fixed.get("session").0, 401);
}

#[test]
fn an_unknown_address_is_an_error_of_the_api() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    let visitor = Visitor::at(&sidecar);
    for path in ["nope", "keys/one/two/three"] {
        let answer = visitor.request("GET", path).header("accept", "text/html,*/*;q=0.8").send().unwrap();
        let (status, body) = (answer.status().as_u16(), answer.text().unwrap());
        assert_eq!(status, 404, "{path}");
        let error = serde_json::from_str::<Value>(&body).unwrap_or_default();
        assert_eq!(error["error"]["code"], "not_found", "{path}: {body}");
    }
}

#[test]
fn only_the_dashboard_of_who_may_changes_something() {
    let nginx = nginx();
    let settings = "[[input]]\napp = \"live\"\nstream = \"cam\"\nurl = \"rtsp://u:SECRET1@127.0.0.1:1/x\"\nstart = \"on-demand\"\nsecret_file = \"@DIR@/secret\"\n";
    let config = format!("{WEB}trusted_proxies = [\"127.0.0.1\"]\nremote_user = true\n# SECRET2\n{settings}");
    let sidecar = Sidecar::start(&nginx, &config);
    for (name, role) in [("ana", "admin"), ("mo", "moderator"), ("vi", "viewer")] {
        add(&sidecar, name, role);
    }
    let [nobody, vi, mo, ana] = ["", "vi", "mo", "ana"].map(|name| match name {
        "" => Visitor::at(&sidecar),
        name => Visitor::logged_in(&sidecar, name),
    });
    let key = json!({ "app": "live", "stream": "show" });
    for path in [
        "streams",
        "keys",
        "targets",
        "jobs",
        "inputs",
        "recordings",
        "node",
        "settings",
        "feed",
        "applications",
    ] {
        assert_eq!(nobody.get(path).0, 401, "{path}");
        if path != "feed" {
            assert_eq!(vi.get(path).0, 200, "{path}");
        }
    }
    let drop = "streams/live/none";
    let statuses =
        |method: &str, path: &str, body: &Value| [&nobody, &vi, &mo].map(|who| who.ask(method, path, body).0);
    assert_eq!(statuses("POST", "keys", &key), [401, 403, 403]);
    assert_eq!(statuses("POST", "targets", &key), [401, 403, 403]);
    assert_eq!(statuses("POST", "jobs/restart", &json!({ "id": "x" })), [401, 403, 403]);
    assert_eq!(statuses("DELETE", drop, &json!({})), [401, 403, 404]);
    assert_eq!(statuses("DELETE", "links/none?expires_at=2026-11-20", &json!({})), [401, 403, 400]);

    // These requests come from a form, another site, another host, and a page without an origin.
    let send = |headers: &[(&str, &str)]| {
        let mut request = ana.request("POST", "keys").body(key.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().unwrap().status().as_u16()
    };
    let json_type = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (headers, status) in [
        (&[("content-type", "text/plain")][..], 415),
        (&[form], 415),
        (&[form, ("origin", "https://evil.example")], 403),
        (&[json_type, ("origin", "https://evil.example")], 403),
        (&[json_type, ("origin", "null")], 403),
        (&[json_type, ("sec-fetch-site", "cross-site")], 403),
        (&[json_type, ("origin", "http://127.0.0.1:1")], 403),
    ] {
        assert_eq!(send(headers), status, "{headers:?}");
    }
    let own = format!("http://127.0.0.1:{}", sidecar.web());
    assert_eq!(send(&[json_type, ("origin", &own), ("sec-fetch-site", "same-origin")]), 201);

    // Cookies, as browsers get them over TLS.
    let login = json!({ "name": "ana", "password": PASSWORD }).to_string();
    let cookie = |prefix: &str| {
        let request = nobody.request("POST", "login").header("content-type", "application/json");
        let request = request.header("x-forwarded-proto", "https").header("x-forwarded-prefix", prefix);
        let answer = request.body(login.clone()).send().unwrap();
        answer.headers()["set-cookie"].to_str().unwrap().to_owned()
    };
    let (root, below) = (cookie(""), cookie("/tv"));
    assert!(
        root.starts_with("__Host-weir-admin=")
            && root.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
        "{root}"
    );
    assert!(below.starts_with("__Secure-weir-admin=") && below.contains("; Path=/tv/; Secure"), "{below}");

    // The daemon trusts the user name that the proxy on this machine sends.
    let by_proxy = |name: &str| nobody.request("GET", "session").header("remote-user", name).send().unwrap();
    assert_eq!(by_proxy("mo").json::<Value>().unwrap(), json!({ "name": "mo", "role": "moderator" }));
    assert_eq!(by_proxy("stranger").status(), 401);

    let settings = vi.get("settings").1;
    let row = |key: &str| {
        settings["settings"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone()
    };
    assert_eq!(
        (&row("url")["table"], &row("url")["value"]),
        (&json!("[[input]]"), &json!("\"rtsp://***@127.0.0.1:1/x\""))
    );
    let text = std::fs::read_to_string(sidecar.configuration()).unwrap();
    let line = row("remote_user")["line"].as_u64().unwrap() as usize;
    assert_eq!(text.lines().nth(line - 1).unwrap(), "remote_user = true");
    assert!(!settings.to_string().contains("SECRET"), "{settings}");
    assert!(!vi.get("inputs").1.to_string().contains("SECRET"));
}

#[test]
fn a_moderator_ends_a_link() {
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", "0123456789abcdef0123456789abcdef")
        .with_api()
        .app("live", "weir_publish open; weir_play token;")
        .start();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "mo", "moderator");
    let mo = Visitor::logged_in(&sidecar, "mo");
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let (status, link) = mo.ask("POST", "links", &json!({ "app": "live", "stream": "show", "ttl_s": 3600 }));
    assert_eq!(status, 200, "{link}");
    let (jti, expires) = (link["jti"].as_str().unwrap(), link["expires_at"].as_str().unwrap());
    let command = format!("weir token revoke --jti {jti} --expires {expires} --api {}", nginx.url("/api"));
    assert_eq!(link["revoke"], command);
    let token = link["watch"].as_str().unwrap().split_once("token=").unwrap().1;
    let media =
        format!("http://127.0.0.1:{}/stream/live/show/llhls/master.m3u8?token={token}", sidecar.web());
    let status_of_media = || mo.client.get(&media).send().unwrap().status().as_u16();
    until("the link works", 20.0, || status_of_media() == 200);
    assert_eq!(mo.ask("DELETE", &format!("links/{jti}?expires_at={expires}"), &json!({})).0, 200);
    until("the link does not work", 20.0, || status_of_media() == 403);
    let is_told = || {
        let rows = mo.get("history/admin").1;
        let made = rows["admin"].as_array().into_iter().flatten().filter(|row| {
            row["who"] == "mo" && row["data"]["action"] == "revoked" && row["data"]["jti"] == jti
        });
        made.count() == 1
    };
    until("the history has it", 20.0, is_told);
}

#[test]
fn changes_reach_nginx_and_are_told() {
    let nginx = nginx();
    let sidecar = Sidecar::start(
        &nginx,
        &format!("{WEB}[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@/recordings\"\n"),
    );
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    let (status, answer) = ana.ask("POST", "keys", &json!({ "app": "livve", "stream": "show" }));
    assert_eq!(status, 400);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("nginx has no application \"livve\": nginx has \"live\""), "{message}");
    assert_eq!(
        ana.ask("POST", "targets", &json!({ "app": "x", "stream": "*", "url": "rtmp://h/a/b" })).0,
        400
    );

    let (status, key) = ana.ask("POST", "keys", &json!({ "app": "live", "stream": "show", "note": "desk" }));
    assert_eq!(
        (status, key["obs_server"].as_str()),
        (201, Some(&*format!("rtmp://127.0.0.1:{}/live", nginx.rtmp())))
    );
    let secret = key["key"].as_str().unwrap().to_owned();
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{secret}")).start().started();
    until("the stream is on air", 10.0, || ana.get("streams").1["streams"][0]["name"] == "show");
    let stream = &ana.get("streams").1["streams"][0];
    assert!(stream["health"][0]["text"].is_string(), "{stream}");
    let (_, link) = ana.ask("POST", "links", &json!({ "app": "live", "stream": "show", "ttl_s": 60 }));
    assert!(
        link["watch"].as_str().unwrap().ends_with("/watch/live/show") && link["qr"][0].is_string(),
        "{link}"
    );

    let target =
        json!({ "app": "live", "stream": "*", "url": "rtmp://127.0.0.1:1/app/SECRET3", "note": "nowhere" });
    let (status, target) = ana.ask("POST", "targets", &target);
    assert_eq!(status, 201, "{target}");
    let path = format!("targets/{}", target["id"].as_str().unwrap());
    assert_eq!(ana.ask("PATCH", &path, &json!({ "enabled": false })).1["enabled"], false);
    assert_eq!(ana.ask("DELETE", &path, &json!({})).0, 200);

    // A recording that is being written has its present size.
    until("it is recorded", 20.0, || ana.get("recordings").1["recordings"][0]["bytes"].as_u64() > Some(0));
    let drop = |session: &str| {
        ana.ask("DELETE", &format!("streams/live/show?ban_s=60&session={session}"), &json!({}))
    };
    let (status, refused) = drop("s0");
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("conflict")));
    assert!(!publisher.is_closed());
    let session = ana.get("streams").1["streams"][0]["session"].as_str().unwrap().to_owned();
    let (status, dropped) = drop(&session);
    assert_eq!((status, &dropped["dropped"]), (200, &json!(1)));
    assert!(dropped["banned_until"].is_string());
    publisher.wait_closed(5.0);

    let file = until_ok(20.0, || {
        let recordings = ana.get("recordings").1;
        recordings["recordings"].as_array()?.iter().find(|row| row["ended"].is_string()).cloned()
    });
    let file = file.unwrap_or_else(|| panic!("{}", ana.get("recordings").1));
    // The length is that of the media, as in the history.
    let noted = until("the history has the file", 20.0, || {
        ana.get("history/recordings").1["recordings"][0]["duration_ms"].as_u64()
    });
    assert_eq!(file["duration_ms"].as_u64(), Some(noted));
    let path = format!("recordings/{}/file", file["id"].as_str().unwrap());
    let whole = ana.request("GET", &path).send().unwrap().bytes().unwrap();
    assert_eq!(whole.len() as u64, file["bytes"].as_u64().unwrap());
    let part = ana.request("GET", &path).header("range", "bytes=4-7").send().unwrap();
    assert_eq!((part.status().as_u16(), &part.bytes().unwrap()[..]), (206, &whole[4..8]));
    assert_eq!(Visitor::at(&sidecar).get(&path).0, 401);
    let path = format!("recordings/{}", file["id"].as_str().unwrap());
    assert_eq!(ana.ask("DELETE", &path, &json!({})).0, 200);
    assert_eq!(ana.get("recordings").1["recordings"], json!([]));

    let key_path = format!("keys/{}", key["id"].as_str().unwrap());
    let rotated = ana.ask("POST", &format!("{key_path}/rotate"), &json!({ "overlap_s": 0 }));
    assert_eq!(rotated.0, 200);
    assert_eq!(ana.ask("DELETE", &key_path, &json!({})).0, 200);
    let log = sidecar.log();
    for expected in [
        "key added",
        "target paused",
        "target removed",
        "stream dropped",
        "recording removed",
        "key rotated",
        "key revoked",
    ] {
        assert!(log.contains(&format!("dashboard: {expected}, by: ana")), "{expected}:\n{log}");
    }
    for hidden in [secret.as_str(), rotated.1["key"].as_str().unwrap(), "SECRET3"] {
        assert!(!log.contains(hidden), "{hidden}");
    }
}
