//! The pages for viewers and publishers: `/`, `/watch/APP/NAME`, `/embed/APP/NAME`, `/publish`, and their files, which are part of
//! the program.
//!
//! Pages use relative addresses only, so that they work below any path. Their texts come from the [`catalogue`] of a language.
//! Scripts find their texts, and the server's data for the page, as JSON in the page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_model::Timestamp;

use super::access::first_token;
use super::common::Web;
use super::elsewhere::Elsewhere;
use super::names::stream;
use super::{answer, offers, schedule};
use crate::clock;
use crate::config::web::Brand;
use crate::streams::StreamId;

mod catalogue;

use catalogue::{Language, choose, escaped};

/// Maximum number of folders in an unknown address that gets a page.
const MOST_FOLDERS: usize = 32;

/// Policy: scripts, styles and media only of this host, media of its edges, and no inline scripts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:{media}; \
                      connect-src 'self'{connect}; base-uri 'none'; form-action 'none'; frame-ancestors ";

/// Name, content type and content.
const ASSETS: [(&str, &str, &[u8]); 11] = [
    ("player.js", "text/javascript; charset=utf-8", include_bytes!("pages/player.js")),
    ("edges.js", "text/javascript; charset=utf-8", include_bytes!("pages/edges.js")),
    ("page.js", "text/javascript; charset=utf-8", include_bytes!("pages/page.js")),
    ("renditions.js", "text/javascript; charset=utf-8", include_bytes!("pages/renditions.js")),
    ("watch.js", "text/javascript; charset=utf-8", include_bytes!("pages/watch.js")),
    ("texts.js", "text/javascript; charset=utf-8", include_bytes!("pages/texts.js")),
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

/// Arguments that the server uses; the page's scripts use the rest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    lang: Option<String>,
}

/// The reader of a page.
struct Reader {
    language: &'static Language,
}

impl Reader {
    fn of(asked: &Asked, headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Self { language: choose(asked.lang.as_deref(), accepted) }
    }

    fn text(&self, key: &str) -> &'static str {
        self.language.texts.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The parts of a page.
struct Content<'c> {
    html: &'static str,
    /// Relative path from the folder of the page to the root.
    root: &'c str,
    /// Sites that may embed the page, in CSP syntax.
    ancestors: &'c str,
    title: &'c str,
    /// Placeholders of this page, with their values.
    places: &'c [(&'static str, &'c str)],
    /// Data for the page's scripts.
    data: Value,
    /// Other servers that the page may play from.
    elsewhere: Option<Elsewhere>,
}

/// Returns the page with all live streams and planned events.
pub(super) async fn index(
    State(web): State<Arc<Web>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let (reader, config) = (Reader::of(&asked, &headers), web.context.config());
    let title = config.web.brand.name.clone().unwrap_or_else(|| reader.text("live_now").to_owned());
    let events = schedule::of(&config.events, None, ".", clock::now(), |id, start| facts_of(&web, id, start));
    let (html, data) = (include_str!("pages/index.html"), json!({ "events": events }));
    let content =
        Content { html, root: ".", ancestors: "'none'", title: &title, places: &[], data, elsewhere: None };
    page(&web, &reader, &content)
}

/// Returns 404: as a page with the way to `/` for browsers, otherwise as an error of the API.
pub(super) async fn missing(
    State(web): State<Arc<Web>>,
    Query(asked): Query<Asked>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    missing_page(&web, &Reader::of(&asked, &headers), &uri, &headers).await
}

/// Returns the number of folders in a path below the root. `%2f` separates no folders, because browsers do not decode it.
fn depth(uri: &Uri) -> usize {
    uri.path().trim_start_matches('/').matches('/').count()
}

/// Returns the relative path from the folder of a page to the root.
fn root_of(uri: &Uri) -> String {
    match depth(uri) {
        0 => ".".to_owned(),
        depth => vec![".."; depth].join("/"),
    }
}

async fn missing_page(web: &Web, reader: &Reader, uri: &Uri, headers: &HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepted.contains("text/html") || depth(uri) > MOST_FOLDERS {
        return answer::nothing_here().await;
    }
    let root = root_of(uri);
    let content = Content {
        html: include_str!("pages/missing.html"),
        root: &root,
        ancestors: "'none'",
        title: reader.text("no_page"),
        places: &[],
        data: json!({}),
        elsewhere: None,
    };
    let mut response = page(web, reader, &content);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept, Accept-Language"));
    response
}

