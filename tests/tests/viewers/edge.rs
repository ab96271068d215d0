//! An edge behind `proxy_pass` and `proxy_cache` counts its own viewers, of streams that are not live in its RTMP. Named locations and
//! internal redirects count as well.

use weir_tests::harness::nginx::Config;

use super::{Client, counted, get, start};

#[test]
fn an_edge_counts_what_its_cache_answers() {
    let origin = start(super::config());
    let edge = Config::weir()
        .with_api()
        .web("proxy_cache_path @DIR@/cache keys_zone=hls:1m; set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;")
        .http(&format!(
            "location /hls/ {{ weir_viewers app=live; proxy_pass http://127.0.0.1:{}; proxy_cache hls; proxy_cache_valid 200 1m; }}",
            origin.http()
        ))
        .start();
    let mut client = Client::new(edge.http());
    for n in 0..30 {
        let addr = format!("192.0.2.{n}");
        assert_eq!(client.watch("/hls/show.m3u8", &addr, "a"), 200);
        assert_eq!(client.watch("/hls/show-1.ts", &addr, "a"), 200);
        assert_eq!(client.watch("/hls/nothing.m3u8", &addr, "a"), 404);
    }
    assert_eq!((counted(&edge.api(), "show", "hls"), counted(&edge.api(), "nothing", "hls")), (30, 0));
    // The origin has one viewer: the edge.
    assert_eq!(counted(&origin.api(), "show", "hls"), 1);
}

#[test]
fn the_location_that_answers_counts() {
    let nginx = start(
        Config::weir()
            .with_api()
            .http("root @DIR@/www; weir_viewers app=live;")
            .http("location /try/ { try_files /none @named; }")
            .http("location @named { rewrite ^/try(/.*)$ $1 break; }")
            .http("location /moved/ { rewrite ^/moved(/.*)$ /hls$1 last; }")
            .http("location /off/ { alias @DIR@/www/hls/; weir_viewers off; }")
            .http("location ~ ^/re/(.*)$ { alias @DIR@/www/hls/$1; }"),
    );
    for (nth, path) in
        ["/try/hls/show.m3u8", "/moved/show.m3u8", "/hls/show.m3u8", "/re/show.m3u8"].iter().enumerate()
    {
        assert_eq!(get(&nginx, path, &format!("agent-{nth}")).status, 200, "{path}");
        assert_eq!(counted(&nginx.api(), "show", "hls"), nth as u64 + 1, "{path}");
    }
    assert_eq!(get(&nginx, "/off/show.m3u8", "another").status, 200);
    assert_eq!(counted(&nginx.api(), "show", "hls"), 4);
}
