//! What `weir init` writes: the samples of nginx-conf/, which are in the program, with answers in their places.
//!
//! - [`answers`]: what was asked for
//! - [`sample`]: a sample, and texts put into it: one that a sample no longer has is an error, which a test would meet first
//! - [`roles`]: the files of each role; [`pair`]: keepalived's, for two machines
//! - [`mod@steps`]: what to do with the files
//!
//! Nothing here touches the disk.

mod answers;
mod pair;
mod roles;
mod sample;
mod steps;
#[cfg(test)]
mod tests;

pub use answers::Role;
pub(crate) use answers::{Answers, Edge, Pair};
pub(crate) use pair::router_id;
pub(crate) use roles::files;
pub(crate) use steps::steps;

/// A file to be written.
#[derive(Debug)]
pub(crate) struct File {
    /// Below the folder.
    pub(crate) name: &'static str,
    /// What is in it.
    pub(crate) content: Content,
    /// Where it is installed on the machine, and the mode there; more than once for a secret.
    pub(crate) places: Vec<Place>,
}

/// What is in a file.
#[derive(Debug)]
pub(crate) enum Content {
    /// For everybody.
    Text(String),
    /// A file of the page.
    Bytes(&'static [u8]),
    /// `weir_secret` of nginx: new, or a copy.
    Secret,
    /// The secret of the cluster, likewise.
    ClusterSecret,
}

/// Where a file is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The whole path.
    pub(crate) path: &'static str,
    /// Its mode.
    pub(crate) mode: &'static str,
    /// A user with a group of the same name; root where there is none.
    pub(crate) owner: Option<&'static str>,
}

impl Place {
    const fn public(path: &'static str) -> Self {
        Self { path, mode: "0644", owner: None }
    }

    const fn secret(path: &'static str, owner: Option<&'static str>) -> Self {
        Self { path, mode: "0600", owner }
    }
}
