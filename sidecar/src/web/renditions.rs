//! The renditions of a stream that viewers can choose from.

use std::net::IpAddr;

use axum::http::HeaderMap;

use super::access::{Admitted, Denied};
use super::common::Web;
use crate::config::Config;
use crate::ladder::family::{rungs, source_of};
use crate::live::board::Board;
use crate::streams::StreamId;

/// Admits a viewer to a stream. A token for a stream is also valid for the renditions of its ladder.
pub(super) fn admit(
    web: &Web,
    id: &StreamId,
    query: &str,
    headers: &HeaderMap,
    client: IpAddr,
) -> Result<Admitted, Denied> {
    let admit = |id: &StreamId| web.doors.admit(id, query, headers, client);
    admit(id).or_else(|denied| {
        let source = source_of(&web.context.config(), id).filter(|_| matches!(denied, Denied::Token(_)));
        let by_source = source.and_then(|source| admit(&source).ok());
        by_source.filter(|admitted| admitted.pass.is_some()).ok_or(denied)
    })
}

/// Returns the live streams of a ladder, the source first. If the stream has no ladder over RTMP, returns only the stream itself.
pub(super) fn family(config: &Config, board: &Board, id: &StreamId) -> Vec<StreamId> {
    let source = source_of(config, id).unwrap_or_else(|| id.clone());
    let rungs = rungs(config, &source);
    let live = std::iter::once(source).chain(rungs).filter(|one| one == id || board.find(one).is_some());
    live.collect()
}

/// Returns the relative address of a stream's Low-Latency HLS, seen from another stream.
pub(super) fn address((from, _): &StreamId, (app, name): &StreamId) -> String {
    // The path after `/stream/` has a folder for each part of the application, for the stream and for the format.
    let up = "../".repeat(from.as_str().split('/').count() + 2);
    format!("{up}{app}/{name}/llhls/index.m3u8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_from_one_stream_to_another() {
        let id = |app: &str, name: &str| (app.parse().unwrap(), name.parse().unwrap());
        assert_eq!(
            address(&id("live/eu", "show"), &id("abr", "show_low")),
            "../../../../abr/show_low/llhls/index.m3u8"
        );
    }
}
