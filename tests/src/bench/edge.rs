//! A caching edge, as `nginx-conf/edge-cache` configures it: nginx's cache alone, and with a token and the count of viewers.

use std::fmt::Write;

use super::protected::{ROUNDS, SECRET, token, write_media, wrk};
use super::report::Report;
use super::table::{self, Arm, Table, Target};
use crate::harness::Nginx;
use crate::harness::nginx::Config;

/// The directives beside those of the cache, and whether requests carry a token.
const WAYS: [(&str, &str, bool); 4] = [
    ("nginx's cache", "", false),
    ("nginx's cache, once more", "", false),
    ("and `weir_viewers`", "weir_viewers app=live;", false),
    ("and `weir_play token`, `weir_viewers`", "weir_play token app=live; weir_viewers app=live;", true),
];

/// Measures segments and playlists.
pub(super) fn edge() -> Report {
    let origin = Config::stock().http("location /hls/ { root @DIR@; }").start();
    std::fs::create_dir(origin.path("hls")).unwrap();
    write_media(&origin.path("hls"));
    let (edge, token) = (start(&origin), token());
    super::part([&edge].into_iter());
    let mut report = Report::default();
    for (what, file) in [("Segments of 500 KB", "show-1.ts"), ("Playlists", "show.m3u8")] {
        let mut arms: Vec<Arm> = WAYS.iter().map(|(name, ..)| Arm::new(name)).collect();
        let mut loads: Vec<usize> = (0..WAYS.len()).collect();
        table::take_turns(ROUNDS, &mut arms, &mut loads, |at| {
            wrk(&edge.url(&format!("/{at}/hls/{file}")), WAYS[*at].2.then_some(token.as_str()))
        });
        // At least 0.97 of the cache's requests.
        let targets = vec![Target::AtMost { ours: 3, peer: 0, ratio: 1.0 / 0.97 }];
        report.say(&format!("{what}, time per request:\n"));
        report.append(table::report(&Table { arms, targets }));
    }
    report
}

fn start(origin: &Nginx) -> Nginx {
    let mut locations = String::new();
    for (nth, (_, directives, _)) in WAYS.iter().enumerate() {
        // Each within its own prefix, so that no request is compared with the regular expressions of others.
        writeln!(
            locations,
            "location /{nth}/ {{
                 location ~ ^/{nth}(?<path{nth}>/hls/.*\\.m3u8)$ {{ {directives} proxy_pass http://origin$path{nth};
                     proxy_cache lists; proxy_cache_valid 200 1s; add_header Access-Control-Allow-Origin * always; }}
                 location ~ ^/{nth}(?<path{nth}>/hls/.*)$ {{ {directives} proxy_pass http://origin$path{nth};
                     proxy_cache files; proxy_cache_valid 200 10m; add_header Access-Control-Allow-Origin * always; }}
             }}"
        )
        .unwrap();
    }
    Config::weir()
        .main("weir_zone 16m; weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .app("live", "")
        .web(&format!("upstream origin {{ server 127.0.0.1:{}; keepalive 32; }}", origin.http()))
        .web(
            "proxy_cache_path @DIR@/files levels=1:2 keys_zone=files:8m max_size=1g inactive=10m use_temp_path=off;
             proxy_cache_path @DIR@/lists levels=1:2 keys_zone=lists:8m max_size=64m inactive=30s use_temp_path=off;
             proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Cookie '';
             proxy_cache_lock on; proxy_cache_revalidate on;
             proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
             keepalive_requests 1000000000; access_log off; sendfile on; tcp_nopush on;",
        )
        .http(&locations)
        .start()
}
