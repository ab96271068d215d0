//! `[history]`: the command line shows past events, without addresses. A `kill -9` at any time damages nothing, and a damaged file is moved
//! aside, with one log line.

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Ffmpeg, Publisher, Sidecar, until};

#[track_caller]
fn sessions(sidecar: &Sidecar) -> Vec<Value> {
    let (status, text, errors) = sidecar.command(&["history", "list", "--json"]);
    assert_eq!(status, 0, "{errors}\n{}", sidecar.log());
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    answer["sessions"].as_array_mut().unwrap().drain(..).collect()
}

#[test]
fn a_stream_is_told_with_its_quality_its_target_and_its_recording() {
    let nginx = Config::weir().with_api().app("live", "weir_publish open; weir_push on;").start();
    let sidecar = Sidecar::start(
        &nginx,
        "[web]\n[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@\"\nmin_free = \"1m\"\n",
    );
    let target = json!({ "app": "live", "stream": "show", "url": "rtmp://127.0.0.1:9/app/secret-key" });
    nginx.api().post("/v1/targets", &target).expect(201);
    let publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let live = until("it is live in the history", 20.0, || {
        sessions(&sidecar).into_iter().find(|one| one["video_codec"] == "H264" && one["ended_at"].is_null())
    });
    assert_eq!([&live["app"], &live["stream"], &live["kind"]], ["live", "show", "publisher"]);
    assert_eq!((&live["audio_codec"], live["width"].as_u64().unwrap() > 0), (&json!("AAC"), true));
    let id = live["session"].as_str().unwrap();
    let show = || -> Value {
        let (status, text, errors) = sidecar.command(&["history", "show", id, "--json"]);
        assert_eq!(status, 0, "{errors}");
        serde_json::from_str(&text).unwrap()
    };
    until("the target's failure is known", 20.0, || {
        show()["targets"][0]["last_error"].as_str().is_some_and(|error| error.contains("refused"))
    });
    sidecar.told("recording.started");
    drop(publisher);
    until("its end is known", 20.0, || {
        !show()["reason"].is_null() && show()["recordings"][0]["bytes"].is_u64()
    });
    let (status, text, _) = sidecar.command(&["history", "show", id]);
    assert_eq!(status, 0);
    for part in ["Stream    live/show (publisher)", "TARGET", "RECORDING", "MINUTE"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(!text.contains("secret-key"), "{text}");

    let (status, csv, _) = sidecar.command(&["history", "export", "minutes", "--csv", "--since", "1h"]);
    assert_eq!(status, 0);
    assert!(csv.starts_with("at,app,stream,viewers,rtmp,hls,dash,llhls,ws,webrtc,bitrate_in\r\n"), "{csv}");
    assert!(csv.lines().nth(1).unwrap().contains(",live,show,"), "{csv}");
    for (arguments, status, why) in [
        (["history", "show", "nobody", "--json"], 1, "the history has no such session"),
        (["history", "export", "people", "--csv"], 2, "must be sessions, minutes, targets"),
        (["history", "list", "--since", "3"], 2, "write a time as"),
    ] {
        let (found, _, errors) = sidecar.command(&arguments);
        assert!(found == status && errors.contains(why), "{arguments:?}: {found} {errors}");
    }
}

#[test]
fn a_daemon_that_is_killed_at_any_time_keeps_its_history_and_a_damaged_one_is_moved_aside() {
    let nginx = Config::weir().with_api().app("live", "weir_publish open;").start();
    let mut sidecar = Sidecar::start(&nginx, "");
    for round in 0..8 {
        let name = format!("show{round}");
        let _publishers: Vec<_> = (0..3)
            .map(|n| Publisher::to(nginx.rtmp(), &format!("live/{name}-{n}")).start().started())
            .collect();
        if round % 2 == 0 {
            until("it is in the history", 10.0, || {
                sessions(&sidecar).iter().any(|one| one["stream"] == format!("{name}-2"))
            });
        }
        sidecar.kill();
        sidecar.start_again();
    }
    let found = sessions(&sidecar);
    for round in [0, 2, 4, 6] {
        assert!(found.iter().any(|one| one["stream"] == format!("show{round}-2")), "{round}: {found:#?}");
    }
    // Streams whose end the daemon missed have ended all the same.
    until("none is live", 20.0, || sessions(&sidecar).iter().all(|one| !one["ended_at"].is_null()));
    assert!(!sidecar.log().contains("damaged"), "{}", sidecar.log());

    sidecar.kill();
    // SQLite would repair the file from its log.
    std::fs::remove_file(sidecar.history().with_extension("db-wal")).unwrap();
    std::fs::write(sidecar.history(), "no database at all, ".repeat(1000)).unwrap();
    sidecar.start_again();
    assert_eq!(sessions(&sidecar), Vec::<Value>::new());
    let log = sidecar.log();
    assert_eq!(log.matches("history damaged").count(), 1, "{log}");
    let aside = std::fs::read_dir(sidecar.history().parent().unwrap()).unwrap();
    assert!(
        aside.flatten().any(|file| file.file_name().to_string_lossy().starts_with("history.db.damaged-"))
    );
    let publisher = Publisher::to(nginx.rtmp(), "live/again").start().started();
    until("it goes on", 10.0, || sessions(&sidecar).iter().any(|one| one["stream"] == "again"));
    drop(publisher);

    // A file that cannot be opened costs only the history and a log line.
    sidecar.reload("[history]\nfile = \"/proc/none/history.db\"\n");
    sidecar.wait_log("no history: ");
    assert_eq!(sidecar.command(&["history", "list"]).0, 1);
    assert!(sidecar.get("/healthz").is_some());
}
