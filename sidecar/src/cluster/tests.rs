//! One suite of tests for every store, with a real etcd on loopback.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::etcd::Etcd;
use super::memory::Memory;
use super::record::{EdgeId, Record, sample};
use super::store::{Error, LEASE, Store, Table};
use crate::clock;
use crate::config::cluster::Etcd as Settings;

/// Password of the etcd user `weir`.
const PASSWORD: &str = "correct horse";

/// etcd with a folder of its own; a test can stop and restart it.
struct Server {
    folder: TempDir,
    ports: [u16; 2],
    child: Option<Child>,
    /// Whether etcd has a certificate, signed by an authority of the test.
    is_tls: bool,
}

impl Server {
    fn start() -> Self {
        let mut server = Self::new(false);
        server.run();
        server
    }

    /// Starts etcd with TLS and users: `weir` may read and write the keys that docs/cluster.md names.
    fn start_closed() -> Self {
        let mut server = Self::new(true);
        std::fs::write(server.path("password"), format!("{PASSWORD}\n")).unwrap();
        std::fs::write(server.path("wrong"), "another horse").unwrap();
        std::fs::write(server.path("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        let new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj";
        for words in [
            format!("{new} /CN=authority -x509 -days 2 -keyout ca.key -out ca.pem"),
            format!("{new} /CN=stranger -x509 -days 2 -keyout other.key -out other.pem"),
            format!("{new} /CN=etcd -keyout key -out request"),
            "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out certificate".to_owned(),
        ] {
            let mut command = Command::new("openssl");
            let done = command.args(words.split(' ')).current_dir(server.folder.path()).output();
            let done = done.expect("openssl is missing: run `make deps`");
            assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
        }
        server.run();
        let range = r#"{"permType":"READWRITE","key":"L3dlaXIv","range_end":"L3dlaXIw"}"#;
        for (path, body) in [
            ("user/add", r#"{"name":"root","password":"root"}"#.to_owned()),
            ("role/add", r#"{"name":"root"}"#.to_owned()),
            ("user/grant", r#"{"user":"root","role":"root"}"#.to_owned()),
            ("user/add", format!(r#"{{"name":"weir","password":"{PASSWORD}"}}"#)),
            ("role/add", r#"{"name":"weir"}"#.to_owned()),
            // The range is from /weir/ to /weir0, the first name after the keys with that prefix.
            ("role/grant", format!(r#"{{"name":"weir","perm":{range}}}"#)),
            ("user/grant", r#"{"user":"weir","role":"weir"}"#.to_owned()),
            ("enable", "{}".to_owned()),
        ] {
            server.administer(path, &body);
        }
        server
    }

    fn new(is_tls: bool) -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [free(), free()].map(|listener| listener.local_addr().unwrap().port());
        Self { folder: tempfile::tempdir().unwrap(), ports, child: None, is_tls }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.ports[0])
    }

    /// Sends a request to etcd's own administration. It is repeated until etcd has started.
    fn administer(&self, path: &str, body: &str) {
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail-with-body", "--noproxy", "*", "--retry", "20", "--retry-delay", "1"]);
        command.args(["--retry-connrefused", "--cacert"]).arg(self.path("ca.pem")).args(["-d", body]);
        let done = command.arg(format!("{}/v3/auth/{path}", self.url())).output();
        let done = done.expect("curl is missing: run `make deps`");
        assert!(done.status.success(), "{path}: {done:?}");
    }

    fn run(&mut self) {
        let (client, peer) = (self.url(), format!("http://127.0.0.1:{}", self.ports[1]));
        let mut command = Command::new("etcd");
        if self.is_tls {
            command.arg("--cert-file").arg(self.path("certificate")).arg("--key-file").arg(self.path("key"));
        }
        command.args(["--data-dir"]).arg(self.path("data")).args(["--logger", "zap", "--log-level", "error"]);
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

    /// Returns the number of changes that etcd has committed.
    async fn writes(&self) -> u64 {
        let text = reqwest::get(format!("{}/metrics", self.url())).await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("etcd_server_proposals_committed_total "));
        line.unwrap().parse::<f64>().unwrap() as u64
    }

    fn settings(&self) -> Settings {
        let endpoints = vec!["http://127.0.0.1:1".into(), self.url()];
        Settings { endpoints, ca_file: None, user: None }
    }

    /// Returns settings with these files of the folder.
    fn closed(&self, ca: Option<&str>, password: Option<&str>) -> Settings {
        let user = password.map(|file| ("weir".to_owned(), self.path(file)));
        Settings { ca_file: ca.map(|file| self.path(file)), user, ..self.settings() }
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

fn is_replay(done: Result<(), Error>) -> bool {
    matches!(done, Err(Error::Replayed(_)))
}

fn record(name: &str, sent: u64) -> Record {
    Record { sent, ..sample(name) }
}

/// Checks the promises of a store. `other` is another store with the same table.
async fn suite(store: &dyn Store, other: &dyn Store) {
    until("the store is there", store, 20, |table| table.stale.is_none()).await;
    until("the other is there", other, 20, |table| table.stale.is_none()).await;
    store.renew(record("a", 10)).await.unwrap();
    let begin = Instant::now();
    for of in [store, other] {
        until("the edge is known", of, 2, |table| table.edges.contains_key(&id("a"))).await;
    }
    // A repeated report changes nothing.
    for sent in [9, 10] {
        assert!(is_replay(store.renew(record("a", sent)).await));
        assert!(is_replay(other.renew(record("a", sent)).await));
        assert!(is_replay(other.leave(id("a"), sent).await));
    }
    // A renewal at any origin starts a whole new lease.
    const LATER: u64 = 10 + LEASE.as_millis() as u64 / 2;
    sleep(LEASE / 2).await;
    other.renew(record("a", LATER)).await.unwrap();
    let renewed = Instant::now();
    store.drain(id("a"), true).await.unwrap();
    until("it is drained", other, 2, |table| table.drained.contains(&id("a"))).await;
    other.drain(id("a"), false).await.unwrap();
    until("it is not drained", store, 2, |table| table.drained.is_empty()).await;
    until("the lease is over", store, 10, |table| !table.edges.contains_key(&id("a"))).await;
    let over = renewed.elapsed();
    // The last report of a dead edge is still a replay.
    until("the lease is over", other, 2, |table| !table.edges.contains_key(&id("a"))).await;
    for of in [store, other] {
        let last = Error::Replayed(LATER);
        assert_eq!(of.renew(record("a", LATER)).await, Err(last), "the time of the last one");
    }
    assert!(over >= LEASE - Duration::from_millis(1200), "{over:?}");
    assert!(over <= LEASE + Duration::from_secs(2), "{over:?}");
    assert!(begin.elapsed() > LEASE);
    // A goodbye takes effect immediately.
    store.renew(record("b", 5)).await.unwrap();
    until("the edge is known", other, 2, |table| table.edges.contains_key(&id("b"))).await;
    store.leave(id("b"), 6).await.unwrap();
    until("it is gone", other, 1, |table| table.edges.is_empty()).await;
    until("it is gone", store, 1, |table| table.edges.is_empty()).await;
    // After the goodbye, a report that was sent before it is still a replay.
    assert!(is_replay(store.renew(record("b", 6)).await));
    assert!(is_replay(other.renew(record("b", 5)).await));
    assert!(is_replay(other.leave(id("b"), 5).await));
    other.renew(record("b", 7)).await.unwrap();
    until("the edge is back", store, 2, |table| table.edges.contains_key(&id("b"))).await;
    other.leave(id("b"), 8).await.unwrap();
    until("it is gone again", store, 1, |table| table.edges.is_empty()).await;
    // The clock is set back by an hour. The reports from before do not count, but those since do.
    let now = clock::now().as_millis();
    store.renew(record("c", now + 3_600_000)).await.unwrap();
    until("the edge is known", other, 2, |table| table.edges.contains_key(&id("c"))).await;
    other.renew(record("c", now)).await.unwrap();
    for of in [store, other] {
        until("the clock was set back", of, 2, |table| table.edges[&id("c")].sent == now).await;
        assert!(is_replay(of.renew(record("c", now)).await));
    }
    store.leave(id("c"), now + 1).await.unwrap();
    until("it is gone", other, 1, |table| table.edges.is_empty()).await;
}

#[tokio::test]
async fn memory_keeps_its_promises() {
    let store = Memory::start();
    suite(&store, &store).await;
    // A store that has lost its table learns from the edge that the edge is drained. A store that has ended the drain ignores this report.
    let mut drained = record("d", 1);
    drained.report.drained = true;
    store.renew(drained.clone()).await.unwrap();
    until("it is drained", &store, 1, |table| table.drained.contains(&id("d"))).await;
    store.drain(id("d"), false).await.unwrap();
    store.renew(Record { sent: 2, ..drained }).await.unwrap();
    until("it stays in", &store, 1, |table| table.edges[&id("d")].sent == 2 && table.drained.is_empty())
        .await;
}

/// The clock is set back by little more than the largest accepted difference of two clocks, between two reports of an edge.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_between_two_reports_refuses_no_edge() {
    let store = Memory::start();
    let now = clock::now().as_millis();
    // The edge's clock is 29 seconds ahead. The origin's clock shows the same time again, 2 seconds later.
    store.renew(record("a", now + 29_000)).await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    store.renew(record("a", now + 10)).await.unwrap();
    assert!(is_replay(store.renew(record("a", now + 10)).await));
    assert!(is_replay(store.leave(id("a"), now).await));
}

#[tokio::test]
async fn etcd_keeps_the_same_promises() {
    let server = Server::start();
    let (one, other) = (Etcd::start(&server.settings()).unwrap(), Etcd::start(&server.settings()).unwrap());
    suite(&one, &other).await;
}

#[tokio::test]
async fn etcd_keeps_them_with_tls_and_a_password() {
    let mut server = Server::start_closed();
    let right = server.closed(Some("ca.pem"), Some("password"));
    let (one, other) = (Etcd::start(&right).unwrap(), Etcd::start(&right).unwrap());
    suite(&one, &other).await;
    // Other clients do not get the table, and each gets the reason.
    for (ca, password, why) in [
        (Some("ca.pem"), Some("wrong"), "authentication failed"),
        (Some("ca.pem"), None, "user name is empty"),
        (Some("other.pem"), Some("password"), "ertificate"),
        (None, Some("password"), "ertificate"),
    ] {
        let refused = Etcd::start(&server.closed(ca, password)).unwrap();
        let is_said = |table: &Table| {
            table.edges.is_empty() && table.stale.as_ref().is_some_and(|said| said.contains(why))
        };
        until(&format!("{ca:?} {password:?}: {why}"), &refused, 10, is_said).await;
    }
    // A restarted etcd does not know earlier logins.
    server.end();
    until("it is noticed", &one, 8, |table| table.stale.is_some()).await;
    server.run();
    until("etcd is back", &one, 20, |table| table.stale.is_none()).await;
    until("etcd is back", &other, 20, |table| table.stale.is_none()).await;
    one.renew(record("d", 20)).await.unwrap();
    until("the edge is known", &other, 2, |table| table.edges.contains_key(&id("d"))).await;
}

#[tokio::test]
async fn etcd_may_be_away() {
    let mut server = Server::start();
    let (one, other) = (Etcd::start(&server.settings()).unwrap(), Etcd::start(&server.settings()).unwrap());
    until("etcd is there", &one, 20, |table| table.stale.is_none()).await;
    until("etcd is there", &other, 20, |table| table.stale.is_none()).await;
    other.renew(record("far", 1)).await.unwrap();
    one.renew(record("dead", 1)).await.unwrap();
    until("the edges are known", &one, 2, |table| table.edges.len() == 2).await;
    server.end();
    until("it is noticed", &one, 8, |table| table.stale.is_some()).await;
    // The known edges stay in the table, and this daemon keeps the edges that renew here.
    let begin = Instant::now();
    one.renew(record("near", 1)).await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    until("all are there", &one, 1, |table| table.edges.len() == 3).await;
    until("who does not renew is gone", &one, 8, |table| table.edges.keys().eq([&id("far")])).await;
    one.renew(record("near", 2)).await.unwrap();
    server.run();
    until("etcd is back", &one, 20, |table| table.stale.is_none()).await;
    one.renew(record("near", 3)).await.unwrap();
    until("the other knows", &other, 10, |table| table.edges.contains_key(&id("near"))).await;
    until("leases that nobody renews end", &other, 15, |table| table.edges.is_empty()).await;
}

#[tokio::test]
async fn an_etcd_that_has_lost_its_data_keeps_no_dead_edges() {
    let mut server = Server::start();
    let (one, other) = (Etcd::start(&server.settings()).unwrap(), Etcd::start(&server.settings()).unwrap());
    until("etcd is there", &one, 20, |table| table.stale.is_none()).await;
    until("etcd is there", &other, 20, |table| table.stale.is_none()).await;
    // Only the other origin knows these edges from their reports.
    for sent in 1..=5 {
        for name in ["dead", "alive"] {
            other.renew(record(name, sent * 2000)).await.unwrap();
        }
    }
    until("the edges are known", &one, 2, |table| table.edges.len() == 2).await;
    server.end();
    until("it is noticed", &one, 8, |table| table.stale.is_some()).await;
    until("it is noticed", &other, 8, |table| table.stale.is_some()).await;
    std::fs::remove_dir_all(server.path("data")).unwrap();
    server.run();
    for store in [&one, &other] {
        until("etcd is back", store, 20, |table| table.stale.is_none()).await;
    }
    // The revisions of the new etcd are lower than those that the origins know.
    other.renew(record("alive", 12_000)).await.unwrap();
    for store in [&one, &other] {
        until("only the edge that renews stays", store, 10, |table| table.edges.keys().eq([&id("alive")]))
            .await;
    }
    until("its lease is over", &one, 10, |table| table.edges.is_empty()).await;
}

/// Each renewal of an edge is written once, whatever the number of origins: 0.5 writes per edge and second.
#[tokio::test]
async fn etcd_gets_one_write_per_renewal() {
    const ROUNDS: u64 = 10;
    let server = Server::start();
    let (one, other) = (Etcd::start(&server.settings()).unwrap(), Etcd::start(&server.settings()).unwrap());
    for store in [&one, &other] {
        until("etcd is there", store, 20, |table| table.stale.is_none()).await;
    }
    let names = ["a", "b", "c", "d"];
    // Each round is 2 seconds of the edges' clock.
    let mut sent = 1;
    for origins in [vec![&one], vec![&one, &other]] {
        let mut before = 0;
        for round in 0..=ROUNDS {
            sent += 2000;
            for (nth, origin) in origins.iter().enumerate() {
                for name in names {
                    let mut record = record(name, sent + 100 * nth as u64);
                    // The edge measures between its reports to the origins.
                    record.report.load = 0.01 * (record.sent % 97) as f64;
                    origin.renew(record).await.unwrap();
                }
                // An edge reports to the next origin up to 200 ms later.
                for origin in [&one, &other] {
                    let known = |table: &Table| table.edges.values().filter(|edge| edge.sent >= sent).count();
                    until("the edges are known", origin, 2, |table| known(table) == names.len()).await;
                }
            }
            // The first round also makes the leases.
            if round == 0 {
                before = server.writes().await;
            }
        }
        let writes = server.writes().await - before;
        assert_eq!(writes, ROUNDS * names.len() as u64, "origins: {}", origins.len());
    }
    // A drain is written at once, by the origin that gets the report first.
    let mut drained = record("a", sent + 200);
    drained.report.draining = true;
    other.renew(drained).await.unwrap();
    until("the drain is known", &one, 2, |table| table.edges[&id("a")].report.draining).await;
}
