//! Accounts of the dashboard: who may log in, and with which role. This module knows nothing of HTTP; start with [`accounts`].
//!
//! - [`accounts`]: the file with all accounts and one-time links; the command line and the daemon change it
//! - [`name`]: names of accounts; [`password`]: argon2id; [`totp`]: the second factor
//! - [`sessions`]: the logged-in sessions; [`limits`]: the time before another login attempt; [`known`]: addresses of earlier logins

pub(crate) mod accounts;
pub(crate) mod known;
pub(crate) mod limits;
pub(crate) mod name;
pub(crate) mod password;
pub(crate) mod sessions;
pub(crate) mod totp;
