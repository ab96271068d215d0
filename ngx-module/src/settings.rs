//! The settings from nginx.conf.

use std::{collections::HashSet, path::PathBuf, rc::Rc};

use ngx_rtmp::{blocks::BlockMark, conf::Inherit, value::Value};
use weir_model::{
    Digest, Server, access, bitrate::Limit, duplicate::Duplicate, exec, guard::deadline::Limits,
    key::StreamKey, playback::uri::Layout, push::access::Rule, server::ServerBlock, stat::Format,
    state_file::State, target::Target, token::Signer, verdict::Policy,
};
use weir_rtmp::merge;

/// The settings of `weir_zone` and `weir_secret`, and sums over the applications.
#[derive(Default)]
pub struct MainSettings {
    /// Size of the zone in bytes, 0 without one.
    pub zone_size: usize,
    /// The place of `weir_zone`, `FILE:LINE`.
    pub place: String,
    /// `state=`.
    pub state_path: Option<PathBuf>,
    /// The content of the state file when the configuration was read, with its checksum. `state::load::check` checks whether it fits the
    /// zone.
    pub state: Option<(State, Digest)>,
    /// `weir_secret`.
    pub signer: Option<Signer>,
    /// The digest of the token that is derived from `weir_pair_secret`.
    pub replica_token: Option<Digest>,
    /// The keys of all `weir_key_file`, each with the `server` block of the directive.
    pub file_keys: Vec<(BlockMark, StreamKey)>,
    /// The facts about applications for clients of the API; one per name and server.
    pub application_facts: Vec<ApplicationFacts>,
    /// The applications that a `weir_play token` of `http` protects; `None` stands for a directive without `app=`.
    pub protected_over_http: Vec<Option<String>>,
    /// The `server` blocks, in their order.
    pub servers: Vec<ServerBlock>,
    /// The targets of all `weir_push_to`, each with the `server` block of the directive.
    pub file_targets: Vec<(BlockMark, Target)>,
    /// `weir_trusted_certificate`.
    pub trusted_certificate: Option<PathBuf>,
    /// The first directive that needs a zone, with its place.
    pub needs_zone: Option<(&'static str, String)>,
    /// The place of the first `weir_play token`, which needs a secret.
    pub needs_secret: Option<String>,
}

/// Limits that an admin sets with nginx-rtmp's own directives. A default of Weir never makes them stricter.
#[derive(Default, Clone, Copy)]
pub struct Allowed {
    /// `drop_idle_publisher`, in milliseconds; 0 is unlimited.
    pub idle_publisher_ms: Option<u64>,
    /// `timeout`, in milliseconds.
    pub silence_ms: Option<u64>,
}

impl MainSettings {
    /// Stores the `server` blocks. If there are several, keys and targets of the configuration belong to the block that contains their
    /// directive.
    pub fn learn_servers(&mut self, blocks: Vec<(BlockMark, ServerBlock)>) {
        let address = |mark: BlockMark| {
            let block = blocks.iter().find(|(known, _)| *known == mark);
            block.and_then(|(_, block)| block.server.first().cloned())
        };
        if blocks.len() > 1 {
            for (mark, key) in &mut self.file_keys {
                key.server = address(*mark);
            }
            let mut ids = HashSet::new();
            for (mark, target) in &mut self.file_targets {
                target.server = address(*mark);
                if let (false, Some(server)) = (ids.insert(target.id), target.server.clone()) {
                    *target = target.clone().of_block(server);
                }
            }
        }
        self.servers = blocks.into_iter().map(|(_, block)| block).collect();
    }
}

/// Facts that decide whether a key or a target of an application has any effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationFacts {
    /// The argument of `application`.
    pub name: String,
    /// `weir_publish`.
    pub publish: Policy,
    /// `weir_push`.
    pub push: bool,
    /// `weir_play`: whether a player over RTMP needs a token.
    pub play: bool,
    /// Whether it writes HLS.
    pub hls: bool,
    /// Whether it writes DASH.
    pub dash: bool,
    /// `weir_max_viewers`.
    pub max_viewers: Option<u64>,
}

/// An application's settings.
#[derive(Default)]
pub struct AppSettings {
    /// `weir_publish`.
    pub publish: Option<Policy>,
    /// `weir_play`: whether a player needs a token.
    pub play: Option<bool>,
    /// `weir_duplicate`.
    pub duplicate: Option<Duplicate>,
    /// `weir_drain_timeout`, in milliseconds.
    pub drain_timeout_ms: Option<u64>,
    /// Whether `weir_key_file` is set here.
    pub key_file: bool,
    /// `weir_guard`.
    pub guard: Option<bool>,
    /// `weir_session_timeout`, in milliseconds.
    pub session_timeout_ms: Option<u64>,
    /// `weir_idle_publisher`, in milliseconds; 0 is unlimited.
    pub idle_publisher_ms: Option<u64>,
    /// The limits of nginx-rtmp's own directives here, if the admin set them.
    pub allowed: Allowed,
    /// `weir_limit_unauthenticated`.
    pub limit_unauthenticated: Option<u32>,
    /// `weir_min_free`, in bytes; 0 turns it off.
    pub min_free: Option<u64>,
    /// `weir_max_viewers`.
    pub max_viewers: Option<u64>,
    /// `weir_max_bitrate`.
    pub max_bitrate: Option<Limit>,
    /// `weir_merge_write`; the inner `None` is `off`.
    pub merge_write: Option<Option<merge::Rule>>,
    /// `weir_gop_cache`, in bytes; the inner `None` is `off`.
    pub gop_cache: Option<Option<usize>>,
    /// `weir_push`.
    pub push: Option<bool>,
    /// `weir_tls_verify`.
    pub tls_verify: Option<bool>,
    /// `weir_push_allow` and `weir_push_deny`, in their order.
    pub push_rules: Vec<Rule>,
    /// The `server` block; known after the whole configuration was read.
    pub server: Server,
    /// The folders that HLS and DASH write to, as numbers; known after the whole configuration was read.
    pub folders: Vec<u64>,
    /// The values that nginx-rtmp's `exec` lines of the application pass to programs; known after the whole configuration was read.
    pub exec: exec::Uses,
    /// nginx-rtmp's `allow` and `deny` lines of the application, in their order; known after the whole configuration was read.
    pub access: Vec<access::Rule>,
}

