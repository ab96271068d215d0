//! nginx-rtmp's `on_publish` asks the daemon, and the daemon asks the backend, with the public name and never with the key. If the backend
//! is down, the configuration decides.

use serde_json::Value;
use weir_tests::harness::hook::Answer;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Hook, Nginx, Publisher, Sidecar, until};

use super::{Files, kind};

/// Starts an nginx that requires keys, and includes a file for settings that the test knows only later.
fn keyed() -> Nginx {
    let directives = "weir_publish key; include @DIR@/hook.conf;";
    Config::weir().with_api().app("live", directives).file("hook.conf", "").start()
}

fn config(files: &Files, hook: &Hook, when_down: &str) -> String {
    let (url, secret) = (hook.url(), files.path("secret"));
    format!(
        "{}[hooks.admission]\nurl = \"{url}\"\nsecret_files = [{secret:?}]\nallow_private = true\ntimeout = \"1s\"\n\
         when_down = \"{when_down}\"\n",
        files.hooks()
    )
}

/// Returns whether a publish with this key stays live.
#[track_caller]
fn is_on_air(nginx: &Nginx, key: &str) -> bool {
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}?user=ann")).start();
    until("it is refused, or has sent media for a second", 15.0, || {
        publisher.is_closed() || publisher.sent_ms() > 1000
    });
    let on_air = !publisher.is_closed();
    publisher.close();
    until("the stream is over", 5.0, || nginx.api().stream("live", "show").is_none());
    on_air
}

#[test]
fn the_backend_decides_and_the_policy_when_it_is_down() {
    let (files, hook, nginx) = (Files::new(), Hook::start(Answer::Yes), keyed());
    let sidecar = Sidecar::start(&nginx, &config(&files, &hook, "deny"));
    let ask = format!("on_publish http://127.0.0.1:{}/v1/admission;", sidecar.http());
    std::fs::write(nginx.path("hook.conf"), ask).unwrap();
    nginx.reload();
    let key = nginx.api().create_key("live", "show").key;
    assert!(is_on_air(&nginx, &key), "{}", sidecar.log());
    let asked = hook.requests();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(kind(&asked[0]), "admission.publish");
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    let expected = serde_json::json!({ "user": "ann" });
    assert_eq!((&body["data"]["name"], &body["data"]["arguments"]), (&"show".into(), &expected));
    assert!(!asked[0].body.contains(&key) && asked[0].header("webhook-signature").starts_with("v1,"));
    hook.answer(Answer::No);
    assert!(!is_on_air(&nginx, &key));
    sidecar.wait_log("publisher not admitted: status 403 Forbidden");
    for trouble in [Answer::Trouble, Answer::Never] {
        hook.answer(trouble);
        assert!(!is_on_air(&nginx, &key));
    }
    sidecar.reload(&config(&files, &hook, "allow"));
    sidecar.wait_log("configuration reloaded");
    assert!(is_on_air(&nginx, &key), "{}", sidecar.log());
    sidecar.wait_log("publisher admitted without an answer");
    hook.answer(Answer::No);
    assert!(!is_on_air(&nginx, &key));
    assert!(!sidecar.log().contains(&key));
}
