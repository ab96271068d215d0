use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::config::fleet::Provider;

/// An event with a provider that keeps its servers in a folder, and an origin that answers from memory.
struct Stage {
    runner: Runner,
    /// First lines of the requests that change something at the origin.
    posts: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

/// The provider. It does not delete the servers for which there is a file `protected-ID`.
const CLOUD: &str = r#"
cd "$0"
cat >order
case $1 in
list)
    printf '{"servers":['
    comma=
    for one in servers/*; do [ ! -e "$one" ] || { printf %s "$comma"; cat "$one"; comma=,; }; done
    echo ']}' ;;
delete)
    id=$(sed 's/.*"id":"\([^"]*\)".*/\1/' order)
    echo "$id" >>deletions
    [ ! -e "protected-$id" ] || { echo "server $id is protected" >&2; exit 1; }
    rm "servers/$id" ;;
*) cat "$1" ;;
esac
"#;

fn server(nth: usize) -> Value {
    let created = clock::now();
    json!({ "event": "gala", "id": nth.to_string(), "name": format!("gala-{nth}"), "created": created, "state": "running" })
}

/// Starts with servers gala-1, gala-2 and so on that have served. Each has a state and a number of viewers at the origin.
async fn stage(edges: &[(&str, u32)], change: impl FnOnce(&mut Fleet)) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |file: &str, answer: Value| std::fs::write(folder.path().join(file), answer.to_string()).unwrap();
    let count = edges.len();
    std::fs::create_dir(folder.path().join("servers")).unwrap();
    (1..=count).for_each(|nth| write(&format!("servers/{nth}"), server(nth)));
    write("create", json!({ "server": server(count + 1) }));
    write("price", json!({ "hourly": "0.01", "monthly": "6" }));
    let views = edges.iter().enumerate().map(|(at, (state, viewers))| {
        json!({
            "id": format!("gala-{}", at + 1), "address": "http://127.0.0.1:1", "region": null, "state": state,
            "bandwidth": 1_000_000_000, "egress": 0, "viewers": viewers, "load": 0.0, "version": "1", "streams": [],
            "listed": false,
        })
    });
    let answer = json!({ "edges": views.collect::<Vec<_>>(), "stale": null, "ticket": "ticket" }).to_string();
    let socket = folder.path().join("socket");
    let posts = serve(UnixListener::bind(&socket).unwrap(), answer);

    let text = include_str!("../../../../nginx-conf/fleet/event.toml");
    let mut fleet = crate::config::fleet::parse(Path::new("event.toml"), text).unwrap();
    let run = ["sh", "-c", CLOUD, &folder.path().display().to_string()].map(str::to_owned).to_vec();
    fleet.provider = Provider::Command { run, timeout: Duration::from_secs(60) };
    (fleet.start, fleet.end, fleet.edges) = (clock::now(), clock::now().plus_seconds(3600), 2);
    let rules = fleet.autoscale.as_mut().unwrap();
    (rules.viewers_per_edge, rules.min) = (Some(100), 1);
    change(&mut fleet);
    let mut runner = Runner::open(fleet, &folder.path().join("ledger"), &socket).unwrap();
    runner.told = (1..=count).map(|nth| format!("gala-{nth}")).collect();
    Stage { runner, posts, folder }
}

/// Gives each request the same answer.
fn serve(listener: UnixListener, answer: String) -> Arc<Mutex<Vec<String>>> {
    let posts = Arc::new(Mutex::new(Vec::new()));
    let noted = posts.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => request.push(byte),
                    Err(_) => break,
                }
            }
            let request = String::from_utf8_lossy(&request);
            let line = request.lines().next().unwrap_or_default();
            if let Some(path) = line.strip_prefix("POST ") {
                let path = path.split([' ', '?']).next().unwrap_or_default();
                noted.lock().unwrap().push(path.to_owned());
            }
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length";
            let _ = stream.write_all(format!("{head}: {}\r\n\r\n{answer}", answer.len()).as_bytes()).await;
        }
    });
    posts
}

impl Stage {
    fn posts(&self) -> Vec<String> {
        self.posts.lock().unwrap().clone()
    }

    fn leaving(&self) -> BTreeSet<&str> {
        self.runner.leaving.keys().map(String::as_str).collect()
    }

