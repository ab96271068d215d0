//! `weir check node --all`: checks that this node does what its configuration says, one line per part.
//!
//! The other files check nginx, the daemon and the clock here too; this file adds the checks that need a running node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir_model::lint;
use weir_nginx_files::Disk;

use super::finding::Finding;
use super::installation::Installation;
use super::settings::Settings;
use super::{api, clock, cluster, daemon, ports, rtmp};
use crate::config::{self, Config};
use crate::health::{self, Papers, WebUrl};
use crate::nginx::Nginx;

/// Time limit; a server on this machine answers sooner.
const LIMIT: Duration = Duration::from_secs(5);
/// Time limit for media: an ordinary playlist changes only with each segment.
const MEDIA_LIMIT: Duration = Duration::from_secs(15);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// Folders that are checked by default, if they exist.
const DISKS: [&str; 3] = ["/var/lib/weir-nginx", "/var/lib/weir", "/var/log/nginx"];

/// A node to check.
pub(crate) struct Node<'n> {
    /// Files and the socket.
    pub(crate) installation: &'n Installation,
    /// Client of the API, used if weir.toml does not name the API, or if `is_api_given`.
    pub(crate) nginx: Nginx,
    /// The command line names the API.
    pub(crate) is_api_given: bool,
    /// Folders on disks to check; if empty, [`DISKS`].
    pub(crate) disks: &'n [PathBuf],
    /// Minimum free space in bytes.
    pub(crate) min_free: u64,
}

/// Checks all parts, from nginx to the disks.
pub(crate) async fn prove(node: Node<'_>) -> Vec<Finding> {
    // The daemon's part reports any fault of the file.
    let config = config::load(&node.installation.config).ok();
    let of_config = config.as_ref().filter(|_| !node.is_api_given).and_then(api::of_config);
    let nginx = of_config.unwrap_or(node.nginx);
    let follows = config.as_ref().is_none_or(Config::follows_nginx);
    let mut found = Vec::new();
    if follows {
        found.extend(api::examine(&nginx).await);
        found.extend(rtmp::examine(config.as_ref(), &nginx).await);
    }
    if let Ok(tree) = lint::read(&node.installation.conf, &Disk) {
        found.extend(ports::examine(&tree).await);
    }
    found.extend(daemon::examine(node.installation, follows).await);
    // Without settings of its own, the daemon need not run.
    let installation = node.installation;
    let is_idle = Settings::of_file(&installation.config) != Settings::More && !installation.socket.exists();
    if let Some(config) = config.as_ref().filter(|_| !is_idle) {
        found.extend(pages(config).await);
        found.extend(media(config, &nginx).await);
        found.extend(cluster::examine(config, &node.installation.socket).await);
    }
    found.extend(clock::examine().await);
    found.push(disks(node.disks, node.min_free).await);
    found
}

/// Checks the daemon's pages.
async fn pages(config: &Config) -> Option<Finding> {
    const PART: &str = "pages";
    let url = format!("{}v1/node", own_pages(config)?);
    let remedy = "see journalctl -u weir: the daemon does not serve [web] listen";
    Some(match url.parse::<WebUrl>() {
        Ok(parsed) => {
            let look = async |step: &health::Step| health::http(step, &parsed, None).await;
            Finding::of(PART, health::check(&url, LIMIT, look).await, remedy)
        }
        Err(error) => Finding::problem(PART, format!("{url}: {error}"), remedy),
    })
}

/// Returns the URL of the daemon's pages on this machine; `None` if the pages are off.
fn own_pages(config: &Config) -> Option<String> {
    let listen = config.web.listen?;
    let local = match listen.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        own => own,
    };
    Some(format!("http://{}{}", SocketAddr::new(local, listen.port()), config.web.base))
}

/// Checks the HLS of a live stream that needs no token, as the daemon serves it.
async fn media(config: &Config, nginx: &Nginx) -> Option<Finding> {
    const PART: &str = "hls";
    let pages = own_pages(config)?;
    if !config.follows_nginx() {
        return None;
    }
    let live = nginx.streams().await.ok()?.value.streams;
    let known = nginx.applications().await.ok().flatten().unwrap_or_default();
    let is_open = |app: &str| !known.iter().any(|known| known.name == app && known.needs_play_token());
    let is_token = config.web.play == config::web::Play::Token;
    let Some(stream) = live.iter().find(|stream| !is_token && is_open(&stream.app)) else {
        let why = if live.is_empty() { "no stream is live" } else { "the live streams need a token" };
        return Some(Finding::ok(PART, format!("not checked: {why}")));
    };
    let url = format!("{pages}stream/{}/{}/llhls/master.m3u8", stream.app, stream.name);
    let parsed: WebUrl = url.parse().ok()?;
    let papers = Papers::default();
    let remedy = "see journalctl -u weir; a stream without keyframes has no segments";
    let begin = Instant::now();
    loop {
        let look = async |step: &health::Step| health::hls(step, &parsed, None, &papers).await;
        let found = health::check(&url, MEDIA_LIMIT, look).await;
        // The first viewer starts the packaging, so the first playlist may have no segment.
        if found.is_ok() || begin.elapsed() > MEDIA_LIMIT {
            return Some(Finding::of(PART, found, remedy));
        }
        sleep(PAUSE).await;
    }
}

async fn disks(given: &[PathBuf], min_free: u64) -> Finding {
    const PART: &str = "disk";
    let usual = || DISKS.iter().map(|disk| Path::new(disk).to_owned()).filter(|disk| disk.exists()).collect();
    let disks: Vec<PathBuf> = if given.is_empty() { usual() } else { given.to_vec() };
    let wrong = tokio::time::timeout(LIMIT, health::full_disks(&disks, min_free)).await;
    let shown: Vec<String> = disks.iter().map(|disk| disk.display().to_string()).collect();
    let remedy = "remove what is not needed, or name other folders with --disk";
    match wrong {
        Ok(wrong) if wrong.is_empty() && disks.is_empty() => {
            Finding::hint(PART, "no folder of Weir exists", "name the folders with --disk")
        }
        Ok(wrong) if wrong.is_empty() => Finding::ok(PART, format!("enough space for {}", shown.join(", "))),
        Ok(wrong) => Finding::problem(PART, wrong.join("; "), remedy),
        Err(_) => Finding::problem(PART, format!("no answer from the disk of {}", shown.join(", ")), remedy),
    }
}
