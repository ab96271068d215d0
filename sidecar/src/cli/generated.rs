//! What packagers generate from the command line: completions and man pages.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `weir completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `weir man`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for the pages; created if missing
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}
