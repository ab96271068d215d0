//! One suite for every store. etcd is a real one on loopback.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::etcd::Etcd;
use super::memory::Memory;
use super::record::{EdgeId, Record, sample};
use super::store::{Error, LEASE, Store, Table};
use crate::config::cluster::Etcd as Settings;

/// etcd in a folder of its own; it can be ended and started again.
struct Server {
    folder: TempDir,
    ports: [u16; 2],
    child: Option<Child>,
}

impl Server {
    fn start() -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [free(), free()].map(|listener| listener.local_addr().unwrap().port());
        let mut server = Self { folder: tempfile::tempdir().unwrap(), ports, child: None };
        server.run();
        server
    }

    fn run(&mut self) {
        let [client, peer] = self.ports.map(|port| format!("http://127.0.0.1:{port}"));
        let mut command = Command::new("etcd");
        command.args(["--data-dir"]).arg(self.folder.path()).args([
            "--logger",
            "zap",
            "--log-level",
            "error",
        ]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}"), "--unsafe-no-fsync"]);
        if !std::process::Command::new("etcd")
            .arg("--help")
            .output()
            .is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("unsafe-no-fsync"))
        {
            let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            command = Command::new("etcd");
            command.args(words.iter().filter(|word| *word != "--unsafe-no-fsync"));
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("etcd is missing: run `make deps`"));
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn settings(&self) -> Settings {
        let endpoints = vec!["http://127.0.0.1:1".into(), format!("http://127.0.0.1:{}", self.ports[0])];
        Settings { endpoints, ca_file: None, user: None }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

async fn until(
    what: &str,
    store: &dyn Store,
    seconds: u64,
    mut holds: impl FnMut(&Table) -> bool,
) -> Duration {
    let (begin, mut table) = (Instant::now(), store.watch());
    let wait = table.wait_for(|table| holds(table));
    match tokio::time::timeout(Duration::from_secs(seconds), wait).await {
        Ok(Ok(_)) => begin.elapsed(),
        _ => panic!("waited in vain: {what}: {:?}", store.watch().borrow()),
    }
}

fn id(name: &str) -> EdgeId {
    name.parse().unwrap()
}

fn record(name: &str, sent: u64) -> Record {
    Record { sent, ..sample(name) }
}

/// What each store promises.
async fn suite(store: &dyn Store, other: &dyn Store) {
    until("the store is there", store, 20, |table| table.stale.is_none()).await;
    until("the other is there", other, 20, |table| table.stale.is_none()).await;
    store.renew(record("a", 10)).await.unwrap();
    let begin = Instant::now();
    for of in [store, other] {
        until("the edge is known", of, 2, |table| table.edges.contains_key(&id("a"))).await;
    }
    // A report that is sent a second time changes nothing.
    for sent in [9, 10] {
        assert_eq!(store.renew(record("a", sent)).await, Err(Error::Replayed));
        assert_eq!(other.renew(record("a", sent)).await, Err(Error::Replayed));
        assert_eq!(other.leave(id("a"), sent).await, Err(Error::Replayed));
    }
    // A renewal is a lease of its own length, at whichever origin.
    sleep(LEASE / 2).await;
    other.renew(record("a", 11)).await.unwrap();
    let renewed = Instant::now();
    store.drain(id("a"), true).await.unwrap();
    until("it is drained", other, 2, |table| table.drained.contains(&id("a"))).await;
    other.drain(id("a"), false).await.unwrap();
    until("it is not drained", store, 2, |table| table.drained.is_empty()).await;
    until("the lease is over", store, 10, |table| !table.edges.contains_key(&id("a"))).await;
    assert!(renewed.elapsed() >= LEASE - Duration::from_millis(1200), "{:?}", renewed.elapsed());
    assert!(renewed.elapsed() <= LEASE + Duration::from_secs(2), "{:?}", renewed.elapsed());
    assert!(begin.elapsed() > LEASE);
    // Leaving is immediate.
    store.renew(record("b", 5)).await.unwrap();
    until("the edge is known", other, 2, |table| table.edges.contains_key(&id("b"))).await;
    store.leave(id("b"), 6).await.unwrap();
    until("it is gone", other, 1, |table| table.edges.is_empty()).await;
    until("it is gone", store, 1, |table| table.edges.is_empty()).await;
}

#[tokio::test]
async fn memory_keeps_its_promises() {
    let store = Memory::start();
    suite(&store, &store).await;
    // What was here before it left stays a replay.
    assert_eq!(store.renew(record("b", 6)).await, Err(Error::Replayed));
    // A table that was lost knows from the edge that it is drained; one that has ended that knows better.
    let mut drained = record("c", 1);
    drained.report.drained = true;
    store.renew(drained.clone()).await.unwrap();
    until("it is drained", &store, 1, |table| table.drained.contains(&id("c"))).await;
    store.drain(id("c"), false).await.unwrap();
    store.renew(Record { sent: 2, ..drained }).await.unwrap();
    until("it stays in", &store, 1, |table| table.edges[&id("c")].sent == 2 && table.drained.is_empty())
        .await;
}

#[tokio::test]
async fn etcd_keeps_the_same_promises() {
    let server = Server::start();
    let (one, other) = (Etcd::start(&server.settings()).unwrap(), Etcd::start(&server.settings()).unwrap());
    suite(&one, &other).await;
}

#[tokio::test]
async fn etcd_may_be_away() {
    let mut server = Server::start();
    let (one, other) = (Etcd::start(&server.settings()).unwrap(), Etcd::start(&server.settings()).unwrap());
    until("etcd is there", &one, 20, |table| table.stale.is_none()).await;
    until("etcd is there", &other, 20, |table| table.stale.is_none()).await;
    other.renew(record("far", 1)).await.unwrap();
    until("the edge is known", &one, 2, |table| table.edges.len() == 1).await;
    server.end();
    until("it is noticed", &one, 8, |table| table.stale.is_some()).await;
    // What was known holds, and edges that renew here are kept here.
    let begin = Instant::now();
    one.renew(record("near", 1)).await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    until("both are there", &one, 1, |table| table.edges.len() == 2).await;
    until("who does not renew is gone", &one, 8, |table| table.edges.keys().eq([&id("far")])).await;
    one.renew(record("near", 2)).await.unwrap();
    server.run();
    until("etcd is back", &one, 20, |table| table.stale.is_none()).await;
    one.renew(record("near", 3)).await.unwrap();
    until("the other knows", &other, 10, |table| table.edges.contains_key(&id("near"))).await;
    until("leases that nobody renews end", &other, 15, |table| table.edges.is_empty()).await;
}
