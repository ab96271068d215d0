//! `weir admin`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::JsonArg;
use crate::admin::accounts::Role;
use crate::admin::name::Name;
use crate::values::Span;

/// `weir admin ...`
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Create an account, or set the password of one; the password is read from standard input
    Add(AdminAddArgs),
    /// List the accounts
    List(AdminListArgs),
    /// Remove an account and end its sessions
    Remove(AdminRemoveArgs),
    /// Ask for the code of an authenticator app at each login of an account (TOTP)
    Totp(AdminTotpArgs),
    /// Print a link with which one person creates an administrator in a browser
    SetupLink(AdminSetupLinkArgs),
}

/// Which file has the accounts.
#[derive(Clone, Debug, Args)]
pub(crate) struct AdminsArg {
    /// Configuration with admins_file of [web] [default: /etc/weir/weir.toml, if it is there]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// `weir admin add`
#[derive(Debug, Args)]
#[command(after_help = "A new password ends the sessions of the account.")]
pub(crate) struct AdminAddArgs {
    /// Name of the account
    pub name: Name,
    /// What the account may do: viewer reads, moderator also stops and shares streams and moderates the chat, admin changes everything
    /// [default: admin, or the role that the account has]
    #[arg(long, value_enum)]
    pub role: Option<Role>,
    /// Which accounts
    #[command(flatten)]
    pub admins: AdminsArg,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir admin list`
#[derive(Debug, Args)]
pub(crate) struct AdminListArgs {
    /// Which accounts
    #[command(flatten)]
    pub admins: AdminsArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir admin remove`
#[derive(Debug, Args)]
pub(crate) struct AdminRemoveArgs {
    /// Name of the account
    pub name: Name,
    /// Which accounts
    #[command(flatten)]
    pub admins: AdminsArg,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir admin totp`
#[derive(Debug, Args)]
#[command(after_help = "Each run makes another code for the app, and ends the sessions of the account.")]
pub(crate) struct AdminTotpArgs {
    /// Name of the account
    pub name: Name,
    /// Ask for the password alone from now on
    #[arg(long)]
    pub off: bool,
    /// Which accounts
    #[command(flatten)]
    pub admins: AdminsArg,
    /// Lines or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir admin setup-link`
#[derive(Debug, Args)]
pub(crate) struct AdminSetupLinkArgs {
    /// How long the link is valid: 10m, 1h, 1d; at most 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub ttl: Span,
    /// Address of the daemon's pages in a browser [default: url of [web], or its listen and base]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// Which accounts
    #[command(flatten)]
    pub admins: AdminsArg,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}
