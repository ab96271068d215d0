//! `weir_stat json`: `{"now","workers","zone","streams":[Stream]}`, each in the form of the API.

use serde::Serialize;

use crate::snapshot::{Snapshot, StreamSnapshot, WorkerSnapshot, ZoneSnapshot};
use crate::time::Timestamp;

#[derive(Serialize)]
struct Answer<'a> {
    now: Timestamp,
    workers: &'a [WorkerSnapshot],
    zone: ZoneSnapshot,
    streams: &'a [StreamSnapshot],
}

/// Renders the snapshot without removing anything; see [`Snapshot::redacted`].
pub fn render(snapshot: &Snapshot) -> String {
    let answer = Answer {
        now: snapshot.now,
        workers: &snapshot.workers,
        zone: snapshot.zone,
        streams: &snapshot.streams,
    };
    // Serialisation can fail only for a map whose keys are not text, and the answer has none.
    serde_json::to_string(&answer).unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn holds_workers_zone_and_streams() {
        let answer: Value = serde_json::from_str(&render(&fixture::snapshot())).unwrap();
        assert_eq!(answer["now"], "2026-11-20T19:00:00Z");
        assert_eq!(answer["zone"], json!({ "size": 8_388_608, "used": 1_048_576 }));
        assert_eq!(answer["workers"][1]["draining"], true);
        assert_eq!(answer["streams"][0], json!(fixture::snapshot().streams[0]));
        assert_eq!(answer["streams"].as_array().unwrap().len(), 2);
        assert_eq!(answer.as_object().unwrap().len(), 4);
    }

    #[test]
    fn nothing_live_is_an_empty_list() {
        let answer: Value = serde_json::from_str(&render(&Snapshot::default())).unwrap();
        assert_eq!(answer["streams"], json!([]));
    }
}
