use proptest::prelude::*;

use super::*;

const KEY: &str = "wk_abcdefghijklmnopqrstuvwxyz234567";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsaXZlL3Nob3cifQ.c2lnbmF0dXJlLW9mLWl0";

const OWN: Rule<'static> = Rule { own_arguments: true, is_key: &|_| false, is_token: &|_| false };

fn mask(text: &str, rule: &Rule<'_>) -> String {
    String::from_utf8(masked(text.as_bytes(), rule).unwrap_or_else(|| text.into())).unwrap()
}

#[test]
fn keys_are_found_wherever_they_stand() {
    let upper = KEY.to_uppercase();
    let escaped = KEY.replace('w', "%77").replace('3', "%33");
    for key in [KEY, &upper, &escaped] {
        for (before, behind) in [
            ("", ""),
            ("live/", ""),
            ("rtmp://127.0.0.1/live/", "/x"),
            ("rtmp://user:", "@127.0.0.1/live"),
            ("show?a=", "&b=c"),
            ("\"", "\""),
            ("mp4:", " "),
            ("show/", "\n"),
            ("x", "x"),
        ] {
            let text = format!("{before}{key}{behind}");
            assert_eq!(mask(&text, &Rule::SHAPE), format!("{before}***{behind}"), "{text}");
            assert!(holds_key(text.as_bytes()));
        }
    }
    assert_eq!(mask(&format!("{KEY}/{KEY}"), &Rule::SHAPE), "***/***");
}

#[test]
fn other_names_are_left_alone() {
    for text in [
        "",
        "show",
        "wk_show",
        "wk_internationalconference",
        "wk_abcdefghijklmnopqrstuvwxyz23456",
        "wk_abcdefghijklmnopqrstuvwxyz234560",
        "wk-abcdefghijklmnopqrstuvwxyz234567",
        "show?key=abc&token=def",
        "eyJ.a.b",
        "100%",
        "%zz%4",
        TOKEN,
    ] {
        assert_eq!(masked(text.as_bytes(), &Rule::SHAPE), None, "{text}");
    }
}

#[test]
fn arguments_are_secret_where_they_are_ours() {
    for (text, expected) in [
        ("show?key=abc", "show?key=***"),
        ("show?KEY=a%20b&x=y", "show?KEY=***&x=y"),
        ("show?x=y&%6bey=abc", "show?x=y&%6bey=***"),
        ("?token=t", "?token=***"),
        ("rtmp://h/live?key=abc/show", "rtmp://h/live?key=***"),
        ("show?key=a?b=c&d", "show?key=***&d"),
        ("show?key=", "show?key="),
        ("show?mykey=abc", "show?mykey=abc"),
        ("key=abc", "key=abc"),
    ] {
        assert_eq!(mask(text, &OWN), expected);
        assert_eq!(mask(text, &Rule::SHAPE), text);
    }
}

#[test]
fn tokens_are_secret_where_they_are_ours() {
    let text = format!("rtmp://h/live/show?a={TOKEN}&b");
    assert_eq!(mask(&text, &OWN), "rtmp://h/live/show?a=***&b");
    assert_eq!(
        mask(&text, &Rule { is_token: &|token| token == TOKEN, ..Rule::SHAPE }),
        "rtmp://h/live/show?a=***&b"
    );
    assert_eq!(mask(&text, &Rule::SHAPE), text);
    // `{ "alg": "HS256" }`
    let spaced = TOKEN.replace("eyJhbGciOiJIUzI1NiJ9", "eyAiYWxnIjogIkhTMjU2IiB9");
    assert_eq!(mask(&format!("live/{spaced}/show"), &OWN), "live/***/show");
    for no_token in ["eyJhbGci.eyJzdWI", "eyJhbGci..x", "xeyJhbGci.eyJz.c2ln", "eyJhbGci."] {
        assert_eq!(mask(no_token, &OWN), no_token);
    }
}

#[test]
fn words_are_looked_up() {
    let rule = Rule { is_key: &|word| word == b"studio-secret", ..Rule::SHAPE };
    assert_eq!(mask("live/studio-secret", &rule), "live/***");
    assert_eq!(mask("rtmp://a:studio%2dsecret@h/live", &rule), "rtmp://a:***@h/live");
    assert_eq!(mask("studio-secrets", &rule), "studio-secrets");
    let long = format!("{}/studio-secret", "x/".repeat(400));
    assert_eq!(mask(&long, &rule), long);
}

