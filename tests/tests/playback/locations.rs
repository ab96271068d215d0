//! `weir_play` protects any location: static files, `alias`, `try_files`, proxies with and without a cache, named and regular expressions,
//! internal redirects and `satisfy any`. `weir_play off` opens a location again.

use super::{ask, config, get, start, token};

/// Asserts that a path opens with the token of `show`, and neither without a token nor with the token of another stream.
#[track_caller]
fn is_protected(nginx: &weir_tests::harness::Nginx, path: &str) {
    let (show, other) = (token("show"), token("other"));
    assert_eq!(get(nginx, path).status, 403, "{path}");
    assert_eq!(get(nginx, &format!("{path}?token={other}")).status, 403, "{path}");
    let answer = get(nginx, &format!("{path}?token={show}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.head);
}

#[test]
fn every_kind_of_location_is_protected() {
    let nginx = start(config().web("proxy_cache_path @DIR@/cache keys_zone=cache:1m;").http(
        "location /origin/ { alias @DIR@/www/hls/; }
         location /hls/ { root @DIR@/www; weir_play token app=live; }
         location /alias/ { alias @DIR@/www/hls/; weir_play token app=live; }
         location /try/ { root @DIR@/www; try_files $uri /hls/show.m3u8; weir_play token app=live; }
         location /proxy/ { proxy_pass http://127.0.0.1:@HTTP@/origin/; weir_play token app=live; }
         location /cached/ { proxy_cache cache; proxy_cache_key $uri; proxy_cache_valid 1m;
             proxy_pass http://127.0.0.1:@HTTP@/origin/; weir_play token app=live; }
         location ~ ^/regex/(.*)$ { alias @DIR@/www/hls/$1; weir_play token app=live; }
         location = /exact/show.m3u8 { alias @DIR@/www/hls/show.m3u8; weir_play token app=live; }
         location /named/ { root @DIR@/none; error_page 404 = @named; log_not_found off; }
         location @named { rewrite ^/named/(.*)$ /hls/$1 break; root @DIR@/www; weir_play token app=live; }
         location /rewrite/ { rewrite ^/rewrite/(.*)$ /hls/$1 last; }
         location ~ ^/pathtoken/(?<t>[^/]+)/(?<f>.*)$ { rewrite ^ /hls/$f?token=$t last; }
         location /value/ { alias @DIR@/www/hls/; weir_play token app=live stream=$arg_s; }
         location /variants/ { alias @DIR@/www/hls/; weir_play token app=live variant=_low; }
         location /any/ { root @DIR@/www; rewrite ^/any/(.*)$ /hls/$1 break; satisfy any; allow 127.0.0.1; deny all; weir_play token app=live; }
         location /none/ { alias @DIR@/www/hls/; satisfy any; deny all; weir_play token app=live; }",
    ));
    for path in [
        "/hls/show.m3u8",
        "/hls/show-17.ts",
        "/hls/show/index.m3u8",
        "/alias/show.m3u8",
        "/try/show.m3u8",
        "/proxy/show.m3u8",
        "/proxy/show-17.ts",
        "/cached/show.m3u8",
        "/cached/show.m3u8",
        "/regex/show.m3u8",
        "/exact/show.m3u8",
        "/named/show.m3u8",
        "/rewrite/show.m3u8",
        "/none/show.m3u8",
    ] {
        is_protected(&nginx, path);
    }
    let show = token("show");
    assert_eq!(get(&nginx, &format!("/pathtoken/{show}/show-17.ts")).status, 200);
    assert_eq!(get(&nginx, "/pathtoken/x/show-17.ts").status, 403);
    // The value decides which stream a file belongs to, whatever the name of the file.
    for (s, status) in [("show", 200), ("other", 403), ("", 403), ("-x", 403)] {
        assert_eq!(get(&nginx, &format!("/value/other.m3u8?token={show}&s={s}")).status, status, "{s}");
    }
    assert_eq!(get(&nginx, &format!("/variants/show_low.m3u8?token={show}")).status, 200);
    assert_eq!(get(&nginx, &format!("/variants/show-2.m3u8?token={show}")).status, 403);
    // An allowed address needs no token, and a token needs no allowed address.
    assert_eq!(get(&nginx, "/any/show.m3u8").status, 200);
    assert_eq!(
        get(&nginx, "/any/show.m3u8?token=x").text(),
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:2.000,\nshow-17.ts\n"
    );
}

#[test]
fn a_server_is_protected_and_a_location_opened() {
    let nginx = start(config().app("live", "").http(
        "root @DIR@/www; weir_play token;
         location = /page { alias @DIR@/www/hls/index.html; weir_play off; }
         location /live/ { alias @DIR@/www/hls/; }
         location /ladder/ { }
         location / { }",
    ));
    is_protected(&nginx, "/ladder/live/show/master.m3u8");
    assert_eq!(get(&nginx, "/page").status, 200);
    let show = token("show");
    // Without `app=` the path must name the application, below the location.
    for path in ["/hls/show.m3u8", "/live/show.m3u8", "/hls/index.html", "/"] {
        assert_eq!(get(&nginx, &format!("{path}?token={show}")).status, 403, "{path}");
    }
    assert!(nginx.log().contains("the path does not begin with an application: \"app=\" names it"));
}

#[test]
fn a_page_shows_a_protected_playlist_only_to_who_has_its_token() {
    let nginx = start(
        config()
            .http(
                "location /hls/ { root @DIR@/www; weir_play token app=live; }
                 location /pages/ { alias @DIR@/; ssi on; ssi_types *; }
                 location = /asked { auth_request /who; alias @DIR@/page; }
                 location = /who { internal; return 204; weir_play token app=live; }
                 location /hls/any/ { alias @DIR@/www/hls/; satisfy any; allow 127.0.0.1; weir_play token app=live; }
                 location /hls/pages/ { alias @DIR@/; ssi on; ssi_types *; weir_play off; }",
            )
            .file("page", "<!--#include virtual=\"/hls/show.m3u8\" -->")
            .file("anyone", "<!--#include virtual=\"/hls/any/show.m3u8\" -->"),
    );
    let shows = |path: &str| get(&nginx, path).text().contains("#EXTM3U");
    let (show, other) = (token("show"), token("other"));
    for folder in ["/pages", "/hls/pages"] {
        assert!(!shows(&format!("{folder}/page")), "{folder}");
        assert!(!shows(&format!("{folder}/page?token={other}")), "{folder}");
        assert!(shows(&format!("{folder}/page?token={show}")), "{folder}");
        let with_cookie =
            ask(&nginx, "GET", &format!("{folder}/page"), &[&format!("Cookie: weir_token={show}")]);
        assert!(with_cookie.text().contains("#EXTM3U"), "{folder}");
    }
    assert!(nginx.log().contains("play refused: no token"));
    assert!(shows("/pages/anyone"), "with `satisfy any`, nginx alone decides");
    // Weir does not restrict subrequests for other files.
    assert_eq!(get(&nginx, "/asked").status, 200);
}

#[test]
fn a_reload_and_several_workers_change_nothing() {
    let mut nginx =
        start(config().workers(2).http("location /hls/ { root @DIR@/www; weir_play token app=live; }"));
    for _ in 0..2 {
        for _ in 0..4 {
            is_protected(&nginx, "/hls/show.m3u8");
        }
        nginx.reload();
    }
    nginx.edit(|config| config.http("location /open/ { alias @DIR@/www/hls/; }"));
    nginx.reload();
    is_protected(&nginx, "/hls/show.m3u8");
    assert_eq!(ask(&nginx, "GET", "/open/show.m3u8", &[]).status, 200);
}
