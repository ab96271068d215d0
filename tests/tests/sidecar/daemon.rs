//! The daemon reaches the same state whatever happened before: nginx started late or restarted, or the configuration was reloaded. It also
//! reports its own health.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use weir_tests::harness::ports::Port;
use weir_tests::harness::{Sidecar, until};

use super::{open, publish, rule};

const JOB: &str = "live/show/ladder";

#[test]
fn a_daemon_that_is_late_finds_what_is_live() {
    let nginx = open().start();
    let _publisher = publish(&nginx, "show");
    until("the stream is live", 5.0, || nginx.api().stream("live", "show").is_some());
    let mut sidecar = Sidecar::start(&nginx, &rule("[\"source\"]"));
    sidecar.wait_running(JOB, 20.0);
    let metrics = sidecar.get("/metrics").unwrap();
    for line in ["weir_daemon_nginx_up 1", "weir_daemon_streams 1", "weir_jobs{state=\"running\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

#[test]
fn a_restarted_nginx_is_followed_again() {
    let mut nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("[\"source\"]"));
    let publisher = publish(&nginx, "show");
    let first = sidecar.wait_running(JOB, 20.0);
    nginx.restart(|_| until("the daemon notices", 10.0, || sidecar.get("/healthz").is_none()));
    drop(publisher);
    let _publisher = publish(&nginx, "show");
    until("nginx is followed", 15.0, || sidecar.get("/healthz").is_some());
    until("the old ffmpeg is gone", 15.0, || !first.is_alive());
    assert_ne!(sidecar.wait_running(JOB, 30.0), first);
    assert_eq!(sidecar.jobs().len(), 1);
}

#[test]
fn a_reload_touches_only_what_changed() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("[\"source\"]"));
    let _publishers = [publish(&nginx, "show"), publish(&nginx, "other")];
    let show = sidecar.wait_running(JOB, 20.0);
    let other = sidecar.wait_running("live/other/ladder", 20.0);
    let for_other = "[ladder.both]\nrungs = [\"source\", \"low\"]\n[[stream]]\napp = \"live\"\nstream = \"other\"\n\
        ladder = \"both\"\nfolder = \"@MEDIA@\"\nsegment = \"1s\"\n";
    let (rungs, rules) = {
        let all = rule("[\"source\"]");
        let at = all.find("[[stream]]").unwrap();
        (all[..at].to_owned(), all[at..].to_owned())
    };
    sidecar.reload(&format!("{rungs}{for_other}{rules}"));
    until("the other's job is another", 15.0, || !other.is_alive());
    sidecar.wait_running("live/other/ladder", 20.0);
    assert_eq!(
        sidecar.find("live/other/ladder").unwrap()["renditions"],
        serde_json::json!(["source", "low"])
    );
    assert!(show.is_alive());
    assert_eq!(sidecar.find(JOB).unwrap()["restarts"], 0);
    // An invalid configuration changes nothing, and is reported.
    sidecar.reload("[jobs]\nnice = 99\n");
    sidecar.wait_log("configuration not reloaded: ");
    sidecar.wait_log("nice = 99: must be from 0 to 19");
    assert!(show.is_alive());
    sidecar.reload("");
    until("nothing is wanted any more", 15.0, || sidecar.jobs().is_empty());
}

#[test]
fn stream_ready_is_told_once_all_renditions_are_there() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, &rule("[\"source\", \"low\", \"audio\"]"));
    let mut stream = TcpStream::connect(("127.0.0.1", sidecar.http())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET /v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.find(|line| line == ": events of weir serve").unwrap();
    let _publisher = publish(&nginx, "show");
    lines.find(|line| line == "event: stream.started").unwrap();
    lines.find(|line| line == "event: stream.ready").unwrap();
    for track in ["source", "low", "audio", "sound"] {
        let text = std::fs::read_to_string(sidecar.file("show", &format!("{track}/index.m3u8"))).unwrap();
        assert!(text.contains("EXTINF"), "{track}: {text}");
    }
    let master = std::fs::read_to_string(sidecar.file("show", "master.m3u8")).unwrap();
    assert_eq!(master.matches("#EXT-X-STREAM-INF").count(), 3, "{master}");
    let data: serde_json::Value =
        lines.find_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap())).unwrap();
    assert_eq!((&data["app"], &data["name"]), (&"live".into(), &"show".into()));
    assert_eq!(data["renditions"], serde_json::json!(["source", "low", "audio"]));
}

