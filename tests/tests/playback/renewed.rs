//! A token expires while a player plays. If the page renews the cookie `weir_token`, the player continues; without a new cookie it is
//! refused.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_model::Timestamp;
use weir_model::token::Claims;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::until;

use super::players::{live, played};
use super::{claims, signed};

/// Leeway that Weir grants after `exp`, in seconds.
const LEEWAY: u64 = 30;

/// Returns a token that is accepted for `seconds` from now on.
pub(super) fn lasting(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    signed(&Claims { exp: Timestamp::from_millis((now + seconds - LEEWAY) * 1000), ..claims() })
}

/// Plays for `seconds` with tokens that last `life` seconds each, and then without a new token.
#[track_caller]
fn play(path: &str, seconds: f64, life: u64) {
    let (nginx, _encoder) = live();
    let browser = Browser::start();
    let renew = || {
        browser.run(&format!("document.cookie = 'weir_token={}; path=/'", lasting(life)));
        Instant::now()
    };
    // Any page of this site may set the first cookie.
    browser.open(&nginx.url("/icon.svg"));
    let mut renewed = renew();
    browser.open(&nginx.url(path));
    until(&format!("{seconds} seconds are played"), seconds * 3.0 + 40.0, || {
        if renewed.elapsed() > Duration::from_secs(life / 2) {
            renewed = renew();
        }
        played(&browser) > seconds
    });
    assert!(!nginx.log().contains("play refused"), "{}", nginx.log());
    nginx.wait_log_for("play refused: token expired", life as f64 + 10.0);
}

#[test]
fn hls_js_plays_on() {
    play("/?stream=show", 12.0, 5);
}

#[test]
fn dash_js_plays_on() {
    play("/dash.html", 12.0, 5);
}

#[test]
#[ignore = "a minute: make test-long"]
fn hls_js_plays_on_for_a_minute() {
    play("/?stream=show", 60.0, 15);
}

#[test]
#[ignore = "a minute: make test-long"]
fn dash_js_plays_on_for_a_minute() {
    play("/dash.html", 60.0, 15);
}
