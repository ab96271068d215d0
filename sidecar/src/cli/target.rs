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
    after_help = "The URL is best given with --url-file: whatever stands in the command line is in the list of processes \
that every user of this machine can read."
)]
pub struct TargetAddArgs {
    /// nginx-rtmp application, as in `application live { ... }`
    pub app: AppName,
    /// The stream's public name, or '*' for each of the application
    pub stream: StreamPattern,
    /// Where to: rtmp[s]://[USER:PASSWORD@]HOST[:PORT]/APP/KEY
    // Checked later: clap would repeat a wrong one with its secrets.
    #[arg(required_unless_present = "url_file", conflicts_with = "url_file", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// File with the URL, - for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub url_file: Option<PathBuf>,
    /// Do not push to it until `weir target enable`
    #[arg(long)]
    pub disabled: bool,
    /// A remark for people
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
pub struct TargetListArgs {
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir target enable`, `disable` and `remove`
#[derive(Debug, Args)]
pub struct TargetIdArgs {
    /// The target's id, from `weir target list`
    pub id: TargetId,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}
