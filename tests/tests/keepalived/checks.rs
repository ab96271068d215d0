//! `weir check` distinguishes a machine that serves from one that only seems to: exit status 0, 1 or 2, one line, and never later than the
//! timeout.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Authority, Nginx, Publisher, products, took, until, until_ok};

/// Runs `weir check`; returns its status and its line.
fn check(arguments: &str) -> (i32, String) {
    check_with(arguments, &[])
}

fn check_with(arguments: &str, variables: &[(&str, &Path)]) -> (i32, String) {
    let begin = Instant::now();
    let mut command = Command::new(products::weir());
    command.arg("check").args(arguments.split(' ')).stdin(Stdio::null()).env_remove("WEIR_API");
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    took(arguments, begin, 8.0);
    assert!(said.ends_with('\n') && said.lines().count() == 1, "{arguments}: {said:?}");
    (output.status.code().unwrap(), said.trim_end().to_owned())
}

#[track_caller]
fn healthy(arguments: &str) -> String {
    // A busy machine may exceed the 800 ms once.
    let mut last = (0, String::new());
    let well = until_ok(10.0, || {
        last = check(arguments);
        last.0 == 0
    });
    assert!(well.is_some(), "{arguments}: {last:?}");
    last.1
}

#[track_caller]
fn unhealthy(arguments: &str, why: &str) {
    let (status, line) = check(arguments);
    assert!(status == 1 && line.contains(why), "{arguments}: {status}, {line}");
}

fn hls() -> Nginx {
    Config::stock()
        .app("live", "hls on; hls_path @DIR@/hls; hls_fragment 1s; hls_playlist_length 5s;")
        .http(
            "location /hls { root @DIR@; types { application/vnd.apple.mpegurl m3u8; } }
             location /undated { alias @DIR@/hls; add_header Last-Modified ''; }
             location = /healthz { return 204; }
             location = /moved { return 301 /healthz; }",
        )
        .start()
}

#[test]
fn rtmp_is_a_handshake_and_connect() {
    let nginx = hls();
    let url = format!("rtmp://127.0.0.1:{}", nginx.rtmp());
    assert_eq!(healthy(&format!("rtmp {url}/live")), format!("{url}/live: connect accepted"));
    unhealthy(&format!("rtmp {url}/nowhere"), "nowhere: ");
    // Arguments may be secret.
    assert_eq!(healthy(&format!("rtmp {url}/live?key=secret")), format!("{url}/live: connect accepted"));
    // The first port does not speak RTMP, and at the second nothing listens.
    unhealthy(&format!("rtmp rtmp://127.0.0.1:{}/live", nginx.http()), "/live: ");
    let free = Port::reserve();
    unhealthy(&format!("rtmp rtmp://127.0.0.1:{}/live", free.number()), "cannot connect: Connection refused");
    // The kernel accepts the connection, and no process answers on it.
    let worker = nginx.workers()[0];
    worker.signal(Signal::SIGSTOP);
    let (begin, (status, line)) = (Instant::now(), check(&format!("rtmp {url}/live")));
    worker.signal(Signal::SIGCONT);
    assert!(status == 1 && line.ends_with("no complete handshake within 800 ms"), "{status}, {line}");
    took("the check", begin, 3.0);
}

#[test]
fn an_accepted_play_is_no_stream() {
    let nginx = hls();
    let url = format!("rtmp://127.0.0.1:{}/live", nginx.rtmp());
    unhealthy(&format!("rtmp {url} --stream show"), "no audio or video within 3 s");
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let args = format!("rtmp {url} --stream show");
    until("the check receives media", 10.0, || check(&args).0 == 0);
    assert!(healthy(&args).ends_with("receiving media"));
    // The publisher is connected and silent, so the server has only the headers of the stream.
    publisher.stall();
    let brief = format!("{args} --timeout 500ms");
    until("the last of it was sent", 10.0, || check(&brief).0 == 1);
    unhealthy(&brief, "no audio or video within 500 ms");
}

