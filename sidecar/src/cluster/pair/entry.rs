//! One replicated thing, and the decision which of two versions of it is valid. Pure.
//!
//! A version records which edits of which nodes are part of it. If one version includes all edits of the other, it is valid. Otherwise
//! both nodes were edited independently: the edit that removes a right is valid, or else the later edit. All nodes reach the same
//! decision, in whatever order they receive the versions.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_model::Timestamp;

/// Kind of a thing: the first part of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EntryKind {
    /// A stream key.
    Key,
    /// A push target.
    Target,
    /// A ban: a key that is refused for a while.
    Ban,
    /// A revocation of tokens.
    Token,
    /// An account of the dashboard.
    Admin,
    /// The last used code of an account's second factor.
    Code,
    /// A ban of a person from a chat.
    Chat,
    /// A time-out of a person in a chat.
    TimeOut,
    /// The slow mode of a chat.
    Slow,
}

impl EntryKind {
    /// All kinds, with the first part of their names.
    const ALL: [(Self, &str); 9] = [
        (Self::Key, "key"),
        (Self::Target, "target"),
        (Self::Ban, "ban"),
        (Self::Token, "token"),
        (Self::Admin, "admin"),
        (Self::Code, "code"),
        (Self::Chat, "chat"),
        (Self::TimeOut, "timeout"),
        (Self::Slow, "slow"),
    ];

    /// Returns the name of a thing of this kind.
    pub(crate) fn name(self, rest: &str) -> String {
        let word = Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word);
        format!("{word}/{rest}")
    }

    /// Returns the first parts of the names of all kinds.
    pub(crate) fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(_, word)| *word)
    }

    /// Splits a name into the kind and the rest. Returns `None` for a kind of a later version.
    pub(crate) fn of(name: &str) -> Option<(Self, &str)> {
        let (word, rest) = name.split_once('/')?;
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(kind, _)| (*kind, rest))
    }

    /// Returns whether a missing thing was removed. Bans, revocations and used codes end by themselves, and bans are only in memory.
    /// A moderator changes slow mode, and never removes it.
    pub(crate) fn is_removed_when_missing(self) -> bool {
        !matches!(self, Self::Ban | Self::Token | Self::Slow | Self::Code)
    }

    /// Returns the weight of an edit. Of two independent edits, the heavier one is valid: the one that removes a right.
    fn weight(self, value: Option<&Value>) -> u64 {
        let number = |field: &str| value.and_then(|value| value[field].as_u64()).unwrap_or_default();
        match (self, value) {
            (Self::Chat, value) => u64::from(value.is_some()),
            (Self::TimeOut, _) => number("until"),
            (Self::Slow, _) => number("seconds"),
            (_, None) => u64::MAX,
            (Self::Ban, _) => number("until"),
            // The later code wins, so no code works twice.
            (Self::Code, _) => number("step"),
            (Self::Admin, Some(value)) => match value["role"].as_str() {
                Some("viewer") => 2,
                Some("moderator") => 1,
                _ => 0,
            },
            (Self::Token | Self::Key | Self::Target, _) => 0,
        }
    }
}

/// The last edit of each node that is part of a version, by the node's id.
pub(crate) type Clock = BTreeMap<String, u64>;

/// A version of a thing. It may contain secrets, so its `Debug` leaves out the value.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The edits that are part of the version.
    pub clock: Clock,
    /// Time of the edit: later than all edits that its node knew.
    pub at: u64,
    /// Id of the edited node.
    pub by: String,
    /// The value; `None` if the thing was removed.
    pub value: Option<Value>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({:?}, {} by {})", self.clock, self.at, self.by)
    }
}

/// Returns whether `one` includes all edits of `other`.
pub(crate) fn knows(one: &Clock, other: &Clock) -> bool {
    other.iter().all(|(node, at)| one.get(node).is_some_and(|known| known >= at))
}

/// Returns the valid version of two, or `None` if it is `mine`, unchanged.
pub(crate) fn merge(kind: EntryKind, mine: &Entry, theirs: &Entry) -> Option<Entry> {
    match (knows(&mine.clock, &theirs.clock), knows(&theirs.clock, &mine.clock)) {
        (true, _) => None,
        (false, true) => Some(theirs.clone()),
        (false, false) => {
            let rank = |entry: &Entry| {
                let text = entry.value.as_ref().map(Value::to_string);
                (kind.weight(entry.value.as_ref()), entry.at, entry.by.clone(), text)
            };
            let (held, other) = if rank(mine) >= rank(theirs) { (mine, theirs) } else { (theirs, mine) };
            let mut holds = held.clone();
            match (kind, &mut holds.value, &other.value) {
                (EntryKind::Admin, Some(value), Some(other)) => merge_accounts(value, other),
                (EntryKind::Chat | EntryKind::TimeOut, Some(value), Some(other)) => merge_bans(value, other),
                _ => {}
            }
            for (node, at) in mine.clock.iter().chain(&theirs.clock) {
                let known = holds.clock.entry(node.clone()).or_default();
                *known = (*known).max(*at);
            }
            Some(holds)
        }
    }
}

