//! Events arrive signed, in order, and with the same id at each attempt. Undelivered events survive a `kill -9`. A dead endpoint delays no
//! other endpoint, and redirects are not followed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use weir_tests::harness::hook::{Answer, Request};
use weir_tests::harness::{Hook, Sidecar, until};

use super::{Files, OTHER_SECRET, SECRET, arrived, kinds, open, publish};

/// Verifies a signature as the standard requires of a receiver, with another implementation than the sender's.
fn is_signed_with(request: &Request, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let (id, time) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    mac.update(format!("{id}.{time}.{}", request.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    request.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

#[test]
fn events_arrive_signed_with_each_secret() {
    let (nginx, files, hook) = (open().start(), Files::new(), Hook::start(Answer::Yes));
    let both = format!("secret_files = [{:?}, {:?}]", files.path("secret"), files.path("other"));
    let config = files.hooks() + &files.webhook("backend", &hook, "events = [\"stream.*\"]");
    let one = format!("secret_files = [{:?}]", files.path("secret"));
    let sidecar = Sidecar::start(&nginx, &config.replace(&one, &both));
    publish(&nginx, "show").close();
    let started = arrived(&hook, "stream.started");
    let ended = arrived(&hook, "stream.ended");
    for request in [&started, &ended] {
        assert!(is_signed_with(request, SECRET) && is_signed_with(request, OTHER_SECRET), "{request:?}");
        assert_eq!(request.header("content-type"), "application/json");
    }
    let body: Value = serde_json::from_str(&started.body).unwrap();
    assert_eq!((&body["data"]["app"], &body["data"]["name"]), (&"live".into(), &"show".into()));
    assert!(body["timestamp"].is_string());
    assert_ne!(started.header("webhook-id"), ended.header("webhook-id"));
    until("the queue is empty", 5.0, || files.waiting("backend") == 0);
    let metrics = sidecar.get("/metrics").unwrap();
    assert!(metrics.contains("weir_webhook_delivered_total{webhook=\"backend\"} 2"), "{metrics}");
    assert!(!sidecar.log().contains(&SECRET[6..]));
}

#[test]
fn an_endpoint_in_trouble_gets_everything_later_and_holds_up_no_other() {
    let (nginx, files) = (open().start(), Files::new());
    let (dead, hung, fine) =
        (Hook::start(Answer::Trouble), Hook::start(Answer::Never), Hook::start(Answer::Yes));
    let config = files.hooks()
        + &files.webhook("dead", &dead, "events = [\"stream.*\"]")
        + &files.webhook("hung", &hung, "events = [\"stream.*\"]\ntimeout = \"1s\"")
        + &files.webhook("fine", &fine, "events = [\"stream.*\"]");
    let mut sidecar = Sidecar::start(&nginx, &config);
    publish(&nginx, "show").close();
    arrived(&fine, "stream.ended");
    until("it was tried twice", 15.0, || dead.requests().len() >= 2 && hung.requests().len() >= 2);
    for hook in [&dead, &hung] {
        let requests = hook.requests();
        // Only the first event is sent, again and again, with the same id.
        assert!(requests.iter().all(|request| request.body == requests[0].body), "{requests:?}");
        assert!(requests.iter().all(|request| is_signed_with(request, SECRET)));
        let ids: std::collections::BTreeSet<_> =
            requests.iter().map(|request| request.header("webhook-id")).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
    }
    assert_eq!(files.waiting("dead"), 2);
    // Waiting events are on disk; an incomplete file is not sent.
    sidecar.kill();
    std::fs::write(files.path("queue/dead/00000000000000000001.json"), "{\"id\":\"weir_").unwrap();
    let (tried, first) = (dead.requests().len(), dead.requests()[0].header("webhook-id"));
    dead.answer(Answer::Yes);
    sidecar.start_again();
    until("both arrive", 20.0, || files.waiting("dead") == 0 && dead.requests().len() >= tried + 2);
    assert_eq!(kinds(&dead)[tried..tried + 2], ["stream.started", "stream.ended"]);
    assert_eq!(dead.requests()[tried].header("webhook-id"), first);
    assert!(sidecar.log().contains("webhook event set aside"));
    assert!(files.path("queue/dead/00000000000000000001.corrupt").exists());
}

#[test]
fn a_redirect_is_a_failure() {
    let (nginx, files, elsewhere) = (open().start(), Files::new(), Hook::start(Answer::Yes));
    let hook = Hook::start(Answer::Redirect(elsewhere.url()));
    let config = files.hooks() + &files.webhook("backend", &hook, "events = [\"stream.started\"]");
    let sidecar = Sidecar::start(&nginx, &config);
    let publisher = publish(&nginx, "show");
    until("it was tried twice", 15.0, || hook.requests().len() >= 2);
    assert!(elsewhere.requests().is_empty());
    sidecar.wait_log("webhook failed: status 302 Found");
    publisher.close();
}

#[test]
fn private_addresses_are_not_reached_unless_that_is_said() {
    let (nginx, files, hook) = (open().start(), Files::new(), Hook::start(Answer::Yes));
    // The URL has this machine's host name, which looks like any other.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let url = hook.url().replace("http://127.0.0.1", &format!("https://{}", name.trim()));
    let config = files.hooks()
        + &format!("[hooks.webhook.b]\nurl = \"{url}\"\nsecret_files = [{:?}]\n", files.path("secret"));
    let sidecar = Sidecar::start(&nginx, &config);
    let publisher = publish(&nginx, "show");
    sidecar.wait_log("has no public address; see allow_private");
    assert!(hook.requests().is_empty());
    publisher.close();
}

#[test]
fn a_reload_changes_endpoints_and_a_missing_secret_changes_nothing() {
    let (nginx, files) = (open().start(), Files::new());
    let (first, second) = (Hook::start(Answer::Yes), Hook::start(Answer::Yes));
    let config = files.hooks() + &files.webhook("backend", &first, "events = [\"stream.started\"]");
    let sidecar = Sidecar::start(&nginx, &config);
    let moved = files.hooks() + &files.webhook("backend", &second, "events = [\"stream.started\"]");
    let secret = files.path("secret").display().to_string();
    sidecar.reload(&moved.replace(&secret, "/nonexistent"));
    sidecar.wait_log("hooks not changed: [hooks.webhook.backend]: secret_files: /nonexistent");
    publish(&nginx, "one").close();
    arrived(&first, "stream.started");
    sidecar.reload(&moved);
    until("the configuration is read", 10.0, || sidecar.log().matches("configuration reloaded").count() == 2);
    publish(&nginx, "two").close();
    arrived(&second, "stream.started");
    assert_eq!(first.requests().len(), 1);
}
