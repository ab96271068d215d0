//! Each error of the provider: a temporary error is retried when the provider allows it, a permanent error is reported in one line, and no
//! error counts as "there is no server".

use std::time::{Duration, Instant};

use serde_json::json;

use super::hetzner::{Fault, Hetzner};
use super::machine::Hall;
use super::{Event, assert_no_secret, at_home, nginx, now_ms, origin};

#[test]
fn every_error_of_the_api() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hall = Hall::open(daemon.web());
    let hetzner = Hetzner::start(Box::new(move |name, _| Box::new(hall.boot(name))));
    let labels = json!({ "weir-event": "other", "managed-by": "weir" });
    hetzner.foreign("gala-2", labels);
    hetzner.foreign("web", json!({ "managed-by": "weir" }));
    let event = Event::new(&daemon, &hetzner.url(), &at_home(&daemon), "edges = 1\ntimeout = \"1s\"", "");

    // Permanent errors.
    for (status, code, part) in [
        (401, "unauthorized", "check HCLOUD_TOKEN"),
        (412, "resource_unavailable", "this is resource_unavailable (resource_unavailable, status 412)"),
        (422, "invalid_input", "this is invalid_input (invalid_input, status 422)"),
    ] {
        hetzner.fault("POST /servers", 1, Fault::Answer(status, code, ""));
        let (exit, _, log) = event.run("up", &[]);
        assert!(exit == 1 && log.lines().last().unwrap().contains(part), "{code}: {log}");
        assert_eq!((hetzner.names(), hetzner.left()), (vec!["gala-2".to_owned(), "web".to_owned()], 0));
    }
    let output = event.command("up", &[]).env("HCLOUD_TOKEN", "wrong").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let output = event.command("plan", &[]).env_remove("HCLOUD_TOKEN").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("HCLOUD_TOKEN is not set"), "{said}");
    event.edit("network = \"cdn\"", "network = \"nets\"");
    let (_, _, log) = event.run("up", &[]);
    assert!(log.contains("network = \"nets\": there is none with this name"), "{log}");
    event.edit("network = \"nets\"", "network = \"cdn\"");

    // Temporary errors: the first server is created all the same, and only once.
    let reset = format!("RateLimit-Remaining: 0\r\nRateLimit-Reset: {}", now_ms() / 1000 + 3);
    let reset: &'static str = reset.leak();
    hetzner.fault("GET /pricing", 1, Fault::Answer(429, "rate_limit_exceeded", reset));
    hetzner.fault("GET /servers", 1, Fault::Answer(500, "server_error", ""));
    hetzner.fault("GET /server_types", 1, Fault::Answer(429, "rate_limit_exceeded", "Retry-After: 1"));
    hetzner.fault("POST /servers", 1, Fault::Answer(423, "locked", ""));
    hetzner.fault("POST /servers", 1, Fault::Answer(503, "unavailable", ""));
    // The server is created, but the answer is lost.
    hetzner.fault("POST /servers", 1, Fault::Lost);
    let begin = Instant::now();
    let (_, log) = event.done("up", &[]);
    assert!(begin.elapsed() > Duration::from_secs(3), "the limit was not waited for");
    assert_eq!(
        (hetzner.names(), hetzner.left()),
        (vec!["gala-1".into(), "gala-2".into(), "web".to_owned()], 0)
    );
    assert_eq!(hetzner.peak().1, 1, "{log}");
    for part in ["rate_limit_exceeded, status 429", "no answer from the provider", "next try in"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let order = hetzner.order("gala-1");
    assert_eq!((&order["networks"], &order["firewalls"]), (&json!([77]), &json!([{ "firewall": 78 }])));
    assert!(order["placement_group"].is_number() && order["ssh_keys"] == json!(["ana"]), "{order}");
    assert_eq!(order["labels"], json!({ "weir-event": "gala", "managed-by": "weir" }));

    // A name that another server has is skipped.
    event.edit("edges = 1", "edges = 2");
    let (text, more) = event.done("up", &[]);
    assert!(more.contains("name skipped") && text.contains("gala-3"), "{text}{more}");

    // The server is deleted, but the answer is lost; the provider also lists servers of others.
    hetzner.go_blind();
    hetzner.fault("DELETE /placement_groups", 1, Fault::Answer(409, "conflict", ""));
    hetzner.fault("DELETE /servers", 1, Fault::Lost);
    hetzner.fault("DELETE /servers", 1, Fault::Answer(423, "locked", ""));
    let (_, last) = event.done("down", &[]);
    assert_eq!(
        (hetzner.names(), hetzner.left(), hetzner.groups()),
        (vec!["gala-2".into(), "web".to_owned()], 0, 0)
    );
    event.done("down", &[]);
    assert_no_secret_after(&hetzner, &[&log, &more, &last, &text, &event.left(), &daemon.log()]);
}

/// Asserts that the server is gone and that no text contains the provider's token or the server's password.
fn assert_no_secret_after(hetzner: &Hetzner, texts: &[&str]) {
    assert!(hetzner.names().iter().all(|name| name != "gala-1"));
    for text in texts {
        assert!(!text.contains(super::TOKEN) && !text.contains("root-SECRET"), "{text}");
    }
}

#[test]
fn no_secret_is_told() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hall = Hall::open(daemon.web());
    let hetzner = Hetzner::start(Box::new(move |name, _| Box::new(hall.boot(name))));
    let script = tempfile::tempdir().unwrap();
    let program = script.path().join("dns");
    let text = "#!/bin/sh\nenv >>\"$1\"\ntr '\\0' ' ' </proc/$PPID/cmdline >>\"$1\"\n";
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let told = script.path().join("told");
    let dns =
        format!("[dns]\ncommand = [{:?}, {:?}]\n", program.display().to_string(), told.display().to_string());
    let event = Event::new(&daemon, &hetzner.url(), &at_home(&daemon), "edges = 1", &dns);
    let (text, log) = event.done("up", &[]);
    let told_text = std::fs::read_to_string(&told).unwrap();
    for part in
        ["WEIR_ACTION=add", "WEIR_EDGE=gala-1", "WEIR_ADDRESS=127.0.0.1", "WEIR_EVENT=gala", "fleet up"]
    {
        assert!(told_text.contains(part), "{part}: {told_text}");
    }
    assert_no_secret(&hetzner, &[&text, &log, &told_text, &event.left(), &daemon.log()]);
    event.done("down", &[]);
    assert!(std::fs::read_to_string(&told).unwrap().contains("WEIR_ACTION=remove"));
    assert!(super::exists(&told) && hetzner.names().is_empty());
}