/// Returns the page with the player.
pub(super) async fn watch(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    Query(asked): Query<Asked>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let reader = Reader::of(&asked, &headers);
    let from = From { path: &path, uri: &uri, reader: &reader, peer, headers: &headers };
    of_stream(&web, &from, include_str!("pages/watch.html"), "'none'").await
}

/// Returns only the player, for pages of other sites.
pub(super) async fn embed(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    Query(asked): Query<Asked>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let ancestors = match &web.context.config().web.embed_origins {
        None => "*".to_owned(),
        Some(none) if none.is_empty() => "'none'".to_owned(),
        Some(origins) => format!("'self' {}", origins.join(" ")),
    };
    let reader = Reader::of(&asked, &headers);
    let from = From { path: &path, uri: &uri, reader: &reader, peer, headers: &headers };
    of_stream(&web, &from, include_str!("pages/embed.html"), &ancestors).await
}

/// Returns the page that publishes from a browser.
pub(super) async fn publish(
    State(web): State<Arc<Web>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    if web.webrtc.is_none() {
        return offers::off();
    }
    let html = include_str!("pages/publish.html");
    let content = Content {
        html,
        root: ".",
        ancestors: "'none'",
        title: "",
        places: &[],
        data: json!({}),
        elsewhere: None,
    };
    page(&web, &Reader::of(&asked, &headers), &content)
}

/// A request for the page of a stream.
struct From<'f> {
    /// Decoded path of the stream.
    path: &'f str,
    /// Address below the root, as the browser sent it.
    uri: &'f Uri,
    reader: &'f Reader,
    peer: SocketAddr,
    headers: &'f HeaderMap,
}

/// Returns whether viewers of a stream need a token, as far as the daemon knows.
fn needs_token(web: &Web, id: &StreamId) -> bool {
    web.doors.needs_token(id).unwrap_or(false)
}

/// Returns the facts about the stream of an event that begins at `start`.
fn facts_of(web: &Web, id: &StreamId, start: Timestamp) -> schedule::Facts {
    schedule::Facts {
        was_live: web.news.was_live_since(id, start),
        last_end: web.news.last_end(id),
        protected: needs_token(web, id),
    }
}

async fn of_stream(web: &Web, from: &From<'_>, html: &'static str, ancestors: &str) -> Response {
    let From { path, uri, reader, .. } = *from;
    let Some((app, name)) = stream(path) else {
        return missing_page(web, reader, uri, from.headers).await;
    };
    let root = root_of(uri);
    let order = if web.webrtc.is_some() { "whep,ws,llhls,hls" } else { "ws,llhls,hls" };
    let config = web.context.config();
    let id = (app, name);
    let events =
        schedule::of(&config.events, Some(&id), &root, clock::now(), |id, start| facts_of(web, id, start));
    let first = events.first().cloned().unwrap_or_default();
    let title = first["title"].as_str().unwrap_or(id.1.as_str()).to_owned();
    let description = escaped(first["description"].as_str().unwrap_or_default());
    let places =
        [("app", id.0.as_str()), ("name", id.1.as_str()), ("order", order), ("description", &description)];
    // The name of a stream that was live before is not misspelt.
    let known = web.board.find(&id).is_some() || web.has_been_live(&id);
    let elsewhere = Elsewhere::of(web, &root, from.peer, from.headers);
    let edges = elsewhere.as_ref().map(Elsewhere::data);
    let invited = first_token(uri.query().unwrap_or_default(), from.headers).is_some();
    let data = json!({ "events": events, "poster": first["poster"], "known": known, "edges": edges,
        "protected": needs_token(web, &id), "invited": invited });
    let content = Content { html, root: &root, ancestors, title: &title, places: &places, data, elsewhere };
    page(web, reader, &content)
}

