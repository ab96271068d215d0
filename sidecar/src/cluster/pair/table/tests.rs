use serde_json::json;
use weir_model::Digest;

use super::*;

const KINDS: &[EntryKind] = &[EntryKind::Key, EntryKind::Target, EntryKind::Token, EntryKind::Ban];

/// A node: its table, and the state of its module.
struct Node {
    table: Table,
    module: BTreeMap<String, Value>,
    trust: Trust,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new(id: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::open(&folder.path().join("pair.db"), id).unwrap();
        Self { table, module: BTreeMap::new(), trust: Trust::Fresh, _folder: folder }
    }

    /// Returns a copy of the table's file.
    fn backup(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("pair.db").display().to_string();
        self.table.database.execute("VACUUM INTO ?1", [copy]).unwrap();
        folder
    }

    /// Checks the module once, and applies the pending changes to it.
    fn turn(&mut self, now: u64) {
        self.table.observe(KINDS, &self.module, self.trust, now);
        self.trust = Trust::Known;
        self.table.remove_repeated(now);
        for one in self.table.pending(KINDS, now) {
            assert_eq!(self.module.get(&one.name), one.was.as_ref(), "{}", one.name);
            match one.want.clone() {
                Some(want) => drop(self.module.insert(one.name.clone(), want)),
                None => drop(self.module.remove(&one.name)),
            }
            self.table.applied(&one);
        }
        self.table.commit().unwrap();
    }

    fn restart(&mut self) {
        let path = self.table.path.clone();
        self.table = Table::open(&path, "another").unwrap();
    }
}

/// Sends all entries of one node to the other, letter by letter.
fn tell(from: &Node, to: &mut Node) {
    let mut seq = 0;
    loop {
        let (entries, upto) = from.table.since(seq);
        assert!(entries.len() <= MOST_ROWS);
        to.table.hear(&entries);
        seq = upto;
        if upto == from.table.seq() {
            return;
        }
    }
}

fn meet(a: &mut Node, b: &mut Node, now: u64) {
    for _ in 0..2 {
        a.turn(now);
        tell(a, b);
        b.turn(now);
        tell(b, a);
    }
    a.turn(now);
    assert_eq!(a.module, b.module);
}

fn set(node: &mut Node, name: &str, note: &str) {
    node.module.insert(name.into(), json!({ "id": name, "note": note }));
}

#[test]
fn what_is_edited_on_either_is_on_both_also_after_a_restart() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    for number in 0..1200 {
        set(&mut a, &format!("key/k{number}"), "from a");
    }
    set(&mut b, "key/kb", "from b");
    meet(&mut a, &mut b, 100);
    assert_eq!(a.module.len(), 1201);
    set(&mut b, "key/k1", "edited on b");
    a.module.remove("key/kb");
    b.restart();
    meet(&mut a, &mut b, 200);
    assert_eq!((a.module["key/k1"]["note"].as_str(), a.module.get("key/kb")), (Some("edited on b"), None));
    // Both nodes were edited independently: a revocation is valid, and otherwise the later edit.
    set(&mut a, "key/k2", "later");
    a.turn(300_001);
    set(&mut b, "key/k2", "earlier");
    set(&mut b, "key/k3", "edited");
    b.turn(300_000);
    a.module.remove("key/k3");
    meet(&mut a, &mut b, 400_000);
    assert_eq!((a.module["key/k2"]["note"].as_str(), a.module.get("key/k3")), (Some("later"), None));
}

#[test]
fn a_module_that_lost_its_state_gets_it_back_and_removes_nothing() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    set(&mut a, "key/k1", "");
    set(&mut a, "key/k2", "");
    meet(&mut a, &mut b, 100);
    a.module.remove("key/k2");
    meet(&mut a, &mut b, 200);
    // The module is from a backup: it has the revoked key, lacks the other one, and has an older version of one.
    b.module.clear();
    set(&mut b, "key/k2", "");
    set(&mut b, "key/k9", "only in the backup");
    b.trust = Trust::Older;
    meet(&mut a, &mut b, 300);
    assert_eq!(a.module.keys().collect::<Vec<_>>(), ["key/k1", "key/k9"]);
    // A new machine replaces the other node.
    let mut c = Node::new("c");
    meet(&mut a, &mut c, 400);
    assert_eq!(c.module.len(), 2);
}

