//! Live streams in the API and in the four formats of `weir_stat`: the values are true, every worker gives the same ones, and any stream
//! name keeps the format valid. Addresses of publishers and players appear only if the configuration asks for them.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use weir_tests::harness::media::sample;
use weir_tests::harness::metrics;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, Player, Publisher, Xml, until};

use super::{keyed, time, wait_gone, wait_live};

const FORMATS: [&str; 4] = ["html", "xml", "json", "prometheus"];

/// Starts nginx with `/stat/FORMAT`, and with `/full/FORMAT`, which also shows who publishes and plays.
fn start() -> Nginx {
    with_stat(keyed()).app("plain", "").start()
}

fn with_stat(config: Config) -> Config {
    FORMATS.iter().fold(config, |config, format| {
        config.http(&format!(
            "location /stat/{format} {{ weir_stat {format}; }} location /full/{format} {{ weir_stat {format} full; }}"
        ))
    })
}

#[track_caller]
fn stat(nginx: &Nginx, path: &str) -> String {
    let answer = Api::new(&nginx.url("")).get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.text
}

/// Returns the bitrate of the sample, audio and video together, in bits per second.
fn real_rate() -> f64 {
    let bytes: usize = sample().frames.iter().map(|tag| tag.payload.len()).sum();
    bytes as f64 * 8000.0 / f64::from(sample().duration)
}

fn near(value: &Value, wanted: f64, tolerance: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - wanted).abs() <= wanted * tolerance)
}

/// Waits until the measured values of a stream are close to the real ones.
#[track_caller]
fn wait_measured(nginx: &Nginx, app: &str, name: &str) -> Value {
    let measured = |stream: &Value| {
        near(&stream["video"]["fps"], 20.0, 0.2) && near(&stream["bitrate_in"], real_rate(), 0.3)
    };
    let api = nginx.api();
    until("frame rate and bit rate", 10.0, || api.stream(app, name).filter(measured))
}

/// Waits until two requests have the same answer: measured values change once per second.
#[track_caller]
fn wait_equal<T: PartialEq + std::fmt::Debug>(what: &str, mut both: impl FnMut() -> (T, T)) {
    let mut last = None;
    let equal = weir_tests::harness::until_ok(5.0, || {
        let (one, other) = both();
        let equal = one == other;
        last = Some((one, other));
        equal
    });
    assert!(equal.is_some(), "{what}: {last:#?}");
}

#[test]
fn a_stream_is_described() {
    let nginx = start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let _keyed =
        Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).from("127.0.0.3").start().started();
    let _plain = Publisher::to(nginx.rtmp(), "plain/show").from("127.0.0.4").start().started();
    for (app, addr, key_id) in [("live", "127.0.0.3", json!(key.id)), ("plain", "127.0.0.4", Value::Null)] {
        let stream = wait_measured(&nginx, app, "show");
        let video = &stream["video"];
        assert_eq!(
            (&video["codec"], &video["width"], &video["height"]),
            (&json!("H264"), &json!(160), &json!(90))
        );
        assert!(
            !video["profile"].as_str().unwrap().is_empty() && !video["level"].as_str().unwrap().is_empty()
        );
        assert_eq!(
            stream["audio"],
            json!({"codec": "AAC", "profile": "LC", "sample_rate": 44_100, "channels": 1})
        );
        let worker_pid = nginx.workers()[0].0;
        assert_eq!(stream["publisher"], json!({"addr": addr, "key_id": key_id, "worker_pid": worker_pid}));
        assert_eq!(
            stream["viewers"],
            json!({"rtmp": 0, "hls": 0, "dash": 0, "llhls": 0, "ws": 0, "webrtc": 0})
        );
        let more = until("bytes_in grows", 5.0, || {
            api.stream(app, "show").filter(|now| now["bytes_in"].as_u64() > stream["bytes_in"].as_u64())
        });
        assert_eq!((&more["session"], &more["since"]), (&stream["session"], &stream["since"]));
        assert_eq!(api.get(&format!("/v1/streams/{app}/show")).expect(200)["session"], stream["session"]);
        time(&stream["since"]);
    }
    let sessions: HashSet<_> = api.streams().iter().map(|stream| stream["session"].to_string()).collect();
    assert_eq!(sessions.len(), 2);
}

