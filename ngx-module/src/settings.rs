//! What was written in nginx.conf.

use std::path::PathBuf;

use weir_model::{
    Digest, duplicate::Duplicate, key::StreamKey, stat::Format, state_file::State, token::Signer,
    verdict::Policy,
};

use crate::ffi::conf::{Handle, Inherit};

/// `weir_zone`, `weir_secret`, and what the applications add up to.
#[derive(Default)]
pub struct MainSettings {
    /// The zone, null without `weir_zone`.
    pub zone: Handle<nginx_sys::ngx_shm_zone_t>,
    /// The configuration that these belong to.
    pub cycle: Handle<nginx_sys::ngx_cycle_t>,
    /// What is undone when this configuration never runs.
    pub attempt: Handle<std::ffi::c_void>,
    /// Size of the zone in bytes, 0 without one.
    pub zone_size: usize,
    /// Where `weir_zone` stands, `FILE:LINE`.
    pub place: String,
    /// `state=`.
    pub state_path: Option<PathBuf>,
    /// What the state file held when the configuration was read; taken by the zone.
    pub state: Option<State>,
    /// `weir_secret`.
    pub signer: Option<Signer>,
    /// The keys of all `weir_key_file`.
    pub file_keys: Vec<StreamKey>,
    /// `rtmp_auto_push on;`, taken over from nginx-rtmp.
    pub auto_push: bool,
    /// The names of all applications.
    pub applications: Vec<String>,
    /// The first directive that needs a zone, with its place.
    pub needs_zone: Option<(&'static str, String)>,
}

/// An application's settings.
#[derive(Default)]
pub struct AppSettings {
    /// `weir_publish`.
    pub publish: Option<Policy>,
    /// `weir_duplicate`.
    pub duplicate: Option<Duplicate>,
    /// `weir_drain_timeout`, in milliseconds.
    pub drain_timeout_ms: Option<u64>,
    /// `weir_key_file` was said here.
    pub key_file: bool,
}

impl AppSettings {
    /// Who may publish; `off` where nothing was said.
    #[must_use]
    pub fn publish(&self) -> Policy {
        self.publish.unwrap_or(Policy::Off)
    }

    /// What becomes of a second publisher; `reject` where nothing was said.
    #[must_use]
    pub fn duplicate(&self) -> Duplicate {
        self.duplicate.unwrap_or_default()
    }
}

impl Inherit for AppSettings {
    fn inherit(&mut self, outer: &Self) {
        self.publish = self.publish.or(outer.publish);
        self.duplicate = self.duplicate.or(outer.duplicate);
        self.drain_timeout_ms = self.drain_timeout_ms.or(outer.drain_timeout_ms);
    }
}

/// A location's settings.
#[derive(Default)]
pub struct LocationSettings {
    /// `weir_api`.
    pub api: bool,
    /// `weir_stat`: the format, and whether addresses are shown.
    pub stat: Option<(Format, bool)>,
    /// `weir_api_token`: the digest of the token.
    pub api_token: Option<Digest>,
}

impl Inherit for LocationSettings {
    fn inherit(&mut self, outer: &Self) {
        // `weir_api` and `weir_stat` are the content of their own location alone.
        self.api_token = self.api_token.or(outer.api_token);
    }
}
