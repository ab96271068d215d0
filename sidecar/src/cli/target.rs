//! `weir target ...`
#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;

use clap::{Args, ValueHint};
use weir_model::AppName;
use weir_model::target::{StreamPattern, TargetId};

use super::{JsonArg, ServerBlockArg};

/// `weir target add`
#[derive(Debug, Args)]
#[command(
    after_help = "Give the URL with --url-file: every user of this machine can read the command line in the process list."
)]
pub(crate) struct TargetAddArgs {
    /// nginx-rtmp application, as in `application live { ... }`
    pub app: AppName,
    /// Public name of the stream, or '*' for all streams of the application
    pub stream: StreamPattern,
    /// URL to push to: rtmp[s]://[USER:PASSWORD@]HOST[:PORT]/APP/KEY
    // The URL is checked later, because clap would repeat a wrong URL with its secrets.
    #[arg(required_unless_present = "url_file", conflicts_with = "url_file", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// File with the URL; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub url_file: Option<PathBuf>,
    /// Add the target paused, until `weir target enable`
    #[arg(long)]
    pub disabled: bool,
    /// Note for administrators
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// The `server` block
    #[command(flatten)]
    pub block: ServerBlockArg,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir target list`
#[derive(Debug, Args)]
pub(crate) struct TargetListArgs {
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir target enable`, `disable` and `remove`
#[derive(Debug, Args)]
pub(crate) struct TargetIdArgs {
    /// ID of the target, from `weir target list`
    pub id: TargetId,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}
