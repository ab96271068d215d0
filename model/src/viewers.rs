//! HTTP viewers: the requests that count as those of a viewer, and the daemon's report of the viewers that it serves
//! itself.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::ApiError;

/// The protocol of an HTTP viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViewerProtocol {
    /// HLS, counted by its requests to nginx.
    Hls,
    /// DASH, counted by its requests to nginx.
    Dash,
}

/// The kind of playback that a requested file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A playlist or a segment of this kind.
    Of(ViewerProtocol),
    /// A segment of fragmented MP4, which playlists of both kinds use. The viewer has requested a playlist before.
    Either,
}

/// The media types of playlists and segments.
const TYPES: [(&[u8], ViewerProtocol); 5] = [
    (b"application/vnd.apple.mpegurl", ViewerProtocol::Hls),
    (b"application/x-mpegurl", ViewerProtocol::Hls),
    (b"audio/mpegurl", ViewerProtocol::Hls),
    (b"video/mp2t", ViewerProtocol::Hls),
    (b"application/dash+xml", ViewerProtocol::Dash),
];

impl Trace {
    /// Decides by the end of the path, or else by the media type of the answer. Returns `None` for files that are not
    /// playback, such as a page or a still image.
    #[must_use]
    pub fn of(path: &[u8], content_type: &[u8]) -> Option<Trace> {
        let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let extension = file.rsplit(|byte| *byte == b'.').next().filter(|end| end.len() < file.len());
        let is = |known: &[&str]| {
            extension.is_some_and(|end| known.iter().any(|known| end.eq_ignore_ascii_case(known.as_bytes())))
        };
        if is(&["m3u8", "ts", "key", "aac"]) {
            return Some(Trace::Of(ViewerProtocol::Hls));
        }
        if is(&["mpd", "m4v", "m4a"]) {
            return Some(Trace::Of(ViewerProtocol::Dash));
        }
        if is(&["m4s", "mp4", "cmfv", "cmfa"]) {
            return Some(Trace::Either);
        }
        let name = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let known = TYPES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map(|(_, kind)| Trace::Of(*kind))
    }
}

/// Returns whether an answer with this status provides media: the whole file, a part, or the fact that it has not
/// changed.
#[must_use]
pub fn is_watched(status: u16) -> bool {
    matches!(status, 200 | 206 | 304)
}

/// The most viewers of one kind that a report may state for a stream.
pub const MAX_REPORTED: u64 = 1_000_000;

/// How long a report of the daemon is valid, in milliseconds.
pub const REPORT_HOLDS_MS: u64 = 15_000;

/// The body of `PUT /v1/viewers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Every stream that the daemon serves to at least one viewer.
    pub streams: Vec<Reported>,
}

/// The viewers of a stream that the daemon serves itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// The application.
    pub app: String,
    /// The public name of the stream.
    pub stream: String,
    /// Viewers over Low-Latency HLS.
    #[serde(default)]
    pub llhls: u64,
    /// Viewers over WebSocket.
    #[serde(default)]
    pub ws: u64,
    /// Viewers over WebRTC.
    #[serde(default)]
    pub webrtc: u64,
}

impl Report {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// An error 400 names the field.
    pub fn from_json(body: &[u8]) -> Result<Report, ApiError> {
        let wrong = |error| ApiError::bad_request(format!("body: {error}"));
        // serde would accept a list as the fields in their order.
        only_objects(&serde_json::from_slice(body).map_err(wrong)?)?;
        let report: Report = serde_json::from_slice(body).map_err(wrong)?;
        let mut seen = HashSet::new();
        for (at, stream) in report.streams.iter().enumerate() {
            for (field, name) in [("app", &stream.app), ("stream", &stream.stream)] {
                if !(1..=255).contains(&name.len()) || name.chars().any(char::is_control) {
                    let what = "expected a name of 1 to 255 bytes";
                    return Err(ApiError::bad_request(format!("field \"streams[{at}].{field}\": {what}")));
                }
            }
            for (field, count) in [("llhls", stream.llhls), ("ws", stream.ws), ("webrtc", stream.webrtc)] {
                if count > MAX_REPORTED {
                    let what = format!("at most {MAX_REPORTED} viewers can be reported");
                    return Err(ApiError::bad_request(format!("field \"streams[{at}].{field}\": {what}")));
                }
            }
            if !seen.insert((&stream.app, &stream.stream)) {
                let name = format!("\"{}/{}\" is listed twice", stream.app, stream.stream);
                return Err(ApiError::bad_request(format!("field \"streams[{at}]\": {name}")));
            }
        }
        Ok(report)
    }
}

