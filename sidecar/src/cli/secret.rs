//! `weir secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `weir secret ...`
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Write a new random secret to FILE, mode 0600
    New(SecretNewArgs),
}

/// `weir secret new`
#[derive(Debug, Args)]
pub(crate) struct SecretNewArgs {
    /// File to create
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Give the file to this user and its group (root only)
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,
}
