//! `nginx-conf/edge-cache` does what it promises: with any number of players, the origin gets one request per file, and no token. An edge
//! with a full disk gets no viewers, and other edges do not notice. An edge with a slow disk serves without errors.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Nginx, Sidecar, SlowDisk, Tmpfs, files, products, until, wait};

use super::{client, take};

const PLAYERS: usize = 50;

/// Starts an nginx with the `http` block of the sample, on a port of its own, in front of an origin.
fn edge(origin: &Nginx, port: &Port) -> Nginx {
    edge_on("@DIR@", origin, port)
}

/// The same with the cache in another folder.
fn edge_on(disk: &str, origin: &Nginx, port: &Port) -> Nginx {
    edge_at(&format!("127.0.0.1:{}", port.number()), disk, origin, port)
}

/// The same where viewers use another address with this port.
fn edge_at(place: &str, disk: &str, origin: &Nginx, port: &Port) -> Nginx {
    let text = files::text(&products::workspace().join("nginx-conf/edge-cache/nginx.conf"));
    let (_, body) = text.split_once("\nhttp {").unwrap();
    let body = body.trim_end().strip_suffix('}').unwrap();
    let body = body
        .replace("access_log /var/log/nginx/access.log masked;", "")
        .replace("/var/cache/nginx/", &format!("{disk}/"))
        .replace("min_free=256m", "min_free=64k")
        .replace("origin.example.org:8080", &format!("127.0.0.1:{}", origin.http()))
        .replace("127.0.0.2:8080", &format!("127.0.0.2:{}", port.number()))
        .replace("listen 8080;", &format!("listen {place};"));
    Config::weir().main("weir_zone 8m;").connections(2048).web(&body).start()
}

#[test]
fn the_origin_sees_one_request_per_file() {
    let log = "log_format uri '$request_uri $http_cookie $http_authorization';";
    let origin = Config::stock()
        .web(log)
        .http("access_log @DIR@/uris uri; root @DIR@; location = /hls/slow-1.ts { limit_rate 2m; } location /tv/stream/ { return 200 $request_uri; }")
        .start();
    std::fs::create_dir(origin.path("hls")).unwrap();
    std::fs::write(origin.path("hls/slow.m3u8"), "#EXTM3U\n#EXTINF:2,\nslow-1.ts\n").unwrap();
    std::fs::write(origin.path("hls/slow-1.ts"), vec![0x47; 1 << 20]).unwrap();
    let port = Port::reserve();
    let edge = edge(&origin, &port);
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", port.number());
    let barrier = Barrier::new(PLAYERS);
    thread::scope(|scope| {
        for player in 0..PLAYERS {
            let (url, barrier) = (&url, &barrier);
            scope.spawn(move || {
                let ask = |path: &str| {
                    let request = client()
                        .get(url(&format!("{path}?token=a.{player}.c")))
                        .header("cookie", "weir_token=t");
                    take(request.header("user-agent", format!("player {player}")).send().unwrap())
                };
                barrier.wait();
                let list = ask("/hls/slow.m3u8");
                assert!(list.status == 200 && list.text.contains("slow-1.ts"), "{list:?}");
                assert_eq!(
                    (list.header("cache-control"), list.header("access-control-allow-origin")),
                    ("no-cache", "*")
                );
                let segment = ask("/hls/slow-1.ts");
                assert_eq!((segment.status, segment.text.len()), (200, 1 << 20));
                assert_eq!(segment.header("cache-control"), "public, max-age=60, immutable");
            });
        }
    });
    let uris = files::text(&origin.path("uris"));
    let asked = |path: &str| uris.lines().filter(|line| line.starts_with(path)).count();
    assert_eq!(asked("/hls/slow-1.ts"), 1, "{uris}");
    // The cache requests the playlist once per second at most, and the players need about one second.
    assert!((1..=3).contains(&asked("/hls/slow.m3u8")), "{uris}");
    assert!(!uris.contains("token") && !uris.contains("a."), "a token reached the origin: {uris}");
    // The node that serves the viewers counts them.
    let viewers = take(client().get(url("/api/v1/viewers")).send().unwrap()).json();
    assert_eq!(
        (&viewers["streams"][0]["name"], &viewers["streams"][0]["viewers"]["hls"]),
        (&"slow".into(), &PLAYERS.into()),
        "{viewers}"
    );
    // The edge passes on the arguments of a blocking playlist request, but not the token.
    let waits = take(
        client().get(url("/stream/live/show/llhls/v.m3u8?token=x&_HLS_msn=7&_HLS_part=2")).send().unwrap(),
    );
    assert_eq!(waits.text, "/tv/stream/live/show/llhls/v.m3u8?_HLS_msn=7&_HLS_part=2");
    // When the origin is down, viewers can continue for a while.
    drop(origin);
    let stale = take(client().get(url("/hls/slow-1.ts")).send().unwrap());
    assert_eq!((stale.status, stale.header("x-cache")), (200, "HIT"));
    drop(edge);
}

