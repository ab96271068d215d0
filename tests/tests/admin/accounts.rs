//! Accounts: `weir admin` makes, lists and removes them while the daemon runs; sessions end with the password and the account; wrong
//! passwords cost more and more time, and say nothing about names; a one-time link works once.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use serde_json::{Value, json};
use weir_tests::harness::{Sidecar, until};

use super::{PASSWORD, Visitor, WEB, add, admin, nginx};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_command_line_makes_lists_and_removes_accounts() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    let page = reqwest::blocking::get(format!("http://127.0.0.1:{}/admin/", sidecar.web())).unwrap();
    let page = page.text().unwrap();
    assert!(page.contains("weir admin add NAME") && !page.contains("<form"), "{page}");
    assert_eq!(Visitor::at(&sidecar).get("session").1["error"]["code"], "no_administrator");

    for (args, input, expected) in [
        (&["add", "ana"][..], "short\n", "a password needs at least 8 characters"),
        (&["add", "ana"], "", "no password"),
        (&["add", "a b"], PASSWORD, "a name has 1 to 64"),
        (&["add", "ana", "--role", "king"], PASSWORD, "viewer, moderator, admin"),
        (&["remove", "bo"], "", "there is no account \"bo\""),
    ] {
        let output = admin(&sidecar, args, input);
        assert!(!output.status.success() && text(&output.stderr).contains(expected), "{args:?} {output:?}");
    }
    let output = admin(&sidecar, &["add", "ana"], "correct horse\n");
    assert_eq!(text(&output.stdout), "Created the account ana, role: admin.\n");
    add(&sidecar, "bo", "viewer");
    let list: Value = serde_json::from_slice(&admin(&sidecar, &["list", "--json"], "").stdout).unwrap();
    let roles: Vec<_> = list["accounts"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert_eq!(roles, ["admin", "viewer"]);
    let file = sidecar.media().join("state/admins");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let stored = std::fs::read_to_string(&file).unwrap();
    assert!(stored.contains("$argon2id$") && !stored.contains(PASSWORD));

    let (ana, other) = (Visitor::logged_in(&sidecar, "ana"), Visitor::logged_in(&sidecar, "ana"));
    let bo = Visitor::logged_in(&sidecar, "bo");
    assert_eq!(ana.get("session"), (200, json!({ "name": "ana", "role": "admin" })));
    // Another password by the command line, by the dashboard, and no account.
    assert!(admin(&sidecar, &["add", "ana"], "correct horse 2").status.success());
    assert_eq!((ana.get("session").0, other.get("session").0, bo.get("session").0), (401, 401, 200));
    let mut ana = Visitor::at(&sidecar);
    assert_eq!(ana.log_in("ana", PASSWORD).0, 401);
    assert_eq!(ana.log_in("ana", "correct horse 2").0, 200);
    let mut second = Visitor::at(&sidecar);
    second.log_in("ana", "correct horse 2");
    let change = json!({ "current": "correct horse 2", "new": "correct horse 3" });
    assert_eq!(ana.ask("POST", "password", &json!({ "current": "wrong", "new": "long enough" })).0, 401);
    assert_eq!(ana.ask("POST", "password", &change).0, 200);
    assert_eq!((second.get("session").0, ana.get("session").0), (401, 401));
    assert!(admin(&sidecar, &["remove", "bo"], "").status.success());
    assert_eq!(bo.get("session").0, 401);
    let log = sidecar.log();
    assert!(!log.contains("correct horse") && !log.contains(ana.cookie.as_deref().unwrap()), "{log}");
}

#[test]
fn a_one_time_link_works_once_and_only_while_it_should() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    let log = sidecar.log();
    let first = log.split("/admin/#setup=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let output = admin(&sidecar, &["setup-link", "--url", "https://live.example.org/tv/"], "");
    let link = text(&output.stdout);
    let token = link.strip_prefix("https://live.example.org/tv/admin/#setup=").unwrap().trim().to_owned();
    assert_ne!(first, token);
    let visitor = Visitor::at(&sidecar);
    let set_up = |token: &str, name: &str| {
        visitor.ask("POST", "setup", &json!({ "token": token, "name": name, "password": PASSWORD })).0
    };
    assert_eq!(set_up("", "eve"), 403);
    assert_eq!(set_up(&token, "ana"), 200);
    assert_eq!((set_up(&token, "eve"), set_up(&first, "eve")), (403, 403));
    assert_eq!(Visitor::logged_in(&sidecar, "ana").get("session").1["role"], "admin");
    let list = text(&admin(&sidecar, &["list"], "").stdout);
    assert!(list.contains("ana") && !list.contains("eve"), "{list}");
}

