//! `weir stream list`

use weir_model::Timestamp;

use super::table::{age, table};
use super::{Error, Output, now};
use crate::cli::StreamListArgs;
use crate::nginx::{Nginx, Stream};

pub async fn run(args: &StreamListArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.streams().await?;
    Ok(if args.json.json { Output::json(&answer.text) } else { render(&answer.value.streams, now()).into() })
}

fn render(streams: &[Stream], now: Timestamp) -> String {
    let rows: Vec<_> = streams
        .iter()
        .map(|stream| {
            let publisher = &stream.publisher;
            [
                stream.app.clone(),
                stream.name.clone(),
                age(stream.since, now),
                publisher.addr.clone(),
                publisher.key_id.clone().unwrap_or_default(),
                publisher.worker_pid.to_string(),
            ]
        })
        .collect();
    table(["APP", "NAME", "SINCE", "PUBLISHER", "KEY", "WORKER"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::Streams;

    #[test]
    fn one_line_a_stream() {
        let answer = r#"{"streams":[{"app":"live","name":"show","session":"s1","since":"2026-11-20T18:00:00Z",
            "publisher":{"addr":"192.0.2.1","key_id":"k0123456789abcdef","worker_pid":42},"bytes_in":1},
            {"app":"live","name":"b","session":"s2","since":"2026-11-20T18:04:50Z",
            "publisher":{"addr":"unix:","key_id":null,"worker_pid":43}}]}"#;
        let streams: Streams = serde_json::from_str(answer).unwrap();
        assert_eq!(
            render(&streams.streams, "2026-11-20T18:05:00Z".parse().unwrap()),
            "APP   NAME  SINCE  PUBLISHER  KEY                WORKER\n\
             live  show  5m00s  192.0.2.1  k0123456789abcdef  42\n\
             live  b     10s    unix:      -                  43\n"
        );
    }
}
