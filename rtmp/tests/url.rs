//! URLs are parsed as encoders use them, and no printed form shows a name or a password.
#![allow(clippy::unwrap_used)]

use weir_rtmp::url::{Error, Url};

fn parse(text: &str) -> Result<Url, Error> {
    text.parse()
}

/// `(text, host, port, app, name)`
const GOOD: &[(&str, &str, u16, &str, &str)] = &[
    ("rtmp://a/live/show", "a", 1935, "live", "show"),
    ("RTMP://a:1940/live/show?key=x/y", "a", 1940, "live", "show?key=x/y"),
    ("rtmps://a/live/show", "a", 443, "live", "show"),
    ("rtmp://a/app/more/show?x=1&y=2", "a", 1935, "app/more", "show?x=1&y=2"),
    ("rtmp://[::1]:1936/live/show", "::1", 1936, "live", "show"),
    ("rtmp://[::1]/live/show", "::1", 1935, "live", "show"),
    ("rtmp://u:p@ss@a/live/show", "a", 1935, "live", "show"),
    ("rtmp://a/live2?backup=1/show", "a", 1935, "live2?backup=1", "show"),
];

const BAD: &[(&str, Error)] = &[
    ("http://a/live/show", Error::Scheme),
    ("a/live/show", Error::Scheme),
    ("rtmp:///live/show", Error::Host),
    ("rtmp://:1935/live/show", Error::Host),
    ("rtmp://a:0/live/show", Error::Port),
    ("rtmp://a:65536/live/show", Error::Port),
    ("rtmp://a:x/live/show", Error::Port),
    ("rtmp://[::1]x/live/show", Error::Port),
    ("rtmp://[::1/live/show", Error::Host),
    ("rtmp://a", Error::Path),
    ("rtmp://a/live", Error::Path),
    ("rtmp://a/live/", Error::Path),
    ("rtmp://a//show", Error::Path),
    ("rtmp://a/live/sh ow", Error::Character),
    ("rtmp://a/live/show\n", Error::Character),
];

#[test]
fn good_ones() {
    for (text, host, port, app, name) in GOOD {
        let url = parse(text).unwrap();
        assert_eq!((&*url.host, url.port, &*url.app, &*url.name), (*host, *port, *app, *name), "{text}");
    }
}

#[test]
fn bad_ones() {
    for (text, error) in BAD {
        assert_eq!(parse(text), Err(*error), "{text}");
    }
}

#[test]
fn what_is_printed() {
    let url = parse("rtmps://user:hunter2@[2001:db8::1]:444/live?a=hunter2/wk_hunter2?b=hunter2").unwrap();
    assert_eq!(url.to_string(), "rtmps://user:***@[2001:db8::1]:444/live/***");
    assert!(!format!("{url:?}").contains("hunter2"));
    assert_eq!(url.tc_url(), "rtmps://[2001:db8::1]:444/live?a=hunter2");
    assert_eq!(parse("rtmp://a:1935/live/show").unwrap().tc_url(), "rtmp://a/live");
}
