//! The drawing of docs/cluster.md at once, with the files of `weir init`: two origins and two load balancers with one address each, three
//! edges, three encoders, 50 players of HLS and 20 pages that play over WebSocket. Each fault in turn: no player has errors for longer than
//! 6 s, and nothing is left of the fault.

mod encoders;
mod etcd;
mod machines;
mod players;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use weir_tests::harness::clients::connect_within;
use weir_tests::harness::{took, until, until_ok, wait};

use self::encoders::Encoders;
use self::machines::{BALANCER, EDGES, Machines, ORIGIN};
use self::players::{Players, Seat};
use crate::alone;

const STREAMS: [&str; 3] = ["s1", "s2", "s3"];
const HLS: usize = 50;
const PAGES: usize = 20;
/// Longest time of errors that a player may have, in seconds.
const ERRORS: f64 = 6.0;
/// Time after which a dead edge is not named any more, in seconds.
const GONE: f64 = 6.0;
/// Line of a daemon whose disk is full.
const FULL: &str = "history not written: database or disk is full";
const ALL_UP: [&str; EDGES] = ["192.0.2.31:8080 up", "192.0.2.32:8080 up", "192.0.2.33:8080 up"];

struct Drawing {
    players: Players,
    encoders: Encoders,
    machines: Machines,
}

impl Drawing {
    fn start() -> Self {
        let machines = Machines::start();
        until("one origin and one load balancer have the addresses", 15.0, || {
            machines.active_origin().is_some() && machines.active_balancer() == Some(0)
        });
        let a = &machines.origins[0];
        let keys = STREAMS.map(|name| a.space.inside(|| a.nginx.api().create_key("live", name)).key);
        until("all edges have joined everywhere", 10.0, || {
            [None, Some(0), Some(1)].iter().all(|at| machines.listed(*at) == ALL_UP)
        });
        until("both load balancers have all edges", 15.0, || has_all_edges(&machines));
        let space = machines.players();
        let encoders = space.inside(|| Encoders::start(ORIGIN, keys.to_vec()));
        until("all are on air", 10.0, || machines.published() == STREAMS);
        let mut players = Players::new();
        for nth in 0..HLS + PAGES {
            let from = Ipv4Addr::new(192, 0, 2, 101 + nth as u8);
            space.ip(&format!("address add {from}/24 dev eth0"));
            let server = if nth < HLS { BALANCER } else { ORIGIN };
            let seat = Seat {
                from: from.into(),
                stream: STREAMS[nth % STREAMS.len()].to_owned(),
                server: SocketAddr::from((server, 8080)),
            };
            space.inside(|| if nth < HLS { players.add_hls(seat) } else { players.add_page(seat) });
        }
        let drawing = Self { players, encoders, machines };
        drawing.wait_media(40.0);
        drawing
    }

    /// Waits until each player has got media again.
    #[track_caller]
    fn wait_media(&self, seconds: f64) {
        let before = self.players.media();
        let all = || self.players.media().iter().zip(&before).all(|(now, before)| *now > before + 1);
        if until_ok(wait::limit(seconds).as_secs_f64(), all).is_none() {
            let without: Vec<_> = self
                .players
                .look()
                .into_iter()
                .zip(&before)
                .filter(|(seen, before)| seen.media <= **before + 1)
                .map(|(seen, _)| seen)
                .collect();
            panic!("{} players have no media, such as {:?}", without.len(), without.last());
        }
    }

    /// Has this fault, which ends within the function. Asserts that no player had errors for too long, and that everything is as before.
    #[track_caller]
    fn survives(&mut self, what: &str, fault: impl FnOnce(&mut Machines, &Players)) {
        self.players.look();
        println!("{what}:");
        let begin = Instant::now();
        fault(&mut self.machines, &self.players);
        let machines = &self.machines;
        let is_whole = |at: &Option<usize>| machines.listed(*at) == ALL_UP;
        until("the tables of edges are whole", 15.0, || [None, Some(0), Some(1)].iter().all(is_whole));
        until("each key has one publisher", 10.0, || machines.published() == STREAMS);
        until("the pair is in step", 10.0, || in_step(machines));
        until("both load balancers have all edges", 15.0, || has_all_edges(machines));
        self.wait_media(30.0);
        let seen = self.players.look();
        let longest = |of: &[players::Seen]| {
            let errors = of.iter().map(|seen| seen.longest_error).max().unwrap();
            (errors, of.iter().map(|seen| seen.longest_gap).max().unwrap())
        };
        let failed = seen.iter().filter(|seen| seen.longest_error > Duration::ZERO).count();
        let (hls, pages) = (longest(&seen[..HLS]), longest(&seen[HLS..]));
        println!(
            "  errors of HLS {:.1?}, of pages {:.1?}; without media {:.1?}, {:.1?}; players with errors: {failed}; whole after {:.1?}",
            hls.0,
            pages.0,
            hls.1,
            pages.1,
            begin.elapsed()
        );
        let worst = seen.iter().max_by_key(|seen| seen.longest_error).unwrap();
        assert!(worst.longest_error < wait::limit(ERRORS), "{what}: {worst:?}");
    }
}