#[test]
fn a_second_daemon_is_told_that_there_is_one() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "");
    let config = sidecar.sockets().with_file_name("weir.toml");
    let output = std::process::Command::new(weir_tests::harness::products::weir())
        .args(["serve", "--config"])
        .arg(config)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("another weir serve is running"), "{errors}");
    assert!(sidecar.get("/healthz").is_some());
}

#[test]
fn a_start_that_fails_names_the_setting_and_leaves_no_socket() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (folder, address) = (tempfile::tempdir().unwrap(), taken.local_addr().unwrap());
    let (socket, config) = (folder.path().join("weir.sock"), folder.path().join("weir.toml"));
    let daemon = format!("socket = {socket:?}\n");
    for (text, message) in [
        (
            format!("[daemon]\nlisten = \"{address}\"\n{daemon}"),
            format!("[daemon] listen = \"{address}\": Address already in use"),
        ),
        (
            format!("[daemon]\nlisten = \"off\"\n{daemon}[web]\nlisten = \"{address}\"\n"),
            format!("[web] listen {address}: Address already in use"),
        ),
        (
            format!("[nginx]\napi_token_file = \"/nowhere\"\n[web]\nlisten = \"off\"\n[daemon]\nlisten = \"off\"\n{daemon}"),
            "API token file /nowhere: No such file or directory (os error 2) (api_token_file of [nginx] in weir.toml names it)"
                .to_owned(),
        ),
    ] {
        std::fs::write(&config, text).unwrap();
        let output = std::process::Command::new(weir_tests::harness::products::weir())
            .args(["serve", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(&message), "{errors}");
        assert!(!socket.exists(), "{errors}");
    }
}

#[test]
fn a_reloaded_nginx_is_no_lost_nginx() {
    // Old workers end one after the other, and the daemon's next connection may reach another worker that is about to end.
    let nginx = open().workers(2).start();
    let sidecar = Sidecar::start(&nginx, "");
    let mut publishers = Vec::new();
    for nth in 0..3 {
        nginx.reload();
        publishers.push(publish(&nginx, &format!("s{nth}")));
        sidecar.wait_log(&format!("stream is live stream=\"live/s{nth}\""));
    }
    assert!(!sidecar.log().contains("nginx does not answer"), "{}", sidecar.log());
}

#[test]
fn what_is_in_the_sockets_place_and_is_none_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = (folder.path().join("precious"), folder.path().join("weir.toml"));
    std::fs::write(&file, "text").unwrap();
    std::fs::write(&config, format!("[daemon]\nlisten = \"off\"\nsocket = {file:?}\n")).unwrap();
    let output = std::process::Command::new(weir_tests::harness::products::weir())
        .args(["serve", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), errors.lines().count()), (Some(1), 1), "{errors}");
    assert!(errors.contains("is there, and is no socket"), "{errors}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
}

