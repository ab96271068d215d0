//! `nginx-conf/loadbalancer` and `[loadbalancer]`: nginx gets the list of live edges, sends all requests of a stream to one edge, and never
//! keeps a file that it rejects, or that has a name without an address. A rented edge leads nginx to no address of the load balancer or of
//! another network. The daemon follows the streams of nginx only if weir.toml names the API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::json;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Nginx, Sidecar, files, products, took, until};

use super::{SECRET, client, idle, now, report, signed, take};

fn balancer(port: &Port) -> Nginx {
    let text = files::text(&products::workspace().join("nginx-conf/loadbalancer/nginx.conf"));
    let (_, body) = text.split_once("\nhttp {").unwrap();
    let body = body
        .trim_end()
        .strip_suffix('}')
        .unwrap()
        .replace("access_log off;", "")
        // This test sends more requests than the sample allows a viewer.
        .replace("rate=50r/s", "rate=10000r/s")
        .replace("/var/lib/weir/upstream.conf", "@DIR@/upstream.conf")
        .replace("listen 8080;", &format!("listen 127.0.0.1:{};", port.number()));
    let empty = "upstream weir_edges { server 127.0.0.1:9 down; }\n";
    Config::stock().file("upstream.conf", empty).web(&body).start()
}

#[test]
fn nginx_knows_the_edges_that_live() {
    let edge = |name: &str| Config::stock().http(&format!("location / {{ return 200 {name}; }}")).start();
    let edges = [edge("one"), edge("two")];
    let port = Port::reserve();
    let mut nginx = balancer(&port);
    nginx.allow("connect() failed");
    nginx.allow("upstream timed out");
    let listed: String = edges
        .iter()
        .map(|edge| {
            format!("[[cluster.edge]]\naddress = \"http://127.0.0.1:{}\"\nbandwidth = \"1g\"\n", edge.http())
        })
        .collect();
    let words = |more: &str| {
        let (program, folder) = (products::nginx(), nginx.folder());
        let (program, folder) = (program.display(), folder.display());
        format!(
            "[\"{program}\", \"-p\", \"{folder}\", \"-e\", \"{folder}/told.log\", \"-c\", \"{folder}/nginx.conf\", {more}]"
        )
    };
    let config = |file: &str, test: &str| {
        format!(
            "[web]\n{listed}[loadbalancer]\nupstream_file = \"@DIR@/{file}\"\ntest = {test}\nreload = {}\n",
            words("\"-s\", \"reload\"")
        )
    };
    let sidecar = Sidecar::start_early(&nginx, &config("upstream.conf", &words("\"-t\"")));
    let ask =
        |path: &str| take(client().get(format!("http://127.0.0.1:{}{path}", port.number())).send().unwrap());
    until("both edges are in nginx", 15.0, || {
        let seen: BTreeSet<String> = (0..20).map(|n| ask(&format!("/hls/s{n}.m3u8")).text).collect();
        seen == BTreeSet::from(["one".to_owned(), "two".to_owned()])
    });
    // One edge serves all files of a stream.
    let of_stream: BTreeMap<usize, String> =
        (0..20).map(|n| (n, ask(&format!("/hls/s{n}.m3u8")).text)).collect();
    for (n, edge) in &of_stream {
        assert_eq!(&ask(&format!("/hls/s{n}-17.ts")).text, edge, "s{n}");
    }
    // One edge is frozen and keeps its connections open: its viewers get the answer of the other one.
    let frozen = edges[0].workers();
    frozen.iter().for_each(|worker| worker.signal(Signal::SIGSTOP));
    for path in ["/hls/NAME.m3u8", "/hls/NAME-17.ts"] {
        let name = of_stream.iter().find(|(_, edge)| *edge == "one").map(|(n, _)| format!("s{n}")).unwrap();
        let begin = Instant::now();
        assert_eq!(ask(&path.replace("NAME", &name)).text, "two", "{path}");
        took("a frozen edge: the answer of another one", begin, 6.0);
    }
    frozen.iter().for_each(|worker| worker.signal(Signal::SIGCONT));
    until("it serves its streams again", 15.0, || {
        of_stream.iter().all(|(n, edge)| ask(&format!("/hls/s{n}.m3u8")).text == *edge)
    });
    // One edge dies: no viewer sees an error, and nginx gets the new list.
    let [one, two] = edges;
    let gone = one.http();
    drop(one);
    for n in 0..20 {
        assert_eq!(ask(&format!("/hls/s{n}.m3u8")).text, "two", "s{n}");
    }
    until("it is out of the file", 12.0, || {
        !files::text(&nginx.path("upstream.conf")).contains(&format!(":{gone} "))
    });
    assert!(files::text(&nginx.path("upstream.conf")).contains(&format!(":{} ", two.http())));
    drop(sidecar);

    // If nginx rejects the new file, the daemon restores the old one.
    let before = "upstream weir_edges { server 192.0.2.1; }\n";
    std::fs::write(nginx.path("other.conf"), before).unwrap();
    let sidecar = Sidecar::start_early(&nginx, &config("other.conf", "[\"/bin/false\"]"));
    sidecar.wait_log("edges of the load balancer stay as they were: /bin/false: exit status: 1");
    assert_eq!(files::text(&nginx.path("other.conf")), before);
    drop(two);
}

