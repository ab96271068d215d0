//! The files of `weir init` are valid for the programs that read them, and work: a published stream plays through one machine, and through
//! an origin and an edge. `weir init` refuses to overwrite files. `weir check node --all` checks each node, and reports the faults that it
//! finds.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use weir_tests::harness::websocket::Message;
use weir_tests::harness::written::{Written, temporary_paths, try_nginx};
use weir_tests::harness::{Ffmpeg, Keepalived, WebSocket, files, products, until};

use super::{client, take};

const PAIR: [&str; 6] =
    ["--virtual-ip", "203.0.113.10", "--machine-a", "203.0.113.11", "--machine-b", "203.0.113.12"];

/// Returns whether `weir serve --check` accepts the file, and its output.
fn check_daemon(written: &Written, name: &str) -> (bool, String) {
    let path = written.path("checked.toml");
    let text = written.text(name).replace("/var/lib/weir/", &format!("{}/", written.path("lib").display()));
    std::fs::write(&path, text).unwrap();
    let output =
        Command::new(products::weir()).args(["serve", "--check", "--config"]).arg(&path).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Checks the file with keepalived, which runs scripts only from places where nobody but root can change them.
fn check_keepalived(written: &Written) {
    let folder = tempfile::Builder::new().prefix("weir-test-").tempdir_in("/var/lib").unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let (weir, path) = (folder.path().join("weir"), folder.path().join("keepalived.conf"));
    std::fs::copy(products::weir(), &weir).unwrap();
    let text = files::text(&written.path("keepalived.conf"))
        .replace("/usr/bin/weir", &weir.display().to_string())
        .replace("/etc/keepalived/drain", &folder.path().join("drain").display().to_string())
        .replace("script_user weir", "script_user root");
    std::fs::write(&path, text).unwrap();
    for machine in ["a", "b"] {
        let (status, said) = Keepalived::test(&path, machine);
        assert_eq!(status, Some(0), "{machine}: {said}");
    }
}

#[test]
fn the_programs_take_what_is_written_for_each_role() {
    let origin = Written::init(&[&["origin", "--url", "https://origin.example.net"], &PAIR[..]].concat());
    let secret = origin.path("cluster.secret").display().to_string();
    let edge = [
        "edge",
        "--origin",
        "https://origin.example.net/tv",
        "--address",
        "https://e.example.net",
        "--bandwidth",
        "2g",
    ];
    let roles: [Vec<&str>; 5] = [
        vec!["single", "--url", "http://live.example.net:8080"],
        [&["restream", "--public-name", "in.example.net"], &PAIR[..]].concat(),
        [&edge[..], &["--cluster-secret", &secret]].concat(),
        [
            "edge",
            "--cache",
            "--origin",
            "http://192.0.2.1:8080",
            "--address",
            "http://e",
            "--bandwidth",
            "1g",
        ]
        .to_vec(),
        [&["loadbalancer", "--cluster-secret", &secret], &PAIR[..]].concat(),
    ];
    let all: Vec<(&str, Written)> = roles.iter().map(|words| (words[0], Written::init(words))).collect();
    for (role, written) in all.iter().map(|(role, written)| (*role, written)).chain([("origin", &origin)]) {
        let (good, said) =
            try_nginx(&written.path(""), &written.text("nginx.conf").replace("/var/lib/weir/", "/tmp/"));
        assert!(good, "{role}: {said}");
        for name in ["weir.toml", "weir-a.toml", "weir-b.toml"] {
            if written.path(name).exists() {
                let (good, said) = check_daemon(written, name);
                assert!(good, "{role}, {name}: {said}");
            }
        }
        if written.path("keepalived.conf").exists() {
            check_keepalived(written);
        }
        for name in ["weir.secret", "cluster.secret", "pair.secret"] {
            if written.path(name).exists() {
                assert_eq!(written.mode(name), 0o600, "{role}: {name}");
            }
        }
    }
    assert_eq!(files::text(&all[2].1.path("cluster.secret")), files::text(&origin.path("cluster.secret")));
    let balancer = &all[4].1;
    let mut verify = Command::new(products::tool("/usr/bin/systemd-analyze"));
    verify
        .arg("verify")
        .args(["weir-upstream.path", "weir-upstream.service"].map(|name| balancer.path(name)));
    let said = verify.output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.lines().any(|line| line.contains("weir-upstream")), "{said}");

    // A second call for the same folder needs `--force`, and keeps the secrets.
    let single = &all[0].1;
    let before = files::text(&single.path("weir.secret"));
    let again = single.again(&roles[0]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && said.contains("--dir") && said.contains("--force"), "{said}");
    assert!(single.again(&[&roles[0][..], &["--force"]].concat()).status.success());
    assert_eq!(files::text(&single.path("weir.secret")), before);
}

