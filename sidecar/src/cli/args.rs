//! Arguments that several commands take.
#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;

use clap::{Args, ValueHint};
use weir_model::ServerAddr;

use crate::values::Host;

/// `--json`, before or after the command.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct JsonArg {
    /// Print the result or the error as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// `--server-block`, where nginx has several of that application.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerBlockArg {
    /// Only at the server block of nginx.conf that listens on this address: 1936, 127.0.0.1:1935 [default: all]
    #[arg(long, value_name = "LISTEN")]
    pub server_block: Option<ServerAddr>,
}

/// `--key-file`, of commands that make a key.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeyFileArg {
    /// Write the key to this file, which only its owner can read, and do not print it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "json")]
    pub key_file: Option<PathBuf>,
}

/// `--server`, for the lines that go into OBS.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArg {
    /// HOST[:PORT] of the printed server URL [default: public_name of weir.toml, or this machine's host name]
    #[arg(long, value_name = "HOST")]
    pub server: Option<Host>,
}
