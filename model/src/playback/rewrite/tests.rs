use super::target::{Place, place};
use super::*;
use proptest::prelude::*;

mod dash;
mod hls;

const TOKEN: &str = "aaa.bbb.ccc";

fn rewriter(kind: PlaylistFormat) -> Rewriter {
    Rewriter::new(kind, Secret::new(TOKEN), "Live.example.org", false)
}

fn rewritten(kind: PlaylistFormat, text: &[u8]) -> Vec<u8> {
    in_pieces(kind, text, &[])
}

/// The same with the text cut at the given positions.
fn in_pieces(kind: PlaylistFormat, text: &[u8], borders: &[usize]) -> Vec<u8> {
    let (mut rewriter, mut out, mut from) = (rewriter(kind), Vec::new(), 0);
    for border in borders.iter().chain([&text.len()]) {
        rewriter.push(&text[from..*border], &mut out);
        from = *border;
    }
    rewriter.finish(&mut out);
    out
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_kind_is_that_of_the_file_or_of_the_answer() {
    for (path, content_type, kind) in [
        ("/hls/show.m3u8", "", Some(PlaylistFormat::Hls)),
        ("/hls/show.m3u8", "text/plain", Some(PlaylistFormat::Hls)),
        ("/dash/show.mpd", "", Some(PlaylistFormat::Dash)),
        ("/x", "application/vnd.apple.mpegurl", Some(PlaylistFormat::Hls)),
        ("/x", "Application/X-MpegURL; charset=utf-8", Some(PlaylistFormat::Hls)),
        ("/x", "application/dash+xml", Some(PlaylistFormat::Dash)),
        ("/hls/show-1.ts", "video/mp2t", None),
        ("/x", "text/html", None),
        ("/show.m3u8.html", "", None),
    ] {
        assert_eq!(
            PlaylistFormat::of(path.as_bytes(), content_type.as_bytes()),
            kind,
            "{path} {content_type}"
        );
    }
}

#[test]
fn only_this_host_is_this_host() {
    for (uri, expected) in [
        ("show-1.ts", Place::Relative),
        ("/hls/show-1.ts", Place::Relative),
        ("../show-1.ts?a=1", Place::Relative),
        ("?a=1", Place::Relative),
        ("a:b/../x", Place::Elsewhere),
        ("1:b", Place::Relative),
        ("http://live.example.org/x", Place::Here),
        ("HTTPS://LIVE.EXAMPLE.ORG/x", Place::Here),
        ("http://live.example.org:80/x", Place::Here),
        ("https://live.example.org:443", Place::Here),
        ("//live.example.org/x", Place::Here),
        ("http://live.example.org?x", Place::Here),
        ("http://live.example.org:443/x", Place::Elsewhere),
        ("http://live.example.org:8080/x", Place::Elsewhere),
        ("http://live.example.org.evil.net/x", Place::Elsewhere),
        ("http://evil.net/live.example.org", Place::Elsewhere),
        ("http://user@live.example.org/x", Place::Elsewhere),
        ("http://live.example.org@evil.net/x", Place::Elsewhere),
        ("http://live.example.org\\@evil.net/x", Place::Elsewhere),
        ("http:evil.net/x", Place::Elsewhere),
        ("http:/evil.net/x", Place::Elsewhere),
        ("http:///evil.net/x", Place::Elsewhere),
        ("http:\\\\evil.net/x", Place::Elsewhere),
        ("//evil.net/x", Place::Elsewhere),
        ("///evil.net/x", Place::Elsewhere),
        ("/\\evil.net/x", Place::Elsewhere),
        ("\\\\evil.net/x", Place::Elsewhere),
        ("/\t/evil.net/x", Place::Elsewhere),
        ("\u{1}//evil.net/x", Place::Elsewhere),
        (" http://evil.net/x", Place::Elsewhere),
        ("\u{a0}//evil.net/x", Place::Elsewhere),
        ("\u{2028}//evil.net/x", Place::Elsewhere),
        ("\u{feff}//evil.net/x", Place::Elsewhere),
        ("/\u{3000}/evil.net/x", Place::Elsewhere),
        ("x\u{b}.ts", Place::Elsewhere),
        ("{$base}/x", Place::Elsewhere),
        ("/{$x}evil.net/", Place::Elsewhere),
        ("data:text/plain,x", Place::Elsewhere),
        ("skd://live.example.org/x", Place::Elsewhere),
        ("ftp://live.example.org/x", Place::Elsewhere),
        ("", Place::Elsewhere),
    ] {
        assert_eq!(place(uri.as_bytes(), "live.example.org"), expected, "{uri}");
    }
    assert_eq!(place(b"http://live.example.org:8080/x", "live.example.org:8080"), Place::Here);
    assert_eq!(place(b"http://live.example.org/x", "live.example.org:80"), Place::Here);
    assert_eq!(place(b"http://[::1]:8080/x", "[::1]:8080"), Place::Here);
    assert_eq!(place(b"http:///x", ""), Place::Elsewhere);
}

#[test]
fn a_viewer_over_https_sends_no_token_in_the_clear() {
    let target = Target { token: Secret::new(TOKEN), host: "live.example.org".into(), is_secure: true };
    for (uri, expected) in [
        ("http://live.example.org/x", Place::Elsewhere),
        ("HTTP://live.example.org/x", Place::Elsewhere),
        ("https://live.example.org/x", Place::Here),
        ("//live.example.org/x", Place::Here),
        ("x.ts", Place::Relative),
    ] {
        assert_eq!(target.place(uri.as_bytes()), expected, "{uri}");
    }
}

#[test]
fn the_token_is_one_argument_of_the_query() {
    for (uri, expected) in [
        ("x.ts", "x.ts?token=aaa.bbb.ccc"),
        ("x.ts?", "x.ts?token=aaa.bbb.ccc"),
        ("x.ts?a=1", "x.ts?a=1&token=aaa.bbb.ccc"),
        ("x.ts?a=1&b", "x.ts?a=1&b&token=aaa.bbb.ccc"),
        ("x.ts#t=1", "x.ts?token=aaa.bbb.ccc#t=1"),
        ("x.ts?a=1#t?=1", "x.ts?a=1&token=aaa.bbb.ccc#t?=1"),
        ("x.ts?token=other", "x.ts?token=aaa.bbb.ccc"),
        ("x.ts?token=other&a=1", "x.ts?a=1&token=aaa.bbb.ccc"),
        ("x.ts?a=1&token=other&tokens=2&token", "x.ts?a=1&tokens=2&token=aaa.bbb.ccc"),
    ] {
        let mut out = Vec::new();
        Target { token: Secret::new(TOKEN), host: String::new(), is_secure: false }.put(
            uri.as_bytes(),
            b"&",
            &mut out,
        );
        assert_eq!(text(&out), expected, "{uri}");
    }
}

proptest! {
    #[test]
    fn any_bytes_go_through_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        borders in prop::collection::vec(0_usize..300, 0..6),
        dash: bool,
    ) {
        let kind = if dash { PlaylistFormat::Dash } else { PlaylistFormat::Hls };
        let borders = sorted(&borders, bytes.len());
        prop_assert_eq!(in_pieces(kind, &bytes, &borders), rewritten(kind, &bytes));
    }
}

fn sorted(borders: &[usize], len: usize) -> Vec<usize> {
    let mut borders: Vec<usize> = borders.iter().map(|border| border % (len + 1)).collect();
    borders.sort_unstable();
    borders
}