fn has_all_edges(machines: &Machines) -> bool {
    machines.balancers.iter().all(|machine| machine.upstreams().matches("max_fails").count() == EDGES)
}

fn in_step(machines: &Machines) -> bool {
    machines.origins.iter().all(|machine| {
        let (status, text, _) = machine.daemon.command(&["pair", "--json"]);
        status == 0 && serde_json::from_str::<serde_json::Value>(&text).unwrap()["state"] == "in step"
    })
}

/// Asks for a path as another viewer. Returns the answer.
fn ask(machines: &Machines, server: Ipv4Addr, path: &str) -> Option<String> {
    let (to, from) = (SocketAddr::from((server, 8080)), IpAddr::from([192, 0, 2, 1]));
    machines.players().inside(|| {
        let mut socket = connect_within(to, from, Duration::from_millis(300)).ok()?;
        write!(socket, "GET {path} HTTP/1.0\r\nHost: {to}\r\nUser-Agent: {:?}\r\n\r\n", Instant::now())
            .ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    })
}

/// Waits until the address of the load balancers answers, and asserts that this takes at most 3 s.
#[track_caller]
fn wait_balancer(machines: &Machines, begin: Instant) {
    let answers =
        || ask(machines, BALANCER, "/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 204"));
    until("the address of the load balancers answers", 3.0, answers);
    took("  the address answers", begin, 3.0);
}

/// Waits until no page plays from the edge, and asserts that `/edge` does not name it from then on.
#[track_caller]
fn wait_gone(machines: &Machines, players: &Players, edge: usize, begin: Instant) {
    let id = format!("192.0.2.{}:8080", 31 + edge);
    let is_named = || {
        let answer = ask(machines, ORIGIN, "/tv/edge?stream=live/s1").unwrap_or_default();
        answer.contains(&format!("\"edge\":\"{id}\""))
    };
    until("the origin has removed the edge", GONE, || !machines.listed(None).join(" ").contains(&id));
    took("  the edge is out of the table", begin, GONE);
    assert!(!(0..50).any(|_| is_named()), "a viewer is sent to {id}");
    until("no page plays from it", GONE, || !players.edges().contains(&id));
    took("  no page plays from it", begin, 2.0 * GONE);
}

#[test]
#[ignore = "takes minutes: make test-long runs it"]
fn the_whole_drawing_survives_each_fault() {
    let _alone = alone();
    let mut drawing = Drawing::start();
    drawing.survives("no fault", |_, _| {});
    balancers_and_daemons(&mut drawing);
    edges(&mut drawing);
    links(&mut drawing);
    disks(&mut drawing);
    table(&mut drawing);
    drawing.survives("keepalived of the load balancer ends", |machines, _| {
        let begin = Instant::now();
        machines.balancers[0].keepalived.take();
        until("the other one has the address", 5.0, || machines.active_balancer() == Some(1));
        wait_balancer(machines, begin);
    });
    nothing_is_left(drawing);
}

fn balancers_and_daemons(drawing: &mut Drawing) {
    drawing.survives("nginx of the load balancer is killed", |machines, _| {
        let begin = Instant::now();
        machines.balancers[0].nginx.kill_all();
        wait_balancer(machines, begin);
        let machine = &mut machines.balancers[0];
        machine.space.clone().inside(|| machine.nginx.start_again());
        until("it has the address again", 15.0, || machines.active_balancer() == Some(0));
    });
    drawing.survives("the daemon of the load balancer is killed", |machines, _| {
        machines.balancers[0].daemon.kill();
        machines.balancers[0].start_daemon_again();
    });
    drawing.survives("the daemon of the origin is killed", |machines, _| {
        let nth = machines.active_origin().unwrap();
        machines.origins[nth].daemon.kill();
        until("the pages do not answer", 5.0, || {
            ask(machines, ORIGIN, "/tv/v1/live").is_some_and(|answer| answer.starts_with("HTTP/1.1 502"))
        });
        machines.origins[nth].start_daemon_again();
    });
    drawing.survives("nginx of the origin is killed", |machines, _| {
        let nth = machines.active_origin().unwrap();
        machines.origins[nth].nginx.kill_all();
        let begin = Instant::now();
        until("the other origin has the streams", 10.0, || machines.origins[1 - nth].streams() == STREAMS);
        took("  all streams are at the other origin", begin, 5.0);
        let machine = &mut machines.origins[nth];
        machine.space.clone().inside(|| machine.nginx.start_again());
    });
}

