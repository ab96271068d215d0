//! `/stream/APP/NAME/still.jpg`: the newest still. A `[[thumbnail]]` makes stills of its streams. Of another stream, ffmpeg converts the
//! newest keyframe when somebody asks.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::{Instant, timeout};
use weir_model::Timestamp;

use super::answer;
use super::common::Web;
use crate::config::Config;
use crate::live::ring::Item;
use crate::live::station::ViewerKind;
use crate::streams::StreamId;
use crate::supervise::program::convert;

/// Longest wait for a keyframe, and for the still that ffmpeg makes of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest still, in bytes.
const MOST_BYTES: u64 = 2 << 20;
/// Arguments of ffmpeg, which make one still like those of a `[[thumbnail]]`.
const ARGUMENTS: &str = "-threads 1 -f mp4 -i pipe:0 -an -frames:v 1 -vf scale=-2:'min(360\\,ih)':out_range=full,format=yuv420p \
     -c:v mjpeg -strict unofficial -color_range pc -q:v 4 -f image2pipe pipe:1";

/// Returns the answer. `is_private`: only this viewer may see it.
pub(super) async fn get(web: &Web, id: &StreamId, is_private: bool) -> Response {
    let Some(stream) = web.board.find(id) else { return answer::not_live() };
    let config = web.context.config();
    let still = match of_rule(&config, id, stream.since).await {
        Some(still) => Ok(Some(still)),
        None => timeout(2 * PATIENCE, of_keyframe(web, &config, id)).await,
    };
    let control = if is_private { "private, max-age=5" } else { "public, max-age=5" };
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, control)];
    match still {
        Ok(Some(still)) => {
            (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), still).into_response()
        }
        Ok(None) if web.board.find(id).is_none() => answer::not_live(),
        Ok(None) => answer::nothing_here().await,
        Err(_) => {
            let message = "other stills are made first: try again";
            answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
        }
    }
}

/// Returns the still that a `[[thumbnail]]` has written since the stream began: the file of an earlier stream remains.
async fn of_rule(config: &Config, (app, name): &StreamId, since: Timestamp) -> Option<Bytes> {
    let rule = config.thumbnails.iter().find(|rule| rule.app == *app && rule.stream.fits(name.as_str()))?;
    let file = rule.folder.join(app.as_str()).join(format!("{name}.jpg"));
    let written = tokio::fs::metadata(&file).await.and_then(|about| about.modified()).ok()?;
    let written = written.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    if written < Duration::from_millis(since.as_millis()) {
        return None;
    }
    tokio::fs::read(file).await.ok().map(Bytes::from)
}

/// Returns a still of the newest keyframe; `None` if the stream is not live or has no video that ffmpeg decodes.
async fn of_keyframe(web: &Web, config: &Config, id: &StreamId) -> Option<Bytes> {
    if let Some(still) = web.stills.fresh(id) {
        return still;
    }
    let at = Instant::now();
    let Some(keyframe) = timeout(PATIENCE, keyframe(web, id)).await.ok().flatten() else {
        // Nobody else waits for the keyframe of a live stream that sends none.
        if web.board.find(id).is_some() {
            web.stills.keep_missing(id);
        }
        return None;
    };
    let _turn = web.stills.turn.lock().await;
    if let Some(Some(still)) = web.stills.fresh(id) {
        return Some(still);
    }
    let still = timeout(PATIENCE, convert(&config.jobs, ARGUMENTS, &keyframe, MOST_BYTES)).await;
    let still = match still.unwrap_or_else(|late| Err(late.into())) {
        Ok(still) => Some(Bytes::from(still)),
        Err(error) => {
            tracing::info!(stream = format!("{}/{}", id.0, id.1), "no still: {error}");
            None
        }
    };
    web.stills.keep(id, at, still.clone());
    still
}

/// Returns the newest keyframe as fragmented MP4; `None` if the stream is not live or has no video.
async fn keyframe(web: &Web, id: &StreamId) -> Option<[Bytes; 2]> {
    let mut viewer = web.hub.watch(id, ViewerKind::Uncounted)?;
    let mut start = None;
    loop {
        for item in viewer.read().items {
            match item {
                Item::Init(init) if !init.about.has_video => return None,
                Item::Init(init) => start = Some(init.bytes.clone()),
                Item::Fragment(piece) if piece.is_key => {
                    if let Some(start) = &start {
                        return Some([start.clone(), piece.bytes]);
                    }
                }
                Item::Fragment(_) | Item::Ended => {}
            }
        }
        if !viewer.more().await {
            return None;
        }
    }
}