#[test]
fn a_new_api_token_is_read_at_a_reload() {
    let [first, second] = ["1", "2"].map(|digit| digit.repeat(40));
    let guarded = "location /guarded { weir_api; weir_api_token @DIR@/token; }";
    let nginx = open().http(guarded).file("token", &first).start();
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
    let (place, config) = (folder.path().display(), folder.path().join("weir.toml"));
    let text = format!(
        "[nginx]\napi = \"{}\"\napi_token_file = {:?}\n[daemon]\nlisten = \"127.0.0.1:{}\"\nsocket = \"{place}/s\"\n",
        nginx.url("/guarded"),
        nginx.path("token"),
        port.number()
    );
    std::fs::write(&config, text).unwrap();
    let mut child = std::process::Command::new(weir_tests::harness::products::weir())
        .args(["serve", "--config"])
        .arg(&config)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let process = weir_tests::harness::process::Process(child.id() as i32);
    let health = |status: &str| {
        let mut answer = String::new();
        let mut stream = TcpStream::connect(("127.0.0.1", port.number())).ok()?;
        write!(stream, "GET /healthz HTTP/1.0\r\n\r\n").ok()?;
        std::io::Read::read_to_string(&mut stream, &mut answer).ok()?;
        answer.starts_with(&format!("HTTP/1.0 {status}")).then_some(())
    };
    until("nginx answers", 15.0, || health("200"));
    std::fs::write(nginx.path("token"), &second).unwrap();
    nginx.reload();
    until("the old token is refused", 15.0, || health("503"));
    process.signal(nix::sys::signal::Signal::SIGHUP);
    until("nginx answers again", 15.0, || health("200"));
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(child.wait().unwrap().success());
}

#[test]
fn systemd_is_told_when_it_is_ready_and_that_it_lives() {
    let folder = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let place = folder.path().display();
    // nginx does not run here, but the daemon can be ready without it.
    let text = format!(
        "[nginx]\napi = \"http://127.0.0.1:1/api\"\n[daemon]\nlisten = \"off\"\nsocket = \"{place}/s\"\n"
    );
    std::fs::write(folder.path().join("weir.toml"), text).unwrap();
    let mut child = std::process::Command::new(weir_tests::harness::products::weir())
        .args(["serve", "--config"])
        .arg(folder.path().join("weir.toml"))
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env("WATCHDOG_USEC", "400000")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let process = weir_tests::harness::process::Process(child.id() as i32);
    let next = || {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!((next(), next()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    process.signal(nix::sys::signal::Signal::SIGHUP);
    until("a reload is told", 10.0, || next().starts_with("RELOADING=1"));
    until("its end is told", 10.0, || next() == "READY=1");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    until("the end is told", 10.0, || next() == "STOPPING=1");
    assert!(child.wait().unwrap().success());
}

/// A browser on the machine counts as a local client: the daemon refuses requests of other sites' pages, and the headers of its answers
/// prevent type sniffing and caching.
#[test]
fn pages_of_other_sites_get_nothing() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "public_name = \"Live.example.org:1936\"\n");
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", sidecar.http())).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let mut reader = BufReader::new(stream);
        // The answer with events has no end.
        while !answer.ends_with("\r\n\r\n") && reader.read_line(&mut answer).unwrap() > 0 {}
        assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
        assert!(answer.contains("cache-control: no-"), "{answer}");
        answer[9..12].parse::<u16>().unwrap()
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for path in ["/metrics", "/healthz", "/v1/events", "/nothing"] {
        let wanted = if path == "/nothing" { 404 } else { 200 };
        let names = ["localhost", "weir.localhost", "127.0.0.1:8091", "[::1]:8091", "live.example.org:8091"];
        for host in names.into_iter().chain([host.trim()]) {
            assert_eq!(ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")), wanted, "{path} {host}");
        }
        assert_eq!(ask(&format!("GET {path} HTTP/1.0\r\n\r\n")), wanted, "{path}");
        for headers in [
            "Host: evil.example\r\n",
            "Host: 127.0.0.1.evil.example:8091\r\n",
            "Host: localhost\r\nOrigin: http://evil.example\r\n",
            "Host: localhost\r\nOrigin: null\r\n",
        ] {
            assert_eq!(ask(&format!("GET {path} HTTP/1.1\r\n{headers}\r\n")), 403, "{path} {headers}");
        }
    }
    let admission = "POST /v1/admission HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(ask(admission), 403);
    let mut stream = TcpStream::connect(("127.0.0.1", sidecar.http())).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: other.example\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(
        answer.contains("\\\"other.example\\\" is no name of this server: use an IP address"),
        "{answer}"
    );
    assert!(answer.contains("public_name of [daemon] in weir.toml"), "{answer}");
}