#[test]
fn arguments_that_hold_secrets_are_left_out() {
    let without = |text: &str, rule: &Rule<'_>| {
        without_secret_arguments(text.as_bytes(), rule).map(|text| String::from_utf8(text).unwrap())
    };
    let text = format!("show?a=1&x={KEY}&b=2");
    assert_eq!(without(&text, &Rule::SHAPE).as_deref(), Some("show?a=1&b=2"));
    assert_eq!(without(&format!("show?{KEY}"), &Rule::SHAPE).as_deref(), Some("show"));
    assert_eq!(without("show?key=x&a", &OWN).as_deref(), Some("show?a"));
    assert_eq!(without("show?key=x&a", &Rule::SHAPE), None);
    assert_eq!(without(KEY, &Rule::SHAPE), None);
}

#[test]
fn a_key_counts_more_than_its_argument() {
    let text = format!("live?key={KEY}");
    assert!(holds_credential(text.as_bytes(), &OWN));
    assert!(!holds_credential(b"live?key=abc", &OWN));
    assert!(holds_credential(format!("live?token={TOKEN}").as_bytes(), &OWN));
}

proptest! {
    #[test]
    fn any_text_is_searched(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let found = find(&raw, &OWN);
        prop_assert!(found.windows(2).all(|pair| pair[0].at.end <= pair[1].at.start));
        prop_assert!(found.iter().all(|found| found.at.end <= raw.len() && !found.at.is_empty()));
    }

    #[test]
    fn no_key_is_left(before in ".{0,30}", behind in ".{0,30}", random: [u8; 20]) {
        let key = crate::secret::stream_key(random);
        let text = format!("{before}{}{behind}", key.expose());
        prop_assert!(!mask(&text, &OWN).contains(key.expose()));
        let ranges = places_of_keys(text.as_bytes());
        prop_assert!(!ranges.is_empty());
    }
}

#[test]
fn a_line_of_a_log_is_masked_in_place() {
    for (line, masked) in [
        ("", ""),
        ("token=abcd", "token=***"),
        ("a=1&token=abcd", "a=1&token=***"),
        ("GET /x.m3u8?token=eyJ.a.b&x=1 HTTP/1.1", "GET /x.m3u8?token=***&x=1 HTTP/1.1"),
        (
            "request: \"GET /x?a=1&Token=abcd\", referrer: \"http://h/?token=efgh\"",
            "request: \"GET /x?a=1&Token=***\", referrer: \"http://h/?token=***\"",
        ),
        ("/x?token=&token=ab&token=abc&token", "/x?token=&token=**&token=***&token"),
        ("/x?mytoken=abcd&tokens=abcd", "/x?mytoken=abcd&tokens=abcd"),
        ("/x?token=ab?token=cdef#g", "/x?token=***#g"),
    ] {
        let mut bytes = line.as_bytes().to_vec();
        let length = mask_line(&mut bytes);
        assert_eq!(std::str::from_utf8(&bytes[..length]).unwrap(), masked);
    }
}

#[test]
fn a_request_is_masked_word_for_word() {
    for (line, masked) in [
        ("GET /show.m3u8?token=abc&x=1 HTTP/1.1", Some("GET /show.m3u8?token=***&x=1 HTTP/1.1")),
        ("GET /show.m3u8?x=1&key=abc HTTP/1.1", Some("GET /show.m3u8?x=1&key=*** HTTP/1.1")),
        ("/show.m3u8?x=%74&t%6fken=abc", Some("/show.m3u8?x=%74&t%6fken=***")),
        ("GET /show.m3u8?x=1 HTTP/1.1", None),
        ("", None),
    ] {
        assert_eq!(masked_line(line.as_bytes()).as_deref(), masked.map(str::as_bytes), "{line}");
    }
    for secret in [KEY, TOKEN] {
        let line = format!("GET /{secret}/show.m3u8 HTTP/1.1");
        assert_eq!(masked_line(line.as_bytes()).unwrap(), b"GET /***/show.m3u8 HTTP/1.1");
    }
}
