//! Requests that no player sends: a random generator damages tokens, cookies, headers, paths and playlists. No worker dies, nothing opens
//! without the secret, and a valid request gets the same answer as before. `make test` also runs this test on the sanitized nginx.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use weir_tests::harness::{Nginx, Random};

use super::{SECRET, config, get, start, token};

/// Secret of tokens that must never open a stream.
const WRONG: &[u8] = b"fedcba9876543210fedcba9876543210";

fn served() -> Nginx {
    start(config().web("large_client_header_buffers 4 64k;").http(
        "gzip_types application/vnd.apple.mpegurl; gzip_min_length 1; gzip_proxied any;
         types { application/vnd.apple.mpegurl m3u8; application/dash+xml mpd; }
         location /hls/ { root @DIR@/www; weir_play token app=live; weir_viewers app=live; }
         location /dash/ { root @DIR@/www; weir_play token app=live; weir_viewers app=live; }
         location /ladder/ { root @DIR@/www; weir_play token app=live; weir_viewers app=live; }
         location /origin/ { alias @DIR@/www/hls/; limit_rate 200k; }
         location /proxy/ { proxy_pass http://127.0.0.1:@HTTP@/origin/; proxy_buffering off; gzip on;
             proxy_buffer_size 4k; weir_play token app=live; }",
    ))
}

fn signed(text: &[u8], secret: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(text);
    let text = String::from_utf8_lossy(text).into_owned();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Changes, cuts, repeats and inserts bytes.
fn damage(random: &mut Random, bytes: &mut Vec<u8>, pieces: &[&[u8]]) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.byte(),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, random.pick(pieces).to_vec())),
            3 => {
                let end = (at + random.below(40)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => drop(bytes.drain(at..(at + random.below(8)).min(bytes.len()))),
        }
    }
}

const PARTS: [&[u8]; 14] = [
    b"token=",
    b"weir_token=",
    b"&",
    b";",
    b"%00",
    b"%2e",
    b"=",
    b".",
    b"eyJ",
    b"\"",
    b"{}",
    b"[[[[[[[[",
    b"Bearer ",
    b"\xff\xfe",
];

/// Returns claims or headers of a token; some of them have the right form.
fn claims(random: &mut Random) -> String {
    let values = [
        "\"live/show\"",
        "\"play\"",
        "4000000000",
        "-1",
        "1e308",
        "null",
        "true",
        "[]",
        "{\"a\":{}}",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "18446744073709551616",
        "\"127.0.0.1/33\"",
        "\"::/0\"",
        "\"live/*\"",
        "\"HS256\"",
        "\"none\"",
        "0.5",
    ];
    let names = [
        "sub",
        "act",
        "exp",
        "nbf",
        "iat",
        "jti",
        "ip",
        "name",
        "yield",
        "\\u0073ub",
        "",
        "alg",
        "crit",
        "typ",
    ];
    let mut fields = vec!["\"sub\":\"live/show\",\"act\":\"play\",\"exp\":4000000000".to_owned()];
    for _ in 0..random.below(6) {
        fields.push(format!("\"{}\":{}", random.pick(&names), random.pick(&values)));
    }
    if random.one_in(50) {
        fields.push(format!("\"x\":{}", "[".repeat(random.below(3000))));
    }
    format!("{{{}}}", fields.join(","))
}

/// Returns a token, valid or damaged, that is signed with `secret`.
fn any_token(random: &mut Random, secret: &[u8]) -> Vec<u8> {
    let header =
        if random.one_in(4) { claims(random) } else { "{\"alg\":\"HS256\",\"typ\":\"JWT\"}".to_owned() };
    let mut claims = claims(random).into_bytes();
    if random.one_in(3) {
        damage(random, &mut claims, &PARTS);
    }
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut token = signed(text.as_bytes(), secret).into_bytes();
    if random.one_in(2) {
        damage(random, &mut token, &PARTS);
    }
    if random.one_in(40) {
        token.resize(random.below(40_000), b'A');
    }
    token
}

/// Returns a request line and headers; all tokens in them are signed with `secret`.
fn request(random: &mut Random, secret: &[u8]) -> Vec<u8> {
    let paths: [&[u8]; 9] = [
        b"/hls/show.m3u8",
        b"/hls/show-17.ts",
        b"/dash/show.mpd",
        b"/ladder/live/show/master.m3u8",
        b"/proxy/show.m3u8",
        b"/hls/fuzz.m3u8",
        b"/dash/fuzz.mpd",
        b"/proxy/fuzz.m3u8",
        b"/hls/show/index.m3u8",
    ];
    let mut path = random.pick(&paths).to_vec();
    if random.one_in(4) {
        let parts: [&[u8]; 8] = [b"../", b"//", b"/./", b"%2e%2e/", b"%00", b";x", b"\\", b"%2f"];
        damage(random, &mut path, &parts);
    }
    let mut all = if random.one_in(8) { b"HEAD ".to_vec() } else { b"GET ".to_vec() };
    all.extend(path);
    for nth in 0..random.below(3) {
        all.extend(if nth == 0 { b"?token=" } else { b"&token=" });
        all.extend(any_token(random, secret));
    }
    all.extend(b" HTTP/1.1\r\nHost: live.example.org\r\nConnection: close\r\n");
    for _ in 0..random.below(3) {
        let mut value = any_token(random, secret);
        let mut header: Vec<u8> = random
            .pick(&[&b"Cookie: weir_token="[..], b"Authorization: Bearer ", b"Cookie: a=b; weir_token=\""])
            .to_vec();
        header.append(&mut value);
        if random.one_in(4) {
            damage(random, &mut header, &PARTS);
        }
        all.extend(header);
        all.extend(b"\r\n");
    }
    for header in [
        &b"Range: bytes=1-5\r\n"[..],
        b"Accept-Encoding: gzip\r\n",
        b"If-None-Match: \"x\"\r\n",
        b"If-Range: \"x\"\r\n",
    ] {
        if random.one_in(5) {
            all.extend(header);
        }
    }
    all.extend(b"\r\n");
    all
}

