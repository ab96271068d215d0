//! `GET /v1/node`: the load of this server, in terms for viewers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::asker::asker;
use super::common::Web;
use crate::cluster::machine;

/// Returns the state of this node.
pub(super) async fn get(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let config = web.context.config();
    let asker = asker(peer, &headers, &config.web.trusted_proxies, &config.web.base);
    let edge = config.edge.as_ref();
    let address = edge.map(|edge| edge.address.as_str().to_owned());
    let address = address.or_else(|| config.web.url.clone()).or(asker.url);
    let host = address.as_deref().and_then(|address| address.split("://").nth(1)?.split('/').next());
    let name = edge.map(|edge| edge.name.as_str()).or(host);
    let busy = web.meter.look();
    let bandwidth = edge.map(|edge| edge.bandwidth);
    let share = bandwidth.map(|bandwidth| busy.egress as f64 / bandwidth as f64);
    let viewers: u64 = web
        .board
        .all()
        .iter()
        .map(|entry| {
            let here = web.hub.counts_of(&entry.id());
            let nginx = entry.viewers;
            let daemon = [here.llhls, here.ws, here.webrtc].iter().map(|count| *count as u64).sum::<u64>();
            nginx.rtmp + nginx.hls + nginx.dash + daemon
        })
        .sum();
    let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
    let mut response = Json(json!({
        "name": name,
        "address": address,
        "version": env!("CARGO_PKG_VERSION"),
        "load": rounded(busy.load),
        "load_word": machine::word(busy.load),
        "cores": busy.cores,
        "egress": busy.egress,
        "bandwidth": bandwidth,
        "egress_share": share.map(rounded),
        "egress_word": share.map(machine::word),
        "viewers": viewers,
        "word": machine::word(busy.load.max(share.unwrap_or_default())),
        "message": machine::sentence(busy.load, share.unwrap_or_default()),
    }))
    .into_response();
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
