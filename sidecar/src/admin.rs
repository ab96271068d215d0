//! Accounts of the dashboard: who may log in, and with which role. This module knows nothing of HTTP; start with [`accounts`].
//!
//! - [`accounts`]: the file with all accounts and one-time links; the command line and the daemon change it
//! - [`name`]: names of accounts; [`password`]: argon2id; [`totp`]: the second factor
//! - [`sessions`]: the logged-in sessions; [`limits`]: the time before another login attempt

pub mod accounts;
pub mod limits;
pub mod name;
pub mod password;
pub mod sessions;
pub mod totp;