#[test]
fn bans_end_by_themselves_and_come_back_after_a_restart_of_nginx() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    a.module.insert("ban/k1".into(), json!({ "key": "k1", "until": 500 }));
    meet(&mut a, &mut b, 100);
    a.module.clear();
    meet(&mut a, &mut b, 200);
    assert_eq!(a.module.len(), 1, "the ban is in the memory of nginx alone");
    (a.module, b.module) = (BTreeMap::new(), BTreeMap::new());
    meet(&mut a, &mut b, 600);
    assert!(a.module.is_empty());
    a.table.tidy(600);
    assert_eq!(a.table.rows.len(), 0);
}

#[test]
fn a_url_that_both_were_given_is_kept_once() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    let target = |id: &str| json!({ "id": id, "app": "live", "stream": "show", "url": "rtmp://h/in/k", "enabled": true });
    a.module.insert("target/t2".into(), target("t2"));
    b.module.insert("target/t1".into(), target("t1"));
    meet(&mut a, &mut b, 100);
    assert_eq!(a.module.keys().collect::<Vec<_>>(), ["target/t1"]);
}

#[test]
fn removals_are_forgotten_only_when_everybody_has_known_them_for_long() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    set(&mut a, "key/k1", "");
    meet(&mut a, &mut b, 100);
    a.module.clear();
    meet(&mut a, &mut b, 200);
    let later = 300 + u64::try_from(TOMBSTONE.as_millis()).unwrap();
    a.table.tidy(later);
    assert_eq!(a.table.rows.len(), 1, "nobody has acknowledged it");
    a.table.set_peer("b", Peer { ours: a.table.seq(), ..Peer::default() });
    a.table.tidy(later - 1000);
    assert_eq!(a.table.rows.len(), 1, "not long ago");
    a.table.tidy(later);
    assert_eq!(a.table.rows.len(), 0);
    a.table.commit().unwrap();
    a.restart();
    assert_eq!((a.table.rows.len(), a.table.node()), (0, "a"));
}

/// A key that was revoked or replaced at the other node does not return because this node's files are old, in any combination.
#[test]
fn a_backup_of_the_module_alone_or_with_the_table_brings_nothing_back() {
    for is_table_lost in [false, true] {
        let (mut a, mut b) = (Node::new("a"), Node::new("b"));
        for name in ["key/revoked", "key/rotated", "key/kept"] {
            set(&mut b, name, "first");
        }
        meet(&mut a, &mut b, 1000);
        let backup = b.module.clone();
        a.module.remove("key/revoked");
        set(&mut a, "key/rotated", "second");
        meet(&mut a, &mut b, 2000);
        (b.module, b.trust) = (backup, Trust::Older);
        if is_table_lost {
            b.table = Table::open(&b._folder.path().join("new.db"), "c").unwrap();
        }
        meet(&mut a, &mut b, 3000);
        assert_eq!(b.module.keys().collect::<Vec<_>>(), ["key/kept", "key/rotated"], "{is_table_lost}");
        assert_eq!(b.module["key/rotated"]["note"], "second", "{is_table_lost}");
        // The node can be edited afterwards.
        b.module.remove("key/kept");
        meet(&mut a, &mut b, 4000);
        assert_eq!(a.module.len(), 1);
    }
}