#[test]
fn the_drop_in_stands_beside_debians_file() {
    let written = Written::init(&["single", "--drop-in", "--url", "http://live.example.net"]);
    let part = |name| written.text(name).replace("/var/lib/weir/", "/tmp/");
    let debian = files::text(std::path::Path::new("/etc/nginx/nginx.conf"));
    assert!(debian.contains("include /etc/nginx/conf.d/*.conf;"), "{debian}");
    let modules: String = [products::nginx_rtmp(), products::module()]
        .iter()
        .map(|module| format!("load_module {};\n", module.display()))
        .collect();
    let text = debian
        .replace("include /etc/nginx/modules-enabled/*.conf;", &(modules + &part("rtmp.conf")))
        .replace("include /etc/nginx/conf.d/*.conf;", &(temporary_paths() + &part("site.conf")))
        .replace(
            "include /etc/nginx/sites-enabled/*;",
            "server { listen 127.0.0.1:9; location / { return 200 mine; } }",
        )
        .replace("pid /run/nginx.pid;", "pid @DIR@/nginx.pid;")
        .replace("/var/log/nginx", &written.path("log").display().to_string())
        .replace("user www-data;", "user root;");
    let (good, said) = try_nginx(&written.path(""), &text);
    assert!(good, "{said}");
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new").display().to_string();
    let command = format!("{} init restream --dir {place}", products::weir().display());
    let mut script = Command::new(products::tool("/usr/bin/script"))
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = "in.example.net\n203.0.113.10\nnonsense\n203.0.113.11\n203.0.113.12\n\nens3\n";
    script.stdin.as_mut().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    for part in [
        "Host of this server for encoders [",
        "\"nonsense\": ",
        "Prefix length of their network [24]",
        "weir check node --all",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let keepalived = files::text(&folder.path().join("new/keepalived.conf"));
    assert!(keepalived.contains("203.0.113.10/24") && keepalived.contains("interface ens3"), "{keepalived}");
}

/// Publishes with a new key of a node.
fn publish(written: &Written) -> Ffmpeg {
    let body = serde_json::json!({ "app": "live", "stream": "show" });
    let made = client().post(written.url("/api/v1/keys")).json(&body).send().unwrap();
    let key = take(made).json()["key"].as_str().unwrap().to_owned();
    Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/{key}", written.rtmp()))
}

#[track_caller]
fn assert_proved(written: &Written, daemon: &weir_tests::harness::Sidecar, parts: &[&str]) {
    let (status, said) = written.check(daemon);
    assert_eq!(status, 0, "{said}");
    for part in parts {
        assert!(said.lines().any(|line| line.starts_with(&format!("ok: {part}: "))), "{part}: {said}");
    }
}

#[test]
fn a_stream_plays_on_a_single_machine() {
    let written = Written::init(&["single", "--url", "http://127.0.0.1:@HTTP@"]);
    let nginx = written.start_nginx();
    let daemon = written.start_daemon(&nginx);
    let _publisher = publish(&written);
    for path in ["/hls/show.m3u8", "/ladder/live/show/master.m3u8", "/tv/watch/live/show", "/index.html"] {
        until(&format!("{path} is there"), 40.0, || {
            client().get(written.url(path)).send().unwrap().status() == 200
        });
    }
    let path = "/tv/stream/live/show/ws";
    let mut viewer = until("it can be watched", 10.0, || WebSocket::connect(nginx.http(), path, &[]).ok());
    while !matches!(viewer.receive(), Some(Message::Binary(_))) {}
    assert_proved(&written, &daemon, &["api", "rtmp", "pages", "hls", "disk"]);
}

#[test]
fn a_stream_plays_through_an_origin_and_an_edge() {
    let origin = Written::init(&["origin", "--url", "http://127.0.0.1:@HTTP@"]);
    let at_origin = origin.start_nginx();
    let mut of_origin = origin.start_daemon(&at_origin);
    let (pages, rtmp) = (origin.url("/tv"), format!("rtmp://127.0.0.1:{}", origin.rtmp()));
    let secret = origin.path("cluster.secret").display().to_string();
    let edge = Written::init(&[
        "edge",
        "--origin",
        &pages,
        "--origin-rtmp",
        &rtmp,
        "--address",
        "http://127.0.0.1:@HTTP@",
        "--bandwidth",
        "1g",
        "--cluster-secret",
        &secret,
    ]);
    let at_edge = edge.start_nginx();
    let of_edge = edge.start_daemon(&at_edge);
    let _publisher = publish(&origin);
    let mut viewer = until("it can be watched at the edge", 20.0, || {
        WebSocket::connect(at_edge.http(), "/stream/live/show/ws", &[]).ok()
    });
    while !matches!(viewer.receive(), Some(Message::Binary(_))) {}
    // The origin redirects its viewers to the edge.
    let led = take(client().get(origin.url("/tv/edge?stream=live/show&redirect=watch")).send().unwrap());
    assert_eq!(led.header("location"), edge.url("/watch/live/show"), "{led:?}");
    assert_proved(&edge, &of_edge, &["api", "rtmp", "pages", "hls", "cluster", "clock"]);
    let (_, said) = edge.check(&of_edge);
    let own = format!("ok: cluster: {}, the address for viewers, answers\n", edge.url(""));
    assert!(said.contains(&own), "{said}");
    // The redirect is right behind a server with TLS, too.
    let led = take(client().get(edge.url("/hls/show.m3u8?token=x")).send().unwrap());
    assert_eq!(led.header("location"), "/stream/live/show/llhls/master.m3u8?token=x", "{led:?}");
    let led = take(client().get(origin.url("/")).send().unwrap());
    assert_eq!(led.header("location"), "/tv/", "{led:?}");
    assert_proved(&origin, &of_origin, &["api", "rtmp", "pages", "hls", "cluster"]);

    of_origin.kill();
    of_edge.wait_log("edge not joined: status 502: the origin's daemon does not answer behind its nginx");
    let (status, said) = edge.check(&of_edge);
    assert!(
        status == 1 && said.contains("problem: cluster: this edge has not joined http://127.0.0.1:"),
        "{said}"
    );
    of_origin.start_again();
}

/// Nothing answers at the address that the edge tells its origins: a machine behind NAT may see that, too.
#[test]
fn an_edge_that_nothing_answers_for_is_hinted_at() {
    let origin = Written::init(&["origin", "--url", "http://127.0.0.1:@HTTP@"]);
    let at_origin = origin.start_nginx();
    let _of_origin = origin.start_daemon(&at_origin);
    let (pages, secret) = (origin.url("/tv"), origin.path("cluster.secret").display().to_string());
    let words = ["edge", "--origin", &pages, "--address", "http://127.0.0.1:9", "--bandwidth", "1g"];
    let edge = Written::init(&[&words[..], &["--cluster-secret", &secret]].concat());
    let at_edge = edge.start_nginx();
    let of_edge = edge.start_daemon(&at_edge);
    let (status, said) = edge.check(&of_edge);
    let hint = "hint: cluster: http://127.0.0.1:9, the address for viewers, does not answer this machine: ";
    assert!(status == 0 && said.lines().any(|line| line.starts_with(hint)), "{said}");
}

#[test]
fn a_load_balancer_leads_to_the_pages_of_the_edges_and_is_well() {
    let origin = Written::init(&["origin", "--url", "https://origin.example.net"]);
    let secret = origin.path("cluster.secret").display().to_string();
    let balancer = Written::init(&["loadbalancer", "--cluster-secret", &secret]);
    let nginx = balancer.start_nginx();
    let daemon = balancer.start_daemon(&nginx);
    for (path, to) in [
        ("/tv/", "/"),
        ("/tv/watch/live/show?token=a.b", "/watch/live/show?token=a.b"),
        ("/tv/embed/live/show", "/embed/live/show"),
        ("/tv/stream/live/show/llhls/master.m3u8", "/stream/live/show/llhls/master.m3u8"),
        ("/tv/v1/live", "/v1/live"),
    ] {
        let led = take(client().get(balancer.url(path)).send().unwrap());
        assert_eq!((led.status, led.header("location")), (302, to), "{path}: {led:?}");
    }
    // The daemon of this machine answers these.
    for (path, status, code) in
        [("/tv/edge?stream=live/show", 503, "no_edge"), ("/tv/edge", 400, "bad_request")]
    {
        let answer = take(client().get(balancer.url(path)).send().unwrap());
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &code.into()),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(take(client().get(balancer.url("/tv/v1/node")).send().unwrap()).status, 200);
    let report = client().post(balancer.url("/tv/v1/edges")).body("{}");
    assert_eq!(take(report.send().unwrap()).status, 401);
    daemon.wait_log("request of an edge refused: ");
    assert!(daemon.log().contains(", client: 127.0.0.1"), "{}", daemon.log());

    let (status, said) = balancer.doctor(&nginx, &daemon.configuration(), &daemon.socket());
    assert!(status == 0 && !said.contains("problem: "), "{said}");
    assert!(said.contains("ok: configuration: this load balancer passes requests on\n"), "{said}");
}

#[test]
fn the_doctor_finds_an_edge_of_nginx_alone_well() {
    let words =
        ["edge", "--cache", "--origin", "http://127.0.0.1:9", "--address", "http://e", "--bandwidth", "1g"];
    let edge = Written::init(&words);
    let nginx = edge.start_nginx();
    let none = std::path::Path::new("/etc/weir/weir.toml");
    let (status, said) = edge.doctor(&nginx, none, &edge.path("none.sock"));
    assert!(status == 0 && !said.contains("problem: "), "{said}");
    assert!(said.contains("ok: configuration: this nginx caches streams: "), "{said}");
}
