//! Which stream a path is of: `APP/NAME/...`, where an application may have parts of its own.

use weir_model::{AppName, StreamName};

use crate::streams::StreamId;

/// The stream of `APP/NAME`.
pub(super) fn stream(path: &str) -> Option<StreamId> {
    let (app, name) = path.rsplit_once('/')?;
    Some((app.parse::<AppName>().ok()?, name.parse::<StreamName>().ok()?))
}

/// What of a stream is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Fragmented MP4 over WebSocket.
    Ws,
    /// The newest still.
    Still,
    /// A file of Low-Latency HLS.
    LlHls(String),
}

/// The stream and what of it: what follows `/stream/`.
pub(super) fn part(path: &str) -> Option<(StreamId, Part)> {
    let (before, last) = path.rsplit_once('/')?;
    if let Some(base) = before.strip_suffix("/llhls") {
        return Some((stream(base)?, Part::LlHls(last.to_owned())));
    }
    let part = match last {
        "ws" => Part::Ws,
        "still.jpg" => Part::Still,
        _ => return None,
    };
    Some((stream(before)?, part))
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
        for wrong in [
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
