//! `provider = "command"`: a program that stores its servers in a folder, and implements the protocol of docs/fleet.md.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

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
delete) rm -r "servers/$(field id)" ;;
esac
"#;

#[test]
fn a_program_is_the_provider() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hall = Hall::open(daemon.web());
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("cloud");
    std::fs::write(&program, CLOUD).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let servers = folder.path().join("servers");
    // A server of another event, whose name is like those of this event.
    std::fs::create_dir_all(servers.join("gala-1")).unwrap();
    std::fs::write(servers.join("gala-1/event"), "other").unwrap();
    std::fs::write(servers.join("gala-1/created"), "2026-01-01T00:00:00Z").unwrap();
    let unused = Hetzner::start(Box::new(|name, _| panic!("{name} at Hetzner")));
    let top = format!(
        "edges = 2\nprovider = \"command\"\ncommand = [{:?}, \"--flag\"]",
        program.display().to_string()
    );
    let event = Event::new(&daemon, &unused.url(), &at_home(&daemon), &top, "");
    let _machines = [hall.boot("gala-2"), hall.boot("gala-3")];
    let (text, log) = event.done("up", &[]);
    assert!(text.contains("gala-2") && text.contains("gala-3") && !text.contains("gala-1"), "{text}");
    assert!(log.contains("try again") && log.contains("gala-1 is taken"), "{log}");
    let status: Value = serde_json::from_str(&event.done("status", &["--json"]).0).unwrap();
    // Each of the two has cost one hour so far.
    assert_eq!(status["cost"], "1.0000");
    event.done("down", &["--now"]);
    let left: Vec<_> = std::fs::read_dir(&servers).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left, ["gala-1"]);
    assert!(unused.requests().is_empty());
}