fn edges(drawing: &mut Drawing) {
    drawing.survives("the daemon of an edge is killed", |machines, players| {
        let nth = machines.busiest();
        machines.edges[nth].daemon.kill();
        wait_gone(machines, players, nth, Instant::now());
        machines.edges[nth].start_daemon_again();
    });
    drawing.survives("an edge is killed", |machines, players| {
        let (nth, begin) = (machines.busiest(), Instant::now());
        let machine = &mut machines.edges[nth];
        machine.daemon.kill();
        machine.nginx.kill_all();
        wait_gone(machines, players, nth, begin);
        let machine = &mut machines.edges[nth];
        machine.space.clone().inside(|| machine.nginx.start_again());
        machine.start_daemon_again();
    });
    drawing.survives("an edge is frozen", |machines, players| {
        let nth = machines.busiest();
        let edge = &machines.edges[nth];
        let everyone = [edge.nginx.workers(), vec![edge.daemon.process()]].concat();
        everyone.iter().for_each(|process| process.signal(Signal::SIGSTOP));
        wait_gone(machines, players, nth, Instant::now());
        everyone.iter().for_each(|process| process.signal(Signal::SIGCONT));
    });
}

fn links(drawing: &mut Drawing) {
    drawing.survives("the link of an edge is cut", |machines, players| {
        let nth = machines.busiest();
        let port = machines.edges[nth].nth;
        machines.lan.cut_off(port);
        wait_gone(machines, players, nth, Instant::now());
        machines.lan.reconnect(port);
    });
    drawing.survives("an edge loses 30 % of the packets that come to it", |machines, players| {
        let nth = machines.busiest();
        machines.edges[nth].space.lose(30);
        wait_more(players, 3);
        machines.edges[nth].space.lose_nothing();
    });
    drawing.survives("the origins are apart", |machines, _| {
        let nth = machines.active_origin().unwrap();
        let begin = Instant::now();
        machines.lan.cut_off(machines.origins[nth].nth);
        until("the other origin has the streams", 15.0, || machines.origins[1 - nth].streams() == STREAMS);
        took("  all streams are at the other origin", begin, 10.0);
        let twice: Vec<&str> = STREAMS.iter().flat_map(|name| [*name, *name]).collect();
        assert_eq!(machines.published(), twice, "both have a publisher");
        machines.lan.reconnect(machines.origins[nth].nth);
        let healed = Instant::now();
        until("each key has one publisher", 10.0, || machines.published() == STREAMS);
        took("  each key has one publisher", healed, 10.0);
    });
}

fn table(drawing: &mut Drawing) {
    drawing.survives("etcd is killed, and an edge during that time", |machines, players| {
        machines.etcd.kill();
        until("the origins have noticed", 10.0, || machines.are_stale(true));
        wait_more(players, 3);
        let nth = machines.busiest();
        machines.edges[nth].daemon.kill();
        wait_gone(machines, players, nth, Instant::now());
        machines.edges[nth].start_daemon_again();
        machines.etcd.start_again();
        until("the origins have etcd again", 20.0, || machines.are_stale(false));
    });
}

fn disks(drawing: &mut Drawing) {
    drawing.survives("the disk of an edge is full", |machines, players| {
        // nginx reports that it cannot log a request.
        machines.edges[2].nginx.allow("was incomplete");
        machines.small.fill();
        wait_more(players, 5);
        machines.edges[2].daemon.wait_log(FULL);
        machines.small.empty();
        let lines = machines.edges[2].daemon.log().matches(FULL).count();
        assert_eq!(lines, 1, "the daemon reports it once");
    });
    drawing.survives("the disk of an edge is slow", |machines, players| {
        machines.slow.be_slow();
        wait_more(players, 5);
        machines.slow.be_fast();
    });
}

/// Waits until each player has this much more media.
#[track_caller]
fn wait_more(players: &Players, more: u64) {
    let before = players.media();
    until("all players have more media", 30.0, || {
        players.media().iter().zip(&before).all(|(now, before)| *now >= before + more)
    });
}

/// All players and encoders end: no stream, no viewer and no address is left where it does not belong.
fn nothing_is_left(drawing: Drawing) {
    let Drawing { players, encoders, machines } = drawing;
    players.end();
    encoders.end();
    until("no stream is left at the origins", 15.0, || machines.published().is_empty());
    until("no stream is left at the edges", 40.0, || {
        machines.edges.iter().all(|edge| edge.streams().is_empty())
    });
    assert!(machines.active_origin().is_some() && machines.active_balancer().is_some());
    let logs: BTreeSet<String> = machines
        .edges
        .iter()
        .chain(&machines.origins)
        .chain(&machines.balancers)
        .flat_map(|machine| machine.daemon.log().lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.contains("ERROR") && !line.contains(FULL))
        // nginx of the load balancer was killed, and has another process now.
        .filter(|line| !line.contains("-s reload"))
        .collect();
    assert!(logs.is_empty(), "{logs:#?}");
}