#[test]
fn rtmps_is_the_same_for_who_has_the_right_certificate() {
    let authority = Authority::create();
    let certificate = authority.issue("IP:127.0.0.1");
    let (port, ca) = (Port::reserve(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(ca.path(), authority.certificate()).unwrap();
    let mut config = Config::stock().app("live", "");
    config.modules.push(products::tool("/usr/lib/nginx/modules/ngx_stream_module.so"));
    let front = format!(
        "stream {{ server {{ listen 127.0.0.1:{} ssl; ssl_certificate @DIR@/leaf.pem; ssl_certificate_key @DIR@/leaf.key;
         proxy_pass 127.0.0.1:@RTMP@; }} }}",
        port.number()
    );
    let config = config.file("leaf.pem", &certificate.certificate).file("leaf.key", &certificate.key);
    let nginx = config.main(&front).start();
    let url = format!("rtmp rtmps://127.0.0.1:{}/live", port.number());
    // No client trusts the certificate yet.
    unhealthy(&url, "TLS: invalid peer certificate");
    let trusting = |arguments: &str| check_with(arguments, &[("SSL_CERT_FILE", ca.path())]);
    let well = until_ok(10.0, || trusting(&url).0 == 0).is_some();
    assert!(well, "{:?}", trusting(&url));
    assert!(trusting(&url.replace("127.0.0.1", "localhost")).1.contains("not valid for name"), "{url}");
    let show = format!("{url} --stream show --timeout 5s");
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    assert!(
        until_ok(15.0, || trusting(&show).1.ends_with("receiving media")).is_some(),
        "{:?}",
        trusting(&show)
    );
    publisher.close();
    // This port does not speak TLS.
    unhealthy(&format!("rtmp rtmps://127.0.0.1:{}/live", nginx.rtmp()), "TLS");
}

#[test]
fn the_answer_is_json_for_who_wants_it() {
    let nginx = Config::weir().with_api().start();
    let read = |arguments: &str| {
        let (status, line) = check(arguments);
        (status, serde_json::from_str::<serde_json::Value>(&line).unwrap())
    };
    let node = format!("node --json --api {}", nginx.url("/api"));
    until("the node is healthy", 10.0, || read(&node).0 == 0);
    let (_, said) = read(&node);
    assert!(said["healthy"] == true && said["took_ms"].is_u64(), "{said}");
    assert!(said["message"].as_str().unwrap().starts_with("node: 1 worker"), "{said}");
    for check in ["rtmp rtmp://127.0.0.1:9/live", "http http://127.0.0.1:9/", "hls http://127.0.0.1:9/x.m3u8"]
    {
        let (status, said) = read(&format!("{check} --json"));
        assert_eq!((status, &said["healthy"]), (1, &false.into()), "{said}");
        assert!(said["message"].as_str().unwrap().contains("Connection refused"), "{said}");
    }
}

#[test]
fn http_is_a_status() {
    let nginx = hls();
    assert!(healthy(&format!("http {}", nginx.url("/healthz"))).ends_with("answered 204 No Content"));
    unhealthy(&format!("http {}", nginx.url("/none?token=secret")), "/none: answered 404 Not Found");
    healthy(&format!("http {} --status 404", nginx.url("/none")));
    unhealthy(&format!("http {} --status 200", nginx.url("/healthz")), "answered 204");
    // A redirect may lead to another machine.
    unhealthy(&format!("http {}", nginx.url("/moved")), "answered 301");
    unhealthy(&format!("http http://127.0.0.1:{}/", nginx.rtmp()), "no answer within 800 ms");
}