#[test]
fn a_name_that_does_not_resolve_holds_up_no_other_edge() {
    let nginx = super::nginx();
    // The sample's daemon may not run nginx, so nothing tests the file.
    let config = "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n\
                  [loadbalancer]\nupstream_file = \"@DIR@/upstream.conf\"\ntest = [\"true\"]\nreload = [\"true\"]\n";
    let sidecar = Sidecar::start(&nginx, config);
    let file = nginx.path("upstream.conf");
    let join = |id: &str, address: &str| {
        let mut body = idle(id);
        body["address"] = address.into();
        assert_eq!(report(&sidecar, &signed(SECRET, now(), &body)).status, 200);
    };
    until("the other edges are in the file", 20.0, || {
        join("nowhere", "http://nowhere.invalid:8080");
        join("here", "http://localhost:8081");
        join("there", "http://127.0.0.1:8082");
        std::fs::read_to_string(&file).is_ok_and(|text| {
            text.contains("server localhost:8081 ") && text.contains("server 127.0.0.1:8082 ")
        })
    });
    assert!(!files::text(&file).contains("nowhere"), "{}", files::text(&file));
    sidecar.wait_log("edge left out of the load balancer: nowhere.invalid:8080: the name does not resolve");
}

/// An edge that has joined with a ticket.
struct Rented {
    id: &'static str,
    claim: String,
    key: Vec<u8>,
}

impl Rented {
    fn join(origin: &Sidecar, id: &'static str) -> Self {
        let (status, ticket, errors) = origin.command(&["edge", "ticket", id]);
        assert_eq!(status, 0, "{errors}");
        let body = json!({ "ticket": ticket.trim(), "user": "me" }).to_string();
        let url = format!("http://127.0.0.1:{}/v1/edges/join", origin.web());
        let answer = take(client().post(url).body(body).send().unwrap()).json();
        let words: Vec<&str> = answer["credential"].as_str().unwrap().split_whitespace().collect();
        let key = words[3].as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
        let key = key.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        Self { id, claim: format!("{} {}", words[1], words[2]), key }
    }

