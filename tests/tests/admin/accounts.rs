//! Accounts: `weir admin` creates, lists and removes them while the daemon runs. Sessions end with the password and the account. Wrong
//! passwords take more and more time, and do not show whether a name exists. A one-time link works once; the log names the clients of
//! wrong links. A slow disk does not delay
//! clients that do not log in.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use weir_tests::harness::{Sidecar, until};

use super::{PASSWORD, Visitor, WEB, add, admin, nginx, text};

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
    // The session ends with a new password from the command line, a new password from the dashboard, and the removal of the account.
    assert!(admin(&sidecar, &["add", "ana"], "correct horse 2").status.success());
    assert_eq!((ana.get("session").0, other.get("session").0, bo.get("session").0), (401, 401, 200));
    let mut ana = Visitor::at(&sidecar);
    assert_eq!(ana.log_in("ana", PASSWORD).0, 401);
    assert_eq!(ana.log_in("ana", "correct horse 2").0, 200);
    let mut second = Visitor::at(&sidecar);
    second.log_in("ana", "correct horse 2");
    let change = json!({ "current": "correct horse 2", "new": "correct horse 3" });
    let (status, refused) = ana.ask("POST", "password", &json!({ "current": "wrong", "new": "long enough" }));
    assert_eq!((status, &refused["error"]["message"]), (401, &json!("the current password is wrong")));
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
    let check = |token: &str| visitor.ask("POST", "setup/check", &json!({ "token": token })).0;
    assert_eq!(set_up("", "eve"), 403);
    assert_eq!((check(&token), check(&first), check("")), (200, 200, 403));
    assert_eq!(set_up(&token, "ana"), 200);
    assert_eq!((check(&token), check(&first)), (403, 403));
    assert_eq!((set_up(&token, "eve"), set_up(&first, "eve")), (403, 403));
    assert_eq!(Visitor::logged_in(&sidecar, "ana").get("session").1["role"], "admin");
    let list = text(&admin(&sidecar, &["list"], "").stdout);
    assert!(list.contains("ana") && !list.contains("eve"), "{list}");
    sidecar.wait_log("setup of the dashboard refused: wrong or used link, client: 127.0.0.1");
    let guess = || visitor.ask("POST", "setup/check", &json!({ "token": "wrong" }));
    let (_, refused) = (0..20).map(|_| guess()).find(|(status, _)| *status == 429).unwrap();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("too many attempts: try again in "), "{message}");
}

#[test]
fn wrong_passwords_are_slowed_down_and_say_nothing_about_names() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}trusted_proxies = [\"127.0.0.1\"]\n"));
    add(&sidecar, "ana", "admin");
    add(&sidecar, "ben", "admin");
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
    // The answer takes as long for an unknown name as for a known one.
    let mut times = [Vec::new(), Vec::new()];
    let mut answers = Vec::new();
    // Other work on the machine only adds time, so the least of many tries counts.
    for round in 0..8_u8 {
        let names = if round < 4 { ["ana", "nobody"] } else { ["ben", "nemo"] };
        for (kind, name) in names.into_iter().enumerate() {
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
    // Another address, and the correct password, are not affected.
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
        // Each login and each end of a session rewrites the file.
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
    // A new password also ends a session while the daemon is stopped.
    sidecar.kill();
    assert!(admin(&sidecar, &["add", "bo"], "another horse").status.success());
    sidecar.start_again();
    assert_eq!([&ana, &bo].map(|visitor| visitor.get("session").0), [200, 401]);
    // A damaged file costs the logins, and one log line.
    sidecar.kill();
    std::fs::write(&file, "[").unwrap();
    sidecar.start_again();
    assert_eq!(ana.get("session").0, 401);
    assert!(sidecar.log().contains("everybody has to log in to the dashboard again"), "{}", sidecar.log());
}

#[test]
fn a_disk_that_hangs_holds_up_logins_and_nothing_else() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    // A pipe takes the place of the file: the daemon waits in the read until the test writes.
    let (file, kept) = (sidecar.media().join("state/admins"), sidecar.media().join("state/kept"));
    let pipe = sidecar.media().join("state/pipe");
    std::fs::rename(&file, &kept).unwrap();
    nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    std::fs::rename(&pipe, &file).unwrap();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| ana.get("session").0)).collect();
        // This returns when the daemon has opened the pipe.
        let mut gate = File::options().write(true).open(&file).unwrap();
        let client = Client::builder().timeout(Duration::from_secs(5)).no_proxy().build().unwrap();
        for path in ["v1/live", "v1/node", "watch/live/show"] {
            let answer = client.get(format!("http://127.0.0.1:{}/{path}", sidecar.web())).send();
            assert!(answer.as_ref().is_ok_and(|answer| answer.status().is_success()), "{path}: {answer:?}");
        }
        assert!(waiting.iter().all(|one| !one.is_finished()), "the file was read");
        std::fs::rename(&kept, &file).unwrap();
        gate.write_all(&std::fs::read(&file).unwrap()).unwrap();
        drop(gate);
        for one in waiting {
            assert_eq!(one.join().unwrap(), 200);
        }
    });
}
