//! `weir stream list`

use weir_model::Timestamp;
use weir_model::snapshot::StreamSnapshot;

use super::table::{age, frame_rate, quoted, rate, sparse_table, video};
use super::{Error, Output, now};
use crate::cli::StreamListArgs;
use crate::nginx::Nginx;

pub(super) async fn run(args: &StreamListArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.streams().await?;
    Ok(if args.json.json { Output::json(&answer.text) } else { render(&answer.value.streams, now()).into() })
}

fn render(streams: &[StreamSnapshot], now: Timestamp) -> String {
    let several = streams.windows(2).any(|pair| pair[0].server != pair[1].server);
    let rows: Vec<_> = streams
        .iter()
        .map(|stream| {
            let publisher = stream.publisher.clone().unwrap_or_default();
            [
                quoted(&stream.app),
                quoted(&stream.name),
                if several { stream.server.to_string() } else { String::new() },
                age(stream.since, now),
                picture(stream),
                rate(stream.bitrate_in),
                rate(stream.bitrate_out),
                stream.viewers.total().to_string(),
                stream.viewers.rtmp.to_string(),
                publisher.addr,
                publisher.key_id.map(|id| id.to_string()).unwrap_or_default(),
                publisher.worker_pid.to_string(),
            ]
        })
        .collect();
    let head = [
        "APP",
        "NAME",
        "SERVER",
        "SINCE",
        "VIDEO",
        "IN",
        "OUT",
        "VIEWERS",
        "PLAYERS",
        "PUBLISHER",
        "KEY",
        "WORKER",
    ];
    sparse_table(head, &rows, &[2])
}

/// Returns the known video properties, such as `H264 1280x720@30`.
fn picture(stream: &StreamSnapshot) -> String {
    let (video, fps) = (video(stream.video.as_ref()), frame_rate(stream.video.as_ref()));
    if fps.is_empty() { video } else { format!("{video}@{fps}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::Streams;

    #[test]
    fn one_line_a_stream() {
        let answer = r#"{"streams":[{"app":"live","name":"show","session":"s1","since":"2026-11-20T18:00:00Z",
            "publisher":{"addr":"192.0.2.1","key_id":"k0123456789abcdef","worker_pid":42},"bytes_in":1,"bitrate_in":768000,
            "bitrate_out":1545582,"viewers":{"rtmp":2,"hls":3,"dash":0,"llhls":1,"ws":1,"webrtc":1},
            "video":{"codec":"H264","profile":"Main","level":"3.1","width":1280,"height":720,"fps":30.052}},
            {"app":"live","name":"b","session":"s2","since":"2026-11-20T18:04:50Z",
            "publisher":{"addr":"unix:","key_id":null,"worker_pid":43}}]}"#;
        let streams: Streams = serde_json::from_str(answer).unwrap();
        assert_eq!(
            render(&streams.streams, "2026-11-20T18:05:00Z".parse().unwrap()),
            "APP   NAME  SINCE  VIDEO             IN    OUT   VIEWERS  PLAYERS  PUBLISHER  KEY                WORKER\n\
             live  show  5m00s  H264 1280x720@30  768k  1.5M  8        2        192.0.2.1  k0123456789abcdef  42\n\
             live  b     10s    -                 0     0     0        0        unix:      -                  43\n"
        );
        let mut streams = streams.streams;
        streams[0].server = weir_model::Server::from_text("0.0.0.0:1935");
        streams[1].server = weir_model::Server::from_text("0.0.0.0:1936");
        let text = render(&streams, "2026-11-20T18:05:00Z".parse().unwrap());
        assert!(text.lines().nth(2).unwrap().starts_with("live  b     0.0.0.0:1936  10s "), "{text}");
    }
}