impl AppSettings {
    /// Returns who may publish; the default is `off`.
    #[must_use]
    pub fn publish(&self) -> Policy {
        self.publish.unwrap_or(Policy::Off)
    }

    /// Returns whether a player needs a token; the default is no.
    #[must_use]
    pub fn play_needs_token(&self) -> bool {
        self.play.unwrap_or(false)
    }

    /// Returns the decision about a second publisher; the default is `reject`.
    #[must_use]
    pub fn duplicate(&self) -> Duplicate {
        self.duplicate.unwrap_or_default()
    }

    /// Returns whether the guard is on; the default is on.
    #[must_use]
    pub fn guard(&self) -> bool {
        self.guard.unwrap_or(true)
    }

    /// Returns how long a session may be silent.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let (usual, allowed) = (Limits::default(), &self.allowed);
        let session_timeout_ms = usual.session_timeout_ms.max(allowed.silence_ms.unwrap_or(0));
        let idle_publisher_ms = allowed.idle_publisher_ms.unwrap_or(usual.idle_publisher_ms);
        Limits {
            session_timeout_ms: self.session_timeout_ms.unwrap_or(session_timeout_ms),
            idle_publisher_ms: self.idle_publisher_ms.unwrap_or(idle_publisher_ms),
        }
    }

    /// Returns how many connections that neither publish nor play an address may have; the default is 32.
    #[must_use]
    pub fn limit_unauthenticated(&self) -> u32 {
        self.limit_unauthenticated.unwrap_or(32)
    }

    /// Returns whether streams are pushed to the targets of the API; the default is no.
    #[must_use]
    pub fn push(&self) -> bool {
        self.push.unwrap_or(false)
    }

    /// Returns whether to verify the certificates of targets; the default is yes.
    #[must_use]
    pub fn tls_verify(&self) -> bool {
        self.tls_verify.unwrap_or(true)
    }
}

impl AppSettings {
    /// Returns whether a name that is live in `other`, an application with the same name, is taken in this one: they are in the same
    /// `server` block, or HLS or DASH would write the same files.
    #[must_use]
    pub fn excludes(&self, other: &AppSettings) -> bool {
        self.server.is_same(&other.server) || self.folders.iter().any(|folder| other.folders.contains(folder))
    }
}

impl Inherit for AppSettings {
    fn inherit(&mut self, outer: &Self) {
        self.publish = self.publish.or(outer.publish);
        self.play = self.play.or(outer.play);
        self.duplicate = self.duplicate.or(outer.duplicate);
        self.drain_timeout_ms = self.drain_timeout_ms.or(outer.drain_timeout_ms);
        self.guard = self.guard.or(outer.guard);
        self.session_timeout_ms = self.session_timeout_ms.or(outer.session_timeout_ms);
        self.idle_publisher_ms = self.idle_publisher_ms.or(outer.idle_publisher_ms);
        self.limit_unauthenticated = self.limit_unauthenticated.or(outer.limit_unauthenticated);
        self.min_free = self.min_free.or(outer.min_free);
        self.max_viewers = self.max_viewers.or(outer.max_viewers);
        self.max_bitrate = self.max_bitrate.or(outer.max_bitrate);
        self.merge_write = self.merge_write.or(outer.merge_write);
        self.gop_cache = self.gop_cache.or(outer.gop_cache);
        self.push = self.push.or(outer.push);
        self.tls_verify = self.tls_verify.or(outer.tls_verify);
        if self.push_rules.is_empty() {
            self.push_rules = outer.push_rules.clone();
        }
    }
}

/// A location's settings.
#[derive(Default)]
pub struct LocationSettings {
    /// `weir_api`.
    pub api: bool,
    /// `weir_stat`: the format, and whether to show addresses.
    pub stat: Option<(Format, bool)>,
    /// `weir_api_token`: the digest of the token.
    pub api_token: Option<Digest>,
    /// `weir_play`.
    pub play: Option<PlayRule>,
    /// `weir_viewers`.
    pub viewers: Option<ViewersRule>,
}

/// `weir_viewers`.
#[derive(Clone)]
pub enum ViewersRule {
    /// Viewers are not counted.
    Off,
    /// Viewers are counted.
    Count(Rc<Counting>),
}

/// How viewers are counted.
pub struct Counting {
    /// Position of the stream in the path.
    pub layout: Layout,
    /// `stream=`.
    pub stream: Option<Value>,
    /// How long a viewer counts after a request, in milliseconds.
    pub window_ms: u64,
}

/// `weir_play` of http.
#[derive(Clone)]
pub enum PlayRule {
    /// Anyone may watch.
    Off,
    /// A viewer needs a token for the stream.
    Token(Rc<Layout>, Option<Value>),
}

impl Inherit for LocationSettings {
    fn inherit(&mut self, outer: &Self) {
        // `weir_api` and `weir_stat` apply only to their own location.
        self.api_token = self.api_token.or(outer.api_token);
        self.play = self.play.take().or_else(|| outer.play.clone());
        self.viewers = self.viewers.take().or_else(|| outer.viewers.clone());
    }
}
