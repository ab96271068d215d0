//! `provider = "command"`: a program that stores its servers in a folder, and implements the protocol of docs/fleet.md.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use weir_model::Timestamp;
use weir_tests::harness::{Sidecar, files, products, until};

use super::hetzner::Hetzner;
use super::machine::Hall;
use super::{Event, at_home, nginx, origin};

/// A provider whose servers are folders, named after the servers.
const CLOUD: &str = r#"#!/bin/sh
set -eu
cd "$(dirname "$0")"
echo "$2" >>verbs
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" order; }
server() { printf '{"event":"%s","id":"%s","name":"%s","created":"%s","state":"running"}' "$(cat "servers/$1/event")" "$1" "$1" "$(cat "servers/$1/created")"; }
cat >order
case $2 in
price) echo '{"hourly":"0.5","monthly":"300"}' ;;
list)
    if [ ! -e busy ]; then touch busy; echo 'try again' >&2; exit 4; fi
    printf '{"servers":['
    comma=
    for one in $(ls servers); do printf %s "$comma"; server "$one"; comma=,; done
    echo ']}' ;;
create)
    name=$(field name)
    if [ -d "servers/$name" ]; then
        [ "$(cat "servers/$name/event")" = "$WEIR_EVENT" ] || { echo "$name is taken" >&2; exit 3; }
    else
        mkdir "servers/$name"
        echo "$WEIR_EVENT" | tr -d '\n' >"servers/$name/event"
        date -u +%Y-%m-%dT%H:%M:%SZ | tr -d '\n' >"servers/$name/created"
    fi
    printf '{"server":'; server "$name"; echo '}' ;;
delete)
    rm -r "servers/$(field id)"
    # A slow provider: the server costs money until now.
    sleep 2; date +%s%3N >deleted ;;
esac
"#;

/// Returns the folder with the program and its servers, and the event that uses it.
fn stage(daemon: &Sidecar, unused: &Hetzner) -> (tempfile::TempDir, Event) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("cloud");
    std::fs::write(&program, CLOUD).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let servers = folder.path().join("servers");
    // A server of another event, whose name is like those of this event.
    std::fs::create_dir_all(servers.join("gala-1")).unwrap();
    std::fs::write(servers.join("gala-1/event"), "other").unwrap();
    std::fs::write(servers.join("gala-1/created"), "2026-01-01T00:00:00Z").unwrap();
    let top = format!(
        "edges = 2\nprovider = \"command\"\ncommand = [{:?}, \"--flag\"]",
        program.display().to_string()
    );
    let event = Event::new(daemon, &unused.url(), &at_home(daemon), &top, "");
    (folder, event)
}

/// An administrator drains an edge to look at it. The follower neither ends the drain nor deletes the server.
#[test]
fn a_drain_by_hand_is_respected() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hall = Hall::open(daemon.web());
    let unused = Hetzner::start(Box::new(|name, _| panic!("{name} at Hetzner")));
    let (folder, event) = stage(&daemon, &unused);
    event.edit("drain = \"1s\"", "drain = \"0s\"");
    let _machines = [hall.boot("gala-2"), hall.boot("gala-3")];
    event.done("up", &[]);
    let socket = daemon.configuration().with_file_name("weir.sock");
    let weir = |args: &[&str]| {
        let mut command = std::process::Command::new(products::weir());
        let output = command.args(args).arg("--socket").arg(&socket).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    weir(&["edge", "drain", "gala-2"]);
    // A new run, which has not drained anything.
    let running = event.start("up", &["--follow"]);
    let looks = || files::text(&folder.path().join("verbs")).matches("list\n").count();
    let before = looks();
    // The edge has not served yet as far as this run knows.
    until("the drain is noticed", 30.0, || running.log().contains("gala-2: somebody has drained it"));
    until("it has looked several times", 60.0, || looks() > before + 3);
    let left = |name: &str| folder.path().join("servers").join(name).is_dir();
    assert!(left("gala-2") && left("gala-3") && !left("gala-4"), "{}", running.log());
    assert!(weir(&["edge", "list"]).lines().any(|line| line.contains("gala-2") && line.contains("drained")));
    weir(&["edge", "undrain", "gala-2"]);
    until("it serves again", 30.0, || running.log().contains("edge serves, edge: gala-2\n"));
    drop(running);
    event.done("down", &["--now"]);
    assert!(!left("gala-2") && !left("gala-3") && left("gala-1"));
}

/// The rule of `weir fleet down` does not change: it does not wait for an edge that sends no reports.
#[test]
fn down_says_that_the_viewers_of_a_silent_edge_are_unknown() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hall = Hall::open(daemon.web());
    let unused = Hetzner::start(Box::new(|name, _| panic!("{name} at Hetzner")));
    let (folder, event) = stage(&daemon, &unused);
    event.done("up", &["--no-wait"]);
    let _machine = hall.boot("gala-3");
    let (text, log) = event.done("down", &[]);
    let said = |name: &str| {
        log.matches(&format!("edge sends no reports: its viewers are unknown, edge: {name}\n")).count()
    };
    assert_eq!((said("gala-2"), said("gala-3")), (1, 0), "{log}");
    assert!(text.contains("No server of gala is left."), "{text}");
    let left = |name: &str| folder.path().join("servers").join(name).exists();
    assert!(!left("gala-2") && !left("gala-3"));
}

#[test]
fn a_program_is_the_provider() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hall = Hall::open(daemon.web());
    let unused = Hetzner::start(Box::new(|name, _| panic!("{name} at Hetzner")));
    let (folder, event) = stage(&daemon, &unused);
    let servers = folder.path().join("servers");
    let _machines = [hall.boot("gala-2"), hall.boot("gala-3")];
    let (text, log) = event.done("up", &[]);
    assert!(text.contains("gala-2") && text.contains("gala-3") && !text.contains("gala-1"), "{text}");
    assert!(log.contains("try again") && log.contains("gala-1 is taken"), "{log}");
    let status: Value = serde_json::from_str(&event.done("status", &["--json"]).0).unwrap();
    // Each of the two has cost one hour so far.
    assert_eq!(status["cost"], "1.0000");
    event.done("down", &["--now"]);
    // The time of the deletion is recorded, because another hour may have begun until then.
    let deleted: u64 =
        std::fs::read_to_string(folder.path().join("deleted")).unwrap().trim().parse().unwrap();
    let ledger: Value =
        serde_json::from_str(&files::text(&event.folder.path().join("state/gala.json"))).unwrap();
    let until = |entry: &Value| entry["until"].as_str().unwrap().parse::<Timestamp>().unwrap().as_millis();
    let latest = ledger.as_object().unwrap().values().map(until).max().unwrap();
    assert!(latest + 999 >= deleted, "{ledger} {deleted}");
    let left: Vec<_> = std::fs::read_dir(&servers).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left, ["gala-1"]);
    assert!(unused.requests().is_empty());
}