/// Refuses lists in place of objects.
fn only_objects(body: &Value) -> Result<(), ApiError> {
    const EXPECTED: &str = "expected an object, such as {\"app\":\"live\",\"stream\":\"show\",\"ws\":1}";
    if !body.is_object() {
        return Err(ApiError::bad_request("body: expected an object, such as {\"streams\":[]}".to_owned()));
    }
    let streams = body.get("streams").and_then(Value::as_array);
    match streams.and_then(|streams| streams.iter().position(|stream| !stream.is_object())) {
        Some(at) => Err(ApiError::bad_request(format!("field \"streams[{at}]\": {EXPECTED}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_or_a_segment_is_a_viewers() {
        let (hls, dash) = (Some(Trace::Of(ViewerProtocol::Hls)), Some(Trace::Of(ViewerProtocol::Dash)));
        for (path, content_type, trace) in [
            ("/hls/show.m3u8", "", hls),
            ("/hls/show-17.TS", "text/plain", hls),
            ("/hls/show-17.key", "", hls),
            ("/dash/show.mpd", "", dash),
            ("/dash/show-init.m4v", "video/mp4", dash),
            ("/ladder/live/show/480p/17.m4s", "video/mp4", Some(Trace::Either)),
            ("/watch", "application/vnd.apple.mpegurl; charset=utf-8", hls),
            ("/watch.php", "Application/Dash+XML", dash),
            ("/m3u8", "", None),
            ("/show.m3u8/", "", None),
            ("/hls/show.jpg", "image/jpeg", None),
            ("/hls/index.html", "text/html", None),
            ("", "", None),
        ] {
            assert_eq!(Trace::of(path.as_bytes(), content_type.as_bytes()), trace, "{path} {content_type}");
        }
    }

    #[test]
    fn only_what_gives_something_to_watch_counts() {
        assert!([200, 206, 304].into_iter().all(is_watched));
        assert!(![204, 301, 302, 403, 404, 416, 499, 500, 503].into_iter().any(is_watched));
    }

    #[test]
    fn a_report_is_read_with_zeros_for_what_is_left_out() {
        let body = br#"{"streams":[{"app":"live","stream":"show","llhls":1,"ws":2,"webrtc":0},{"app":"a","stream":"b"}]}"#;
        let report = Report::from_json(body).unwrap();
        let one = &report.streams[0];
        assert_eq!((one.llhls, one.ws, one.webrtc), (1, 2, 0));
        assert_eq!(report.streams[1].ws, 0);
        assert_eq!(Report::from_json(br#"{"streams":[]}"#).unwrap().streams, []);
    }

    #[test]
    fn what_is_wrong_with_a_report_is_said_with_the_field() {
        for (body, field) in [
            ("", "body: "),
            ("{}", "missing field `streams`"),
            (r#"{"streams":[{"app":"a"}]}"#, "missing field `stream`"),
            (r#"[[]]"#, "body: expected an object"),
            ("7", "body: expected an object"),
            (r#"{"streams":[["live","show",1]]}"#, "field \"streams[0]\": expected an object"),
            (r#"{"streams":[{"app":"a","stream":"b"},null]}"#, "field \"streams[1]\": expected an object"),
            (r#"{"streams":{"app":"a"}}"#, "body: "),
            (r#"{"streams":[{"app":"a","stream":"b","ws":-1}]}"#, "body: "),
            (r#"{"streams":[{"app":"a","stream":"b","hls":1}]}"#, "unknown field `hls`"),
            (r#"{"streams":[{"app":"","stream":"b"}]}"#, "\"streams[0].app\""),
            (r#"{"streams":[{"app":"a","stream":"b\n"}]}"#, "\"streams[0].stream\""),
            (r#"{"streams":[{"app":"a","stream":"b","ws":1000001}]}"#, "\"streams[0].ws\""),
            (
                r#"{"streams":[{"app":"a","stream":"b"},{"app":"a","stream":"b"}]}"#,
                "\"streams[1]\": \"a/b\" is listed twice",
            ),
        ] {
            let error = Report::from_json(body.as_bytes()).unwrap_err();
            assert_eq!(error.status, 400);
            assert!(error.to_json().contains(&field.replace('"', "\\\"")), "{body}: {}", error.to_json());
        }
    }
}