    /// Returns the ids of the servers that exist.
    fn existing(&self) -> BTreeSet<String> {
        let all = std::fs::read_dir(self.folder.path().join("servers")).unwrap();
        all.map(|one| one.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The provider refuses to delete a server from now on.
    fn protect(&self, id: &str) {
        std::fs::write(self.folder.path().join(format!("protected-{id}")), "").unwrap();
    }

    /// The provider has no price from now on.
    fn lose_price(&self) {
        std::fs::remove_file(self.folder.path().join("price")).unwrap();
    }

    /// The ledger cannot be written from now on, as on a full disk.
    fn fill_disk(&self) {
        std::fs::create_dir(self.folder.path().join("ledger/gala.json.new")).unwrap();
    }
}

#[tokio::test]
async fn an_edge_that_was_drained_by_hand_is_no_capacity() {
    let mut stage = stage(&[("up", 150), ("drained", 0)], |_| {}).await;
    let servers = stage.runner.step().await.unwrap();
    assert_eq!(servers.len(), 3, "{}", stage.runner.said);
    assert_eq!(stage.posts(), ["/v1/edges/gala-3/undrain", "/v1/edges/gala-3/ticket"]);
    assert_eq!(stage.leaving(), BTreeSet::new());
}

#[tokio::test]
async fn an_edge_that_was_drained_by_hand_counts_in_the_budget() {
    let mut stage = stage(&[("up", 150), ("drained", 0)], |fleet| fleet.max_edges = 2).await;
    stage.runner.step().await.unwrap();
    assert_eq!(stage.posts(), [""; 0]);
    assert!(stage.runner.decided.starts_with("1 servers are wanted and 0 fit"), "{}", stage.runner.decided);
}

#[tokio::test]
async fn an_edge_that_was_drained_by_hand_is_not_deleted_when_there_are_too_many() {
    let mut stage = stage(&[("up", 60), ("drained", 0), ("up", 10)], |_| {}).await;
    stage.runner.step().await.unwrap();
    assert_eq!(stage.leaving(), BTreeSet::from(["gala-3"]));
    assert_eq!(stage.posts(), ["/v1/edges/gala-3/drain"]);
}

#[tokio::test]
async fn a_drain_by_hand_changes_nothing_if_the_number_is_fixed() {
    for edges in [&[("up", 150), ("drained", 0)][..], &[("up", 60), ("drained", 0), ("up", 10)]] {
        let mut stage = stage(edges, |fleet| fleet.autoscale = None).await;
        stage.runner.step().await.unwrap();
        assert_eq!((stage.leaving(), stage.posts()), (BTreeSet::new(), Vec::new()));
    }
}

#[tokio::test]
async fn up_reports_an_edge_that_was_drained_by_hand_and_does_not_wait_for_it() {
    let mut stage = stage(&[("up", 0), ("drained", 0)], |fleet| fleet.boot = Duration::ZERO).await;
    stage.runner.up(true).await.unwrap();
    assert_eq!(stage.runner.said, "gala-2: somebody has drained it: weir edge undrain gala-2 ends that");
    assert_eq!(stage.posts(), [""; 0]);
    // `up` must have looked at what it reports, and not take all edges for ready.
    stage.runner.told.clear();
    let waits = stage.runner.up(true).await;
    assert!(matches!(&waits, Err(Error::NotReady(why)) if why.contains("gala-1") && !why.contains("gala-2")));
}

#[tokio::test]
async fn down_needs_neither_a_price_nor_a_ledger() {
    let mut stage = stage(&[("up", 0), ("up", 5)], |_| {}).await;
    stage.lose_price();
    stage.fill_disk();
    assert!(stage.runner.look().await.is_err());
    stage.runner.down(true).await.unwrap();
    assert_eq!(stage.existing(), BTreeSet::new());
    assert!(stage.runner.warned.contains("gala.json"), "{}", stage.runner.warned);
}

#[tokio::test]
async fn without_a_price_nothing_is_created_and_the_status_has_the_servers() {
    let mut stage = stage(&[("up", 0)], |_| {}).await;
    stage.lose_price();
    assert!(matches!(stage.runner.up(false).await, Err(Error::Cloud(_))));
    // Servers that run have to be deleted after the event.
    stage.runner.check().await.unwrap();
    let (folder, socket) = (stage.folder.path().join("ledger"), stage.folder.path().join("socket"));
    let status = crate::fleet::status::status(&stage.runner.fleet, &folder, &socket).await.unwrap();
    assert_eq!((status.servers.len(), status.servers[0].cost, status.cost), (1, None, None));
    assert!(status.cost_error.unwrap().contains("price"));
    std::fs::remove_file(stage.folder.path().join("servers/1")).unwrap();
    assert!(matches!(stage.runner.check().await, Err(Error::Cloud(_))));
}

#[tokio::test]
async fn a_server_that_cannot_be_deleted_keeps_no_other_one_running() {
    let mut stage = stage(&[("up", 0), ("up", 0), ("up", 0)], |fleet| fleet.drain = Duration::ZERO).await;
    stage.protect("1");
    let refused = stage.runner.down(true).await.unwrap_err().to_string();
    assert!(refused.contains("server 1 is protected"), "{refused}");
    assert_eq!(stage.existing(), BTreeSet::from(["1".to_owned()]));
    // The end of `up --follow` repeats it.
    let said = {
        let Stage { runner, folder, .. } = &mut stage;
        let file = folder.path().join("protected-1");
        let repeat = async {
            runner.down_until_done(LOOK / 100).await;
            runner.said.clone()
        };
        let free = async {
            let orders = folder.path().join("deletions");
            while std::fs::read_to_string(&orders).unwrap_or_default().lines().count() < 5 {
                sleep(LOOK / 100).await;
            }
            std::fs::remove_file(file).unwrap();
        };
        tokio::join!(repeat, free).0
    };
    assert_eq!(said, format!("not everything is deleted yet, and will be tried again: {refused}"));
    assert_eq!(stage.existing(), BTreeSet::new());
}

#[tokio::test]
async fn a_leaving_server_that_cannot_be_deleted_keeps_no_other_one_running() {
    let mut stage = stage(&[("up", 10), ("up", 0), ("up", 0)], |fleet| fleet.drain = Duration::ZERO).await;
    stage.protect("2");
    let left = BTreeSet::from(["1", "2"].map(str::to_owned));
    stage.runner.step().await.unwrap();
    assert!(stage.runner.said.contains("server 2 is protected"), "{}", stage.runner.said);
    assert_eq!(
        (stage.existing(), stage.posts().last().map(String::as_str)),
        (left, Some("/v1/edges/gala-2/drain"))
    );
}

#[tokio::test]
async fn an_origin_that_hears_no_edge_keeps_the_edges() {
    let mut stage = stage(&[("down", 0), ("down", 0), ("up", 0)], |_| {}).await;
    stage.runner.step().await.unwrap();
    assert_eq!((stage.leaving(), stage.existing().len()), (BTreeSet::new(), 3));
    assert!(stage.runner.decided.contains("2 edges do not report"), "{}", stage.runner.decided);
}

#[tokio::test]
async fn a_leaving_edge_that_does_not_report_is_deleted_after_the_drain_time() {
    let mut stage = stage(&[("up", 150), ("down", 0), ("down", 0)], |_| {}).await;
    let long_ago = Instant::now() - 2 * crate::cluster::store::LEASE;
    stage.runner.leaving = [2, 3].map(|nth| (format!("gala-{nth}"), long_ago)).into();
    stage.runner.dead.insert("3".to_owned());
    let mut servers = stage.runner.look().await.unwrap();
    let edges = stage.runner.origin.edges().await.unwrap();
    stage.runner.retire(&mut servers, &edges).await.unwrap();
    // The third one is lost.
    assert_eq!(stage.existing(), BTreeSet::from(["1", "2"].map(str::to_owned)));
    stage.runner.fleet.drain = Duration::from_secs(1);
    stage.runner.retire(&mut servers, &edges).await.unwrap();
    assert_eq!(stage.existing(), BTreeSet::from(["1".to_owned()]));
}

#[tokio::test]
async fn a_refused_creation_stops_no_other_work() {
    let mut stage = stage(&[("up", 150), ("down", 0)], |fleet| fleet.drain = Duration::ZERO).await;
    std::fs::remove_file(stage.folder.path().join("create")).unwrap();
    stage.runner.told.clear();
    stage.runner.leaving.insert("gala-2".to_owned(), Instant::now());
    let waiting = stage.runner.step().await.unwrap();
    let names: Vec<&str> = waiting.iter().map(|server| server.name.as_str()).collect();
    assert_eq!((names, stage.existing()), (vec!["gala-1"], BTreeSet::from(["1".to_owned()])));
    let said = &stage.runner.said;
    assert!(said.starts_with("the provider refuses: ") && said.contains("; gala-1: "), "{said}");
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_created_and_leaving_servers_are_deleted() {
    let mut stage = stage(&[("up", 150), ("up", 0)], |fleet| fleet.drain = Duration::ZERO).await;
    stage.fill_disk();
    stage.runner.leaving.insert("gala-2".to_owned(), Instant::now());
    stage.runner.step().await.unwrap();
    assert_eq!((stage.existing(), stage.posts()), (BTreeSet::from(["1".to_owned()]), Vec::new()));
    assert!(stage.runner.said.contains("gala.json"), "{}", stage.runner.said);
}

#[tokio::test]
async fn a_renamed_server_is_no_edge_and_is_deleted() {
    // Another edge of the origin has the new name of the second server.
    let mut stage = stage(&[("up", 50), ("up", 90)], |_| {}).await;
    let file = stage.folder.path().join("servers/2");
    let renamed = std::fs::read_to_string(&file).unwrap().replace("gala-2", "gala-1-old");
    std::fs::write(file, renamed).unwrap();
    stage.runner.step().await.unwrap();
    assert_eq!(stage.runner.decided, "edges stay 1, reason: 50 viewers, 0 Mbit/s on 1 edges");
    let (folder, socket) = (stage.folder.path().join("ledger"), stage.folder.path().join("socket"));
    let status = crate::fleet::status::status(&stage.runner.fleet, &folder, &socket).await.unwrap();
    let rows: Vec<_> = status.servers.iter().map(|row| (row.name.as_str(), row.state.as_str())).collect();
    assert_eq!(rows, [("gala-1", "running"), ("gala-1-old", "renamed")]);
    // Both cost money until the end, which is in the second hour.
    let (price, servers) = (stage.runner.price().await.unwrap(), stage.runner.look().await.unwrap());
    let committed = plan::committed(
        &stage.runner.fleet,
        price,
        stage.runner.spent(price, &servers),
        &servers,
        clock::now(),
    );
    assert_eq!(committed, status.committed.unwrap());
    assert_eq!(committed.to_string(), "0.0400");
    stage.runner.down(true).await.unwrap();
    assert_eq!(stage.existing(), BTreeSet::new());
    assert_eq!(stage.posts(), ["/v1/edges/gala-1/drain"]);
}
