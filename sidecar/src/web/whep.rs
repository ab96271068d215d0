//! `/stream/APP/NAME/whep`: playing over WebRTC. A session starts as RFC 9725 defines for publishing.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use super::asker::asker;
use super::offers::{Request, SDP, check_accepted, check_type, created, off, refusal, retry, text};
use super::wake::wake;
use super::{answer, renditions};
use crate::live::station::ViewerKind;
use crate::relay::paths::VIA;
use crate::relay::whep::signal::MEDIA;
use crate::streams::StreamId;
use crate::webrtc::MayStay;

/// Time that the first viewer of a stream waits for its start.
const BEGINNING: Duration = Duration::from_secs(8);

/// Starts a session.
pub(super) async fn begin(request: Request<'_>, id: &StreamId) -> Result<Response, Box<Response>> {
    let Request { web, peer, query, headers, body } = request;
    let engine = web.webrtc.as_ref().ok_or_else(off)?;
    let settings = &web.context.config().web;
    let client = asker(peer, &headers, &settings.trusted_proxies, &settings.base).client;
    let admitted = renditions::admit(web, id, &query, &headers, client).map_err(|denied| denied.answer())?;
    check_type(&headers, SDP)?;
    check_accepted(&headers)?;
    let offer = text(body).await?;
    // A client without room does not wake the stream.
    engine.check_room(client).map_err(|refused| refusal(&refused))?;
    wake(web, id, &headers).await?;
    let viewer = web.hub.watch(id, ViewerKind::Uncounted).ok_or_else(answer::not_live)?;
    let start = viewer.station().begun(BEGINNING).await.ok_or_else(|| {
        retry(answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the stream has not begun yet"))
    })?;
    let may_stay = admitted.pass.map(|pass| {
        let web = web.clone();
        Box::new(move || web.doors.still_opens(&pass)) as MayStay
    });
    match engine.watch(&offer, (viewer, &start), client, may_stay) {
        Ok(opened) => {
            let mut response = created("whep", &opened, web);
            // The header names the nodes that the stream came through, for nodes that relay it.
            if let Ok(via) = HeaderValue::from_str(&web.context.paths.of(id).join(",")) {
                response.headers_mut().insert(HeaderName::from_static(VIA), via);
            }
            let media = match (start.about.has_video, start.about.has_audio) {
                (true, true) => "video,audio",
                (true, false) => "video",
                (false, _) => "audio",
            };
            response.headers_mut().insert(HeaderName::from_static(MEDIA), HeaderValue::from_static(media));
            Ok(response)
        }
        Err(refused) => Err(refusal(&refused).into()),
    }
}
