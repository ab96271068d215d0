//! Low-Latency HLS of a ladder that is published over RTMP: the master playlist has every rendition, each rendition reports the others, the
//! same frame has the same date and discontinuity sequence number in all of them, and a token for the stream opens all of them. The
//! master playlist of a ladder in files has only the source. Clients that accept gzip get compressed playlists. An nginx with
//! `proxy_cache_lock` sends one request for all clients that wait for the same playlist.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use weir_model::Timestamp;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Nginx, Sidecar, ffmpeg, until};

use super::whep::{SDP, offer};
use super::{Answer, SECRET, ask, open, publish, request};

const LLHLS: &str = "/stream/live/show/llhls";
const LADDER: &str = "[web]\n[rung.low]\nheight = 90\nbitrate = \"100k\"\n[ladder.one]\nrungs = [\"low\"]\n[[stream]]\napp = \"live\"\n\
                      stream = \"*\"\nladder = \"one\"\n";
/// A black video with a flash half a second after each square number of seconds: after a shift, at most one flash matches another one.
const FLASHES: &str = "color=black:size=160x90:rate=20,\
    drawbox=color=white:t=fill:enable='gte(t,0.49)*lt(t-0.49-pow(floor(sqrt(max(t-0.49,0))),2),0.24)'";

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn each_rendition_of_a_ladder_is_in_the_master_playlist_and_knows_the_others() {
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish open;")
        .app("abr", "weir_publish key;")
        .start();
    let port = Port::reserve();
    let webrtc = format!("[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number());
    let config = "[web]\nplay = \"token\"\n[rung.low]\nheight = 90\nbitrate = \"100k\"\n[ladder.one]\n\
                  rungs = [\"low\"]\n[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"one\"\ndeliver = \"rtmp\"\n\
                  to_app = \"abr\"\n";
    let sidecar = Sidecar::start(&nginx, &format!("{config}{webrtc}"));
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("the rendition is live", 30.0, || nginx.api().stream("abr", "show_low"));
    let listed = || {
        let list = ask(sidecar.web(), "/v1/live", &[]).json();
        let streams = list["streams"].as_array().unwrap().clone();
        streams.into_iter().find(|stream| stream["name"] == "show").unwrap()
    };
    let all = until("all renditions can be played", 40.0, || {
        Some(listed()).filter(|stream| stream["ready"] == true)
    });
    assert_eq!(all["renditions"], json!(["source", "low"]));
    let mint = |stream: &str| {
        let request = json!({ "app": "live", "stream": stream, "action": "play", "ttl_s": 600 });
        nginx.api().post("/v1/tokens", &request).expect(201)["token"].as_str().unwrap().to_owned()
    };
    let (token, other) = (mint("show"), mint("other"));
    let get = |path: &str, token: &str| ask(sidecar.web(), &format!("{path}?token={token}"), &[]);
    let master = until("the master playlist has both", 40.0, || {
        let answer = get(&format!("{LLHLS}/master.m3u8"), &token);
        Some(text(&answer).to_owned()).filter(|text| text.matches("#EXT-X-STREAM-INF").count() == 2)
    });
    let uris: Vec<&str> = master.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(uris[0], format!("index.m3u8?token={token}"), "{master}");
    assert_eq!(uris[1], format!("../../../abr/show_low/llhls/index.m3u8?token={token}"), "{master}");
    assert_eq!(master.matches("CODECS=\"avc1.").count(), 2, "{master}");

    let low = "/stream/abr/show_low/llhls/index.m3u8";
    let answer = get(low, &token);
    assert_eq!(answer.status, 200, "{answer:?}");
    let report = text(&answer).lines().find(|line| line.starts_with("#EXT-X-RENDITION-REPORT:")).unwrap();
    assert!(report.contains("URI=\"../../../live/show/llhls/index.m3u8"), "{report}");
    assert!(report.contains("LAST-MSN=") && report.contains("LAST-PART="), "{report}");
    assert_eq!([get(low, &other).status, ask(sidecar.web(), low, &[]).status], [403, 403]);
    let play = |token: &str| {
        request(sidecar.web(), "POST", &format!("/stream/abr/show_low/whep?token={token}"), &[SDP], &offer())
    };
    assert_eq!([play(&token).status, play(&other).status], [201, 403], "{:?}", play(&token));
}

/// A complete segment of a playlist.
#[derive(Debug)]
struct Segment {
    uri: String,
    init: String,
    /// Time of day, in milliseconds.
    at: i64,
    /// Discontinuity sequence number.
    era: u64,
}

fn segments(playlist: &str) -> Vec<Segment> {
    let (mut all, mut init, mut at, mut era) = (Vec::new(), "", 0, 0);
    for line in playlist.lines() {
        if let Some(number) = line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:") {
            era = number.parse().unwrap();
        } else if line == "#EXT-X-DISCONTINUITY" {
            era += 1;
        } else if let Some(uri) = line.strip_prefix("#EXT-X-MAP:URI=") {
            init = uri.trim_matches('"');
        } else if let Some(date) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            at = i64::try_from(date.parse::<Timestamp>().unwrap().as_millis()).unwrap();
        } else if !line.starts_with('#') {
            all.push(Segment { uri: line.to_owned(), init: init.to_owned(), at, era });
        }
    }
    all
}

