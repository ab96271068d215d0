use serde_json::json;

use super::*;

fn stream(name: &str, bitrate_in: u64, bitrate_out: u64) -> serde_json::Value {
    json!({
        "app": "live", "name": name, "since": "2026-11-20T18:00:00Z",
        "publisher": { "addr": "192.0.2.1", "key_id": null, "worker_pid": 42 },
        "video": { "codec": "H264", "width": 1280, "height": 720, "fps": 29.97 },
        "bitrate_in": bitrate_in, "bitrate_out": bitrate_out, "viewers": { "rtmp": 2, "hls": 7, "dash": 1, "llhls": 1, "ws": 1, "webrtc": 1 },
    })
}

fn view(streams: &[serde_json::Value]) -> View {
    let health = json!({
        "status": "ok", "reasons": [], "zone": { "size": 4_194_304, "used": 419_431 },
        "workers": [
            { "pid": 42, "draining": false, "heartbeat_ms": 12 },
            { "pid": 7, "draining": true, "heartbeat_ms": 2001 },
        ],
    });
    let live = Live {
        at: "2026-11-20T18:05:00.123Z".parse().unwrap(),
        health: serde_json::from_value(health).unwrap(),
        streams: serde_json::from_value(json!(streams)).unwrap(),
        inputs: Inputs::default(),
    };
    View { live: Some(live), error: None }
}

fn at(columns: usize, rows: usize) -> Option<Size> {
    Some(Size { columns, rows })
}

#[test]
fn head_and_table() {
    let target = |id: &str, enabled: bool, state: &str| {
        json!({
            "id": id, "app": "live", "stream": "*", "url": "rtmp://192.0.2.9/in/***", "enabled": enabled,
            "note": "", "source": "api", "sessions": [{
                "stream": "show", "state": state, "since": "2026-11-20T18:00:00Z", "bytes_out": 0,
                "bitrate_out": 0, "reconnects": 0, "last_error": null,
            }],
        })
    };
    let mut show = stream("show", 2_500_000, 5_000_000);
    show["targets"] = json!([
        target("t0000000000000001", true, "live"),
        target("t0000000000000002", true, "waiting"),
        target("t0000000000000003", false, "off"),
    ]);
    let view = view(&[stream("a", 800_000, 0), show, stream("b", 900_000, 0)]);
    assert_eq!(
        render(&view, None),
        [
            "streams 3  viewers 39  players 6  in 4.2M  out 5.0M  zone 10 % of 4096 KB  at 2026-11-20T18:05:00Z",
            "workers 42, 7 draining stuck",
            "",
            "STREAM        UP  VIDEO          FPS    IN   OUT  VIEWERS  PLAYERS  TARGETS  WORKER  PUBLISHER",
            "live/show  5m00s  H264 1280x720   30  2.5M  5.0M       13        2      1/2      42  192.0.2.1",
            "live/b     5m00s  H264 1280x720   30  900k     0       13        2        -      42  192.0.2.1",
            "live/a     5m00s  H264 1280x720   30  800k     0       13        2        -      42  192.0.2.1",
        ]
    );
}

#[test]
fn a_narrow_screen_has_the_numbers_that_matter() {
    let long = "n".repeat(40);
    let view = view(&[stream(&long, 1, 2)]);
    let table = |columns| render(&view, at(columns, 24))[3..].to_vec();
    // The name is shortened first, then columns are dropped, the least important first.
    assert!(table(129)[1].contains(&long));
    assert!(table(109)[1].contains("…") && table(109)[1].ends_with("192.0.2.1"));
    assert!(!table(87)[0].contains("PUBLISHER") && table(87)[0].contains("WORKER"));
    assert_eq!(
        table(34),
        ["\u{1b}[7mSTREAM            IN  OUT  VIEWERS\u{1b}[27m", "live/nnnnnnnnnn…   1    2       13"]
    );
}

#[test]
fn no_line_and_no_page_is_longer_than_the_screen() {
    let streams: Vec<_> = (0..30).map(|n| stream(&format!("show-{n}"), n, n)).collect();
    let mut view = view(&streams);
    view.error = Some("no answer from the API at http://127.0.0.1:8080/api: Connection refused".into());
    for (columns, rows) in [(80, 24), (20, 5), (1, 1), (0, 0), (200, 60)] {
        let lines = render(&view, at(columns, rows));
        assert!(lines.len() <= rows, "{columns}x{rows}");
        for line in &lines {
            let shown = line.replace("\u{1b}[7m", "").replace("\u{1b}[27m", "");
            assert!(shown.chars().count() <= columns.max(1), "{columns}x{rows}: {line}");
        }
    }
    let lines = render(&view, at(80, 24));
    assert_eq!((lines.len(), lines[23].as_str()), (24, "... and 12 more"));
}

#[test]
fn an_error_stands_above_what_was_seen_last() {
    let view = View { error: Some("no answer\u{1b}[2J".into()), ..view(&[stream("show", 1, 1)]) };
    let lines = render(&view, at(80, 24));
    assert_eq!(lines[0], "weir: no answer\u{fffd}[2J");
    assert_eq!(render(&view, at(10, 3))[..2], ["weir: no a", "nswer\u{fffd}[2J"]);
    assert!(lines[1].starts_with("streams 1"), "{lines:?}");
    assert_eq!(render(&View { error: Some("no".into()), live: None }, at(80, 24)), ["weir: no"]);
    assert!(render(&View::default(), at(80, 24)).is_empty());
}

#[test]
fn what_is_wrong_is_said() {
    let mut view = view(&[]);
    view.live.as_mut().unwrap().health.reasons.push("the zone is 91 % full".into());
    assert_eq!(render(&view, None)[2], "degraded: the zone is 91 % full");
}

fn input(stream: &str, state: &str, error: Option<&str>) -> serde_json::Value {
    json!({
        "id": format!("live/{stream}/input"), "app": "live", "stream": stream, "renditions": [], "state": state,
        "since": "2026-11-20T18:04:20Z", "ready": true, "pid": null, "restarts": 2, "last_exit": null,
        "last_error": error, "progress": {},
    })
}

#[test]
fn inputs_stand_below_the_streams() {
    let mut view = view(&[stream("show", 1, 1)]);
    let jobs = json!([input("cam", "running", None), input("door", "waiting", Some("401 from rtsp camera"))]);
    view.live.as_mut().unwrap().inputs = Inputs::These(serde_json::from_value(jobs).unwrap());
    assert_eq!(
        render(&view, None)[5..],
        [
            "",
            "INPUT      STATE    SINCE  RESTARTS  LAST ERROR",
            "live/cam   running  40s    2         -",
            "live/door  waiting  40s    2         401 from rtsp camera",
        ]
    );
    let lines = render(&view, at(60, 10));
    assert_eq!(
        lines[5..],
        ["", "\u{1b}[7mINPUT      STATE    SINCE  RESTARTS  LAST ERROR\u{1b}[27m", "... and 2 more"]
    );
    assert_eq!(render(&view, at(60, 8)).len(), 5);
    view.live.as_mut().unwrap().inputs = Inputs::Unknown("no answer from weir serve".into());
    assert_eq!(render(&view, None)[5..], ["", "inputs unknown: no answer from weir serve"]);
}
