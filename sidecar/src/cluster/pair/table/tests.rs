use serde_json::json;

use super::*;

const KINDS: &[Kind] = &[Kind::Key, Kind::Target, Kind::Token, Kind::Ban];

/// A node: its table, and what its module has.
struct Node {
    table: Table,
    module: BTreeMap<String, Value>,
    is_known: bool,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new(id: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::open(&folder.path().join("pair.db"), id).unwrap();
        Self { table, module: BTreeMap::new(), is_known: false, _folder: folder }
    }

    /// Looks, and brings the module in line.
    fn turn(&mut self, now: u64) {
        self.table.observe(KINDS, &self.module, self.is_known, now);
        self.is_known = true;
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

/// All that one has to say to the other, letter after letter.
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
    // Both were edited at the same time: what was revoked stays so, and of edits the later one.
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
    // From a backup: the revoked key is in it, the other one is not, and one is older.
    b.module.clear();
    set(&mut b, "key/k2", "");
    set(&mut b, "key/k9", "only in the backup");
    b.is_known = false;
    meet(&mut a, &mut b, 300);
    assert_eq!(a.module.keys().collect::<Vec<_>>(), ["key/k1", "key/k9"]);
    // A new machine in the place of the other one.
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
