//! A player in a page of another site, as docs/operations.md describes it: the cookie that nginx sets for that site opens the stream in
//! Chromium, and a page of a third site gets nothing.

use std::path::Path;

use weir_tests::harness::browser::Browser;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Nginx, files, products, until};

use super::{config, token};

/// Returns the only block of a language in the section on forums.
fn block(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n### ").find(|section| section.starts_with("In the page of another site"));
    let (_, rest) = section.unwrap().split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Starts the server of the streams at 127.0.0.1, and serves the page of the forum on two ports of localhost, which is another site.
fn served(cookie: impl Fn(String) -> String) -> (Nginx, Ffmpeg, [Port; 2]) {
    let ports = [Port::reserve(), Port::reserve()];
    let forum = format!("http://localhost:{}", ports[0].number());
    let lines =
        block("nginx").replace("https://forum.example.org", &forum).replace("/var/lib/weir-nginx", "@DIR@");
    let vendor = products::workspace().join("nginx-conf/single-node/www/vendor");
    let listen = |port: &Port| format!("listen 127.0.0.1:{};", port.number());
    let nginx = config()
        .app("live", "weir_publish open; weir_play token; hls on; hls_path @DIR@/hls; hls_fragment 1s;")
        .web(&format!(
            "include /etc/nginx/mime.types; server {{ {} {} root @DIR@/forum;
             location = /hls.min.js {{ root {}; }} location = /favicon.ico {{ return 204; }} }}",
            listen(&ports[0]),
            listen(&ports[1]),
            vendor.display()
        ))
        .http(&cookie(lines))
        .start();
    let page =
        block("html").replace("https://live.example.org", &nginx.url("")).replace("TOKEN", &token("show"));
    std::fs::create_dir(nginx.path("forum")).unwrap();
    std::fs::write(nginx.path("forum/index.html"), page).unwrap();
    let encoder = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("three segments", 60.0, || files::text(&nginx.path("hls/show.m3u8")).matches(".ts").count() >= 3);
    (nginx, encoder, ports)
}

fn played(browser: &Browser) -> f64 {
    browser.run("return document.getElementById('video').currentTime").as_f64().unwrap_or_default()
}

#[test]
fn the_page_of_the_forum_plays_by_the_cookie_and_another_page_does_not() {
    let (nginx, _encoder, ports) = served(|lines| lines);
    let browser = Browser::start();
    browser.open(&format!("http://localhost:{}/", ports[0].number()));
    until("two seconds are played", 60.0, || played(&browser) > 2.0);
    let loaded = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)");
    let with_token = |entry: &&serde_json::Value| entry.as_str().is_some_and(|name| name.contains("token="));
    // Only one address contains the token: the address that sets the cookie.
    assert_eq!(loaded.as_array().unwrap().iter().filter(with_token).count(), 1, "{loaded}");
    assert_eq!(browser.run("return document.cookie"), "");
    // nginx does not allow the origin of the same page at another address.
    let other = Browser::start();
    other.open(&format!("http://localhost:{}/", ports[1].number()));
    until("the browser refuses", 20.0, || other.console().iter().any(|line| line.contains("CORS policy")));
    assert!(played(&other) == 0.0);
    // A text that is not a token does not become a cookie.
    let odd = super::get(&nginx, "/enter?token=a;%20Domain=x");
    assert_eq!((odd.status, odd.header("Set-Cookie")), (400, None));
}

#[test]
fn without_same_site_none_the_cookie_stays_at_home() {
    let (nginx, _encoder, ports) = served(|lines| lines.replace("SameSite=None", "SameSite=Lax"));
    let browser = Browser::start();
    browser.open(&format!("http://localhost:{}/", ports[0].number()));
    nginx.wait_log("play refused: no token: this stream needs one");
    assert!(played(&browser) == 0.0);
}
