//! The files that `weir init` writes: the samples of nginx-conf/, which are part of the program, filled in with the administrator's
//! answers.
//!
//! - [`answers`]: the answers
//! - [`sample`]: a sample and its replacements; a text that is missing in the sample is an error, which a test finds first
//! - [`roles`]: the files of each role; [`pair`]: keepalived's files, for two machines
//! - [`mod@steps`]: the installation steps that follow
//!
//! No code here accesses the disk.

mod answers;
mod pair;
mod roles;
mod sample;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use answers::Role;
pub(crate) use answers::{Answers, Edge, Pair};
pub(crate) use pair::router_id;
pub(crate) use roles::files;
pub(crate) use steps::steps;

/// A file to be written.
#[derive(Debug)]
pub(crate) struct File {
    /// Path, relative to the output folder.
    pub(crate) name: &'static str,
    /// What `weir init` writes to the file.
    pub(crate) content: Content,
    /// Places where the file is installed on the machine; a secret may have more than one.
    pub(crate) places: Vec<Place>,
}

/// Content of a file.
#[derive(Debug)]
pub(crate) enum Content {
    /// Text that anybody may read.
    Text(String),
    /// File of the web page.
    Bytes(&'static [u8]),
    /// `weir_secret` of nginx: new, or a copy.
    Secret,
    /// Secret of the cluster: new, or a copy.
    ClusterSecret,
}

/// Place where a file is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Absolute path.
    pub(crate) path: &'static str,
    /// Permission bits, in octal digits.
    pub(crate) mode: &'static str,
    /// Owner; a user with a group of the same name, or root if `None`.
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