#[test]
fn what_players_get_is_counted() {
    let nginx = start();
    let api = nginx.api();
    let _publisher = Publisher::to(nginx.rtmp(), "plain/show").start().started();
    let players = [1, 2].map(|_| Player::start_from("127.0.0.7", nginx.rtmp(), "plain/show"));
    until("both players are counted, and what they get", 10.0, || {
        let stream = api.stream("plain", "show")?;
        (stream["viewers"]["rtmp"] == 2 && near(&stream["bitrate_out"], 2.0 * real_rate(), 0.3)).then_some(())
    });
    let listed = api.get("/v1/streams/plain/show/players").expect(200)["players"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 2);
    for player in &listed {
        assert_eq!((&player["addr"], &player["dropped"]), (&json!("127.0.0.7"), &json!(0)), "{player}");
        assert!(near(&player["bitrate_out"], real_rate(), 0.4), "{player}");
        time(&player["since"]);
    }
    let before = api.stream("plain", "show").unwrap()["bytes_out"].as_u64().unwrap();
    drop(players);
    until("nobody plays", 5.0, || api.stream("plain", "show").unwrap()["viewers"]["rtmp"] == 0);
    let after = api.stream("plain", "show").unwrap();
    assert!(after["bytes_out"].as_u64().unwrap() >= before, "{after}, {before} before");
}

#[test]
fn xml_has_what_readers_of_rtmp_stat_read() {
    let nginx = start();
    let key = nginx.api().create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(3);
    wait_measured(&nginx, "live", "show");
    until("the player is counted", 5.0, || {
        nginx.api().stream("live", "show").unwrap()["viewers"]["rtmp"] == 1
    });
    let stream =
        |path: &str| format!("/rtmp/server/application[name='live']/live/stream[name='show']/{path}");
    // Bytes sent to players are counted once per second, and a busy machine sometimes measures another rate.
    let xml = until("bytes and rates", 10.0, || {
        let xml = Xml::read(&stat(&nginx, "/stat/xml"));
        let rate = xml.number(&stream("bw_in"));
        let is_measured =
            xml.number(&stream("bytes_out")) > 0.0 && (rate - real_rate()).abs() < real_rate() * 0.3;
        is_measured.then_some(xml)
    });
    for (path, value) in [
        ("nclients", "2"),
        ("meta/video/codec", "H264"),
        ("meta/video/width", "160"),
        ("meta/video/height", "90"),
        ("meta/audio/codec", "AAC"),
        ("meta/audio/profile", "LC"),
        ("meta/audio/channels", "1"),
        ("meta/audio/sample_rate", "44100"),
    ] {
        assert_eq!(xml.at(&stream(path)), value, "{path}");
    }
    assert!((xml.number(&stream("meta/video/frame_rate")) - 20.0).abs() <= 4.0);
    let rate = xml.number(&stream("bw_in"));
    assert!((xml.number(&stream("bw_video")) + xml.number(&stream("bw_audio")) - rate).abs() < 2.0);
    for path in ["bytes_in", "bytes_out", "time"] {
        assert!(xml.number(&stream(path)) > 0.0, "{path}");
    }
    assert_eq!(xml.number(&format!("count({})", stream("publishing"))), 1.0);
    // Exporters stop at a stream that has no `client` elements; these elements do not show who the clients are.
    assert_eq!(
        xml.number(&format!("count({})", stream("client[address='' and flashver and timestamp>0]"))),
        2.0
    );
    for path in ["naccepted", "bytes_in", "bytes_out", "bw_in", "pid"] {
        assert!(xml.number(&format!("/rtmp/{path}")) > 0.0, "{path}");
    }
    let full = Xml::read(&stat(&nginx, "/full/xml"));
    assert_eq!(full.number(&format!("count({})", stream("client[address='127.0.0.1']"))), 2.0);
}

#[test]
fn who_publishes_and_plays_is_shown_only_when_asked_for() {
    let nginx = start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let _publisher =
        Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).from("127.0.0.3").start().started();
    let _player = Player::start_from("127.0.0.7", nginx.rtmp(), "live/show");
    until("the player is listed", 5.0, || wait_live(&api, "live", "show")["viewers"]["rtmp"] == 1);
    for format in FORMATS {
        let text = stat(&nginx, &format!("/stat/{format}"));
        assert!(text.contains("show"), "{format}");
        for secret in ["127.0.0.", &key.id, &key.key] {
            assert!(!text.contains(secret), "{format} shows {secret}:\n{text}");
        }
        let full = stat(&nginx, &format!("/full/{format}"));
        assert_eq!(full.contains("127.0.0.3"), format != "prometheus", "{format}:\n{full}");
        assert_eq!(full.contains("127.0.0.7"), matches!(format, "html" | "xml"), "{format}:\n{full}");
        assert!(!full.contains(&key.key), "{format}");
    }
}

