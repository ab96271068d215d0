//! `kill -9` at every step: at each request to the provider, before and after it is carried out. The next run finishes the work; no server
//! is created twice, nothing is left, and no foreign server is touched.

use std::os::unix::process::ExitStatusExt;

use serde_json::json;
use weir_tests::harness::until;

use super::hetzner::Hetzner;
use super::machine::Hall;
use super::{Event, at_home, nginx, origin};

#[test]
fn killed_at_every_step() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hall = Hall::open(daemon.web());
    let hetzner = Hetzner::start(Box::new(move |name, _| Box::new(hall.boot(name))));
    hetzner.foreign("gala-1-2", json!({ "weir-event": "gala-1", "managed-by": "weir" }));
    hetzner.foreign("web", json!({ "weir-event": "gala" }));
    let event = Event::new(&daemon, &hetzner.url(), &at_home(&daemon), "edges = 2\nmax_edges = 2", "");
    event.edit("drain = \"1s\"", "drain = \"0s\"");
    let (mut steps, mut made) = (0, 0);
    for at in 1.. {
        let mut killed = 0;
        for is_after in [false, true] {
            killed += usize::from(cut(&event, &hetzner, "up", at, is_after));
            let (text, log) = event.done("up", &[]);
            assert_eq!(
                hetzner.names(),
                ["gala-1", "gala-1-2", "gala-2", "web"],
                "up {at} {is_after}: {text}{log}"
            );
            made += 2;
            assert_eq!(hetzner.peak(), (4, made), "a server was made twice: up {at} {is_after}\n{log}");
            killed += usize::from(cut(&event, &hetzner, "down", at, is_after));
            let (_, log) = event.done("down", &[]);
            assert_eq!(hetzner.names(), ["gala-1-2", "web"], "down {at} {is_after}: {log}");
            assert_eq!(hetzner.groups(), 0, "{log}");
        }
        steps += killed;
        if killed == 0 {
            break;
        }
    }
    println!("killed {steps} times");
    assert!(steps > 40, "{steps}");
}

/// Runs a command that is killed at its request of this number; returns false if the command has ended before.
fn cut(event: &Event, hetzner: &Hetzner, verb: &str, at: usize, is_after: bool) -> bool {
    hetzner.kill_at(at, is_after);
    let mut running = event.start(verb, &[]);
    hetzner.victim(running.process());
    let status = until("it has ended", 30.0, || running.ended());
    let killed = hetzner.spare();
    assert_eq!(killed, status.signal() == Some(9), "{status:?}\n{}", running.log());
    assert!(killed || status.success(), "{status:?}\n{}", running.log());
    killed
}
