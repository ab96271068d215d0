//! Accounts: `weir admin` creates, lists and removes them while the daemon runs. Sessions end with the password and the account. Wrong
//! passwords take more and more time, and do not show whether a name exists. A one-time link works once.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Sidecar, until};

use super::look::{complaints, look_at, open, wait_for};
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
    // The session ends with a new password from the command line, a new password from the dashboard, and the removal of the account.
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

/// Returns the code of a secret, `steps` of 30 seconds from now, as computed by Python's standard library.
fn code(secret: &str, steps: i32) -> String {
    let program = "import sys, hmac, struct, time, base64\n\
        mac = hmac.new(base64.b32decode(sys.argv[1]), struct.pack('>Q', int(time.time()) // 30 + int(sys.argv[2])), 'sha1').digest()\n\
        at = mac[-1] & 15\n\
        print('%06d' % ((struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000))";
    let output = Command::new("python3").args(["-c", program, secret, &steps.to_string()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).trim().to_owned()
}

#[test]
fn a_second_factor_is_asked_for_and_each_code_opens_once() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}brand = {{ name = \"St. Ana\" }}\n"));
    add(&sidecar, "ana", "admin");
    let before = Visitor::logged_in(&sidecar, "ana");
    let unknown = admin(&sidecar, &["totp", "bo"], "");
    assert!(text(&unknown.stderr).contains("there is no account \"bo\""), "{unknown:?}");
    let made = admin(&sidecar, &["totp", "ana", "--json"], "");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(made["uri"], format!("otpauth://totp/St%2E%20Ana:ana?secret={secret}&issuer=St%2E%20Ana"));
    assert_eq!(before.get("session").0, 401);

    let mut visitor = Visitor::at(&sidecar);
    let log_in = |visitor: &mut Visitor, password: &str, code: Option<&str>| {
        let body = json!({ "name": "ana", "password": password, "code": code });
        let (status, answer) = visitor.log_in_with(&body);
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |code: &str| (401, code.to_owned());
    // The answer does not mention the code until the password is correct.
    assert_eq!(log_in(&mut visitor, "wrong password", Some("000000")), refused("unauthorized"));
    assert_eq!(log_in(&mut visitor, PASSWORD, None), refused("code_required"));
    let far = code(secret, -20);
    assert_eq!(log_in(&mut visitor, PASSWORD, Some(&far)), refused("wrong_code"));
    assert!(visitor.cookie.is_none());
    let present = code(secret, 0);
    assert_eq!(log_in(&mut visitor, PASSWORD, Some(&present)).0, 200);
    assert_eq!(visitor.get("session").0, 200);
    assert_eq!(log_in(&mut Visitor::at(&sidecar), PASSWORD, Some(&present)), refused("wrong_code"));
    assert_eq!(log_in(&mut Visitor::at(&sidecar), PASSWORD, Some(&code(secret, 1))).0, 200);

    // A logged-in user changes the password without a code; the second factor stays.
    let change = json!({ "current": PASSWORD, "new": "correct horse 2" });
    let request = visitor.request("POST", "password").header("content-type", "application/json");
    let answer = request.body(change.to_string()).send().unwrap();
    assert_eq!((answer.status().as_u16(), visitor.get("session").0), (200, 401));
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    visitor.cookie = cookie.split(';').next().map(str::to_owned);
    assert_eq!(visitor.get("session").0, 200);
    assert_eq!(log_in(&mut Visitor::at(&sidecar), "correct horse 2", None), refused("code_required"));
    let list = text(&admin(&sidecar, &["list"], "").stdout);
    assert!(list.lines().any(|line| line.starts_with("ana") && line.ends_with("  on")), "{list}");
    let off = admin(&sidecar, &["totp", "ana", "--off"], "");
    assert!(text(&off.stdout).starts_with("ana logs in with the password alone"), "{off:?}");
    assert_eq!(visitor.get("session").0, 401);
    assert_eq!(log_in(&mut Visitor::at(&sidecar), "correct horse 2", None).0, 200);
    let log = sidecar.log();
    assert!(!log.contains(secret) && !log.contains(&present), "{log}");
    assert!(log.contains("login to the dashboard refused: wrong code, client: 127.0.0.1"), "{log}");
}

#[test]
fn the_page_asks_for_the_code_when_it_is_needed() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let made = text(&admin(&sidecar, &["totp", "ana"], "").stdout);
    let secret = made.lines().find_map(|line| line.strip_prefix("secret  ")).unwrap().to_owned();
    let browser = Browser::start();
    open(&browser, &sidecar);
    wait_for(&browser, "the form", 10.0, "document.querySelector('input[type=password]')");
    assert_eq!(browser.run("return document.querySelector('input[name=code]')"), Value::Null);
    browser.fill("input[name=name]", "ana");
    browser.fill("input[type=password]", PASSWORD);
    browser.click("form button");
    let asked = "document.activeElement.matches('input[name=code]')";
    wait_for(&browser, "the code is asked for", 10.0, asked);
    assert_eq!(complaints(&browser), [""; 0]);
    look_at(&browser, "totp");
    browser.fill("input[name=code]", "12 34 56");
    browser.click("form button");
    wait_for(
        &browser,
        "the answer",
        10.0,
        "document.querySelector('[role=alert]').textContent.startsWith('Wrong code')",
    );
    browser.fill("input[name=code]", &code(&secret, 0));
    browser.click("form button");
    wait_for(&browser, "the dashboard", 10.0, "document.querySelector('nav a')");
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