/// If nginx-rtmp alone decides on names, applications and streams can have any name.
#[test]
fn names_are_escaped() {
    let app = "a&<script>\"'\\";
    let name = "x y\"'><script>alert(1)</script>&amp;\\";
    let quoted = app.replace('\\', "\\\\").replace('"', "\\\"");
    let nginx = with_stat(Config::weir().with_api()).app(&format!("\"{quoted}\""), "").start();
    let path = format!("{app}/show");
    let _publisher = Publisher::to(nginx.rtmp(), &path).name(name.as_bytes()).start().started();
    wait_live(&nginx.api(), app, name);
    let answer: Value = serde_json::from_str(&stat(&nginx, "/stat/json")).unwrap();
    assert_eq!((&answer["streams"][0]["app"], &answer["streams"][0]["name"]), (&json!(app), &json!(name)));
    let xml = Xml::read(&stat(&nginx, "/stat/xml"));
    assert_eq!(xml.at("//application[live/stream]/name"), app);
    assert_eq!(xml.at("//stream/name"), name);
    let page = stat(&nginx, "/full/html");
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    Xml::read(page.trim_start_matches("<!DOCTYPE html>"));
    let samples = metrics::read(&stat(&nginx, "/stat/prometheus"));
    let labels = vec![("app".to_owned(), app.to_owned()), ("stream".to_owned(), name.to_owned())];
    assert_eq!(samples[&("weir_stream_publishing".to_owned(), labels)], 1.0);
}

#[test]
fn json_is_what_the_api_says_without_who() {
    let nginx = start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publishers = [format!("live/{key}"), "plain/show".to_owned()]
        .map(|path| Publisher::to(nginx.rtmp(), &path).start().started());
    for app in ["live", "plain"] {
        wait_measured(&nginx, app, "show");
    }
    // Without the stall, media between the two requests would change the answers.
    publishers.iter().for_each(Publisher::stall);
    let redacted = || {
        let mut streams = api.streams();
        for stream in &mut streams {
            stream["publisher"] = json!({ "worker_pid": stream["publisher"]["worker_pid"] });
        }
        Value::Array(streams)
    };
    let shown = |path: &str| serde_json::from_str::<Value>(&stat(&nginx, path)).unwrap()["streams"].take();
    wait_equal("weir_stat json", || (shown("/stat/json"), redacted()));
    wait_equal("weir_stat json full", || (shown("/full/json"), Value::Array(api.streams())));
    let answer: Value = serde_json::from_str(&stat(&nginx, "/stat/json")).unwrap();
    let health = api.get("/v1/health").expect(200);
    assert_eq!(answer["workers"][0]["pid"], health["workers"][0]["pid"]);
    assert_eq!(answer["zone"]["size"], health["zone"]["size"]);
    time(&answer["now"]);
}

#[test]
fn metrics_have_the_values_of_the_api() {
    let nginx = start();
    let api = nginx.api();
    let _publisher = Publisher::to(nginx.rtmp(), "plain/show").start().started();
    let player = Player::start(nginx.rtmp(), "plain/show");
    player.wait_video(3);
    wait_measured(&nginx, "plain", "show");
    let labels = vec![("app".to_owned(), "plain".to_owned()), ("stream".to_owned(), "show".to_owned())];
    // Media arrives all the time, and on a busy machine it does not pause between two requests: the test asks the API before and after.
    let said = || {
        let stream = api.stream("plain", "show").unwrap();
        // A busy machine sometimes has no measured rate.
        let number = Value::as_f64;
        let rate = |value: &Value| Some((number(value)? / 8.0).floor());
        [
            ("nginx_rtmp_stream_incoming_bytes_total", number(&stream["bytes_in"])),
            ("nginx_rtmp_stream_outgoing_bytes_total", number(&stream["bytes_out"])),
            ("nginx_rtmp_stream_receive_bytes", rate(&stream["bitrate_in"])),
            ("nginx_rtmp_stream_transmit_bytes", rate(&stream["bitrate_out"])),
            ("weir_stream_video_frames_per_second", number(&stream["video"]["fps"])),
            ("weir_stream_video_width_pixels", Some(160.0)),
            ("weir_stream_video_height_pixels", Some(90.0)),
            ("weir_stream_players", Some(1.0)),
            ("weir_stream_publishing", Some(1.0)),
        ]
    };
    let mut last = Vec::new();
    let equal = weir_tests::harness::until_ok(10.0, || {
        let before = said();
        let samples = metrics::read(&stat(&nginx, "/stat/prometheus"));
        let both = before.into_iter().zip(said());
        last = both
            .map(|((name, before), (_, after))| {
                let shown = samples.get(&(name.to_owned(), labels.clone())).copied();
                let fits = match name.ends_with("_total") {
                    true => before <= shown && shown <= after,
                    false => shown == before || shown == after,
                };
                (name, before, shown, after, fits)
            })
            .collect();
        last.iter().all(|(.., fits)| *fits)
    });
    assert!(equal.is_some(), "name, before, in the metrics, after: {last:#?}");
    let text = stat(&nginx, "/stat/prometheus");
    metrics::lint(&text);
    let samples = metrics::read(&text);
    assert_eq!(samples[&("nginx_rtmp_server_current_streams".to_owned(), vec![])], 1.0);
    let worker = vec![("pid".to_owned(), nginx.workers()[0].0.to_string())];
    assert_eq!(samples[&("weir_worker_draining".to_owned(), worker)], 0.0);
}

