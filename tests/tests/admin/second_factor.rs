//! The second factor of logins: the page and the API ask for a code, each code is valid once, and nobody can try all codes, from any
//! number of addresses.

use serde_json::{Value, json};
use weir_tests::harness::Sidecar;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::totp::code;

use super::look::{complaints, look_at, open, wait_for};
use super::{PASSWORD, Visitor, WEB, add, admin, nginx, text};

#[test]
fn a_second_factor_is_asked_for_and_each_code_opens_once() {
    let nginx = nginx();
    let mut sidecar = Sidecar::start(&nginx, &format!("{WEB}brand = {{ name = \"St. Ana\" }}\n"));
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
    let next = code(secret, 1);
    assert_eq!(log_in(&mut Visitor::at(&sidecar), PASSWORD, Some(&next)).0, 200);
    // A new daemon knows the used codes, too. The sessions stay.
    sidecar.kill();
    sidecar.start_again();
    for used in [&next, &present] {
        assert_eq!(log_in(&mut Visitor::at(&sidecar), PASSWORD, Some(used)), refused("wrong_code"));
    }
    assert_eq!(visitor.get("session").0, 200);

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
    assert!(
        log.contains("login to the dashboard refused: wrong code, account: ana, client: 127.0.0.1"),
        "{log}"
    );
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

/// The answer to a login.
struct Answer {
    status: u16,
    /// Code of the error.
    code: String,
    /// `Retry-After`, in seconds.
    wait: Option<u64>,
}

/// Sends a login from a client behind the proxy.
fn log_in_from(sidecar: &Sidecar, client: &str, login: &Value) -> Answer {
    let request = Visitor::at(sidecar).request("POST", "login").header("content-type", "application/json");
    let answer = request.header("x-forwarded-for", client).body(login.to_string()).send().unwrap();
    let status = answer.status().as_u16();
    let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse().unwrap());
    let body = answer.json::<Value>().unwrap();
    Answer { status, code: body["error"]["code"].as_str().unwrap_or_default().to_owned(), wait }
}

#[test]
fn codes_cannot_be_tried_from_many_addresses() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}trusted_proxies = [\"127.0.0.1\"]\n"));
    let secret = |name: &str| {
        add(&sidecar, name, "admin");
        let made: Value =
            serde_json::from_slice(&admin(&sidecar, &["totp", name, "--json"], "").stdout).unwrap();
        made["secret"].as_str().unwrap().to_owned()
    };
    let (ana, ben) = (secret("ana"), secret("ben"));
    let login =
        |name: &str, password: &str, code: &str| json!({ "name": name, "password": password, "code": code });
    let from = |client: &str, login: &Value| log_in_from(&sidecar, client, login);
    assert_eq!(from("192.0.2.9", &login("ana", PASSWORD, &code(&ana, 0))).status, 200);

    // Each try comes from another network, with the right password. Only the account is the same. Each try makes the wait longer.
    let far = code(&ana, -50);
    let (mut tries, mut wrong, mut wait) = (0, 0, 0);
    while wait < 15 {
        let answer =
            from(&format!("198.{}.{}.1", 51 + tries / 200, tries % 200), &login("ana", PASSWORD, &far));
        let (status, expected) =
            if answer.wait.is_some() { (429, "too_many_requests") } else { (401, "wrong_code") };
        assert_eq!((answer.status, answer.code.as_str()), (status, expected));
        wrong += u32::from(status == 401);
        wait = answer.wait.unwrap_or_default();
        tries += 1;
    }
    assert!((5..12).contains(&wrong), "{wrong} codes were tried");
    sidecar.wait_log("5 wrong codes after the right password, account: ana");
    // Weir refuses the right code too, because otherwise the answer would show that it is right.
    assert_eq!(from("203.0.113.1", &login("ana", PASSWORD, &code(&ana, 1))).status, 429);
    // The owner logs in from the known address, and so does everybody else.
    assert_eq!(from("192.0.2.9", &login("ana", PASSWORD, &code(&ana, 1))).status, 200);
    assert_eq!(from("203.0.113.2", &login("ben", PASSWORD, &code(&ben, 0))).status, 200);

    // Strangers without the password cannot try codes, so they cannot lock the owner out.
    for n in 0..12 {
        let answer = from(&format!("198.18.{n}.1"), &login("ben", "wrong password", "000000"));
        assert_eq!((answer.status, answer.code.as_str()), (401, "unauthorized"));
    }
    assert_eq!(from("203.0.114.2", &login("ben", PASSWORD, &code(&ben, 1))).status, 200);
    // Another password ends the wait of the account.
    let fail = |n: u8| from(&format!("198.18.{}.1", 100 + n), &login("ana", PASSWORD, &far)).status;
    assert!((0..20).map(fail).any(|status| status == 429), "20 codes were tried");
    assert!(admin(&sidecar, &["add", "ana"], "another horse").status.success());
    assert_eq!(from("203.0.115.2", &login("ana", "another horse", &far)).code, "wrong_code");
}