fn page(web: &Web, reader: &Reader, content: &Content<'_>) -> Response {
    let brand = &web.context.config().web.brand;
    let mut html = content.html.to_owned();
    html = html.replace("{header}", &head(reader, brand)).replace("{footer}", &foot(reader, brand));
    for (key, text) in &reader.language.texts {
        html = html.replace(&format!("{{t.{key}}}"), &escaped(text.as_str().unwrap_or_default()));
    }
    html = html.replace("{lang}", reader.language.code).replace("{root}", content.root);
    html = html.replace("{title}", &escaped(content.title));
    for (place, text) in content.places {
        html = html.replace(&format!("{{{place}}}"), text);
    }
    let mut data = content.data.clone();
    data["texts"] = json!(reader.language.texts);
    // Escaping `<` keeps the JSON from closing the script element.
    let data = data.to_string().replace('<', "\\u003c");
    html = html.replace("{data}", &format!("<script type=\"application/json\" id=\"data\">{data}</script>"));
    let mut response = (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "Accept-Language"),
        ],
        html,
    )
        .into_response();
    let (connect, media) = content.elsewhere.as_ref().map(Elsewhere::sources).unwrap_or_default();
    let policy = POLICY.replace("{connect}", &connect).replace("{media}", &media);
    if let Ok(policy) = HeaderValue::from_str(&format!("{policy}{}", content.ancestors)) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn head(reader: &Reader, brand: &Brand) -> String {
    let name = escaped(brand.name.as_deref().unwrap_or(reader.text("all_streams")));
    let logo = brand.logo.as_ref().map_or("", |_| "<img src=\"{root}/logo\" alt=\"\">");
    let languages: String = catalogue::all()
        .iter()
        .map(|language| {
            let current = if language.code == reader.language.code { " aria-current=\"true\"" } else { "" };
            let Language { code, name, .. } = language;
            format!("<a href=\"?lang={code}\" lang=\"{code}\" hreflang=\"{code}\"{current}>{name}</a>")
        })
        .collect();
    let label = escaped(reader.text("language"));
    format!(
        "<header class=\"top\"><a class=\"brand\" href=\"{{root}}/?lang={}\">{logo}{name}</a>\
         <nav aria-label=\"{label}\">{languages}</nav></header>",
        reader.language.code
    )
}

fn foot(reader: &Reader, brand: &Brand) -> String {
    let links: String = [("imprint", &brand.imprint), ("privacy", &brand.privacy)]
        .into_iter()
        .filter_map(|(key, url)| {
            let url = escaped(url.as_deref()?);
            Some(format!("<a href=\"{url}\">{}</a>", escaped(reader.text(key))))
        })
        .collect();
    if links.is_empty() { links } else { format!("<footer class=\"foot\"><nav>{links}</nav></footer>") }
}

/// Returns a file of the pages.
pub(super) async fn asset(State(web): State<Arc<Web>>, Path(name): Path<String>) -> Response {
    if name == "brand.css" {
        let css = colors(&web.context.config().web.brand);
        let headers =
            [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
        return (headers, css).into_response();
    }
    match ASSETS.iter().find(|asset| asset.0 == name) {
        Some(&(_, kind, content)) => {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content).into_response()
        }
        None => answer::nothing_here().await,
    }
}

/// Returns the colours of the site as CSS.
fn colors(brand: &Brand) -> String {
    let Some(light) = brand.color.as_ref().or(brand.color_dark.as_ref()) else { return String::new() };
    // Even black becomes readable on the dark grounds of page.css: a contrast of more than 4.5 to 1.
    let lighter = || format!("color-mix(in oklab, {light} 35%, white)");
    let dark = brand.color_dark.clone().unwrap_or_else(lighter);
    format!(":root {{ --accent: light-dark({light}, {dark}); }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_slash_is_no_folder() {
        for (path, root) in [
            ("/", "."),
            ("/none", "."),
            ("/watch/live/show", "../.."),
            ("/watch/live%2fshow", ".."),
            ("/watch/..%2f..%2fetc", ".."),
            ("/watch/..%2F..%2Fetc/x", "../.."),
        ] {
            assert_eq!(root_of(&path.parse().unwrap()), root, "{path}");
        }
    }

    #[test]
    fn one_color_is_lighter_on_a_dark_background() {
        let of = |light: Option<&str>, dark: Option<&str>| {
            let [color, color_dark] = [light, dark].map(|color| color.map(str::to_owned));
            colors(&Brand { color, color_dark, ..Brand::default() })
        };
        let lighter = ":root { --accent: light-dark(#123, color-mix(in oklab, #123 35%, white)); }\n";
        assert_eq!(of(Some("#123"), None), lighter);
        assert_eq!(of(Some("#123"), Some("#abc")), ":root { --accent: light-dark(#123, #abc); }\n");
        assert_eq!(of(None, None), "");
    }
}
