//! The cost of `weir_play` and `weir_viewers` over HTTP, compared with nginx's own methods to protect files: requests
//! per second, by wrk.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use weir_model::Timestamp;
use weir_model::token::{Action, Claims, Signer};

use super::report::Report;
use super::table::{self, Arm, Table, Target};
use crate::harness::nginx::Config;
use crate::harness::{Nginx, products};

pub(super) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Bytes of a segment of two seconds.
pub(super) const SEGMENT: usize = 500_000;
/// Segments of a playlist.
const SEGMENTS: usize = 10;
pub(super) const ROUNDS: usize = 5;
/// Duration of wrk per round and arm, in seconds.
const SECONDS: u32 = 3;

/// One method to protect a folder: its name, the directives of its location, and whether requests carry a token.
const WAYS: [(&str, &str, bool); 9] = [
    ("plain nginx", "", false),
    ("plain nginx, once more", "", false),
    (
        "`secure_link`",
        "secure_link $arg_md5; secure_link_md5 \"secret$uri\"; if ($secure_link = \"\") { return 403; }",
        false,
    ),
    ("`auth_request` to a `return 204` of the same nginx", "auth_request /yes;", false),
    ("`auth_request` to a local server", "auth_request /ask;", false),
    ("`weir_play`, cookie", "weir_play token app=live;", true),
    ("`weir_viewers`", "weir_viewers on app=live;", false),
    ("both, cookie", "weir_play token app=live; weir_viewers on app=live;", true),
    ("both, `?token=`", "weir_play token app=live; weir_viewers on app=live;", true),
];
const SECURE_LINK: usize = 2;
/// A program decides, as in most uses of `auth_request`.
const AUTH_REQUEST: usize = 4;
const BY_COOKIE: usize = 7;
const BY_LINK: usize = 8;

/// Measures segments and playlists.
pub(super) fn protected() -> Report {
    let (nginx, token) = serve();
    super::part([&nginx].into_iter());
    let mut report = Report::default();
    for (what, file) in [("Segments of 500 KB", "show-1.ts"), ("Playlists", "show.m3u8")] {
        let mut arms: Vec<Arm> = WAYS.iter().map(|(name, ..)| Arm::new(name)).collect();
        let mut loads: Vec<usize> = (0..WAYS.len()).collect();
        table::take_turns(ROUNDS, &mut arms, &mut loads, |at| load(&nginx, *at, file, &token));
        // The times of a request: at most 1/0.99 of plain nginx's time means at least 0.99 of its rate.
        let mut targets = vec![];
        if file.ends_with(".ts") {
            for ours in [BY_COOKIE, BY_LINK] {
                targets.push(Target::AtMost { ours, peer: 0, ratio: 1.0 / 0.99 });
                targets.push(Target::AtMost { ours, peer: SECURE_LINK, ratio: 1.0 });
            }
        } else {
            targets.push(Target::AtMost { ours: BY_LINK, peer: 0, ratio: 1.0 / 0.85 });
            targets.push(Target::AtMost { ours: BY_LINK, peer: AUTH_REQUEST, ratio: 1.0 / 3.0 });
        }
        report.say(&format!("{what}, time per request:\n"));
        report.append(table::report(&Table { arms, targets }));
    }
    report
}

fn serve() -> (Nginx, String) {
    let mut locations = String::from(
        "location = /yes { return 204; }
         location = /ask { internal; proxy_pass http://answers/yes; proxy_pass_request_body off;
             proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Content-Length ''; }\n",
    );
    for (nth, (_, directives, _)) in WAYS.iter().enumerate() {
        writeln!(locations, "location /{nth}/ {{ alias @DIR@/hls/; {directives} }}").unwrap();
    }
    let nginx = Config::weir()
        .main("weir_zone 16m; weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .app("live", "")
        .web("upstream answers { server 127.0.0.1:@HTTP@; keepalive 32; }")
        .web("keepalive_requests 1000000000; access_log off; sendfile on; tcp_nopush on; open_file_cache max=100;")
        .http(&locations)
        .start();
    let folder = nginx.path("hls");
    std::fs::create_dir(&folder).unwrap();
    write_media(&folder);
    (nginx, token())
}

/// Writes a playlist, and one of its segments.
pub(super) fn write_media(folder: &Path) {
    let mut playlist =
        String::from("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n");
    for nth in 1..=SEGMENTS {
        writeln!(playlist, "#EXTINF:2.000,\nshow-{nth}.ts").unwrap();
    }
    std::fs::write(folder.join("show.m3u8"), playlist).unwrap();
    std::fs::write(folder.join("show-1.ts"), vec![7; SEGMENT]).unwrap();
}

/// Returns a token for the stream.
pub(super) fn token() -> String {
    let claims = Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Play,
        exp: Timestamp::from_millis(4_000_000_000_000),
        nbf: None,
        iat: None,
        jti: Some("bench".parse().unwrap()),
        ip: None,
        yields: false,
    };
    Signer::new(SECRET).unwrap().mint(&claims).expose().to_owned()
}

/// Microseconds per request.
fn load(nginx: &Nginx, at: usize, file: &str, token: &str) -> f64 {
    let path = format!("/{at}/{file}");
    let query = match at {
        SECURE_LINK => format!("?md5={}", link(&path)),
        BY_LINK => format!("?token={token}"),
        _ => String::new(),
    };
    wrk(&nginx.url(&format!("{path}{query}")), (WAYS[at].2 && at != BY_LINK).then_some(token))
}

/// Requests a URL as often as possible, with a token as a cookie. Returns the microseconds per request.
pub(super) fn wrk(url: &str, token: Option<&str>) -> f64 {
    let mut wrk = Command::new(products::tool("/usr/bin/wrk"));
    wrk.args(["--threads", "1", "--connections", "16", "--duration", &format!("{SECONDS}s")]);
    if let Some(token) = token {
        wrk.args(["--header", &format!("Cookie: weir_token={token}")]);
    }
    let output = wrk.arg(url).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("Non-2xx"), "{url}: {output:?}");
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse::<f64>().ok());
    1e6 / rate.unwrap_or_else(|| panic!("{said}"))
}

/// `secure_link_md5` of a path (ngx_http_secure_link_module).
fn link(path: &str) -> String {
    use base64::Engine as _;
    use md5::Digest as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(md5::Md5::digest(format!("secret{path}")))
}