/// Returns the flashes in the segments of a playlist: the time of day of the first white frame in milliseconds, and the discontinuity
/// sequence number.
fn flashes(sidecar: &Sidecar, path: &str, folder: &TempDir) -> Vec<(i64, u64)> {
    let media = |name: &str| {
        let answer = ask(sidecar.web(), &format!("{path}/{name}"), &[]);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        answer.body
    };
    let playlist = media("index.m3u8");
    let (mut found, mut was_black) = (Vec::new(), false);
    for segment in segments(std::str::from_utf8(&playlist).unwrap()) {
        let file = folder.path().join(&segment.uri);
        std::fs::write(&file, [media(&segment.init), media(&segment.uri)].concat()).unwrap();
        let frames = ffmpeg::probe(
            &format!("movie={},signalstats", file.display()),
            &["-f", "lavfi", "-show_entries", "frame=pts_time:frame_tags=lavfi.signalstats.YAVG"],
        );
        let mut first = None;
        for frame in frames.lines() {
            let (time, luma) = frame.split_once(',').unwrap_or_else(|| panic!("{frame}"));
            let (time, luma): (f64, f64) = (time.parse().unwrap(), luma.parse().unwrap());
            let since = time - *first.get_or_insert(time);
            if luma > 128.0 && was_black {
                found.push((segment.at + (since * 1000.0).round() as i64, segment.era));
            }
            was_black = luma <= 128.0;
        }
    }
    found
}

#[test]
fn the_same_frame_has_the_same_date_and_discontinuity_number_in_each_rendition() {
    let nginx = open().app("abr", "weir_publish key;").start();
    let sidecar = Sidecar::start(&nginx, &format!("{LADDER}deliver = \"rtmp\"\nto_app = \"abr\"\n"));
    let low = "/stream/abr/show_low/llhls";
    let playlist = |path: &str| {
        let answer = ask(sidecar.web(), &format!("{path}/index.m3u8"), &[]);
        (answer.status == 200).then(|| text(&answer).to_owned())
    };
    let begin = || Ffmpeg::publish_video(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()), FLASHES);
    // The source has a discontinuity, of which a rendition that begins later knows only from the source.
    let publisher = begin();
    until("the source has a segment", 30.0, || playlist(LLHLS).filter(|text| text.contains("#EXTINF")));
    drop(publisher);
    sidecar.wait_log("stream has ended");
    let _publisher = begin();
    until("the source has a discontinuity", 30.0, || {
        playlist(LLHLS).filter(|text| text.contains("#EXT-X-DISCONTINUITY\n"))
    });
    let last = until("the rendition has eight segments", 60.0, || {
        // A player of the source keeps the rendition ready.
        playlist(LLHLS)?;
        playlist(low).filter(|text| text.matches("#EXTINF").count() >= 8)
    });
    let folder = tempfile::tempdir().unwrap();
    let (source, rendition) = (flashes(&sidecar, LLHLS, &folder), flashes(&sidecar, low, &folder));
    println!("source {source:?}, rendition {rendition:?}");
    let part = last.split("PART-TARGET=").nth(1).unwrap().lines().next().unwrap().parse::<f64>().unwrap();
    let newest = source.last().expect("flashes of the source").0;
    let common: Vec<_> = rendition.iter().filter(|(at, _)| *at <= newest).collect();
    assert!(common.len() >= 2, "{source:?}, {rendition:?}\n{last}");
    for (at, era) in common {
        let (of_source, of_era) = source.iter().min_by_key(|(other, _)| (other - at).abs()).unwrap();
        let apart = (of_source - at).abs();
        assert!(
            (apart as f64) < part * 1000.0 && era == of_era,
            "{apart} ms, {source:?}, {rendition:?}\n{last}"
        );
    }
}

