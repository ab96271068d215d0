//! Accounts of the dashboard: who may log in, and as what. Knows nothing of HTTP; start with [`accounts`].
//!
//! - [`accounts`]: the file with all accounts and one-time links, as the command line and the daemon change it
//! - [`name`]: what accounts are called; [`password`]: argon2id; [`totp`]: the second factor
//! - [`sessions`]: who is logged in; [`limits`]: how soon somebody may try again

pub mod accounts;
pub mod limits;
pub mod name;
pub mod password;
pub mod sessions;
pub mod totp;
