//! `[hooks]`, as parsed.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::config::check::{Number, Text};

/// `[hooks]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Hooks {
    pub queue: Text,
    pub webhook: BTreeMap<Spanned<String>, Webhook>,
    pub command: BTreeMap<Spanned<String>, HookCommand>,
    pub admission: Option<Spanned<Admission>>,
}

/// `[hooks.webhook.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Webhook {
    pub url: Text,
    pub secret_files: Option<Spanned<Vec<String>>>,
    pub events: Option<Spanned<Vec<String>>>,
    pub streams: Option<Spanned<Vec<Spanned<String>>>>,
    pub timeout: Text,
    pub backoff_max: Text,
    pub give_up: Text,
    pub max_queue: Number,
    pub allow_private: bool,
}

/// `[hooks.command.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HookCommand {
    pub run: Option<Spanned<Vec<String>>>,
    pub events: Option<Spanned<Vec<String>>>,
    pub streams: Option<Spanned<Vec<Spanned<String>>>>,
    pub timeout: Text,
    pub max_running: Number,
}

/// `[hooks.admission]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admission {
    pub url: Text,
    pub secret_files: Option<Spanned<Vec<String>>>,
    pub timeout: Text,
    pub when_down: Text,
    pub allow_private: bool,
}
