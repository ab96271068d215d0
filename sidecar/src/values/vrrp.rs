//! keepalived's instances and groups, and the push targets that follow them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::ValueError;

/// What changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum VrrpKind {
    /// A `vrrp_instance`.
    Instance,
    /// A `vrrp_sync_group`.
    Group,
}

impl FromStr for VrrpKind {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        match s {
            "INSTANCE" => Ok(Self::Instance),
            "GROUP" => Ok(Self::Group),
            _ => Err(ValueError::new("keepalived says INSTANCE or GROUP")),
        }
    }
}

impl fmt::Display for VrrpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instance => "INSTANCE",
            Self::Group => "GROUP",
        })
    }
}

/// An instance or a group, by its name in `keepalived.conf`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    /// Which of the two.
    pub kind: VrrpKind,
    /// Name in `keepalived.conf`.
    pub name: String,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Which push targets: `all`, `note:TEXT`, or ids with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Each.
    All,
    /// Those that bear this note.
    Note(String),
    /// Those with these ids.
    Ids(BTreeSet<String>),
}

impl FromStr for Selection {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        if s == "all" {
            return Ok(Self::All);
        }
        if let Some(note) = s.strip_prefix("note:").filter(|note| !note.is_empty()) {
            return Ok(Self::Note(note.into()));
        }
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        match s.split(',').all(is_id) {
            true => Ok(Self::Ids(s.split(',').map(Into::into).collect())),
            false => Err(ValueError::new("write all, note:TEXT, or IDs separated by commas")),
        }
    }
}
