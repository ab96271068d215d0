use std::collections::HashSet;

use proptest::prelude::*;

use super::super::fixture;
use super::*;
use crate::server::{Server, ServerBlock};

const EXPECTED: &str = "\
# HELP weir_build_info Versions.
# TYPE weir_build_info gauge
weir_build_info{version=\"VERSION\",nginx_version=\"1.22.1\",nginx_rtmp_version=\"1.1.4\"} 1
# HELP nginx_rtmp_server_incoming_bytes_total Bytes received over RTMP.
# TYPE nginx_rtmp_server_incoming_bytes_total counter
nginx_rtmp_server_incoming_bytes_total 1125000000
# HELP nginx_rtmp_server_outgoing_bytes_total Bytes sent over RTMP.
# TYPE nginx_rtmp_server_outgoing_bytes_total counter
nginx_rtmp_server_outgoing_bytes_total 2250000000
# HELP nginx_rtmp_server_receive_bytes Bytes a second received over RTMP.
# TYPE nginx_rtmp_server_receive_bytes gauge
nginx_rtmp_server_receive_bytes 328500
# HELP nginx_rtmp_server_transmit_bytes Bytes a second sent over RTMP.
# TYPE nginx_rtmp_server_transmit_bytes gauge
nginx_rtmp_server_transmit_bytes 625000
# HELP nginx_rtmp_server_current_streams Live streams.
# TYPE nginx_rtmp_server_current_streams gauge
nginx_rtmp_server_current_streams 2
# HELP nginx_rtmp_server_uptime_seconds_total Seconds since the counters began.
# TYPE nginx_rtmp_server_uptime_seconds_total counter
nginx_rtmp_server_uptime_seconds_total 3600
# HELP weir_connections_accepted_total RTMP connections accepted.
# TYPE weir_connections_accepted_total counter
weir_connections_accepted_total 12
# HELP weir_zone_size_bytes Size of the shared memory.
# TYPE weir_zone_size_bytes gauge
weir_zone_size_bytes 8388608
# HELP weir_zone_used_bytes Shared memory in use.
# TYPE weir_zone_used_bytes gauge
weir_zone_used_bytes 1048576
# HELP weir_guard_refused_total Connections that the guard refused or closed.
# TYPE weir_guard_refused_total counter
weir_guard_refused_total{reason=\"not_connected\"} 0
weir_guard_refused_total{reason=\"depth\"} 1
weir_guard_refused_total{reason=\"chunk_sizes\"} 2
weir_guard_refused_total{reason=\"chunk_size\"} 3
weir_guard_refused_total{reason=\"aggregate\"} 4
weir_guard_refused_total{reason=\"running_length\"} 5
weir_guard_refused_total{reason=\"bytes_before_connect\"} 6
weir_guard_refused_total{reason=\"session_timeout\"} 7
weir_guard_refused_total{reason=\"no_media\"} 8
weir_guard_refused_total{reason=\"idle_publisher\"} 9
weir_guard_refused_total{reason=\"too_many_connections\"} 10
weir_guard_refused_total{reason=\"second_publish\"} 11
weir_guard_refused_total{reason=\"name\"} 12\n\
weir_guard_refused_total{reason=\"duplicate\"} 13
weir_guard_refused_total{reason=\"unfinished\"} 14
weir_guard_refused_total{reason=\"unread\"} 15
weir_guard_refused_total{reason=\"answers\"} 16
# HELP weir_publish_refused_total Publishes that were refused.
# TYPE weir_publish_refused_total counter
weir_publish_refused_total{reason=\"unknown_key\"} 0
weir_publish_refused_total{reason=\"expired\"} 1
weir_publish_refused_total{reason=\"wrong_application\"} 2
weir_publish_refused_total{reason=\"wrong_server\"} 3
weir_publish_refused_total{reason=\"foreign_network\"} 4
weir_publish_refused_total{reason=\"banned\"} 5
weir_publish_refused_total{reason=\"bad_name\"} 6
weir_publish_refused_total{reason=\"bad_argument\"} 7
weir_publish_refused_total{reason=\"too_long\"} 8
weir_publish_refused_total{reason=\"not_text\"} 9
weir_publish_refused_total{reason=\"duplicate\"} 10
weir_publish_refused_total{reason=\"shared_folder\"} 11
weir_publish_refused_total{reason=\"busy\"} 12
weir_publish_refused_total{reason=\"plays\"} 13
weir_publish_refused_total{reason=\"not_connected\"} 14
weir_publish_refused_total{reason=\"token_invalid\"} 15
weir_publish_refused_total{reason=\"token_expired\"} 16
weir_publish_refused_total{reason=\"token_not_yet\"} 17
weir_publish_refused_total{reason=\"token_wrong_stream\"} 18
weir_publish_refused_total{reason=\"token_wrong_action\"} 19
weir_publish_refused_total{reason=\"token_foreign_network\"} 20
weir_publish_refused_total{reason=\"zone_full\"} 21
weir_publish_refused_total{reason=\"no_secret\"} 22
weir_publish_refused_total{reason=\"key_in_server\"} 23
weir_publish_refused_total{reason=\"key_as_name\"} 24
weir_publish_refused_total{reason=\"no_application\"} 25
weir_publish_refused_total{reason=\"address\"} 26
weir_publish_refused_total{reason=\"not_admitted\"} 27
weir_publish_refused_total{reason=\"renamed\"} 28
weir_publish_refused_total{reason=\"failed\"} 29
weir_publish_refused_total{reason=\"max_viewers\"} 30
weir_publish_refused_total{reason=\"no_token\"} 31
weir_publish_refused_total{reason=\"token_revoked\"} 32
# HELP weir_worker_heartbeat_age_seconds Since the event loop last turned.
# TYPE weir_worker_heartbeat_age_seconds gauge
weir_worker_heartbeat_age_seconds{pid=\"101\"} 0.25
weir_worker_heartbeat_age_seconds{pid=\"99\"} 12
# HELP weir_worker_draining 1 while a worker only ends what it has.
# TYPE weir_worker_draining gauge
weir_worker_draining{pid=\"101\"} 0
weir_worker_draining{pid=\"99\"} 1
# HELP nginx_rtmp_stream_incoming_bytes_total Bytes received from the publisher.
# TYPE nginx_rtmp_stream_incoming_bytes_total counter
nginx_rtmp_stream_incoming_bytes_total{app=\"live\",stream=\"show\"} 1100000000
nginx_rtmp_stream_incoming_bytes_total{app=\"radio\",stream=\"jazz & <blues>\"} 16000
# HELP nginx_rtmp_stream_outgoing_bytes_total Bytes sent to RTMP players.
# TYPE nginx_rtmp_stream_outgoing_bytes_total counter
nginx_rtmp_stream_outgoing_bytes_total{app=\"live\",stream=\"show\"} 2250000000
nginx_rtmp_stream_outgoing_bytes_total{app=\"radio\",stream=\"jazz & <blues>\"} 0
# HELP nginx_rtmp_stream_receive_bytes Bytes a second from the publisher.
# TYPE nginx_rtmp_stream_receive_bytes gauge
nginx_rtmp_stream_receive_bytes{app=\"live\",stream=\"show\"} 312500
nginx_rtmp_stream_receive_bytes{app=\"radio\",stream=\"jazz & <blues>\"} 16000
# HELP nginx_rtmp_stream_transmit_bytes Bytes a second to RTMP players.
# TYPE nginx_rtmp_stream_transmit_bytes gauge
nginx_rtmp_stream_transmit_bytes{app=\"live\",stream=\"show\"} 625000
nginx_rtmp_stream_transmit_bytes{app=\"radio\",stream=\"jazz & <blues>\"} 0
# HELP nginx_rtmp_stream_uptime_seconds_total Seconds since the publish.
# TYPE nginx_rtmp_stream_uptime_seconds_total counter
nginx_rtmp_stream_uptime_seconds_total{app=\"live\",stream=\"show\"} 3540
nginx_rtmp_stream_uptime_seconds_total{app=\"radio\",stream=\"jazz & <blues>\"} 1
# HELP weir_stream_audio_receive_bytes Bytes a second of audio from the publisher.
# TYPE weir_stream_audio_receive_bytes gauge
weir_stream_audio_receive_bytes{app=\"live\",stream=\"show\"} 16000
weir_stream_audio_receive_bytes{app=\"radio\",stream=\"jazz & <blues>\"} 16000
# HELP weir_stream_video_receive_bytes Bytes a second of video from the publisher.
# TYPE weir_stream_video_receive_bytes gauge
weir_stream_video_receive_bytes{app=\"live\",stream=\"show\"} 296500
weir_stream_video_receive_bytes{app=\"radio\",stream=\"jazz & <blues>\"} 0
# HELP weir_stream_video_frames_per_second Frame rate of the video.
# TYPE weir_stream_video_frames_per_second gauge
weir_stream_video_frames_per_second{app=\"live\",stream=\"show\"} 29.97
# HELP weir_stream_video_width_pixels Width of the video.
# TYPE weir_stream_video_width_pixels gauge
weir_stream_video_width_pixels{app=\"live\",stream=\"show\"} 1280
# HELP weir_stream_video_height_pixels Height of the video.
# TYPE weir_stream_video_height_pixels gauge
weir_stream_video_height_pixels{app=\"live\",stream=\"show\"} 720
# HELP weir_stream_publishing 1 while a publisher is there.
# TYPE weir_stream_publishing gauge
weir_stream_publishing{app=\"live\",stream=\"show\"} 1
weir_stream_publishing{app=\"radio\",stream=\"jazz & <blues>\"} 1
# HELP weir_stream_players RTMP players.
# TYPE weir_stream_players gauge
weir_stream_players{app=\"live\",stream=\"show\"} 2
weir_stream_players{app=\"radio\",stream=\"jazz & <blues>\"} 0
# HELP weir_stream_viewers_peak The most viewers at one time since the publish.
# TYPE weir_stream_viewers_peak gauge
weir_stream_viewers_peak{app=\"live\",stream=\"show\"} 70
weir_stream_viewers_peak{app=\"radio\",stream=\"jazz & <blues>\"} 0
# HELP weir_stream_viewers_total Viewers who came since the publish.
# TYPE weir_stream_viewers_total counter
weir_stream_viewers_total{app=\"live\",stream=\"show\"} 900
weir_stream_viewers_total{app=\"radio\",stream=\"jazz & <blues>\"} 0
# HELP weir_stream_dropped_frames_total Frames that slow players did not get.
# TYPE weir_stream_dropped_frames_total counter
weir_stream_dropped_frames_total{app=\"live\",stream=\"show\"} 3
weir_stream_dropped_frames_total{app=\"radio\",stream=\"jazz & <blues>\"} 0
# HELP weir_stream_viewers Viewers, by what they watch.
# TYPE weir_stream_viewers gauge
weir_stream_viewers{app=\"live\",stream=\"show\",kind=\"rtmp\"} 2
weir_stream_viewers{app=\"live\",stream=\"show\",kind=\"hls\"} 40
weir_stream_viewers{app=\"live\",stream=\"show\",kind=\"dash\"} 1
weir_stream_viewers{app=\"live\",stream=\"show\",kind=\"llhls\"} 5
weir_stream_viewers{app=\"live\",stream=\"show\",kind=\"ws\"} 6
weir_stream_viewers{app=\"live\",stream=\"show\",kind=\"webrtc\"} 7
weir_stream_viewers{app=\"radio\",stream=\"jazz & <blues>\",kind=\"rtmp\"} 0
weir_stream_viewers{app=\"radio\",stream=\"jazz & <blues>\",kind=\"hls\"} 0
weir_stream_viewers{app=\"radio\",stream=\"jazz & <blues>\",kind=\"dash\"} 0
weir_stream_viewers{app=\"radio\",stream=\"jazz & <blues>\",kind=\"llhls\"} 0
weir_stream_viewers{app=\"radio\",stream=\"jazz & <blues>\",kind=\"ws\"} 0
weir_stream_viewers{app=\"radio\",stream=\"jazz & <blues>\",kind=\"webrtc\"} 0
# HELP weir_target_state 1 for the state in which the push of a stream to a target is.
# TYPE weir_target_state gauge
weir_target_state{app=\"live\",stream=\"show\",target=\"t0000000000000001\",state=\"off\"} 0
weir_target_state{app=\"live\",stream=\"show\",target=\"t0000000000000001\",state=\"connecting\"} 0
weir_target_state{app=\"live\",stream=\"show\",target=\"t0000000000000001\",state=\"live\"} 1
weir_target_state{app=\"live\",stream=\"show\",target=\"t0000000000000001\",state=\"waiting\"} 0
weir_target_state{app=\"live\",stream=\"show\",target=\"t0000000000000002\",state=\"off\"} 0
weir_target_state{app=\"live\",stream=\"show\",target=\"t0000000000000002\",state=\"connecting\"} 0
weir_target_state{app=\"live\",stream=\"show\",target=\"t0000000000000002\",state=\"live\"} 0
weir_target_state{app=\"live\",stream=\"show\",target=\"t0000000000000002\",state=\"waiting\"} 1
# HELP weir_target_bytes_total Bytes sent to the target.
# TYPE weir_target_bytes_total counter
weir_target_bytes_total{app=\"live\",stream=\"show\",target=\"t0000000000000001\"} 1000000000
weir_target_bytes_total{app=\"live\",stream=\"show\",target=\"t0000000000000002\"} 1000000000
# HELP weir_target_transmit_bytes Bytes a second to the target.
# TYPE weir_target_transmit_bytes gauge
weir_target_transmit_bytes{app=\"live\",stream=\"show\",target=\"t0000000000000001\"} 312500
weir_target_transmit_bytes{app=\"live\",stream=\"show\",target=\"t0000000000000002\"} 0
# HELP weir_target_reconnects_total How often the target was tried again.
# TYPE weir_target_reconnects_total counter
weir_target_reconnects_total{app=\"live\",stream=\"show\",target=\"t0000000000000001\"} 4
weir_target_reconnects_total{app=\"live\",stream=\"show\",target=\"t0000000000000002\"} 4
";

#[test]
fn has_the_text_of_the_format() {
    assert_eq!(render(&fixture::snapshot()), EXPECTED.replace("VERSION", env!("CARGO_PKG_VERSION")));
}

#[test]
fn values_are_in_base_units() {
    let written = |value| {
        let mut out = String::new();
        push_value(&mut out, &value);
        out
    };
    assert_eq!(written(Value::bytes(2_500_000)), "312500");
    for (milli, text) in [(0, "0"), (250, "0.25"), (29_970, "29.97"), (23_976, "23.976"), (5, "0.005")] {
        assert_eq!(written(Value::Thousandths(milli)), text);
    }
}

#[test]
fn a_name_that_is_live_twice_is_shown_once() {
    let mut snapshot = fixture::snapshot();
    let mut later = snapshot.streams[0].clone();
    later.since = later.since.plus_seconds(1);
    later.bytes_in = 77;
    snapshot.streams.push(later);
    let shown = render(&snapshot);
    let samples: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("nginx_rtmp_stream_incoming_bytes_total{app=\"live\""))
        .collect();
    assert_eq!(samples, ["nginx_rtmp_stream_incoming_bytes_total{app=\"live\",stream=\"show\"} 77"]);
}

/// Two samples with the same labels are an error to Prometheus, and another label is another series.
#[test]
fn the_server_block_is_a_label_where_there_are_several() {
    let server = |port: &str| Server::new([port.parse().unwrap()]);
    let mut snapshot = fixture::snapshot();
    assert!(!render(&snapshot).contains("server=\""));
    snapshot.servers =
        ["1935", "1936"].map(|port| ServerBlock { server: server(port), applications: Vec::new() }).into();
    snapshot.streams = ["1935", "1936"]
        .map(|port| StreamSnapshot { server: server(port), ..snapshot.streams[0].clone() })
        .into();
    let shown = render(&snapshot);
    let players = |line: &&str| line.starts_with("weir_stream_players{");
    let lines: Vec<&str> = shown.lines().filter(players).collect();
    assert_eq!(
        lines,
        [
            "weir_stream_players{app=\"live\",stream=\"show\",server=\"0.0.0.0:1935\"} 2",
            "weir_stream_players{app=\"live\",stream=\"show\",server=\"0.0.0.0:1936\"} 2",
        ]
    );
    let mut seen = HashSet::new();
    let samples = shown.lines().filter(|line| !line.starts_with('#'));
    assert!(samples.map(|line| line.rsplit_once(' ').unwrap().0).all(|sample| seen.insert(sample)));
}

#[test]
fn grows_once_at_most() {
    let mut snapshot = fixture::snapshot();
    let numbered = |n| StreamSnapshot { name: format!("stream-{n:03}"), ..snapshot.streams[0].clone() };
    snapshot.streams = (0..500).map(numbered).collect();
    assert!(render(&snapshot).len() <= SERVER_LEN + 500 * (STREAM_LEN + 2 * TARGET_LEN) + 2 * WORKER_LEN);
}

/// A line as its metric, its labels unescaped, and its value.
fn sample(line: &str) -> (String, Vec<String>, f64) {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let (name, mut rest) = head.split_once('{').unwrap_or((head, "}"));
    let mut labels = Vec::new();
    while let Some((_, quoted)) = rest.split_once("=\"") {
        let mut label = String::new();
        let mut characters = quoted.char_indices();
        rest = loop {
            match characters.next().unwrap() {
                (at, '"') => break &quoted[at + 1..],
                (_, '\\') => match characters.next().unwrap().1 {
                    'n' => label.push('\n'),
                    escaped @ ('\\' | '"') => label.push(escaped),
                    other => panic!("unknown escape: {other}"),
                },
                (_, plain) => label.push(plain),
            }
        };
        labels.push(label);
    }
    assert_eq!(rest, "}");
    (name.to_owned(), labels, value.parse().unwrap())
}

proptest! {
    #[test]
    fn every_line_reads_back(app in any::<String>(), name in "[a\\\\\"\n{}, =]{0,8}", since: u64, bytes: u64) {
        let mut snapshot = fixture::snapshot();
        snapshot.streams[0].app.clone_from(&app);
        snapshot.streams[0].name.clone_from(&name);
        snapshot.streams[0].since = Timestamp::from_millis(since);
        snapshot.streams[0].bytes_in = bytes;
        let shown = render(&snapshot);
        let (mut families, mut samples) = (HashSet::new(), HashSet::new());
        let mut named = 0;
        // Not `lines()`, which would also take a carriage return away.
        for line in shown.split_terminator('\n') {
            if let Some(help) = line.strip_prefix("# HELP ") {
                prop_assert!(families.insert(help.split(' ').next().unwrap()), "{}", line);
            } else if !line.starts_with("# TYPE ") {
                let (metric, labels, value) = sample(line);
                prop_assert!(families.contains(metric.as_str()) && value >= 0.0, "{}", line);
                named += usize::from(labels == [app.clone(), name.clone()]);
                prop_assert!(samples.insert((metric, labels)), "{}", line);
            }
        }
        prop_assert_eq!(named, STREAM.len());
    }
}
