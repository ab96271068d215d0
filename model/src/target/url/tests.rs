use super::*;
use crate::target::StreamPattern;
use proptest::prelude::*;

fn url(text: &str) -> TargetUrl {
    text.parse().unwrap()
}

fn error(text: &str) -> TargetUrlError {
    text.parse::<TargetUrl>().unwrap_err()
}

#[test]
fn is_taken_apart() {
    for (text, host, port, app, key) in [
        ("rtmp://a.rtmp.example/live2/abcd-efgh", "a.rtmp.example", 1935, "live2", "abcd-efgh"),
        ("rtmps://a.example:443/rtmp/FB-1?s_bl=1&a=b", "a.example", 443, "rtmp", "FB-1?s_bl=1&a=b"),
        ("rtmps://a.example/app/k", "a.example", 443, "app", "k"),
        ("RTMP://192.0.2.1:1936/app/inst/k", "192.0.2.1", 1936, "app/inst", "k"),
        ("rtmp://[2001:DB8::1]/app/inst?x=y/k", "[2001:db8::1]", 1935, "app/inst?x=y", "k"),
        ("rtmp://[::1]:1/app/k@5?a=$name", "[::1]", 1, "app", "k@5?a=$name"),
        ("rtmp://me:pw@h_1./app/%6b", "h_1.", 1935, "app", "%6b"),
        ("rtmp://h/app/?streamname=live_4&key=5bf4e6", "h", 1935, "app", "?streamname=live_4&key=5bf4e6"),
    ] {
        let url = url(text);
        let parts = (url.host().to_string(), url.port(), url.app());
        assert_eq!(parts, (host.to_owned(), port, app), "{text}");
        assert_eq!((url.key_for("show").expose(), url.require_key()), (key, Ok(())), "{text}");
        assert_eq!(url.is_tls(), text.starts_with("rtmps"), "{text}");
        assert_eq!(url.expose(), text);
    }
}

#[test]
fn without_a_key_streams_keep_their_names() {
    for (text, app, masked) in [
        ("rtmp://edge/live", "live", "rtmp://edge/live/***"),
        ("rtmp://edge:1936/live/", "live", "rtmp://edge:1936/live/***"),
        ("rtmp://edge/a8f3k2q9x7", "a8f3k2q9x7", "rtmp://edge/***"),
        ("rtmp://edge/wk_abc", "wk_abc", "rtmp://edge/***"),
        ("rtmp://edge/live2", "live2", "rtmp://edge/live2/***"),
        ("rtmps://me:pw@edge/live/inst/", "live/inst", "rtmps://me:***@edge/live/***"),
    ] {
        let url = url(text);
        assert_eq!((url.app(), url.key_for("show").expose(), url.masked().as_str()), (app, "show", masked));
        assert_eq!(url.masked_in("show is not there"), "show is not there");
        let (any, named) = (StreamPattern::Any, "show".parse::<StreamPattern>().unwrap());
        assert_eq!((any.check(&url), named.check(&url)), (Ok(()), Err(TargetUrlError::NoKey)));
    }
}

#[test]
fn user_and_password_are_decoded() {
    for (text, user, password) in [
        ("rtmp://me:pw@h/a/k", "me", "pw"),
        ("rtmp://me@h/a/k", "me", ""),
        ("rtmp://me:@h/a/k", "me", ""),
        ("rtmp://m%65:p%40w%3a%2F%25@h/a/k", "me", "p@w:/%"),
        ("rtmp://me:p@w:x@h/a/k", "me", "p@w:x"),
        ("rtmp://%c3%a9:pw@h/a/k", "\u{e9}", "pw"),
    ] {
        let url = url(text);
        let credentials = url.credentials().unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.expose()), (user, password), "{text}");
    }
    assert!(url("rtmp://h/a/k@x").credentials().is_none());
}

#[test]
fn shown_without_secrets() {
    for (text, masked, tc_url) in [
        ("rtmp://h/a/sk_1", "rtmp://h/a/***", "rtmp://h/a"),
        ("rtmp://h/a/sk_1?x=y/z", "rtmp://h/a/***", "rtmp://h/a/sk_1?x=y"),
        ("rtmp://h/a?x=y/sk_1", "rtmp://h/a/***", "rtmp://h/a?x=y"),
        ("rtmp://h/a/?name=x&key=sk_1", "rtmp://h/a/***", "rtmp://h/a"),
        ("rtmp://me:pw@h:1935/a/sk_1?x=y", "rtmp://me:***@h:1935/a/***", "rtmp://h:1935/a"),
        ("RTMPS://m%65@[::1]:443/a/b?c/sk_1", "rtmps://m%65:***@[::1]:443/a/***", "rtmps://[::1]:443/a/b?c"),
    ] {
        let url = url(text);
        assert_eq!((url.masked().as_str(), url.tc_url().as_str()), (masked, tc_url));
        assert_eq!(format!("{url} {url:?}"), format!("{masked} {masked}"));
        assert_eq!(error(masked), TargetUrlError::Masked);
    }
}

