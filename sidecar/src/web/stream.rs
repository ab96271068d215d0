//! `/stream/APP/NAME/...`: media of one stream.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::asker::asker;
use super::common::Web;
use super::names::{Part, part};
use super::patience::Inbound;
use super::wake::wake;
use super::{answer, llhls, offers, renditions, socket, still};
use crate::live::station::ViewerKind;

/// Serves everything below `/stream/`.
pub(super) async fn get(
    web: State<Arc<Web>>,
    from: ConnectInfo<SocketAddr>,
    path: Path<String>,
    query: RawQuery,
    headers: HeaderMap,
    inbound: Extension<Inbound>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let mut response = respond(web, from, path, query, headers, inbound, upgrade).await;
    // Players of other sites, and of pages that play from this edge, must be able to read the reason of a refusal.
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn respond(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Extension(inbound): Extension<Inbound>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Some((id, part)) = part(&path) else { return answer::nothing_here().await };
    if matches!(part, Part::Whep | Part::Whip | Part::Session(_)) {
        return offers::other();
    }
    let settings = &web.context.config().web;
    let asker = asker(peer, &headers, &settings.trusted_proxies, &settings.base);
    let query = query.unwrap_or_default();
    let admitted = match renditions::admit(&web, &id, &query, &headers, asker.client) {
        Ok(admitted) => admitted,
        Err(denied) => return denied.answer(),
    };
    // A still does not start a stream that waits for viewers.
    if part == Part::Still {
        return still::get(&web, &id, admitted.pass.is_some()).await;
    }
    if let Err(refused) = wake(&web, &id, &headers).await {
        return *refused;
    }
    match part {
        Part::Ws => {
            let Ok(upgrade) = upgrade else {
                let message = "this address speaks WebSocket";
                return answer::error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message);
            };
            match web.hub.watch(&id, ViewerKind::Ws) {
                Some(viewer) => {
                    let (web, paths) = (web.clone(), web.context.paths.clone());
                    let may_stay = admitted
                        .pass
                        .map(|pass| Box::new(move || web.doors.still_opens(&pass)) as socket::MayStay);
                    socket::serve(upgrade, viewer, inbound, may_stay, paths)
                }
                None => answer::not_live(),
            }
        }
        Part::Still | Part::Whep | Part::Whip | Part::Session(_) => offers::other(),
        Part::LlHls(file) => {
            let asked = llhls::Asked { file: &file, query: &query, headers: &headers, client: asker.client };
            llhls::get(&web, &id, &asked, admitted).await
        }
    }
}