    /// Reports from this address, through a proxy.
    #[track_caller]
    fn report(&self, origin: &Sidecar, address: &str, from: &str) {
        let mut body = idle(self.id);
        body["address"] = address.into();
        let (header, body) = signed(&self.key, now(), &body);
        let request = client()
            .post(format!("http://127.0.0.1:{}/v1/edges", origin.web()))
            .header("authorization", header)
            .header("weir-edge", &self.claim)
            .header("x-forwarded-for", from)
            .body(body);
        let answer = take(request.send().unwrap());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn a_rented_edge_leads_nginx_to_no_other_network() {
    const OUTSIDE: &str = "93.184.215.14";
    let nginx = super::nginx();
    let config = "[web]\ntrusted_proxies = [\"127.0.0.1\"]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n\
                  [loadbalancer]\nupstream_file = \"@DIR@/upstream.conf\"\ntest = [\"true\"]\nreload = [\"true\"]\n";
    let sidecar = Sidecar::start(&nginx, config);
    let file = nginx.path("upstream.conf");
    let edges = [
        ("loopback", "http://127.0.0.1:33025", "10.1.2.9"),
        ("name", "http://localhost:33026", "10.1.2.9"),
        ("short", "http://127.1:33027", "10.1.2.9"),
        ("mapped", "http://[::ffff:127.0.0.1]:33028", OUTSIDE),
        ("outside", "http://10.1.2.4:33029", OUTSIDE),
        // It claims the address of an edge with the cluster's secret.
        ("twin", "http://127.0.0.1:8082", OUTSIDE),
        ("inside", "http://10.1.2.3:8080", "10.1.2.9"),
        ("public", "http://93.184.215.15:8080", OUTSIDE),
    ];
    let edges = edges.map(|(id, address, from)| (Rented::join(&sidecar, id), address, from));
    until("the good ones are in the file", 20.0, || {
        for (edge, address, from) in &edges {
            edge.report(&sidecar, address, from);
        }
        let mut own = idle("own");
        own["address"] = "http://127.0.0.1:8082".into();
        assert_eq!(report(&sidecar, &signed(SECRET, now(), &own)).status, 200);
        let good = ["10.1.2.3:8080", "93.184.215.15:8080", "127.0.0.1:8082"];
        std::fs::read_to_string(&file)
            .is_ok_and(|text| good.iter().all(|host| text.contains(&format!("server {host} "))))
    });
    let text = files::text(&file);
    assert!(!text.contains(":330") && text.matches("    server ").count() == 3, "{text}");
    for refused in [
        "127.0.0.1:33025: 127.0.0.1 is loopback",
        "localhost:33026: ",
        "127.1:33027: 127.0.0.1 is loopback",
        "[::ffff:127.0.0.1]:33028: 127.0.0.1 is loopback",
        "10.1.2.4:33029: 10.1.2.4 is of a private network, but the edge reports from outside of it",
    ] {
        sidecar.wait_log(&format!("edge left out of the load balancer: {refused}"));
    }
}

#[test]
fn nginx_takes_the_file_of_many_edges() {
    const EDGES: usize = 400;
    let (port, of_edges) = (Port::reserve(), Port::reserve());
    let edges = format!("server {{ listen {}; location / {{ return 200 edge; }} }}", of_edges.number());
    let edges = Config::stock().web(&edges).start();
    let nginx = balancer(&port);
    std::fs::write(nginx.path("cluster.secret"), SECRET).unwrap();
    let (program, folder) = (products::nginx(), nginx.folder());
    let (program, folder) = (program.display(), folder.display());
    let words = format!(
        "\"{program}\", \"-p\", \"{folder}\", \"-e\", \"{folder}/told.log\", \"-c\", \"{folder}/nginx.conf\""
    );
    let config = format!(
        "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n\
         [loadbalancer]\nupstream_file = \"@DIR@/upstream.conf\"\nreload = [{words}, \"-s\", \"reload\"]\n"
    );
    let sidecar = Sidecar::start_early(&nginx, &config);
    let url = format!("http://127.0.0.1:{}/v1/edges", sidecar.web());
    let client = client();
    until("all edges are in the file", 40.0, || {
        for n in 0..EDGES {
            let mut body = idle(&format!("e{n}"));
            let host = format!("127.1.{}.{}", n / 200, n % 200 + 1);
            body["address"] = format!("http://{host}:{}", of_edges.number()).into();
            let (header, body) = signed(SECRET, now(), &body);
            // A daemon that has just started refuses requests from before its start.
            let answer = client.post(&url).header("authorization", header).body(body).send();
            if answer.is_err() || answer.is_ok_and(|answer| answer.status() != 200) {
                return false;
            }
        }
        files::text(&nginx.path("upstream.conf")).matches("    server 127.1.").count() == EDGES
    });
    sidecar.wait_log(&format!("edges of the load balancer changed, servers: {EDGES}"));
    assert!(!sidecar.log().contains("stay as they were"), "{}", sidecar.log());
    until("nginx asks an edge", 15.0, || {
        take(client.get(format!("http://127.0.0.1:{}/hls/show.m3u8", port.number())).send().unwrap()).text
            == "edge"
    });
    drop(edges);
}

#[test]
fn the_daemon_follows_nginx_only_if_the_file_names_the_api() {
    const SAID: &str = "streams are not followed: [loadbalancer] without api in [nginx]";
    let nginx = super::nginx();
    let sidecar = Sidecar::start(
        &nginx,
        "[loadbalancer]\nupstream_file = \"@DIR@/upstream.conf\"\ntest = [\"true\"]\nreload = [\"true\"]\n",
    );
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    sidecar.wait_log("stream is live");
    assert!(!sidecar.log().contains(SAID), "{}", sidecar.log());
    let whole = files::text(&sidecar.configuration());
    let without: String =
        whole.lines().filter(|line| !line.starts_with("api = ")).map(|line| format!("{line}\n")).collect();
    std::fs::write(sidecar.configuration(), without).unwrap();
    sidecar.process().signal(Signal::SIGHUP);
    sidecar.wait_log("stream has ended");
    sidecar.wait_log("configuration reloaded");
    assert_eq!(sidecar.log().matches(SAID).count(), 1, "{}", sidecar.log());
    assert!(sidecar.get("/healthz").is_some());
}