#[test]
fn messages_say_what_would_be_right() {
    let long = "x".repeat(256);
    let host = format!("rtmp://{}.example/a/k", "x".repeat(64));
    for (text, message) in [
        ("", "unknown scheme, expected rtmp:// or rtmps://"),
        ("rtmp:/h/a/k", "unknown scheme, expected rtmp:// or rtmps://"),
        ("https://h/a/k", "unknown scheme, expected rtmp:// or rtmps://"),
        ("rtmp:///a/k", "no host, expected rtmp://host/app/key"),
        ("rtmp://me:pw@/a/k", "no host, expected rtmp://host/app/key"),
        ("rtmp://:1935/a/k", "no host, expected rtmp://host/app/key"),
        ("rtmp://h", "no application, expected rtmp://host/app/key"),
        ("rtmp://h/", "no application, expected rtmp://host/app/key"),
        ("rtmp://h/a?x=y", "no stream key, expected rtmp://host/app/key"),
        ("rtmp://h/a?x=y/", "no stream key, expected rtmp://host/app/key"),
        ("rtmp://h/a/?", "no stream key, expected rtmp://host/app/key"),
        ("rtmp://h//k", "empty part in the path, expected no \"//\" after the host"),
        ("rtmp://h/a//k", "empty part in the path, expected no \"//\" after the host"),
        ("rtmp://h:0/a/k", "bad port, expected 1 to 65535"),
        ("rtmp://h:+1/a/k", "bad port, expected 1 to 65535"),
        ("rtmp://h:/a/k", "bad port, expected 1 to 65535"),
        ("rtmp://[::1]:65536/a/k", "bad port, expected 1 to 65535"),
        ("rtmp://[::1/a/k", "bad host, expected a name, an IPv4 address or an IPv6 address in brackets"),
        ("rtmp://[::1]1/a/k", "bad host, expected a name, an IPv4 address or an IPv6 address in brackets"),
        (
            "rtmp://[fe80::1%25eth0]/a/k",
            "bad host, expected a name, an IPv4 address or an IPv6 address in brackets",
        ),
        ("rtmp://127.1/a/k", "bad host, expected a name, an IPv4 address or an IPv6 address in brackets"),
        ("rtmp://0x7f.0x1/a/k", "bad host, expected a name, an IPv4 address or an IPv6 address in brackets"),
        ("rtmp://-h/a/k", "bad host, expected a name, an IPv4 address or an IPv6 address in brackets"),
        (&host, "bad host, expected a name, an IPv4 address or an IPv6 address in brackets"),
        (
            "rtmp://:pw@h/a/k",
            "bad user or password, expected user:password@ with %XX for \"/\", \"@\", \":\" and \"%\" in them",
        ),
        (
            "rtmp://me:%zz@h/a/k",
            "bad user or password, expected user:password@ with %XX for \"/\", \"@\", \":\" and \"%\" in them",
        ),
        (
            "rtmp://me:%00@h/a/k",
            "bad user or password, expected user:password@ with %XX for \"/\", \"@\", \":\" and \"%\" in them",
        ),
        ("rtmp://me:1/2@h/a/k", "\"@\" in the application, expected %2F for \"/\" in the password"),
        (
            "rtmp://h/a/k y",
            "space, control character or character outside ascii at byte 12, expected printable ascii, others as %XX",
        ),
        (
            "rtmp://h/a/\u{e9}",
            "space, control character or character outside ascii at byte 11, expected printable ascii, others as %XX",
        ),
        (&format!("rtmp://me:{long}@h/a/k"), "password of 256 bytes, at most 255 are allowed"),
        (&format!("rtmp://{}", "x".repeat(2042)), "url of 2049 bytes, at most 2048 are allowed"),
    ] {
        assert_eq!(error(text).to_string(), message, "{text}");
    }
}

