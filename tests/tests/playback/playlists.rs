//! A playlist that is requested with `?token=` has the token in its URIs. Lengths, HEAD, ranges, conditional requests and compression stay
//! correct, and no cache stores the playlist for another viewer.

use std::fmt::Write as _;

use super::{Answer, ask, config, get, start, token};
use weir_tests::harness::Nginx;

const SHOW: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:2.000,\nshow-17.ts";

fn served() -> Nginx {
    start(config().web("proxy_cache_path @DIR@/cache keys_zone=cache:1m;").http(
        "etag on; gzip_types application/vnd.apple.mpegurl; gzip_min_length 1; gzip_proxied any;
         types { application/vnd.apple.mpegurl m3u8; application/dash+xml mpd; }
         location /hls/ { root @DIR@/www; weir_play token app=live; add_header Cache-Control 'public, max-age=60' always; }
         location /dash/ { root @DIR@/www; weir_play token app=live; }
         location /gzip/ { alias @DIR@/www/hls/; gzip on; gzip_http_version 1.0; weir_play token app=live; }
         location /origin/ { alias @DIR@/www/hls/; gzip on; gzip_http_version 1.0; }
         location /proxy/ { proxy_pass http://127.0.0.1:@HTTP@/origin/; gzip on; weir_play token app=live; }
         location /cached/ { proxy_cache cache; proxy_cache_key $uri; proxy_cache_valid 1m; proxy_ignore_headers Cache-Control Vary;
             add_header X-Cache $upstream_cache_status;
             proxy_pass http://127.0.0.1:@HTTP@/origin/; weir_play token app=live; }",
    ))
}

#[track_caller]
fn is_private(answer: &Answer) {
    let caching: Vec<&str> =
        answer.head.lines().filter(|line| line.to_ascii_lowercase().starts_with("cache-control:")).collect();
    assert_eq!(caching, ["Cache-Control: private, no-cache"], "{}", answer.head);
    assert_eq!(answer.header("Last-Modified"), None);
    assert_eq!(answer.header("Accept-Ranges"), None);
}

#[test]
fn a_playlist_carries_the_token() {
    let nginx = served();
    let show = token("show");
    let rewritten = format!("{SHOW}?token={show}\n");
    for path in ["/hls/show.m3u8", "/proxy/show.m3u8", "/cached/show.m3u8", "/gzip/show.m3u8"] {
        let answer = get(&nginx, &format!("{path}?token={show}"));
        assert_eq!(answer.text(), rewritten, "{path}");
        is_private(&answer);
        // A player can request the next URI exactly as the playlist has it.
        let folder = path.rsplit_once('/').unwrap().0;
        assert_eq!(get(&nginx, &format!("{folder}/show-17.ts?token={show}")).text(), "segment 17 of show");
    }
    let manifest = get(&nginx, &format!("/dash/show.mpd?token={show}"));
    assert_eq!(
        manifest.text(),
        format!(
            "<MPD><SegmentTemplate media=\"show-$Time$.m4v?token={show}\" initialization=\"show-init.m4v?token={show}\"/></MPD>"
        )
    );
    is_private(&manifest);
    // The cache stores the origin's answer, and each viewer gets the answer with its own token.
    let other = token("*");
    let cached = get(&nginx, &format!("/cached/show.m3u8?token={other}"));
    assert_eq!((cached.text(), cached.header("X-Cache")), (&*format!("{SHOW}?token={other}\n"), Some("HIT")));
    // The cache also stores a segment once for all viewers. A viewer without a token does not get it.
    let segment = get(&nginx, &format!("/cached/show-17.ts?token={other}"));
    assert_eq!((segment.text(), segment.header("X-Cache")), ("segment 17 of show", Some("HIT")));
    assert_eq!(get(&nginx, "/cached/show-17.ts").status, 403);
}

#[test]
fn what_needs_no_token_in_it_stays_as_it_is() {
    let nginx = served();
    let show = token("show");
    for header in [format!("Authorization: Bearer {show}"), format!("Cookie: weir_token={show}")] {
        let answer = ask(&nginx, "GET", "/hls/show.m3u8", &[&header]);
        assert_eq!(answer.text(), format!("{SHOW}\n"));
        assert_eq!(answer.header("Cache-Control"), Some("public, max-age=60"));
        assert_eq!(answer.header("Content-Length"), Some(&*(SHOW.len() + 1).to_string()));
    }
    let segment = get(&nginx, &format!("/hls/show-17.ts?token={show}"));
    assert_eq!(segment.header("Cache-Control"), Some("public, max-age=60"));
    assert_eq!(segment.header("Content-Length"), Some("18"));
    let part = ask(&nginx, "GET", &format!("/hls/show-17.ts?token={show}"), &["Range: bytes=0-6"]);
    assert_eq!((part.status, part.text()), (206, "segment"));
}

#[test]
fn heads_ranges_and_conditions_are_right() {
    let nginx = served();
    let path = format!("/hls/show.m3u8?token={}", token("show"));
    let whole = get(&nginx, &path);
    let head = ask(&nginx, "HEAD", &path, &[]);
    assert_eq!((head.status, head.body.len(), head.header("Content-Length")), (200, 0, None));
    is_private(&head);
    let part = ask(&nginx, "GET", &path, &["Range: bytes=0-6"]);
    assert_eq!((part.status, part.text()), (200, whole.text()));
    let etag = whole.header("ETag").unwrap();
    assert!(etag.starts_with("W/"), "{etag}");
    let same = ask(&nginx, "GET", &path, &[&format!("If-None-Match: {etag}")]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("ETag"), Some(etag));
    is_private(&same);
    std::fs::write(nginx.path("www/hls/show.m3u8"), "#EXTM3U\nshow-18.ts\n").unwrap();
    let changed = ask(&nginx, "GET", &path, &[&format!("If-None-Match: {etag}")]);
    assert_eq!(changed.status, 200);
    assert!(changed.text().contains("show-18.ts?token="));
}

#[test]
fn compression_comes_after_the_token() {
    let nginx = served();
    let show = token("show");
    for path in ["/gzip/show.m3u8", "/proxy/show.m3u8"] {
        let path = format!("{path}?token={show}");
        let plain = ask(&nginx, "GET", &path, &["Accept-Encoding: identity"]);
        let packed = ask(&nginx, "GET", &path, &["Accept-Encoding: gzip"]);
        assert_eq!(packed.header("Content-Encoding"), Some("gzip"), "{path}: {}", packed.head);
        let file = nginx.path("packed.gz");
        std::fs::write(&file, &packed.body).unwrap();
        let unpacked = std::process::Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
        assert_eq!(String::from_utf8(unpacked.stdout).unwrap(), plain.text(), "{path}");
        assert!(plain.text().contains(&show));
    }
}

#[test]
fn a_large_playlist_is_rewritten_piece_by_piece() {
    let nginx = served();
    let show = token("show");
    let (mut playlist, mut expected) = ("#EXTM3U\n".to_owned(), "#EXTM3U\n".to_owned());
    for number in 0..200_000 {
        writeln!(playlist, "#EXTINF:2.000,\nshow-{number}.ts").unwrap();
        writeln!(expected, "#EXTINF:2.000,\nshow-{number}.ts?token={show}").unwrap();
    }
    std::fs::write(nginx.path("www/hls/show.m3u8"), &playlist).unwrap();
    assert!(playlist.len() > 5_000_000);
    for path in ["/hls/show.m3u8", "/proxy/show.m3u8"] {
        let answer = get(&nginx, &format!("{path}?token={show}"));
        assert!(answer.text() == expected, "{path}: {} bytes", answer.body.len());
    }
}
