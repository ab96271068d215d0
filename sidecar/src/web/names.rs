//! Parses the stream in a path: `APP/NAME/...`. The name of an application may contain slashes.

use weir_model::{AppName, StreamName};

use crate::streams::StreamId;

/// Parses `APP/NAME`.
pub(super) fn stream(path: &str) -> Option<StreamId> {
    let (app, name) = path.rsplit_once('/')?;
    Some((app.parse::<AppName>().ok()?, name.parse::<StreamName>().ok()?))
}

/// Resource of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Fragmented MP4 over WebSocket.
    Ws,
    /// The newest still.
    Still,
    /// A file of Low-Latency HLS.
    LlHls(String),
    /// Playing over WebRTC.
    Whep,
    /// Publishing over WebRTC.
    Whip,
    /// A session of either, by its id.
    Session(String),
}

/// Parses the path after `/stream/` into the stream and its resource.
pub(super) fn part(path: &str) -> Option<(StreamId, Part)> {
    let (before, last) = path.rsplit_once('/')?;
    if let Some(base) = before.strip_suffix("/llhls") {
        return Some((stream(base)?, Part::LlHls(last.to_owned())));
    }
    let base = before.strip_suffix("/whep").or_else(|| before.strip_suffix("/whip"));
    if let Some(base) = base.filter(|_| is_session(last)) {
        return Some((stream(base)?, Part::Session(last.to_owned())));
    }
    let part = match last {
        "ws" => Part::Ws,
        "whep" => Part::Whep,
        "whip" => Part::Whip,
        "still.jpg" => Part::Still,
        _ => return None,
    };
    Some((stream(before)?, part))
}

/// Returns whether a text is a session id: 128 bits as hex digits.
fn is_session(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_may_have_parts_and_nothing_else_is_a_stream() {
        let id = |app: &str, name: &str| (app.parse().unwrap(), name.parse().unwrap());
        assert_eq!(part("live/show/ws"), Some((id("live", "show"), Part::Ws)));
        assert_eq!(part("live/eu/ws/ws"), Some((id("live/eu", "ws"), Part::Ws)));
        let file = |name: &str| Part::LlHls(name.into());
        assert_eq!(part("live/show/llhls/7.1.m4s"), Some((id("live", "show"), file("7.1.m4s"))));
        assert_eq!(part("live/show/whep"), Some((id("live", "show"), Part::Whep)));
        assert_eq!(part("live/show/whip"), Some((id("live", "show"), Part::Whip)));
        let session = "0123456789abcdef0123456789abcdef";
        let path = format!("live/show/whep/{session}");
        assert_eq!(part(&path), Some((id("live", "show"), Part::Session(session.into()))));
        for wrong in [
            "live/show/whep/0123",
            "",
            "ws",
            "/ws",
            "show/ws",
            "live//ws",
            "live/-x/ws",
            "live/../show/ws",
            "../show/ws",
            "live/a b/ws",
        ] {
            assert_eq!(part(wrong), None, "{wrong}");
        }
    }
}
