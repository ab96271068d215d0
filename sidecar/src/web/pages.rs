//! What people open: `/`, `/watch/APP/NAME`, `/embed/APP/NAME`, `/publish`, and the files of these pages, which are in the program.
//!
//! Pages name everything relative to themselves, so that they work below any path.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::common::Web;
use super::names::stream;
use super::{answer, offers};

/// Scripts, styles and media of this host alone; no inline script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors ";

/// Name, type and content.
const ASSETS: [(&str, &str, &[u8]); 7] = [
    ("player.js", "text/javascript; charset=utf-8", include_bytes!("pages/player.js")),
    ("page.js", "text/javascript; charset=utf-8", include_bytes!("pages/page.js")),
    ("index.js", "text/javascript; charset=utf-8", include_bytes!("pages/index.js")),
    ("publish.js", "text/javascript; charset=utf-8", include_bytes!("pages/publish.js")),
    ("page.css", "text/css; charset=utf-8", include_bytes!("pages/page.css")),
    ("icon.svg", "image/svg+xml", include_bytes!("../../../nginx-conf/single-node/www/icon.svg")),
    (
        "hls.min.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../../nginx-conf/single-node/www/vendor/hls.min.js"),
    ),
];

/// All live streams.
pub(super) async fn index() -> Response {
    page(include_str!("pages/index.html"), ".", "'none'")
}

/// The player with what belongs to it.
pub(super) async fn watch(State(web): State<Arc<Web>>, Path(path): Path<String>) -> Response {
    of_stream(&web, &path, include_str!("pages/watch.html"), "'none'").await
}

/// The player alone, for pages of other sites.
pub(super) async fn embed(State(web): State<Arc<Web>>, Path(path): Path<String>) -> Response {
    of_stream(&web, &path, include_str!("pages/embed.html"), "*").await
}

/// What publishes from a browser.
pub(super) async fn publish(State(web): State<Arc<Web>>) -> Response {
    match &web.webrtc {
        Some(_) => page(include_str!("pages/publish.html"), ".", "'none'"),
        None => offers::off(),
    }
}

async fn of_stream(web: &Web, path: &str, html: &str, ancestors: &str) -> Response {
    let Some((app, name)) = stream(path) else { return answer::nothing_here().await };
    // From the folder of the page up to the root.
    let root = vec![".."; path.split('/').count()].join("/");
    let html = html.replace("{app}", app.as_str()).replace("{name}", name.as_str());
    let order = if web.webrtc.is_some() { "whep,ws,llhls,hls" } else { "ws,llhls,hls" };
    let html = html.replace("{order}", order);
    page(&html, &root, ancestors)
}

fn page(html: &str, root: &str, ancestors: &str) -> Response {
    let mut response = (
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")],
        html.replace("{root}", root),
    )
        .into_response();
    if let Ok(policy) = HeaderValue::from_str(&format!("{POLICY}{ancestors}")) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A file of the pages.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.0 == name) {
        Some(&(_, kind, content)) => {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content).into_response()
        }
        None => answer::nothing_here().await,
    }
}