/// Three edges with fifty viewers each take little more from the origin than three viewers.
#[test]
fn the_origin_sends_a_stream_once_per_edge() {
    const SEGMENTS: usize = 8;
    const SIZE: usize = 256 << 10;
    let origin = Config::stock()
        .web("log_format sent '$bytes_sent';")
        .http("access_log @DIR@/sent sent; root @DIR@;")
        .start();
    std::fs::create_dir(origin.path("hls")).unwrap();
    let list: String = (0..SEGMENTS).map(|nth| format!("#EXTINF:2,\nshow-{nth}.ts\n")).collect();
    std::fs::write(origin.path("hls/show.m3u8"), format!("#EXTM3U\n{list}")).unwrap();
    for nth in 0..SEGMENTS {
        std::fs::write(origin.path(&format!("hls/show-{nth}.ts")), vec![0x47; SIZE]).unwrap();
    }
    let ports: Vec<Port> = (0..3).map(|_| Port::reserve()).collect();
    let _edges: Vec<Nginx> = ports.iter().map(|port| edge(&origin, port)).collect();
    thread::scope(|scope| {
        for (player, port) in (0..PLAYERS).flat_map(|player| ports.iter().map(move |port| (player, port))) {
            scope.spawn(move || {
                let client = client();
                let ask = |file: &str| {
                    let url = format!("http://127.0.0.1:{}/hls/{file}", port.number());
                    take(client.get(url).header("user-agent", format!("player {player}")).send().unwrap())
                };
                assert_eq!(ask("show.m3u8").status, 200);
                for nth in 0..SEGMENTS {
                    assert_eq!(ask(&format!("show-{nth}.ts")).text.len(), SIZE);
                }
            });
        }
    });
    let one = (SEGMENTS * SIZE) as f64;
    let total =
        || files::text(&origin.path("sent")).lines().map(|line| line.parse::<f64>().unwrap()).sum::<f64>();
    until("the log is complete", 5.0, || total() >= 3.0 * one);
    let ratio = total() / one;
    println!("3 edges with {PLAYERS} players each take {ratio:.3} streams from the origin");
    assert!(ratio <= 3.1, "{ratio}");
}

#[test]
fn the_check_answers_at_every_address() {
    let origin = Config::stock().start();
    for host in ["127.0.0.1", "[::1]"] {
        let port = Port::reserve();
        let place = format!("{host}:{}", port.number());
        let _edge = edge_at(&place, "@DIR@", &origin, &port);
        let answer = take(client().get(format!("http://{place}/healthz")).send().unwrap());
        assert_eq!((answer.status, answer.text.as_str()), (200, "ok\n"), "{place}");
    }
}

