//! Marks by which this node recognizes its files: the module's state file, the file of accounts, and the chat's file.
//!
//! Each time the things of a file have changed, the daemon writes a new mark into it. A file from a backup has an older mark, so its
//! content does not count as an edit. A mark has 16 hex digits: 4 of the node (which gets a new id with a new table), 6 of a number that
//! counts up, and 6 random ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_model::Digest;

/// Whether a file is the one that this node saw last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The file is the last one: a difference is an edit that was made here.
    Known,
    /// The file is from this node and newer than the table: the table is from a backup. A difference is an edit, and any independent edit
    /// is preferred to it.
    Newer,
    /// The file is from a backup or from another node: nothing counts as removed or edited, and only unknown things are new.
    Older,
    /// The file never belonged to a pair, or does not exist. It is treated like an older file.
    Fresh,
}

/// Numbers of hex digits of the parts of a mark.
const NODE: usize = 4;
const NUMBER: usize = 6;

/// The marks that a node knows. Methods take the node's id.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// Marks that are on the disk, by source: the module's state file, the chat's file, the file of accounts.
    marks: BTreeMap<String, String>,
    /// Marks that are not on the disk yet, as far as this node knows.
    #[serde(default)]
    next: BTreeMap<String, String>,
    /// Digests of the things at the time of the last mark.
    #[serde(default)]
    marked: BTreeMap<String, String>,
}

impl Marks {
    /// Returns whether a file with this mark is the one that this node saw last. Records that a new mark is on the disk.
    pub(crate) fn trust(&mut self, node: &str, source: &str, mark: Option<&str>) -> Trust {
        let Some(mark) = mark else { return Trust::Fresh };
        self.confirm(source, mark);
        if self.marks.get(source).is_some_and(|known| known == mark) {
            return Trust::Known;
        }
        let tag = tag(node);
        match number(&tag, mark) {
            Some(number) if number > self.newest(&tag, source) => Trust::Newer,
            _ => Trust::Older,
        }
    }

    /// Records that a new mark is on the disk, so that a file with the mark before it is older. Ignores other marks.
    pub(crate) fn confirm(&mut self, source: &str, mark: &str) {
        if self.next.get(source).is_some_and(|next| next == mark) {
            self.next.remove(source);
            self.marks.insert(source.to_owned(), mark.to_owned());
        }
    }

    /// Returns whether this node does not know yet that a new mark of this source is on the disk.
    pub(crate) fn awaits(&self, source: &str) -> bool {
        self.next.contains_key(source)
    }

    /// Returns whether this node has ever marked a file of this source.
    pub(crate) fn has_marked(&self, source: &str) -> bool {
        self.marks.contains_key(source)
    }

    /// Returns the new mark for a file that has the mark `mark` and these things, or `None` if nothing has changed since the last mark.
    /// `random` are hex digits. Until the new mark is on the disk, the file may have either mark.
    pub(crate) fn next_mark(
        &mut self,
        node: &str,
        source: &str,
        mark: Option<&str>,
        things: &Digest,
        random: &str,
    ) -> Option<String> {
        let things = things.to_hex();
        let is_last = mark.is_some() && self.marks.get(source).map(String::as_str) == mark;
        let is_marked = is_last && self.marked.get(source) == Some(&things);
        if is_marked && !self.next.contains_key(source) {
            return None;
        }
        self.marked.insert(source.to_owned(), things);
        let tag = tag(node);
        let of_file = mark.and_then(|mark| number(&tag, mark)).unwrap_or_default();
        // The previous new mark may be on the disk already, although its writer got no answer.
        if let Some(next) = self.next.get(source)
            && number(&tag, next).is_some_and(|number| number > of_file)
        {
            return Some(next.clone());
        }
        let number = of_file.max(self.newest(&tag, source)) + 1;
        let random: String = random.chars().take(16 - NODE - NUMBER).collect();
        let next = format!("{tag}{:06x}{random}", number & 0xff_ffff);
        self.next.insert(source.to_owned(), next.clone());
        Some(next)
    }

    /// Returns the number of the newest mark.
    fn newest(&self, tag: &str, source: &str) -> u32 {
        let marks = self.marks.get(source).into_iter().chain(self.next.get(source));
        marks.filter_map(|mark| number(tag, mark)).max().unwrap_or_default()
    }
}

/// Returns the first digits of a node's marks.
fn tag(node: &str) -> String {
    Digest::of(node.as_bytes()).to_hex().chars().take(NODE).collect()
}

/// Returns the number of a mark, or `None` if the mark is not from the node with this tag.
fn number(tag: &str, mark: &str) -> Option<u32> {
    u32::from_str_radix(mark.strip_prefix(tag)?.get(..NUMBER)?, 16).ok()
}
