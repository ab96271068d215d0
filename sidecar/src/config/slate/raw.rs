//! `[slate]`, as parsed.

use serde::Deserialize;
use toml::Spanned;

use crate::config::check::Text;

/// `[slate]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slate {
    pub streams: Option<Spanned<Vec<Spanned<String>>>>,
    pub file: Text,
    pub r#for: Text,
    pub secret_file: Text,
    pub folder: Text,
}