/// Merges an account that both nodes have changed: the lower of the two roles, which `held` has, the later of the two passwords, and a
/// second factor if either version has one.
fn merge_accounts(held: &mut Value, other: &Value) {
    let set_at = |value: &Value| value["changed_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    if set_at(other) > set_at(held) {
        for field in ["password", "changed_at"] {
            held[field] = other[field].clone();
        }
    }
    if held["totp"].is_null() && other["totp"].is_string() {
        held["totp"] = other["totp"].clone();
    }
}

/// Merges a ban or time-out that both nodes have changed: it applies to the addresses of both, and to names given by tokens and freely
/// chosen ones if the two differ.
fn merge_bans(held: &mut Value, other: &Value) {
    let marks = [&*held, other].map(|value| value["mark"].as_str().unwrap_or_default().to_owned());
    // Each mark has 32 hex digits.
    let mut all: Vec<&[u8]> = marks.iter().flat_map(|marks| marks.as_bytes().chunks(32)).collect();
    all.sort_unstable();
    all.dedup();
    let all = String::from_utf8(all.concat()).unwrap_or_default();
    if !all.is_empty() {
        held["mark"] = all.into();
    }
    if held["verified"] != other["verified"] {
        held["verified"] = Value::Null;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entry(clock: &[(&str, u64)], at: u64, by: &str, value: Option<Value>) -> Entry {
        let clock = clock.iter().map(|(node, at)| ((*node).to_owned(), *at)).collect();
        Entry { clock, at, by: by.into(), value }
    }

    #[test]
    fn a_later_edit_holds_and_of_two_at_once_the_revocation() {
        let first = entry(&[("a", 1)], 1, "a", Some(json!({ "note": "1" })));
        let next = entry(&[("a", 1), ("b", 2)], 2, "b", Some(json!({ "note": "2" })));
        assert_eq!(merge(EntryKind::Key, &first, &next), Some(next.clone()));
        assert_eq!(merge(EntryKind::Key, &next, &first), None);
        // Node a has removed the key without knowing the later edit on node b.
        let removed = entry(&[("a", 1), ("c", 1)], 1, "c", None);
        for (mine, theirs) in [(&next, &removed), (&removed, &next)] {
            let holds = merge(EntryKind::Key, mine, theirs).unwrap();
            assert_eq!((holds.value, holds.clock.len()), (None, 3));
        }
        let (banned, forgiven) =
            (entry(&[("a", 1)], 1, "a", Some(json!({}))), entry(&[("b", 9)], 9, "b", None));
        assert!(merge(EntryKind::Chat, &banned, &forgiven).unwrap().value.is_some(), "a ban of a chat holds");
        let role = |node: &str, at, role: &str| entry(&[(node, at)], at, node, Some(json!({ "role": role })));
        let holds = merge(EntryKind::Admin, &role("a", 1, "viewer"), &role("b", 9, "admin")).unwrap();
        assert_eq!(holds.value.unwrap()["role"], "viewer");
        let until =
            |node: &str, at, until: u64| entry(&[(node, at)], at, node, Some(json!({ "until": until })));
        let holds = merge(EntryKind::Ban, &until("a", 9, 100), &until("b", 1, 200)).unwrap();
        assert_eq!(holds.value.unwrap()["until"], 200);
        let (short, lifted) = (until("a", 9, 100), entry(&[("b", 10)], 10, "b", None));
        for (mine, theirs) in [(&short, &lifted), (&lifted, &short)] {
            let holds = merge(EntryKind::TimeOut, mine, theirs).unwrap();
            assert!(holds.value.is_some(), "a time-out holds against its end");
        }
        let (one, other) = ("1".repeat(32), "2".repeat(32));
        let ban = |node: &str, at, mark: Option<&str>, verified: bool| {
            entry(&[(node, at)], at, node, Some(json!({ "mark": mark, "verified": verified })))
        };
        for (mine, theirs, mark, verified) in [
            (Some(&other), Some(&one), Some(format!("{one}{other}")), json!(null)),
            (Some(&one), None, Some(one.clone()), json!(false)),
            (None, None, None, json!(false)),
        ] {
            let is_other = verified.is_null();
            let mine = ban("a", 1, mine.map(String::as_str), false);
            let theirs = ban("b", 9, theirs.map(String::as_str), is_other);
            let wanted = Some(json!({ "mark": mark, "verified": verified }));
            assert_eq!(merge(EntryKind::Chat, &mine, &theirs).unwrap().value, wanted);
            assert_eq!(merge(EntryKind::Chat, &theirs, &mine).unwrap().value, wanted);
        }
        let slow = |node: &str, at, seconds: u64| {
            entry(&[(node, at)], at, node, Some(json!({ "seconds": seconds })))
        };
        let holds = merge(EntryKind::Slow, &slow("a", 1, 60), &slow("b", 9, 10)).unwrap();
        assert_eq!(holds.value.unwrap()["seconds"], 60);
        let used = |node: &str, at, step: u64| entry(&[(node, at)], at, node, Some(json!({ "step": step })));
        let holds = merge(EntryKind::Code, &used("a", 1, 8), &used("b", 9, 7)).unwrap();
        assert_eq!(holds.value.unwrap()["step"], 8);
        // Otherwise, the later edit is valid.
        let holds = merge(EntryKind::Target, &role("a", 1, "x"), &role("b", 2, "y")).unwrap();
        assert_eq!(holds.by, "b");
    }

    /// After edits on both nodes, a reset password does not return, and no account loses its second factor.
    #[test]
    fn an_account_that_both_nodes_changed_is_as_safe_as_either_made_it() {
        let account = |node: &str, at, role: &str, password: &str, set: u8, totp: Option<&str>| {
            let changed_at = format!("2026-11-20T18:00:{set:02}Z");
            let mut value = json!({ "role": role, "password": password, "changed_at": changed_at });
            if let Some(key) = totp {
                value["totp"] = json!(key);
            }
            entry(&[(node, at)], at, node, Some(value))
        };
        for (a, b) in [(1, 9), (9, 1)] {
            // Node a has reset the password, and node b has added a second factor to the old account.
            let reset = account("a", a, "admin", "new", 30, None);
            let factor = account("b", b, "viewer", "stolen", 10, Some("GEZDGNBV"));
            let holds = merge(EntryKind::Admin, &reset, &factor).unwrap();
            assert_eq!(merge(EntryKind::Admin, &factor, &reset), Some(holds.clone()));
            let value = holds.value.unwrap();
            let of = |field: &str| value[field].as_str().unwrap().to_owned();
            assert_eq!([of("role"), of("password"), of("totp")], ["viewer", "new", "GEZDGNBV"]);
            assert_eq!(of("changed_at"), "2026-11-20T18:00:30Z");
            assert_eq!(holds.clock.len(), 2);
        }
    }

    #[test]
    fn names_and_kinds() {
        for (kind, _) in EntryKind::ALL {
            assert_eq!(EntryKind::of(&kind.name("a/b")), Some((kind, "a/b")));
        }
        assert_eq!(EntryKind::of("other/x"), None);
    }

    /// Edits of one thing on two nodes, and exchanges between the nodes, in any order.
    #[derive(Clone, Debug)]
    enum Step {
        Edit(bool, Option<u8>),
        Tell(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (any::<bool>(), proptest::option::of(any::<u8>())).prop_map(|(on, value)| Step::Edit(on, value)),
            any::<bool>().prop_map(Step::Tell),
        ]
    }

    proptest! {
        #[test]
        fn nodes_agree_once_they_have_heard_each_other(steps in proptest::collection::vec(step(), 0..40)) {
            for (kind, _) in EntryKind::ALL {
                let (mut nodes, mut now): ([Option<Entry>; 2], u64) = ([None, None], 0);
                let tell = |nodes: &mut [Option<Entry>; 2], from: usize| {
                    let Some(theirs) = nodes[from].clone() else { return };
                    nodes[1 - from] = Some(match &nodes[1 - from] {
                        None => theirs,
                        Some(mine) => merge(kind, mine, &theirs).unwrap_or_else(|| mine.clone()),
                    });
                };
                let mut gone = false;
                for step in &steps {
                    match step {
                        Step::Edit(on, value) => {
                            let (on, by) = (usize::from(*on), if *on { "b" } else { "a" });
                            // A removed thing is not edited any more.
                            if nodes[on].as_ref().is_some_and(|entry| entry.value.is_none()) { continue; }
                            now += 1;
                            let mut clock = nodes[on].as_ref().map(|entry| entry.clock.clone()).unwrap_or_default();
                            clock.insert(by.into(), now);
                            gone |= value.is_none();
                            let value = value.map(|value| json!({ "v": value }));
                            nodes[on] = Some(Entry { clock, at: now, by: by.into(), value });
                        }
                        Step::Tell(from) => tell(&mut nodes, usize::from(*from)),
                    }
                }
                tell(&mut nodes, 0);
                tell(&mut nodes, 1);
                tell(&mut nodes, 0);
                prop_assert_eq!(&nodes[0], &nodes[1]);
                if gone && matches!(kind, EntryKind::Key | EntryKind::Target) {
                    prop_assert!(nodes[0].as_ref().is_some_and(|entry| entry.value.is_none()), "it came back");
                }
            }
        }
    }
}
