//! `weir.toml` as parsed, without checks. An unknown key is an error.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub nginx: super::nginx::raw::Nginx,
    pub daemon: super::daemon::raw::Daemon,
    pub jobs: super::jobs::raw::Jobs,
    pub event: Vec<Spanned<super::event::raw::Event>>,
    pub chat: super::chat::raw::Chat,
    pub health: super::health::raw::Health,
    pub history: super::history::raw::History,
    pub rung: BTreeMap<Spanned<String>, super::rungs::raw::Rung>,
    pub ladder: BTreeMap<Spanned<String>, super::rungs::raw::Ladder>,
    pub stream: Vec<Spanned<super::streams::raw::Stream>>,
    pub hooks: super::hooks::raw::Hooks,
    pub notify: super::notify::raw::Notify,
    pub slate: super::slate::raw::Slate,
    pub web: super::web::raw::Web,
    pub input: Vec<Spanned<super::input::raw::Input>>,
    pub webrtc: Option<super::webrtc::raw::WebRtc>,
    pub record: Vec<Spanned<super::record::raw::Record>>,
    pub thumbnail: Vec<Spanned<super::record::raw::Thumbnail>>,
    pub upload: BTreeMap<Spanned<String>, super::record::raw::Upload>,
    pub cluster: super::cluster::raw::Cluster,
    pub region: Vec<Spanned<super::cluster::raw::Region>>,
    pub edge: Option<Spanned<super::cluster::raw::Edge>>,
    pub loadbalancer: Option<Spanned<super::cluster::raw::LoadBalancer>>,
}
