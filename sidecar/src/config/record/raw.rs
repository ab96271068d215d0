//! `[[record]]`, `[[thumbnail]]` and `[upload]`, as parsed.

use serde::Deserialize;
use toml::Spanned;

use crate::config::check::{Number, Text};

/// `[[record]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Record {
    pub app: Text,
    pub stream: Text,
    pub format: Text,
    pub folder: Text,
    pub name: Text,
    pub split: Text,
    pub split_size: Text,
    pub playlist: Option<Spanned<bool>>,
    pub keep: Text,
    pub keep_size: Text,
    pub min_free: Text,
    pub upload: Text,
    pub delete_uploaded: bool,
}

/// `[[thumbnail]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Thumbnail {
    pub app: Text,
    pub stream: Text,
    pub every: Text,
    pub folder: Text,
    pub height: Number,
}

/// `[upload.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Upload {
    pub endpoint: Text,
    pub region: Text,
    pub bucket: Text,
    pub prefix: Text,
    pub path_style: Option<bool>,
    pub credentials_file: Text,
    pub part_size: Text,
}
