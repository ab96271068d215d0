//! Numbers of viewers over HLS, DASH and RTMP, counted exactly and over all workers; reports of the daemon, limits, and sessions that do
//! not count. Each file's header says what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod bitrate;
mod count;
mod edge;
mod events;
mod internal;
mod limits;
mod report;
mod settings;
mod shown;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, Publisher, until};

/// Returns a configuration with a zone, the API, an application, and locations that count for `live`; `realip` trusts this machine.
fn config() -> Config {
    counting("app=live")
}

/// Returns the same configuration with these arguments for the locations.
fn counting(arguments: &str) -> Config {
    Config::weir()
        .with_api()
        .web("set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; keepalive_requests 1000000;")
        .http(&format!("root @DIR@/www; location /hls/ {{ weir_viewers {arguments}; }}"))
        .http(&format!("location /dash/ {{ weir_viewers {arguments}; }}"))
        .http(&format!("location /ladder/ {{ weir_viewers {arguments}; }}"))
}

/// Starts nginx, with the files of the streams `show` and `other`.
#[track_caller]
fn start(config: Config) -> Nginx {
    let nginx = config.start();
    for name in [
        "hls/show.m3u8",
        "hls/show-1.ts",
        "hls/show_low.m3u8",
        "hls/show.jpg",
        "hls/other.m3u8",
        "hls/index.html",
        "dash/show.mpd",
        "dash/show-1.m4v",
        "ladder/live/show/master.m3u8",
        "ladder/live/show/480p/1.m4s",
    ] {
        let path = nginx.path("www").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "#EXTM3U\n").unwrap();
    }
    nginx
}

/// A client that sends its requests over one connection.
struct Client {
    socket: BufReader<TcpStream>,
}

/// An answer: the status, and the head.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    head: String,
}

impl Client {
    fn new(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket: BufReader::new(socket) }
    }

    #[track_caller]
    fn ask(&mut self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: live.example.org\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        self.socket.get_mut().write_all(format!("{request}\r\n").as_bytes()).unwrap();
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(self.socket.read_line(&mut line).unwrap() > 0, "{method} {path}: closed after {head:?}");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if method != "HEAD" && status != 304 {
            std::io::copy(&mut (&mut self.socket).take(length), &mut std::io::sink()).unwrap();
        }
        Answer { status, head }
    }

    /// Requests a path as the program `agent` at an address.
    #[track_caller]
    fn watch(&mut self, path: &str, addr: &str, agent: &str) -> u16 {
        self.ask("GET", path, &[&format!("X-Forwarded-For: {addr}"), &format!("User-Agent: {agent}")]).status
    }
}

/// Sends one request over a connection of its own.
#[track_caller]
fn get(nginx: &Nginx, path: &str, agent: &str) -> Answer {
    Client::new(nginx.http()).ask("GET", path, &[&format!("User-Agent: {agent}"), "Connection: close"])
}

/// Collects the new events of `GET /v1/events`, in a thread that ends with nginx.
#[track_caller]
fn events(nginx: &Nginx) -> Arc<Mutex<String>> {
    let mut socket = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
    socket.write_all(b"GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let told = Arc::new(Mutex::new(String::new()));
    let all = Arc::clone(&told);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = socket.read(&mut piece) {
            all.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    });
    until("the events begin", 5.0, || told.lock().unwrap().contains(": events of weir"));
    told
}

/// Returns the viewers of `live/NAME`, whether the stream is live or not.
#[track_caller]
fn audience(api: &Api, name: &str) -> Value {
    let all = api.get("/v1/viewers").expect(200);
    let all = all["streams"].as_array().unwrap();
    all.iter().find(|one| one["app"] == "live" && one["name"] == name).cloned().unwrap_or_default()
}

#[track_caller]
fn counted(api: &Api, name: &str, kind: &str) -> u64 {
    audience(api, name)["viewers"][kind].as_u64().unwrap_or(0)
}

#[track_caller]
fn publish(nginx: &Nginx, path: &str) -> Publisher {
    let publisher = Publisher::to(nginx.rtmp(), path).start().started();
    let (app, name) = path.split_once('/').unwrap();
    until("the stream is live", 5.0, || nginx.api().stream(app, name));
    publisher
}