#[test]
fn the_master_playlist_of_a_ladder_in_files_has_only_the_source() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, &format!("{LADDER}folder = \"@MEDIA@\"\n"));
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    sidecar.wait_ready("live/show");
    let master = until("there is a master playlist", 20.0, || {
        Some(ask(sidecar.web(), &format!("{LLHLS}/master.m3u8"), &[])).filter(|answer| answer.status == 200)
    });
    let variants: Vec<&str> = text(&master).lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(variants, ["index.m3u8"]);
    let index = ask(sidecar.web(), &format!("{LLHLS}/index.m3u8"), &[]);
    assert!(!text(&index).contains("#EXT-X-RENDITION-REPORT"), "{}", text(&index));
    let url = format!("http://127.0.0.1:{}{LLHLS}/master.m3u8", sidecar.web());
    assert_eq!(ffmpeg::probe(&url, &["-show_entries", "stream=codec_name"]).lines().next(), Some("h264"));
}

/// Starts an nginx in front of the daemon that caches all cacheable answers, and logs its requests.
fn cache(sidecar: &Sidecar) -> Nginx {
    Config::stock()
        .web("proxy_cache_path @DIR@/cache keys_zone=media:1m;\nlog_format asked '$upstream_cache_status $request_uri';\n")
        .http(&format!(
            "access_log @DIR@/asked.log asked;\nlocation / {{ proxy_pass http://127.0.0.1:{}; proxy_cache media;\n\
             proxy_cache_lock on; proxy_cache_lock_timeout 15s; }}",
            sidecar.web()
        ))
        .start()
}

#[test]
fn playlists_are_small_and_a_cache_asks_once_for_all_who_wait() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = publish(&nginx, "show");
    let path = format!("{LLHLS}/index.m3u8");
    let plain = until("there is a playlist", 20.0, || {
        Some(ask(sidecar.web(), &path, &[]))
            .filter(|answer| answer.status == 200 && text(answer).contains("#EXTINF"))
    });
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    let small = ask(sidecar.web(), &path, &["Accept-Encoding: br, gzip"]);
    assert_eq!(small.header("content-encoding"), Some("gzip"), "{}", small.head);
    assert!(small.body.len() * 2 < plain.body.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.m3u8.gz");
    std::fs::write(&file, &small.body).unwrap();
    let read = Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
    assert!(read.status.success() && read.stdout.starts_with(b"#EXTM3U\n"));

    // The segment after the next one is some seconds away, so all clients wait for it.
    let cache = cache(&sidecar);
    let number = |line: &str| line.split_once(':').and_then(|(_, number)| number.parse::<u64>().ok());
    let now = ask(sidecar.web(), &path, &[]);
    let first =
        text(&now).lines().find(|line| line.starts_with("#EXT-X-MEDIA-SEQUENCE:")).and_then(number).unwrap();
    let next = first + text(&now).matches("#EXTINF").count() as u64 + 1;
    let address = format!("{path}?_HLS_msn={next}&_HLS_part=0");
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let one = || ask(cache.http(), &address, &[]);
        let all: Vec<_> = (0..20).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(
        answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body),
        "{:?}",
        answers[0]
    );
    assert!(text(&answers[0]).contains(&format!("{next}.0.m4s")), "{}", text(&answers[0]));
    let log = until("all are logged", 10.0, || {
        let log = std::fs::read_to_string(cache.path("asked.log")).ok()?;
        (log.lines().count() == 20).then_some(log)
    });
    assert_eq!(log.matches("MISS ").count(), 1, "{log}");
}