#[test]
fn a_removal_that_was_found_late_is_kept_as_long_as_others() {
    let begin = u64::try_from(2 * TOMBSTONE.as_millis()).unwrap();
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    set(&mut b, "key/revoked", "first");
    meet(&mut a, &mut b, begin);
    let (table, module) = (b.backup(), b.module.clone());
    b.module.remove("key/revoked");
    meet(&mut a, &mut b, begin + 1000);
    // The table of a backup, beside a newer module: the removal is found again.
    b.table = Table::open(&table.path().join("pair.db"), "another").unwrap();
    b.trust = Trust::Newer;
    meet(&mut a, &mut b, begin + 2000);
    for (node, other) in [(&mut a, "b"), (&mut b, "a")] {
        // The other node has acknowledged everything.
        node.table.set_peer(other, Peer { ours: node.table.seq(), ..Peer::default() });
        node.table.tidy(begin + 3000);
    }
    (b.module, b.trust) = (module, Trust::Older);
    meet(&mut a, &mut b, begin + 4000);
    assert!(a.module.is_empty() && b.module.is_empty(), "a revoked key came back");
}

#[test]
fn the_module_and_the_other_node_replace_what_an_older_table_has() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    for name in ["key/revoked", "key/rotated", "key/edited"] {
        set(&mut b, name, "first");
    }
    meet(&mut a, &mut b, 1000);
    let backup = b.backup();
    b.module.remove("key/revoked");
    set(&mut b, "key/rotated", "second");
    meet(&mut a, &mut b, 2000);
    b.table = Table::open(&backup.path().join("pair.db"), "another").unwrap();
    b.trust = Trust::Newer;
    // This also works while the other node is away.
    b.turn(2500);
    assert_eq!(b.module.keys().collect::<Vec<_>>(), ["key/edited", "key/rotated"]);
    assert_eq!(b.module["key/rotated"]["note"], "second");
    set(&mut a, "key/edited", "on a meanwhile");
    set(&mut a, "key/rotated", "third");
    meet(&mut a, &mut b, 3000);
    assert_eq!(a.module.keys().collect::<Vec<_>>(), ["key/edited", "key/rotated"]);
    assert_eq!(
        [&a.module["key/edited"]["note"], &a.module["key/rotated"]["note"]],
        ["on a meanwhile", "third"]
    );
}

fn trust(table: &mut Table, source: &str, mark: Option<&str>) -> Trust {
    let (node, files) = table.files();
    files.trust(node, source, mark)
}

fn next_mark(
    table: &mut Table,
    source: &str,
    mark: Option<&str>,
    things: &Digest,
    random: &str,
) -> Option<String> {
    let (node, files) = table.files();
    files.next_mark(node, source, mark, things, random)
}

#[test]
fn a_file_is_known_by_its_last_mark() {
    let mut a = Node::new("a");
    let things = |text: &str| Digest::of(text.as_bytes());
    let table = &mut a.table;
    assert_eq!(trust(table, "state", None), Trust::Fresh);
    let first = next_mark(table, "state", None, &things("1"), "aaaaaaaa").unwrap();
    assert!(first.len() == 16 && first.ends_with("000001aaaaaa"), "{first}");
    // The first mark may be on the disk, so no further mark is made until it is seen.
    assert_eq!(next_mark(table, "state", None, &things("2"), "bbbbbbbb"), Some(first.clone()));
    assert_eq!(trust(table, "state", Some(&first)), Trust::Known);
    assert_eq!(next_mark(table, "state", Some(&first), &things("2"), "bbbbbbbb"), None);
    let second = next_mark(table, "state", Some(&first), &things("3"), "cccccccc").unwrap();
    assert_eq!(trust(table, "state", Some(&first)), Trust::Known, "the second is not on the disk yet");
    table.commit().unwrap();
    let backup = a.backup();
    let table = &mut a.table;
    for not_new in [first.as_str(), "0123456789abcdef"] {
        table.files().1.confirm("state", not_new);
        assert_eq!(trust(table, "state", Some(&first)), Trust::Known, "{not_new}");
    }
    // The second is on the disk, and a backup comes before it is read.
    table.files().1.confirm("state", &second);
    assert_eq!(trust(table, "state", Some(&first)), Trust::Older);
    assert_eq!(trust(table, "state", Some(&second)), Trust::Known);
    assert_eq!(trust(table, "state", Some(&first)), Trust::Older);
    assert_eq!(trust(table, "accounts", Some(&second)), Trust::Newer, "of another file of this node");
    for foreign in ["0123456789abcdef", "file", ""] {
        assert_eq!(trust(table, "state", Some(foreign)), Trust::Older, "{foreign}");
    }
    let third = next_mark(table, "state", Some(&second), &things("4"), "dddddddd").unwrap();
    assert_eq!(trust(table, "state", Some(&third)), Trust::Known);
    // The table is older than the file.
    let mut old = Table::open(&backup.path().join("pair.db"), "another").unwrap();
    assert_eq!(trust(&mut old, "state", Some(&third)), Trust::Newer);
    let fourth = next_mark(&mut old, "state", Some(&third), &things("4"), "eeeeeeee").unwrap();
    assert!(fourth.contains("000004"), "{fourth}");
    assert_eq!(trust(&mut old, "state", Some(&fourth)), Trust::Known);
    // The mark is from another node.
    let mut b = Node::new("b");
    assert_eq!(trust(&mut b.table, "state", Some(&fourth)), Trust::Older);
}

