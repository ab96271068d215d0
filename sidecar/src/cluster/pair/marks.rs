//! By which this node knows its files again: the module's state file, the file of accounts, the chat's file.
//!
//! Each time the things of a file have changed, the daemon writes another mark into it. A file from a backup has an older mark, so
//! what is in it is no edit. A mark has 16 hex digits: of the node (4; with a new table it is another node), a number that counts up
//! (6), and random ones (6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_model::Digest;

/// Whether a file is the one that this node saw last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is: what differs, somebody has edited here.
    Known,
    /// A file of this node that is newer than the table: the table is from a backup. What differs is an edit, which no later one
    /// gives way to.
    Newer,
    /// A file from a backup or from elsewhere: nothing counts as removed or edited, and only what nobody knows is new.
    Older,
    /// A file that never was a pair's, or none: likewise.
    Fresh,
}

/// Hex digits of the parts of a mark.
const NODE: usize = 4;
const NUMBER: usize = 6;

/// What a node knows of its files. Methods take the node's id.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Marks {
    /// On the disk: of the module's state file, the chat's file, the file of accounts.
    marks: BTreeMap<String, String>,
    /// Those that are not on the disk yet, as far as this node knows.
    #[serde(default)]
    next: BTreeMap<String, String>,
    /// Digests of the things that were there when the last mark was made.
    #[serde(default)]
    marked: BTreeMap<String, String>,
}

impl Marks {
    /// Whether a file with this mark is the one that this node saw last. Notes that a new mark has come to the disk.
    pub fn trust(&mut self, node: &str, source: &str, mark: Option<&str>) -> Trust {
        let Some(mark) = mark else { return Trust::Fresh };
        if self.next.get(source).is_some_and(|next| next == mark) {
            self.next.remove(source);
            self.marks.insert(source.to_owned(), mark.to_owned());
        }
        if self.marks.get(source).is_some_and(|known| known == mark) {
            return Trust::Known;
        }
        let tag = tag(node);
        match number(&tag, mark) {
            Some(number) if number > self.newest(&tag, source) => Trust::Newer,
            _ => Trust::Older,
        }
    }

    /// Whether this node has ever marked a file of this source.
    pub fn has_marked(&self, source: &str) -> bool {
        self.marks.contains_key(source)
    }

    /// The mark that a file with this one and these things is to get; none where nothing has changed since it was marked. `random`
    /// are hex digits. Both marks are the file's until the new one is on the disk.
    pub fn next_mark(
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
        // The one before may be on the disk already, without a word of it.
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

    /// The number of the newest mark.
    fn newest(&self, tag: &str, source: &str) -> u32 {
        let marks = self.marks.get(source).into_iter().chain(self.next.get(source));
        marks.filter_map(|mark| number(tag, mark)).max().unwrap_or_default()
    }
}

/// The first digits of the marks of a node.
fn tag(node: &str) -> String {
    Digest::of(node.as_bytes()).to_hex().chars().take(NODE).collect()
}

/// Of a mark of the node with this tag.
fn number(tag: &str, mark: &str) -> Option<u32> {
    u32::from_str_radix(mark.strip_prefix(tag)?.get(..NUMBER)?, 16).ok()
}
