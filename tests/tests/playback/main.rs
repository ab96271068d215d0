//! Access for viewers: tokens over RTMP, HLS and DASH, and playlists that add the token to their URIs. Each file's header says what the
//! file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod attacks;
mod forum;
mod fuzz;
mod interop;
mod links;
mod locations;
mod logs;
mod minute;
mod players;
mod playlists;
mod renewed;
mod revoked;
mod rtmp;
mod sample;
mod secrecy;
mod settings;
mod snippets;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use weir_model::Timestamp;
use weir_model::token::{Action, Claims, Signer};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, files};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Returns a configuration with a zone, a secret, the API, and files of the streams `show`, `show-2` and `show_low` below `/hls` and
/// `/ladder`.
fn config() -> Config {
    Config::weir().with_api().main("weir_secret @DIR@/secret;").file("secret", SECRET)
}

/// Starts nginx, and writes the files that a location may serve.
#[track_caller]
fn start(config: Config) -> Nginx {
    let nginx = config.start();
    for (name, content) in [
        ("www/hls/show.m3u8", "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:2.000,\nshow-17.ts\n"),
        ("www/hls/show-17.ts", "segment 17 of show"),
        ("www/hls/show-2.m3u8", "#EXTM3U\nshow-2-17.ts\n"),
        ("www/hls/show-2-17.ts", "segment 17 of show-2"),
        ("www/hls/show_low.m3u8", "#EXTM3U\nshow_low-17.ts\n"),
        ("www/hls/show.jpg", "a still of show"),
        ("www/hls/other.m3u8", "#EXTM3U\nother-1.ts\n"),
        ("www/hls/show/index.m3u8", "#EXTM3U\n17.ts\n"),
        ("www/hls/index.html", "a page"),
        (
            "www/dash/show.mpd",
            "<MPD><SegmentTemplate media=\"show-$Time$.m4v\" initialization=\"show-init.m4v\"/></MPD>",
        ),
        ("www/dash/show-init.m4v", "init of show"),
        ("www/ladder/live/show/master.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n480p/index.m3u8\n"),
        ("www/ladder/live/show/480p/index.m3u8", "#EXTM3U\n#EXT-X-MAP:URI=\"init-1.mp4\"\n17.m4s\n"),
        ("www/ladder/live/show/480p/17.m4s", "segment of the ladder"),
    ] {
        let path = nginx.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    nginx
}

fn claims() -> Claims {
    Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Play,
        exp: Timestamp::from_millis(4_000_000_000_000),
        nbf: None,
        iat: None,
        jti: None,
        ip: None,
        yields: false,
    }
}

fn signed(claims: &Claims) -> String {
    Signer::new(SECRET).unwrap().mint(claims).expose().to_owned()
}

/// Returns a token to watch `live/NAME`.
fn token(name: &str) -> String {
    signed(&Claims { sub: format!("live/{name}").parse().unwrap(), ..claims() })
}

/// An answer of nginx.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(named).map(|line| line.split_once(':').unwrap().1.trim())
    }
}

/// Requests a path exactly as given, with these additional headers.
#[track_caller]
fn ask(nginx: &Nginx, method: &str, path: &str, headers: &[&str]) -> Answer {
    ask_port(nginx.http(), method, path, headers)
}

#[track_caller]
fn ask_port(port: u16, method: &str, path: &str, headers: &[&str]) -> Answer {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: live.example.org\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    socket.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = all[end + 4..].to_vec();
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked && method != "HEAD" { unchunked(&body) } else { body };
    Answer { status, head, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let piece = &rest[end + 2..];
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&piece[..length]);
        rest = &piece[length + 2..];
    }
}

#[track_caller]
fn get(nginx: &Nginx, path: &str) -> Answer {
    ask(nginx, "GET", path, &[])
}

/// Returns the access log of the test, if the configuration has one.
fn access_log(nginx: &Nginx) -> String {
    files::text(&nginx.path("access.log"))
}
