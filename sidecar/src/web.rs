//! `[web]`: the daemon's pages, media and API for viewers.
//!
//! The server runs on its own thread, so that viewers never delay the jobs.
//!
//! - [`asker`]: the client of a request, also behind proxies; [`access`]: its right to watch
//! - [`common`]: state that all handlers share
//! - [`stream`]: media of one stream, which [`names`] parses from the path; [`socket`]: media over WebSocket; [`llhls`]:
//!   Low-Latency HLS, with [`renditions`] of a ladder and [`compress`]; [`still`]: stills, kept by [`stills`]; [`sessions`]: WebRTC
//!   for viewers ([`whep`]) and publishers ([`whip`], with [`guesses`]); [`offers`]: their shared functions
//! - [`pages`]: the HTML pages; [`schedule`]: planned events
//! - [`wake`]: starts streams that start on demand
//! - [`talk`]: messages to front ends over `/v1/ws`; [`news`] holds them and a [`reporter`] collects them
//! - [`reports`]: the regular exchange with nginx
//! - [`edge`]: sends viewers to edges, and receives reports of edges; [`elsewhere`]: the edges that a page may use; [`node`]: the
//!   load of this server
//! - [`pair`]: receives messages of the other node of a pair
//! - [`listener`]: limits the number of connections; [`patience`]: closes idle connections
//! - [`admin`]: the dashboard; [`office`]: its accounts and the daemon's jobs; [`past`]: the last minutes of each stream
//! - [`history`]: queries of the history
//! - [`answer`]: errors, and headers of every answer

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};

use crate::cluster::wire::MAX_REQUEST;
use crate::config::Config;

mod access;
mod admin;
mod answer;
mod asker;
mod common;
mod compress;
mod edge;
mod elsewhere;
mod farewell;
mod guesses;
pub(crate) mod history;
mod listener;
mod live;
mod llhls;
mod names;
mod news;
mod node;
mod offers;
mod office;
mod pages;
mod pair;
mod past;
mod patience;
mod renditions;
mod reporter;
mod reports;
mod schedule;
mod sessions;
mod shares;
mod socket;
mod still;
mod stills;
mod stream;
mod talk;
mod wake;
mod whep;
mod whip;

pub(crate) use common::Web;
pub(crate) use office::Running;

/// Error that keeps the server from listening.
#[derive(Debug, thiserror::Error)]
#[error("[web] listen {address}: {why}")]
pub(crate) struct Error {
    address: SocketAddr,
    why: io::Error,
}

/// Binds the address. Returns `None` if no pages are to be served: listen is `"off"`, or the default address is in use.
pub(crate) fn listen(config: &Config) -> Result<Option<TcpListener>, Error> {
    let Some(address) = config.web.listen else { return Ok(None) };
    let taken = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    match taken {
        Ok(listener) => Ok(Some(listener)),
        Err(why) if config.web.is_explicit => Err(Error { address, why }),
        Err(why) => {
            tracing::warn!(
                "no pages and no low latency: cannot listen on {address}: {why}; set listen of [web] in weir.toml"
            );
            Ok(None)
        }
    }
}

/// Serves until the process ends.
pub(crate) fn serve(listener: TcpListener, web: &Arc<Web>) -> Result<(), Error> {
    let context = web.context.clone();
    let is_proxy = move |at| context.config().web.trusted_proxies.iter().any(|network| network.contains(at));
    let (base, shares, is_origin) = {
        let config = web.context.config();
        let settings = &config.web;
        let shares =
            shares::Shares::new(settings.max_connections, settings.max_connections_per_address, is_proxy);
        // An edge plays only the streams that its viewers watch.
        (settings.base.clone(), shares, web.origin.is_some() && config.edge.is_none())
    };
    let warm = is_origin.then(|| web.hub.clone().keep_warm());
    let address = listener.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
    let failed = |why| Error { address, why };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (app, reports) = (app(web.clone(), &base), reports::run(web.clone()));
    let news = reporter::run(Arc::downgrade(web));
    let watcher = admin::watcher::run(Arc::downgrade(web));
    let nodes = admin::nodes::run(Arc::downgrade(web));
    std::thread::Builder::new()
        .name("weir-web".into())
        .spawn(move || {
            runtime.block_on(async {
                tokio::spawn(reports);
                tokio::spawn(news);
                tokio::spawn(watcher);
                tokio::spawn(nodes);
                if let Some(warm) = warm {
                    tokio::spawn(warm);
                }
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => match listener::accept(listener, app, shares).await {},
                    Err(error) => tracing::error!("[web] is not served: {error}"),
                }
            });
        })
        .map_err(failed)?;
    tracing::info!("pages and low latency: http://{address}{base}");
    Ok(())
}

/// Maximum size of a join request in bytes; the request has a ticket and a number.
const MAX_JOIN: usize = 1024;

fn app(web: Arc<Web>, base: &str) -> Router {
    let media = get(stream::get)
        .post(sessions::post)
        .patch(sessions::patch)
        .delete(sessions::delete)
        .options(sessions::options);
    let routes = Router::new()
        .route("/", get(pages::index))
        .route("/watch/{*path}", get(pages::watch))
        .route("/embed/{*path}", get(pages::embed))
        .route("/assets/{name}", get(pages::asset))
        .route("/publish", get(pages::publish))
        .route("/events.ics", get(schedule::calendar))
        .route("/poster/{number}", get(schedule::poster))
        .route("/logo", get(schedule::logo))
        .route("/v1/live", get(live::list))
        .route("/v1/node", get(node::get))
        .route("/v1/edges", post(edge::post).layer(DefaultBodyLimit::max(MAX_REQUEST)))
        .route("/v1/edges/join", post(edge::join).layer(DefaultBodyLimit::max(MAX_JOIN)))
        .route("/v1/pair", post(pair::post))
        .route("/edge", get(edge::get))
        .route("/stream/{*path}", media)
        .route("/v1/ws", get(talk::get))
        .nest("/v1", admin::history())
        .route("/admin", get(answer::to_base))
        .nest("/admin/", admin::routes())
        .fallback(pages::missing);
    let routes = match base.trim_end_matches('/') {
        "" => routes,
        below => Router::new()
            .route(below, get(answer::to_base))
            .nest(&format!("{below}/"), routes)
            .fallback(answer::nothing_here),
    };
    routes.layer(middleware::from_fn(answer::headers)).with_state(web)
}