/// Returns the status of the answer, or `None` if nginx closes the connection without one.
fn send(nginx: &Nginx, request: &[u8]) -> Option<u16> {
    let mut socket = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // nginx closes the connection while the test still sends a request that is too long.
    let _ = socket.write_all(request);
    let mut answer = Vec::new();
    let mut piece = [0; 16_384];
    while let Ok(count @ 1..) = socket.read(&mut piece) {
        answer.extend_from_slice(&piece[..count]);
    }
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

/// Returns a playlist of typical lines and of damaged ones.
fn playlist(random: &mut Random, kind: &str) -> Vec<u8> {
    let hls: [&[u8]; 14] = [
        b"#EXTM3U\n",
        b"#EXTINF:2,\n",
        b"show-17.ts\n",
        b"#EXT-X-KEY:METHOD=AES-128,URI=\"k.key\"\n",
        b"#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"1@2\"\n",
        b"#EXT-X-PART:DURATION=1,URI=\"p.m4s?x=1#f\"\n",
        b"http://live.example.org/a.ts\n",
        b"//other/a.ts\n",
        b"#EXT-X-MEDIA:URI=\"",
        b"\r\n",
        b"\n",
        b"?token=",
        b"\0",
        b"#EXT-X-STREAM-INF:BANDWIDTH=1\n",
    ];
    let dash: [&[u8]; 12] = [
        b"<MPD>",
        b"</MPD>",
        b"<BaseURL>",
        b"</BaseURL>",
        b"<SegmentTemplate media=\"$Time$.m4v\" initialization='i'/>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"&amp;",
        b"<SegmentURL media=\"a?b&amp;c\"/>",
        b"\"",
    ];
    let pieces: &[&[u8]] = if kind == "m3u8" { &hls } else { &dash };
    let mut bytes: Vec<u8> = pieces[0].to_vec();
    for _ in 0..random.below(60) {
        bytes.extend(pieces[random.below(pieces.len())]);
        if random.one_in(6) {
            damage(random, &mut bytes, pieces);
        }
    }
    if random.one_in(20) {
        let piece = pieces[random.below(pieces.len())].repeat(random.below(20_000));
        bytes.extend(piece);
    }
    bytes
}

#[track_caller]
fn run(time: Duration, seed: u64) {
    println!("seed {seed}");
    let nginx = served();
    let good = token("show");
    let workers = nginx.workers();
    let (begin, mut random, mut opened, mut count) = (Instant::now(), Random::new(seed), 0, 0);
    while begin.elapsed() < time {
        for (kind, folder) in [("m3u8", "hls"), ("mpd", "dash")] {
            std::fs::write(nginx.path(&format!("www/{folder}/fuzz.{kind}")), playlist(&mut random, kind))
                .unwrap();
            // The rewriting filter gets the playlist in one piece and in several pieces.
            let any = token("*");
            for path in [format!("/{folder}/fuzz.{kind}"), "/proxy/fuzz.m3u8".to_owned()] {
                assert_eq!(get(&nginx, &format!("{path}?token={any}")).status, 200, "seed {seed}: {path}");
            }
        }
        for _ in 0..20 {
            let text = request(&mut random, WRONG);
            let status = send(&nginx, &text);
            // nginx redirects to the path with a slash if the location ends with one.
            let is_refusal = status.is_none_or(|status| status == 301 || (400..500).contains(&status));
            assert!(is_refusal, "seed {seed}: {status:?}: {}", text.escape_ascii());
            opened += usize::from(send(&nginx, &request(&mut random, SECRET)) == Some(200));
            count += 2;
        }
        let answer = get(&nginx, &format!("/hls/show.m3u8?token={good}"));
        assert!(answer.status == 200 && answer.text().contains(&good), "seed {seed}: {answer:?}");
    }
    println!("{count} requests, {opened} of them opened");
    // The generator creates tokens that are valid except for the secret.
    assert!(opened > 0, "seed {seed}");
    assert_eq!(nginx.workers(), workers, "seed {seed}: a worker died");
}

#[test]
fn nothing_opens_and_nothing_dies() {
    run(Duration::from_secs(10), 1);
}

#[test]
#[ignore = "five minutes: make test-long"]
fn nothing_opens_and_nothing_dies_for_five_minutes() {
    run(Duration::from_secs(300), SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
}
