//! The history on the web: with the login of the dashboard, for every role, page by page, as JSON and as comma-separated values, with an
//! ETag; not without a login. In Chromium, the list leads to a report with a graph, targets, recordings, chat and the changes of
//! administrators, and the title of the event; a printed report has neither navigation nor buttons.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use weir_model::Timestamp;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Publisher, Sidecar, products, until};

use super::look::{complaints, go, keep, log_in, look_at, wait_for};
use super::{Visitor, WEB, add, nginx};

#[test]
fn the_history_is_for_who_has_logged_in_a_page_at_a_time() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "vi", "viewer");
    add(&sidecar, "ana", "admin");
    let (vi, ana) = (Visitor::logged_in(&sidecar, "vi"), Visitor::logged_in(&sidecar, "ana"));
    let mut secrets = Vec::new();
    for name in ["one", "two", "three"] {
        let (status, made) = ana.ask("POST", "keys", &json!({ "app": "live", "stream": name }));
        assert_eq!(status, 201, "{made}");
        secrets.push(made["key"].as_str().unwrap().to_owned());
    }
    let publishers: Vec<_> = secrets
        .iter()
        .map(|secret| Publisher::to(nginx.rtmp(), &format!("live/{secret}")).start().started())
        .collect();
    let found = |path: &str| vi.get(path).1;
    until("all three are in the history", 20.0, || {
        found("history")["sessions"].as_array().is_some_and(|all| all.len() == 3)
    });
    let names = |page: &Value| -> Vec<String> {
        page["sessions"].as_array().unwrap().iter().map(|one| one["stream"].to_string()).collect()
    };
    let first = found("history?limit=2");
    assert_eq!((names(&first).len(), &first["next"]), (2, &json!(2)));
    let second = found("history?limit=2&offset=2");
    assert_eq!((names(&second).len(), &second["next"]), (1, &Value::Null));
    assert!(!names(&first).contains(&names(&second)[0]));
    assert_eq!(found("history?kind=slate")["sessions"], json!([]));
    until("a minute is written", 20.0, || found("history/minutes?stream=two")["minutes"][0]["viewers"] == 0);
    drop(publishers);
    until("they have ended", 20.0, || found("history")["sessions"][0]["reason"].is_string());

    // The same history is below /v1, and requires the same cookie.
    let base = format!("http://127.0.0.1:{}/v1/history", sidecar.web());
    let at = |path: &str| vi.client.get(format!("{base}{path}")).header("cookie", vi.cookie.clone().unwrap());
    let answer = at("/sessions?limit=1").send().unwrap();
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(answer.headers()["cache-control"], "private, no-cache");
    assert_eq!(answer.json::<Value>().unwrap()["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(at("/sessions?limit=1").header("if-none-match", &tag).send().unwrap().status(), 304);
    assert_eq!(at("/sessions?limit=2").header("if-none-match", &tag).send().unwrap().status(), 200);
    let csv = at("/sessions?format=csv").send().unwrap();
    assert_eq!(csv.headers()["content-disposition"], "attachment; filename=\"weir-sessions.csv\"");
    let text = csv.text().unwrap();
    assert!(text.starts_with("session,app,stream,") && text.lines().count() == 4, "{text}");
    for (path, status) in [
        ("", 200),
        ("/admin?limit=1", 200),
        ("/people", 404),
        ("/sessions/none", 404),
        ("/minutes?kind=pull", 400),
        ("?limit=many", 400),
        ("?format=xml", 400),
    ] {
        assert_eq!(at(path).send().unwrap().status(), status, "{path}");
        assert_eq!(vi.client.get(format!("{base}{path}")).send().unwrap().status(), 401, "{path}");
    }
}

#[test]
fn changes_outside_of_the_dashboard_are_in_the_history_once_and_with_their_program() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    let api = nginx.api();
    let weir = |arguments: &[&str]| {
        let mut command = Command::new(products::weir());
        let output = command.args(arguments).args(["--api", &nginx.url("/api")]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    // Over the API.
    let key = api.create_key("live", "show");
    let target = json!({ "app": "live", "stream": "*", "url": "rtmp://127.0.0.1:9/app/secret-key" });
    let target = api.post("/v1/targets", &target).expect(201)["id"].as_str().unwrap().to_owned();
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    api.delete("/v1/streams/live/show?ban_s=60").expect(200);
    let rotate =
        api.request("POST", &format!("/v1/keys/{}/rotate", key.id)).json(&json!({ "overlap_s": 60 }));
    let rotated = api.send(rotate).expect(200)["key"].as_str().unwrap().to_owned();
    // On the command line.
    weir(&["target", "disable", &target]);
    weir(&["target", "remove", &target]);
    weir(&["key", "revoke", &key.id]);
    weir(&["token", "revoke", "live", "show"]);
    // In the dashboard.
    let (_, made) = ana.ask("POST", "keys", &json!({ "app": "live", "stream": "other" }));
    let other = made["id"].as_str().unwrap();
    assert_eq!(ana.ask("DELETE", &format!("keys/{other}"), &json!({})).0, 200);

    let rows = || ana.get("history/admin").1["admin"].as_array().cloned().unwrap_or_default();
    let deeds = || -> Vec<Value> {
        let rows = rows().into_iter().filter(|row| row["action"] != "admin.login");
        let mut deeds: Vec<Value> = rows
            .map(|row| {
                let data = &row["data"];
                json!([
                    row["who"],
                    row["action"],
                    data["action"],
                    data["id"],
                    data["app"],
                    data["name"],
                    data["ban_s"],
                    data["overlap_s"],
                    data["sub"]
                ])
            })
            .collect();
        deeds.sort_by_key(Value::to_string);
        deeds
    };
    let n = Value::Null;
    let mut expected = vec![
        json!(["api", "admin.key", "added", key.id, "live", "show", n, n, n]),
        json!(["api", "admin.key", "rotated", key.id, "live", "show", n, 60, n]),
        json!(["api", "admin.stream", "dropped", n, "live", "show", 60, n, n]),
        json!(["api", "admin.target", "added", target, "live", "*", n, n, n]),
        json!(["weir", "admin.target", "paused", target, "live", "*", n, n, n]),
        json!(["weir", "admin.target", "removed", target, n, n, n, n, n]),
        json!(["weir", "admin.key", "revoked", key.id, n, n, n, n, n]),
        json!(["weir", "admin.link", "revoked", n, n, n, n, n, "live/show"]),
        json!(["ana", "admin.key", "added", other, "live", "other", n, n, n]),
        json!(["ana", "admin.key", "revoked", other, "live", "other", n, n, n]),
    ];
    expected.sort_by_key(Value::to_string);
    until("all changes are in the history", 10.0, || deeds().len() >= expected.len());
    assert_eq!(deeds(), expected);
    let text = json!(rows()).to_string();
    for secret in [&key.key, &rotated, "secret-key", "127.0.0.1", made["key"].as_str().unwrap()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    // The report of the stream has those that concern it.
    let id = until("the stream is in the history", 20.0, || {
        ana.get("history").1["sessions"][0]["session"].as_str().map(str::to_owned)
    });
    let report = ana.get(&format!("history/sessions/{id}")).1;
    let named = report["admin"]
        .as_array()
        .unwrap()
        .iter()
        .any(|row| row["who"] == "api" && row["action"] == "admin.stream");
    assert!(named, "{report}");
}

#[test]
fn a_report_tells_what_happened_and_prints() {
    let nginx = nginx();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let start = Timestamp::from_millis(now - 600_000);
    let event = format!(
        "[[event]]\napp = \"live\"\nstream = \"show\"\ntitle = \"Sunday service\"\nstart = \"{start}\"\n"
    );
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}{event}"));
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    let (_, made) = ana.ask("POST", "keys", &json!({ "app": "live", "stream": "show" }));
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", made["key"].as_str().unwrap()));
    let publisher = publisher.start().started();
    let target = json!({ "app": "live", "stream": "show", "url": "rtmp://127.0.0.1:9/app/secret-key", "note": "Club" });
    until("it is in the history", 20.0, || ana.get("history").1["sessions"][0]["stream"] == "show");
    assert_eq!(ana.ask("POST", "targets", &target).0, 201);
    let id = ana.get("history").1["sessions"][0]["session"].as_str().unwrap().to_owned();
    let report = || ana.get(&format!("history/sessions/{id}")).1;
    until("the target's error and a minute are known", 20.0, || {
        let report = report();
        report["targets"][0]["last_error"].is_string() && report["minutes"][0].is_object()
    });
    assert_eq!(ana.ask("DELETE", "streams/live/show", &json!({})).0, 200);
    publisher.wait_closed(5.0);
    until("its end is known", 20.0, || report()["reason"] == "dropped");

    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    go(&browser, "history");
    wait_for(&browser, "the list", 10.0, "document.querySelector('[data-session] a')");
    let list = browser.run("return document.querySelector('[data-session]').innerText");
    assert!(list.as_str().unwrap().contains("stopped by an administrator"), "{list}");
    look_at(&browser, "history-list");
    browser.click("[data-session] a");
    wait_for(&browser, "the graph", 10.0, "document.querySelector('.graph svg')");
    let text = browser.run("return document.querySelector('.report').innerText").as_str().unwrap().to_owned();
    for part in [
        "Report: live/show",
        "Sunday service",
        "Viewers at most",
        "Added the target Club.",
        "not live at the end",
        "ana",
        "refused",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("0.0 hours") && !text.contains("waiting"), "{text}");
    assert!(!text.contains("secret-key"), "{text}");
    look_at(&browser, "report");
    browser.resize(360, 740);
    // The scale of the graph changes the size of its texts.
    let size = "const text = document.querySelector('.graph svg text');
         return parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a";
    until("its texts are readable on a phone", 5.0, || {
        let size = browser.run(size).as_f64().unwrap();
        (12.0..16.0).contains(&size)
    });
    browser.resize(1280, 900);
    browser.print_media(true);
    let left = browser.run(
        "return [...document.querySelectorAll('nav, header.top, button, .button')].filter((one) => one.checkVisibility()).length",
    );
    assert_eq!(left, 0);
    keep(&browser, "report-paper");
    browser.print_media(false);
    browser.run("history.back()");
    wait_for(&browser, "the list", 10.0, "document.querySelector('[data-session] a')");
    assert_eq!(complaints(&browser), [""; 0]);
}