#[test]
fn hls_is_a_playlist_that_advances_and_a_segment_that_loads() {
    let nginx = hls();
    let folder = nginx.path("hls");
    std::fs::create_dir_all(&folder).unwrap();
    let show = format!("hls {}", nginx.url("/hls/show.m3u8"));
    unhealthy(&show, "answered 404");
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    until("the playlist is there", 15.0, || check(&show).0 == 0);
    assert!(healthy(&show).contains("playlist is advancing; last segment show-"), "{}", healthy(&show));
    // This server does not send the time of the last change, so the check looks at the playlist until it changes.
    let undated = format!("hls {}", nginx.url("/undated/show.m3u8"));
    let seen = until_seen(&format!("{undated} --timeout 100ms"), "no change of the playlist");
    assert!(seen, "{:?}", check(&undated));
    healthy(&format!("{undated} --timeout 5s"));

    let variants = |names: &[&str]| {
        let lines = names.iter().map(|name| format!("#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}.m3u8\n"));
        std::fs::write(folder.join("all.m3u8"), format!("#EXTM3U\n{}", lines.collect::<String>())).unwrap();
    };
    let all = format!("hls {}", nginx.url("/hls/all.m3u8"));
    variants(&["show", "show"]);
    assert!(healthy(&all).contains("2 playlists are advancing"));
    variants(&["show", "show_720p"]);
    unhealthy(&all, "show_720p.m3u8: answered 404");

    // The playlist exists and does not advance.
    publisher.stall();
    until("it is too old", 15.0, || check(&show).0 == 1);
    unhealthy(&show, "playlist is stale");
    std::fs::write(folder.join("end.m3u8"), "#EXTM3U\n#EXT-X-TARGETDURATION:1\n1.ts\n#EXT-X-ENDLIST\n")
        .unwrap();
    unhealthy(&format!("hls {}", nginx.url("/hls/end.m3u8")), "the stream has ended");
    std::fs::write(folder.join("new.m3u8"), "#EXTM3U\n#EXT-X-TARGETDURATION:9\nnew-1.ts\n").unwrap();
    unhealthy(&format!("hls {}", nginx.url("/hls/new.m3u8")), "new-1.ts: answered 404");
    std::fs::write(folder.join("new-1.ts"), "").unwrap();
    unhealthy(&format!("hls {}", nginx.url("/hls/new.m3u8")), "new-1.ts is empty");
}

#[test]
fn a_node_is_its_workers_its_zone_and_its_disks() {
    let nginx = Config::weir().workers(2).with_api().start();
    let node = |more: &str| format!("node --api {}{more}", nginx.url("/api"));
    until("both workers are counted", 10.0, || check(&node("")).1.contains("2 workers"));
    let well = healthy(&node(" --disk / --min-free 1k"));
    assert!(well.starts_with("node: 2 workers, zone ") && well.ends_with(" % full"), "{well}");
    unhealthy(&node(" --disk / --min-free 900t"), "node: /: ");
    unhealthy(&node(" --disk /no/such/folder"), "/no/such/folder: No such file or directory");
    unhealthy("node --api http://127.0.0.1:9/api", "no answer from the API");

    let worker = nginx.workers()[0];
    worker.signal(Signal::SIGSTOP);
    // Another worker may answer the check; a request to the stopped worker gets no answer.
    let why = format!("worker {} has been stuck", worker.0);
    let seen = until_seen(&node(" --timeout 300ms"), &why);
    worker.signal(Signal::SIGCONT);
    assert!(seen, "{why}");
    until("it is well again", 10.0, || check(&node("")).0 == 0);
}

fn until_seen(arguments: &str, why: &str) -> bool {
    until_ok(15.0, || check(arguments).1.contains(why)).is_some()
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    for arguments in [
        "rtmp http://127.0.0.1/live",
        "rtmp rtmp://127.0.0.1",
        "http 127.0.0.1:8080",
        "http http://127.0.0.1/ --status 99",
        "hls http://127.0.0.1/x.m3u8 --timeout 0ms",
        "node --min-free much --disk /",
        "node --min-free 1g",
        "node --api nowhere",
        "everything",
    ] {
        let (status, line) = check(arguments);
        assert!(status == 2 && line.starts_with("weir: "), "{arguments}: {status}, {line}");
    }
}