#[test]
fn an_edge_with_a_full_disk_gets_no_viewers() {
    let origin = Config::stock().http("root @DIR@;").start();
    std::fs::create_dir(origin.path("hls")).unwrap();
    std::fs::write(origin.path("hls/show-1.ts"), vec![0x47; 256 << 10]).unwrap();
    let (disk, ports) = (Tmpfs::mount(2048), [Port::reserve(), Port::reserve()]);
    let full = edge_on(&disk.path().display().to_string(), &origin, &ports[0]);
    let other = edge(&origin, &ports[1]);
    let url = |nth: usize, path: &str| format!("http://127.0.0.1:{}{path}", ports[nth].number());
    let served = |nth: usize| {
        let answer = client().get(url(nth, "/hls/show-1.ts")).send();
        answer.and_then(reqwest::blocking::Response::bytes).is_ok_and(|bytes| bytes.len() == 256 << 10)
    };
    let listed: String = [0, 1]
        .iter()
        .map(|nth| {
            let address = url(*nth, "");
            format!("[[cluster.edge]]\naddress = \"{address}\"\nbandwidth = \"1g\"\ncheck = \"/healthz\"\n")
        })
        .collect();
    let at_origin = super::nginx();
    let daemon = Sidecar::start(&at_origin, &format!("[web]\n{listed}"));
    let chosen =
        |viewer: u32| super::edge(&daemon, &format!("viewer {viewer}"), "").json()["address"].clone();
    until("both edges get viewers", 10.0, || {
        let all: Vec<_> = (0..20).map(chosen).collect();
        all.contains(&url(0, "").into()) && all.contains(&url(1, "").into())
    });
    disk.fill();
    daemon.wait_log("edge lost: ");
    for viewer in 0..20 {
        assert_eq!(chosen(viewer), url(1, ""), "viewer {viewer}");
    }
    assert!(served(1) && !served(0));
    disk.empty();
    daemon.wait_log("edge answers again");
    assert!(served(0));
    assert_eq!(daemon.log().matches("edge lost: ").count(), 1, "{}", daemon.log());
    drop((full, other));
}

/// Each write of the cache waits up to 0.4 s. Players get everything, later, and the origin still sends each file once.
#[test]
fn an_edge_with_a_slow_disk_serves_without_errors() {
    const SEGMENTS: usize = 5;
    const SIZE: usize = 64 << 10;
    let log = "log_format uri '$request_uri';";
    let origin = Config::stock().web(log).http("access_log @DIR@/uris uri; root @DIR@;").start();
    std::fs::create_dir(origin.path("hls")).unwrap();
    for nth in 0..SEGMENTS {
        std::fs::write(origin.path(&format!("hls/show-{nth}.ts")), vec![0x47; SIZE]).unwrap();
    }
    let (mut disk, ports) = (SlowDisk::mount(), [Port::reserve(), Port::reserve()]);
    let place = disk.path().join("cache");
    std::fs::create_dir(&place).unwrap();
    // The workers of nginx write to it.
    std::fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let slow = edge_on(&place.display().to_string(), &origin, &ports[0]);
    let other = edge(&origin, &ports[1]);
    disk.be_slow();
    let longest = |port: &Port| {
        let players: Vec<_> = (0..10)
            .map(|player| {
                let url = format!("http://127.0.0.1:{}/hls", port.number());
                thread::spawn(move || {
                    let (client, mut longest) = (client(), Duration::ZERO);
                    for nth in 0..SEGMENTS {
                        let begin = Instant::now();
                        let request = client.get(format!("{url}/show-{nth}.ts"));
                        let answer =
                            take(request.header("user-agent", format!("player {player}")).send().unwrap());
                        assert_eq!((answer.status, answer.text.len()), (200, SIZE));
                        longest = longest.max(begin.elapsed());
                    }
                    longest
                })
            })
            .collect();
        players.into_iter().map(|player| player.join().unwrap()).max().unwrap()
    };
    let (of_slow, of_other) = (longest(&ports[0]), longest(&ports[1]));
    println!("longest wait for a segment: {of_slow:.1?} with the slow disk, {of_other:.1?} without");
    disk.be_fast();
    assert!(of_slow < wait::limit(6.0), "{of_slow:?}");
    let uris = files::text(&origin.path("uris"));
    for nth in 0..SEGMENTS {
        assert_eq!(uris.matches(&format!("show-{nth}.ts")).count(), 2, "once per edge: {uris}");
    }
    drop((slow, other));
}
