//! The protected variant of `nginx-conf/single-node`: without their `#`, the commented lines of the sample protect RTMP, HLS, DASH and the
//! ladder, the page stays open, and the access log contains no token.

use weir_tests::harness::nginx::Config;
use weir_tests::harness::written::temporary_paths;
use weir_tests::harness::{Nginx, Player, Publisher, files, products, until};

use super::{SECRET, ask, get, token};

/// The commented lines, and how often the sample has them.
const LINES: [(&str, usize); 3] = [
    ("#weir_secret /etc/nginx/weir.secret;", 1),
    ("#weir_play token;", 1),
    ("#weir_play token app=live;", 3),
];

/// Starts the sample with folders and ports of the test.
fn protected() -> Nginx {
    let sample = products::workspace().join("nginx-conf/single-node");
    let mut text = files::text(&sample.join("nginx.conf"));
    for (line, times) in LINES {
        let found = text.lines().filter(|found| found.trim_start() == line).count();
        assert_eq!(found, times, "{line}");
        text = text.replace(line, &line[1..]);
    }
    let modules: String = [products::nginx_rtmp(), products::module()]
        .iter()
        .map(|module| format!("load_module {};\n", module.display()))
        .collect();
    let text = text
        .replace("include /etc/nginx/modules-enabled/*.conf;", &modules)
        .replace("user www-data;", "user root;\ndaemon off;")
        .replace("pid /run/nginx.pid;", "pid @DIR@/nginx.pid;")
        .replace("/var/log/nginx/error.log notice", "@DIR@/error.log info")
        .replace("/var/log/nginx/", "@DIR@/")
        .replace("/etc/nginx/weir.secret", "@DIR@/secret")
        .replace("state=/var/lib/weir-nginx/state", "state=@DIR@/keys")
        .replace("/var/lib/weir-nginx", "@DIR@")
        .replace("/var/lib/weir/", "@DIR@/")
        .replace("/srv/weir/www", &sample.join("www").display().to_string())
        .replace("listen 1935;", "listen 127.0.0.1:@RTMP@;")
        .replace("listen 8080;", "listen 127.0.0.1:@HTTP@;")
        .replace("http {\n", &format!("http {{\n{}", temporary_paths()));
    Config::whole(&text).file("secret", SECRET).start()
}

#[test]
fn without_their_comment_signs_the_lines_protect_everything() {
    let nginx = protected();
    let key = nginx.api().create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    until("playlists", 20.0, || nginx.path("hls/show.m3u8").exists() && nginx.path("dash/show.mpd").exists());
    let ladder = nginx.path("media/live/show");
    std::fs::create_dir_all(&ladder).unwrap();
    std::fs::write(ladder.join("master.m3u8"), "#EXTM3U\n480p/index.m3u8\n").unwrap();
    let (show, other) = (token("show"), token("other"));
    for path in ["/hls/show.m3u8", "/dash/show.mpd", "/ladder/live/show/master.m3u8"] {
        assert_eq!(get(&nginx, path).status, 403, "{path}");
        assert_eq!(get(&nginx, &format!("{path}?token={other}")).status, 403, "{path}");
        let answer = get(&nginx, &format!("{path}?token={show}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.head);
        assert!(answer.text().contains(&show), "{path}: {}", answer.text());
        assert_eq!(ask(&nginx, "GET", path, &[&format!("Cookie: weir_token={show}")]).status, 200, "{path}");
    }
    assert_eq!(get(&nginx, "/").status, 200);
    Player::start(nginx.rtmp(), &format!("live/show?token={show}")).wait_video(3);
    let refused = Player::start(nginx.rtmp(), "live/show");
    refused.wait_closed(10.0);
    assert_eq!(refused.seen().statuses.last().unwrap().code, "NetStream.Play.Failed");
    let log = || files::text(&nginx.path("access.log"));
    until("the access log", 5.0, || log().contains("GET /hls/show.m3u8?token=*** HTTP/1.1"));
    for secret in [&show, &other] {
        for name in ["access.log", "rtmp.log", "error.log"] {
            let text = files::text(&nginx.path(name));
            assert!(!text.contains(secret.as_str()), "{name}: {text}");
        }
    }
}
