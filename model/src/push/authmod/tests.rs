use super::*;
use crate::target::TargetUrl;
use proptest::prelude::*;

const CODE: &str = "NetConnection.Connect.Rejected";

fn credentials() -> Credentials {
    url("rtmp://me:secret@h/app/key").credentials().unwrap().clone()
}

fn url(text: &str) -> TargetUrl {
    text.parse().unwrap()
}

fn need_auth(method: &str) -> String {
    format!("[ AccessManager.Reject ] : [ code=403 need auth; authmod={method} ] : ")
}

fn challenge(method: &str, parameters: &str) -> String {
    format!("[ AccessManager.Reject ] : [ authmod={method} ] : ?reason=needauth&user=me&{parameters}")
}

/// Returns the `app` of the third connect.
fn answered(app: &str, method: &str, parameters: &str, random: u32) -> String {
    let mut exchange = Exchange::default();
    assert_eq!(exchange.appended_to(app), app);
    let mut refused = |description: &str, random| {
        exchange.refused(Some(&credentials()), app, CODE, description, random).unwrap();
        exchange.appended_to(app)
    };
    assert_eq!(refused(&need_auth(method), 0), format!("{app}?authmod={method}&user=me"));
    refused(&challenge(method, parameters), random)
}

/// The expected texts are the ones that ffmpeg 5.1 sends to a server with such a challenge.
#[test]
fn answers_as_other_clients_do() {
    for (app, method, parameters, random, expected) in [
        (
            "app",
            "adobe",
            "salt=5fl7Qw==&challenge=r5b1Ag==&opaque=r5b1Ag==",
            0xbe08_35df,
            "app?authmod=adobe&user=me&challenge=be0835df&response=yAYFmtwH/5vOSh9ba02NHg==&opaque=r5b1Ag==",
        ),
        (
            "app",
            "llnw",
            "nonce=1e4f8a",
            0x6eae_3fc7,
            "app?authmod=llnw&user=me&nonce=1e4f8a&cnonce=6eae3fc7&nc=00000001&response=40eec0505324863c56bbdbb007aaf621",
        ),
        (
            "app/inst",
            "llnw",
            "nonce=1e4f8a",
            0x27b0_6126,
            "app/inst?authmod=llnw&user=me&nonce=1e4f8a&cnonce=27b06126&nc=00000001&response=7a5f90605d70f49c837d35aa63b052b8",
        ),
        // The same challenge without an opaque text has the same answer.
        (
            "app",
            "adobe",
            "salt=5fl7Qw==&challenge=r5b1Ag== ] and so on",
            0xbe08_35df,
            "app?authmod=adobe&user=me&challenge=be0835df&response=yAYFmtwH/5vOSh9ba02NHg==",
        ),
    ] {
        assert_eq!(answered(app, method, parameters, random), expected);
    }
}

#[test]
fn a_challenge_may_come_first() {
    let mut exchange = Exchange::default();
    let description = challenge("llnw", "nonce=1e4f8a");
    exchange.refused(Some(&credentials()), "app", CODE, &description, 0).unwrap();
    assert!(
        exchange.appended_to("rtmp://h/app").starts_with("rtmp://h/app?authmod=llnw&user=me&nonce=1e4f8a&")
    );
    assert!(exchange.appended_to("app?x=y").starts_with("app?x=y&authmod=llnw&"));
}

#[test]
fn credentials_are_missing_or_wrong() {
    let mut exchange = Exchange::default();
    let mut refused = |credentials: Option<&Credentials>, description: &str| {
        exchange.refused(credentials, "app", CODE, description, 0).map_err(|error| error.to_string())
    };
    let missing = "rejected: it asks for a user and a password, expected user:password@ in the url";
    let wrong = "rejected: wrong user or password";
    let mine = credentials();
    for (credentials, description, error) in [
        (None, need_auth("adobe"), missing),
        (None, challenge("llnw", "nonce=1"), missing),
        (None, "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed".into(), missing),
        (None, "[ AccessManager.Reject ] : [ code=403 need auth ]".into(), missing),
        (Some(&mine), "[ authmod=adobe ] : ?reason=authfailed&opaque=vgoAAA==".into(), wrong),
        (Some(&mine), "[ authmod=llnw ] : ?reason=nosuchuser".into(), wrong),
        (Some(&mine), "no such app".into(), "rejected: NetConnection.Connect.Rejected: no such app"),
        (None, "no such app".into(), "rejected: NetConnection.Connect.Rejected: no such app"),
        (
            Some(&mine),
            "[ AccessManager.Reject ] : [ authmod=other ]".into(),
            "rejected: NetConnection.Connect.Rejected: [ AccessManager.Reject ] : [ authmod=other ]",
        ),
    ] {
        assert_eq!(refused(credentials, &description), Err(error.into()), "{description}");
    }
}

#[test]
fn does_not_ask_for_ever() {
    let mut exchange = Exchange::default();
    let mut refused = |text: String| exchange.refused(Some(&credentials()), "app", CODE, &text, 0);
    assert_eq!(refused(need_auth("adobe")), Ok(()));
    assert_eq!(refused(need_auth("adobe")), Err(LastError::WrongCredentials));
    assert_eq!(refused(challenge("adobe", "salt=a&challenge=b")), Ok(()));
    assert_eq!(refused(challenge("adobe", "salt=c&challenge=d")), Err(LastError::WrongCredentials));
}

#[test]
fn what_means_something_in_a_query_is_encoded() {
    let url = url("rtmp://a%26b%3Fc%40d%20%c3%a9:pw@h/app/key");
    let mut exchange = Exchange::default();
    exchange.refused(url.credentials(), "app", CODE, &need_auth("adobe"), 0).unwrap();
    assert_eq!(exchange.appended_to("app"), "app?authmod=adobe&user=a%26b%3Fc@d%20%C3%A9");
    assert!(!format!("{exchange:?}").contains("a%26"));
}

proptest! {
    /// At most two refusals are answered, whatever text they have.
    #[test]
    fn any_refusal_ends(texts in prop::collection::vec("(authmod=(adobe|llnw) )?([?]reason=needauth)?[a-z&=]{0,20}", 0..9)) {
        let mut exchange = Exchange::default();
        let mut answers = 0;
        for text in texts {
            answers += usize::from(exchange.refused(Some(&credentials()), "app", CODE, &text, 1).is_ok());
            let app = exchange.appended_to("app");
            prop_assert!(app.starts_with("app") && !app.contains("secret"));
        }
        prop_assert!(answers <= usize::from(super::super::MAX_CHALLENGES));
    }
}