proptest! {
    /// Every accepted URL can be shown, and no shown URL is accepted.
    #[test]
    fn any_text_is_read_or_refused(text in "rtmps?://([a-c%:@/\\[\\]?*.0-9\u{e9} -]{0,40})") {
        match text.parse::<TargetUrl>() {
            Ok(url) => {
                prop_assert_eq!(url.expose(), text);
                prop_assert_eq!(url.masked().parse::<TargetUrl>(), Err(TargetUrlError::Masked));
                prop_assert!(!url.app().is_empty() && !url.key_for("k").expose().is_empty());
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn what_is_shown_holds_no_secret(
        host in "[a-z]{1,20}", app in "[a-z]{1,9}(/[a-z]{1,9})?", key in "[A-Z0-9]{5,40}", password in "[A-Z0-9]{5,40}"
    ) {
        let url = url(&format!("rtmps://me:{password}@{host}/{app}/{key}"));
        for shown in [url.masked(), url.tc_url(), format!("{url:?}"), format!("{:?}", url.credentials())] {
            prop_assert!(!shown.contains(&key) && !shown.contains(&password), "{}", shown);
        }
        let there = url.key_for("k");
        prop_assert_eq!(there.expose(), key);
        prop_assert_eq!(url.credentials().map(|c| c.password.expose()), Some(password.as_str()));
    }
}

#[test]
fn application_and_key_may_be_as_long_as_services_make_them() {
    let (app, key) = ("a".repeat(600), format!("k?sign={}&flag", "b".repeat(1200)));
    let url = url(&format!("rtmp://h/{app}/{key}"));
    assert_eq!((url.app(), url.key_for("show").expose()), (app.as_str(), key.as_str()));
    assert_eq!((url.masked(), url.tc_url()), (format!("rtmp://h/{app}/***"), format!("rtmp://h/{app}")));
}

#[test]
fn what_a_server_repeats_is_masked() {
    let arguments = TargetUrl::parse("rtmp://192.0.2.1/in/?streamname=live_4&key=5bf4e6").unwrap();
    for (said, shown) in [
        ("rejected: 5bf4e6 is wrong", "rejected: *** is wrong"),
        ("rejected: ?streamname=live_4&key=5bf4e6", "rejected: ***"),
        ("rejected: streamname=live_4&key=5bf4e6", "rejected: ***"),
    ] {
        assert_eq!(arguments.masked_in(said), shown);
    }

    let url = TargetUrl::parse("rtmp://me:pass-word@192.0.2.1/in/stream-key?a=b").unwrap();
    for (said, shown) in [
        ("rejected: stream-key?a=b is taken", "rejected: *** is taken"),
        ("rejected: no stream stream-key, me:pass-word", "rejected: no stream ***, me:***"),
        ("connection refused", "connection refused"),
    ] {
        assert_eq!(url.masked_in(said), shown);
    }
    let short = TargetUrl::parse("rtmp://192.0.2.1/in/key").unwrap();
    assert_eq!(short.masked_in("rejected: the key expired"), "rejected: the key expired");
}

#[test]
fn the_same_place_is_known_however_it_is_written() {
    let same = |one: &str, other: &str| {
        let [one, other] = [one, other].map(|text| TargetUrl::parse(text).unwrap());
        assert_eq!(one.is_same_place(&other), other.is_same_place(&one));
        one.is_same_place(&other)
    };
    for (one, other) in [
        ("rtmp://a.example/live/k", "RTMP://A.Example/live/k"),
        ("rtmp://a.example/live/k", "rtmp://a.example:1935/live/k"),
        ("rtmp://a.example./live/k", "rtmp://a.example/live/k"),
        ("rtmps://a.example/live/k", "rtmps://a.example:443/live/k"),
        ("rtmp://a.example/live", "rtmp://a.example/live/"),
        ("rtmp://[2001:db8::1]/live", "rtmp://[2001:DB8:0::1]:1935/live/"),
        ("rtmp://u%61:p@a.example/live/k", "rtmp://ua:p@a.example/live/k"),
    ] {
        assert!(same(one, other), "{one} {other}");
    }
    for (one, other) in [
        ("rtmp://a.example/live/k", "rtmps://a.example:1935/live/k"),
        ("rtmp://a.example/live/k", "rtmp://a.example:1936/live/k"),
        ("rtmp://a.example/live/k", "rtmp://a.example/live/K"),
        ("rtmp://a.example/live/k", "rtmp://a.example/Live/k"),
        ("rtmp://a.example/live/k", "rtmp://b.example/live/k"),
        ("rtmp://a.example/live/k", "rtmp://a.example/live"),
        ("rtmp://u:p@a.example/live/k", "rtmp://u:q@a.example/live/k"),
        ("rtmp://u:p@a.example/live/k", "rtmp://a.example/live/k"),
    ] {
        assert!(!same(one, other), "{one} {other}");
    }
}