#[test]
fn the_answers_are_as_http_has_it() {
    let nginx = start();
    let stat = Api::new(&nginx.url("/stat"));
    for (format, kind) in [
        ("html", "text/html; charset=utf-8"),
        ("xml", "text/xml; charset=utf-8"),
        ("json", "application/json"),
        ("prometheus", "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let path = format!("/{format}");
        for method in ["GET", "HEAD"] {
            let answer = stat.request(method, &path).send().unwrap();
            let header =
                |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!((answer.status().as_u16(), header("content-type").as_deref()), (200, Some(kind)));
            let policy = header("content-security-policy");
            assert_eq!(policy.is_some_and(|policy| policy.contains("default-src 'none'")), format == "html");
            assert_eq!(answer.text().unwrap().is_empty(), method == "HEAD");
        }
        stat.post(&path, &json!({})).error(405, "method_not_allowed");
        stat.delete(&path).error(405, "method_not_allowed");
        assert_eq!(stat.request("PUT", &path).send().unwrap().headers()["allow"], "GET, HEAD");
    }
    let page = stat.get("/html").text;
    assert!(page.contains("<!DOCTYPE html>") && !page.contains("<script"), "{page}");
}

/// nginx compresses the types that its configuration names.
#[test]
fn answers_are_compressed_by_nginx() {
    let nginx = with_stat(keyed()).app("plain", "").http("gzip on; gzip_types *; gzip_min_length 0;").start();
    let client = Api::new(&nginx.url(""));
    for path in
        FORMATS.map(|format| format!("/stat/{format}")).into_iter().chain(["/api/v1/streams".to_owned()])
    {
        let request = client.request("GET", &path).header("Accept-Encoding", "gzip");
        let answer = request.send().unwrap();
        let encoding =
            answer.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!((answer.status().as_u16(), encoding.as_deref()), (200, Some("gzip")), "{path}");
        let body = answer.bytes().unwrap();
        assert!(body.starts_with(&[0x1f, 0x8b]), "{path}: {body:?}");
    }
}

#[test]
fn what_has_ended_is_gone() {
    let nginx = start();
    let api = nginx.api();
    let key = api.create_key("live", "ended").key;
    for (app, path) in [("live", format!("live/{key}")), ("plain", "plain/ended".to_owned())] {
        let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
        wait_live(&api, app, "ended");
        publisher.close();
        wait_gone(&api, app, "ended");
        api.get(&format!("/v1/streams/{app}/ended")).error(404, "not_found");
        api.get(&format!("/v1/streams/{app}/ended/players")).error(404, "not_found");
        for format in FORMATS {
            assert!(!stat(&nginx, &format!("/full/{format}")).contains("ended"), "{format}");
        }
    }
}

#[test]
fn every_worker_tells_the_same() {
    let nginx = keyed().workers(4).app("open", "weir_publish open;").app("plain", "").start();
    let workers = nginx.workers();
    let publishers: Vec<_> = (0..12)
        .map(|n| {
            let app = if n % 2 == 0 { "open" } else { "plain" };
            let path = format!("{app}/show{n}");
            nginx.on_worker(workers[n % 4], || Publisher::to(nginx.rtmp(), &path).start().started())
        })
        .collect();
    let list = || -> BTreeMap<String, (i64, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let entry = |stream: &Value| {
            let name = format!("{}/{}", text(&stream["app"]), text(&stream["name"]));
            (name, (stream["publisher"]["worker_pid"].as_i64().unwrap(), text(&stream["session"])))
        };
        // A new client opens a new connection, which may reach another worker.
        nginx.api().streams().iter().map(entry).collect()
    };
    let all = until("12 streams", 5.0, || Some(list()).filter(|streams| streams.len() == 12));
    for (n, worker) in workers.iter().cycle().take(12).enumerate() {
        let app = if n % 2 == 0 { "open" } else { "plain" };
        assert_eq!(all[&format!("{app}/show{n}")].0, i64::from(worker.0));
    }
    for worker in &workers {
        nginx.on_worker(*worker, || {
            for _ in 0..25 {
                assert_eq!(list(), all);
            }
        });
    }
    assert!(publishers.iter().all(|publisher| !publisher.is_closed()));
}
