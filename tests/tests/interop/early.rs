//! Encoders whose publish is accepted late, because the backend of `on_publish` is slow: they send their headers only once, and the stream
//! can still be watched.

use weir_tests::harness::hook::Answer;
use weir_tests::harness::{Hook, Make, Player, files, until};

use super::{assert_nothing_refused, keyed};

/// Publishes with each encoder into applications whose `on_publish` answers after these delays, in milliseconds.
#[track_caller]
fn assert_watchable(delays: &[u32]) {
    let hooks: Vec<_> =
        delays.iter().map(|ms| (format!("late{ms}"), Hook::start(Answer::Late(*ms)))).collect();
    let mut config = keyed();
    for (app, hook) in &hooks {
        let hls = format!("hls on; hls_path @DIR@/hls-{app}; hls_fragment 1s; hls_playlist_length 60s;");
        config = config.app(app, &format!("weir_publish key; {hls} on_publish {};", hook.url()));
    }
    let nginx = config.start();
    let api = nginx.api();
    for make in Make::ALL {
        let streams: Vec<_> = hooks.iter().map(|(app, _)| (app.clone(), format!("{make:?}-{app}"))).collect();
        let encoders: Vec<_> = streams
            .iter()
            .map(|(app, name)| {
                let key = api.create_key(app, name).key;
                make.publish(&format!("rtmp://127.0.0.1:{}/{app}/{key}", nginx.rtmp()))
            })
            .collect();
        for (app, name) in &streams {
            until("the stream is live with both codec headers", 30.0, || {
                let stream = api.stream(app, name)?;
                let (video, audio) = (&stream["video"]["profile"], &stream["audio"]["profile"]);
                (!video.is_null() && video != "" && audio == "LC").then_some(())
            });
            Player::start(nginx.rtmp(), &format!("{app}/{name}")).wait_video(10);
            let playlist = nginx.path(&format!("hls-{app}/{name}.m3u8"));
            until("segments of HLS", 15.0, || !files::segments(&playlist).is_empty());
        }
        drop(encoders);
    }
    assert_nothing_refused(&nginx);
}

#[test]
fn every_encoder_is_watchable_when_it_is_accepted_late() {
    assert_watchable(&[0, 400, 1500]);
}

#[test]
#[ignore = "slow: a part of make test-long"]
fn every_encoder_is_watchable_when_it_is_accepted_after_eight_seconds() {
    assert_watchable(&[8000]);
}