/// A time-out that has ended is no removal, and one that is lifted ends on the other node.
#[test]
fn a_time_out_ends_by_itself_or_is_lifted() {
    let kinds = &[EntryKind::TimeOut, EntryKind::Slow];
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    let name = EntryKind::TimeOut.name("x");
    let until = |until: u64| BTreeMap::from([(name.clone(), json!({ "until": until }))]);
    assert!(a.table.observe(kinds, &until(100), Trust::Known, 10));
    tell(&a, &mut b);
    let pending = b.table.pending(kinds, 20);
    assert_eq!(pending[0].want, Some(json!({ "until": 100 })));
    b.table.applied(&pending[0]);
    assert!(!b.table.observe(kinds, &BTreeMap::new(), Trust::Known, 100), "it has ended");
    assert!(a.table.pending(kinds, 100).is_empty() && b.table.pending(kinds, 100).is_empty());
    // A new one of the same name, which is lifted on the other node.
    assert!(a.table.observe(kinds, &until(300), Trust::Known, 200));
    tell(&a, &mut b);
    b.table.applied(&b.table.pending(kinds, 200)[0].clone());
    assert!(b.table.observe(kinds, &BTreeMap::new(), Trust::Known, 210), "it was lifted");
    tell(&b, &mut a);
    assert_eq!(a.table.pending(kinds, 220)[0].want, None);
    // A missing slow mode does not count as a removal.
    let slow = BTreeMap::from([(EntryKind::Slow.name("x"), json!({ "seconds": 30 }))]);
    a.table.observe(kinds, &slow, Trust::Known, 400);
    assert!(!a.table.observe(&[EntryKind::Slow], &BTreeMap::new(), Trust::Known, 401));
    assert_eq!(a.table.pending(&[EntryKind::Slow], 402).len(), 1);
}

/// Either node can undo the edits that both nodes made while they were apart.
#[test]
fn a_ban_that_both_nodes_made_is_lifted_by_one() {
    let kinds = &[EntryKind::Chat];
    for lifts_on_a in [true, false] {
        let (mut a, mut b) = (Node::new("a"), Node::new("b"));
        let bans = BTreeMap::from([(EntryKind::Chat.name("x"), json!({ "mark": null }))]);
        a.table.observe(kinds, &bans, Trust::Known, 10);
        b.table.observe(kinds, &bans, Trust::Known, 20);
        tell(&a, &mut b);
        tell(&b, &mut a);
        tell(&a, &mut b);
        let (one, other) = if lifts_on_a { (&mut a, &mut b) } else { (&mut b, &mut a) };
        one.table.observe(kinds, &BTreeMap::new(), Trust::Known, 30);
        assert!(one.table.pending(kinds, 30).is_empty(), "the ban came back where it was lifted");
        tell(one, other);
        assert_eq!(other.table.pending(kinds, 30)[0].want, None);
    }
}
