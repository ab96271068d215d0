//! The files of the dashboard: one page and its modules, all part of the program.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::web::answer;
use crate::web::common::Web;
use crate::web::compress;

const PAGE: &str = include_str!("pages/index.html");
/// Content of the page while there is no account.
const EMPTY: &str = "<h1>No administrator yet</h1>\n<p>Create one on the server:</p>\n<pre>weir admin add NAME</pre>\n\
                     <p>Or print a one-time link for a browser:</p>\n<pre>weir admin setup-link</pre>";
const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// Name, content type and content.
type Asset = (&'static str, &'static str, &'static [u8]);

macro_rules! assets {
    ($($name:literal: $kind:expr, $path:literal;)*) => {
        &[$(($name, $kind, include_bytes!($path))),*]
    };
}

const ASSETS: &[Asset] = assets! {
    "app.js": JS, "pages/app.js";
    "api.js": JS, "pages/api.js";
    "chart.js": JS, "pages/chart.js";
    "chat.js": JS, "pages/chat.js";
    "edges.js": JS, "pages/edges.js";
    "graph.js": JS, "pages/graph.js";
    "history.js": JS, "pages/history.js";
    "events.js": JS, "pages/events.js";
    "jobs.js": JS, "pages/jobs.js";
    "keys.js": JS, "pages/keys.js";
    "login.js": JS, "pages/login.js";
    "node.js": JS, "pages/node.js";
    "onair.js": JS, "pages/onair.js";
    "presets.js": JS, "pages/presets.js";
    "recordings.js": JS, "pages/recordings.js";
    "targets.js": JS, "pages/targets.js";
    "ui.js": JS, "pages/ui.js";
    "admin.css": CSS, "pages/admin.css";
    "icon.svg": "image/svg+xml", "../../../../nginx-conf/single-node/www/icon.svg";
    "preact.mjs": JS, "pages/vendor/preact/preact.mjs";
    "hooks.mjs": JS, "pages/vendor/preact/hooks.mjs";
    "htm.mjs": JS, "pages/vendor/htm/htm.mjs";
    "signals-core.mjs": JS, "pages/vendor/signals-core/signals-core.mjs";
    "signals.mjs": JS, "pages/vendor/signals/signals.mjs";
    "uPlot.iife.min.js": JS, "pages/vendor/uplot/uPlot.iife.min.js";
    "uPlot.min.css": CSS, "pages/vendor/uplot/uPlot.min.css";
};

/// Policy: scripts of this host, and the page's one inline script, its import map, by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let map =
        PAGE.split_once("<script type=\"importmap\">").and_then(|(_, rest)| rest.split_once("</script>"));
    let hash = BASE64.encode(&Sha256::digest(map.map_or("", |(map, _)| map)));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Returns the dashboard; without any account, the page says how to create one.
pub(super) async fn index(State(web): State<Arc<Web>>) -> Response {
    let is_empty = web.office.accounts().await.is_ok_and(|accounts| accounts.accounts.is_empty());
    let page = PAGE.replace("{content}", if is_empty { EMPTY } else { "<p>Loading...</p>" });
    let mut response =
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], page)
            .into_response();
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A prepared file.
struct Kept {
    tag: String,
    /// Compressed content, if it is smaller than the file.
    gzip: Option<Vec<u8>>,
}

static KEPT: LazyLock<Vec<Kept>> = LazyLock::new(|| {
    let kept = |&(_, _, content): &Asset| Kept {
        tag: format!("W/\"{}\"", HEXLOWER.encode(&Sha256::digest(content)[..16])),
        gzip: compress::smallest(content).filter(|small| small.len() < content.len()),
    };
    ASSETS.iter().map(kept).collect()
});

/// Returns a file of the dashboard, or 304 if the browser has the same version.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let found = ASSETS.iter().zip(KEPT.iter()).find(|(asset, _)| asset.0 == name);
    let Some((&(_, kind, content), Kept { tag, gzip })) = found else {
        return answer::nothing_here().await;
    };
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let about = [
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::VARY, "accept-encoding".to_owned()),
        (header::ETAG, tag.clone()),
    ];
    let gzip = gzip.as_deref().filter(|_| compress::takes_gzip(&headers));
    match (is_known, gzip) {
        (true, _) => (StatusCode::NOT_MODIFIED, about).into_response(),
        (false, Some(small)) => {
            let small = Bytes::from_static(small);
            (about, [(header::CONTENT_TYPE, kind), (header::CONTENT_ENCODING, "gzip")], small).into_response()
        }
        (false, None) => (about, [(header::CONTENT_TYPE, kind)], content).into_response(),
    }
}