#[test]
fn wrong_passwords_are_slowed_down_and_say_nothing_about_names() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}trusted_proxies = [\"127.0.0.1\"]\n"));
    add(&sidecar, "ana", "admin");
    let try_from = |client: &str, name: &str| {
        let visitor = Visitor::at(&sidecar);
        let request = visitor.request("POST", "login").header("content-type", "application/json");
        let body = json!({ "name": name, "password": "wrong password" }).to_string();
        let begin = Instant::now();
        let answer = request.header("x-forwarded-for", client).body(body).send().unwrap();
        let took = begin.elapsed().as_secs_f64();
        let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), answer.json::<Value>().unwrap(), took, retry)
    };
    // As fast, or as slow, for a name that nobody has.
    let mut times = [Vec::new(), Vec::new()];
    let mut answers = Vec::new();
    for round in 0..4_u8 {
        for (kind, name) in ["ana", "nobody"].into_iter().enumerate() {
            let (status, answer, took, _) =
                try_from(&format!("192.0.2.{}", round * 2 + kind as u8 + 1), name);
            times[kind].push(took);
            answers.push((status, answer));
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 401), "{answers:?}");
    let least = |times: &[f64]| times.iter().copied().fold(f64::MAX, f64::min);
    let (known, unknown) = (least(&times[0]), least(&times[1]));
    assert!(unknown > known * 0.5 && known > unknown * 0.5, "{times:?}");

    let (mut refused, mut waits) = (0, None);
    for n in 0..8 {
        let (status, answer, _, retry) = try_from("198.51.100.7", &format!("n{n}"));
        if status == 429 {
            assert_eq!(answer["error"]["code"], "too_many_requests");
            (refused, waits) = (refused + 1, retry);
        }
    }
    assert!(refused >= 2 && waits.is_some(), "{refused}");
    // Another address, and the right password, are not concerned.
    Visitor::logged_in(&sidecar, "ana");
}

#[test]
fn a_session_outlives_the_daemon_unless_it_has_ended() {
    let nginx = nginx();
    let mut sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    add(&sidecar, "bo", "viewer");
    let [ana, out, bo] = ["ana", "ana", "bo"].map(|name| Visitor::logged_in(&sidecar, name));
    assert_eq!(out.ask("POST", "logout", &json!({})).0, 200);
    let file = sidecar.media().join("state/admins.sessions");
    let kept = || std::fs::read_to_string(&file).unwrap_or_default();
    until("two are written", 10.0, || {
        // Each login and the end of a session write the file anew.
        kept().contains("\"bo\"") && kept().matches("\"stamp\"").count() == 2
    });
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    for visitor in [&ana, &out, &bo] {
        let cookie = visitor.cookie.as_deref().unwrap().split_once('=').unwrap().1;
        assert!(!kept().contains(cookie), "the file opens a session");
    }
    sidecar.kill();
    sidecar.start_again();
    assert_eq!([&ana, &out, &bo].map(|visitor| visitor.get("session").0), [200, 401, 200]);
    // Another password ends a session also while the daemon is not there.
    sidecar.kill();
    assert!(admin(&sidecar, &["add", "bo"], "another horse").status.success());
    sidecar.start_again();
    assert_eq!([&ana, &bo].map(|visitor| visitor.get("session").0), [200, 401]);
    // A file that is none costs a login, and a line.
    sidecar.kill();
    std::fs::write(&file, "[").unwrap();
    sidecar.start_again();
    assert_eq!(ana.get("session").0, 401);
    assert!(sidecar.log().contains("everybody has to log in to the dashboard again"), "{}", sidecar.log());
}
