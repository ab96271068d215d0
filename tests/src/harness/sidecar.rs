//! A `weir serve` beside an nginx of the tests.
//!
//! When it is dropped, it must end on SIGTERM, and leave no process, and no panic in its log.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::ports::Port;
use super::process::Process;
use super::{Nginx, files, products, wait};

/// A running daemon.
pub struct Sidecar {
    child: Child,
    folder: TempDir,
    http: Port,
    web: Port,
    /// Of nginx: its API, its RTMP, its folder.
    addresses: [String; 3],
    /// ffmpegs that were seen at some time.
    seen: Vec<Process>,
}

impl Sidecar {
    /// Starts one with this configuration, to which `[nginx]` and `[daemon]` are added; `@MEDIA@` is a folder for media,
    /// `@DIR@` nginx's. Returns when the daemon has reached nginx.
    #[track_caller]
    pub fn start(nginx: &Nginx, config: &str) -> Self {
        let mut sidecar = Self::start_early(nginx, config);
        sidecar.wait_healthy();
        sidecar
    }

    /// The same, but nginx need not run yet.
    #[track_caller]
    pub fn start_early(nginx: &Nginx, config: &str) -> Self {
        Self::start_at(nginx, &nginx.url("/api"), config)
    }

    /// Starts one whose clock [`set_clock`](Self::set_clock) sets.
    #[track_caller]
    pub fn start_with_clock(nginx: &Nginx, config: &str) -> Self {
        let folder = new_folder();
        write_clock(folder.path(), "+0s");
        let mut sidecar = Self::start_in(folder, nginx, &nginx.url("/api"), config);
        sidecar.wait_healthy();
        sidecar
    }

    /// Sets the clock of the daemon this many seconds ahead of this machine's. Its monotonic clock goes on.
    pub fn set_clock(&self, ahead: i64) {
        write_clock(self.folder.path(), &format!("{ahead:+}s"));
    }

    /// The same, where `api` is the address of nginx's API.
    #[track_caller]
    pub fn start_at(nginx: &Nginx, api: &str, config: &str) -> Self {
        Self::start_in(new_folder(), nginx, api, config)
    }

    #[track_caller]
    fn start_in(folder: TempDir, nginx: &Nginx, api: &str, config: &str) -> Self {
        let (http, web) = (Port::reserve(), Port::reserve());
        let folder_of_nginx = nginx.folder().to_string_lossy().into_owned();
        let addresses = [api.to_owned(), format!("rtmp://127.0.0.1:{}", nginx.rtmp()), folder_of_nginx];
        write_config(
            folder.path(),
            [&http, &web],
            &addresses,
            &config.replace("@DIR@", &nginx.folder().to_string_lossy()),
        );
        let child = spawn(folder.path());
        Self { child, folder, http, web, addresses, seen: Vec::new() }
    }

    /// Starts one with a whole weir.toml. Only the ports of the daemon, its socket, log and history are changed for
    /// this machine. `web` is the port of its pages.
    #[track_caller]
    pub fn start_whole(nginx: &Nginx, web: u16, text: &str) -> Self {
        Self::start_whole_at(nginx, web, text, None)
    }

    /// The same with a clock that differs, such as `+10s`.
    #[track_caller]
    pub fn start_whole_at(nginx: &Nginx, web: u16, text: &str, clock: Option<&str>) -> Self {
        let folder = new_folder();
        if let Some(clock) = clock {
            write_clock(folder.path(), clock);
        }
        let (http, place) = (Port::reserve(), folder.path().display().to_string());
        let own = format!(
            "socket = \"{place}/weir.sock\"\nlog = \"text\"\nlisten = \"127.0.0.1:{}\"\n",
            http.number()
        );
        let text = text
            .replace("listen = \"127.0.0.1:8091\"\n", "")
            .replace("\"127.0.0.1:8090\"", &format!("\"127.0.0.1:{web}\""))
            .replace("/var/lib/weir/", &format!("{place}/"));
        let text = match text.contains("\n[daemon]\n") {
            true => text.replacen("\n[daemon]\n", &format!("\n[daemon]\n{own}"), 1),
            false => format!("{text}\n[daemon]\n{own}"),
        };
        let text = match text.contains("[history]\n") {
            true => text,
            false => format!("{text}\n[history]\nfile = \"{place}/history.db\"\n"),
        };
        std::fs::write(folder.path().join("weir.toml"), text).unwrap();
        let addresses = [nginx.url("/api"), format!("rtmp://127.0.0.1:{}", nginx.rtmp()), String::new()];
        let child = spawn(folder.path());
        // The caller's port is that of its pages.
        let web = Port::reserve();
        let mut sidecar = Self { child, folder, http, web, addresses, seen: Vec::new() };
        sidecar.wait_healthy();
        sidecar
    }

    /// Returns its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("weir.sock")
    }

    /// Returns the folder `@MEDIA@`.
    pub fn media(&self) -> PathBuf {
        self.folder.path().join("media")
    }

    /// Returns its weir.toml.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("weir.toml")
    }

    /// Returns a file of a stream of the application `live`.
    pub fn file(&self, stream: &str, name: &str) -> PathBuf {
        self.media().join("live").join(stream).join(name)
    }

    /// Returns the process of the daemon.
    pub fn process(&self) -> Process {
        Process(self.child.id() as i32)
    }

    /// Returns its log so far.
    pub fn log(&self) -> String {
        files::text(&self.folder.path().join("log"))
    }

    /// Returns its folder for ffmpeg's sockets.
    pub fn sockets(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Waits for a line with `part` in the log.
    #[track_caller]
    pub fn wait_log(&self, part: &str) {
        if wait::until_ok(20.0, || self.log().contains(part)).is_none() {
            panic!("{part:?} is not in the log:\n{}", self.log());
        }
    }

    /// Changes the configuration and reloads it.
    #[track_caller]
    pub fn reload(&self, config: &str) {
        write_config(self.folder.path(), [&self.http, &self.web], &self.addresses, config);
        self.process().signal(Signal::SIGHUP);
    }

    /// The same, with another address of nginx's API.
    #[track_caller]
    pub fn reload_at(&self, api: &str, config: &str) {
        let [_, rtmp, nginx] = self.addresses.clone();
        write_config(self.folder.path(), [&self.http, &self.web], &[api.to_owned(), rtmp, nginx], config);
        self.process().signal(Signal::SIGHUP);
    }

    /// Kills the daemon with SIGKILL.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process().signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    /// Starts it again after [`kill`](Self::kill).
    #[track_caller]
    pub fn start_again(&mut self) {
        self.child = spawn(self.folder.path());
        self.wait_healthy();
    }

    #[track_caller]
    fn wait_healthy(&mut self) {
        let healthy = wait::until_ok(15.0, || {
            assert!(self.child.try_wait().unwrap().is_none(), "weir serve ended:\n{}", self.log());
            self.get("/healthz").is_some()
        });
        assert!(healthy.is_some(), "weir serve is not healthy:\n{}", self.log());
    }

    /// Returns the answer of its HTTP port for a path, if that is a success.
    pub fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.http.number());
        let response =
            reqwest::blocking::Client::builder().no_proxy().build().unwrap().get(url).send().ok()?;
        response.status().is_success().then(|| response.text().ok())?
    }

    /// The port of its HTTP listener.
    pub fn http(&self) -> u16 {
        self.http.number()
    }

    /// The port of its pages, where the configuration has a line `[web]`.
    pub fn web(&self) -> u16 {
        self.web.number()
    }

    /// Waits for the first event of this kind since the start of the daemon, and returns it.
    #[track_caller]
    pub fn told(&self, kind: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /v1/events HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: 1\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut next = || match lines.next() {
            Some(Ok(line)) => line,
            other => panic!("no event {kind}: {other:?}\n{}", self.log()),
        };
        while next() != format!("event: {kind}") {}
        loop {
            if let Some(data) = next().strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    /// Returns how many events of a kind it has sent so far.
    pub fn count_told(&self, kind: &str) -> usize {
        self.all_told(kind).len()
    }

    /// Returns the data of all events of this kind that `/v1/events` has so far.
    pub fn all_told(&self, kind: &str) -> Vec<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        write!(stream, "GET /v1/events HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: 1\r\n\r\n").unwrap();
        let end = Instant::now() + Duration::from_secs(3);
        let mut lines =
            BufReader::new(stream).lines().map_while(Result::ok).take_while(|_| Instant::now() < end);
        let mut told = Vec::new();
        while lines.any(|line| line == format!("event: {kind}")) {
            let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
            told.extend(data.map(|data| serde_json::from_str::<Value>(&data).unwrap()));
        }
        told
    }

    /// Runs `weir job ...` against this daemon. Returns exit status, output and errors.
    pub fn job(&self, arguments: &[&str]) -> (i32, String, String) {
        self.command(&[&["job"], arguments].concat())
    }

    /// Returns the file of its history.
    pub fn history(&self) -> PathBuf {
        self.folder.path().join("history.db")
    }

    /// Runs a command of `weir` against this daemon. Returns exit status, output and errors.
    pub fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let socket = self.folder.path().join("weir.sock");
        let output =
            Command::new(products::weir()).args(arguments).arg("--socket").arg(socket).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// Returns its jobs.
    #[track_caller]
    pub fn jobs(&self) -> Vec<Value> {
        let (status, text, errors) = self.job(&["list", "--json"]);
        assert_eq!(status, 0, "{errors}\n{}", self.log());
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        answer["jobs"].as_array_mut().unwrap().drain(..).collect()
    }

    /// Returns a job, if it exists.
    #[track_caller]
    pub fn find(&self, id: &str) -> Option<Value> {
        self.jobs().into_iter().find(|job| job["id"] == id)
    }

    /// Waits until the job's ffmpeg makes progress, and returns its process.
    #[track_caller]
    pub fn wait_running(&mut self, id: &str, seconds: f64) -> Process {
        let running = wait::until_ok(seconds, || {
            let job = self.find(id)?;
            let moves = job["progress"]["out_time_us"].is_i64();
            moves.then(|| job["pid"].as_i64().map(|pid| Process(pid as i32)))?
        });
        let Some(process) = running else { panic!("{id} does not run: {:?}\n{}", self.jobs(), self.log()) };
        self.seen.push(process);
        process
    }

    /// Returns its children that run ffmpeg.
    pub fn ffmpegs(&self) -> Vec<Process> {
        let mut children = self.process().children();
        children.retain(|child| child.title().contains("ffmpeg"));
        children
    }

    /// Waits until all outputs of a stream can be played.
    #[track_caller]
    pub fn wait_ready(&self, stream: &str) {
        let ready = wait::until_ok(30.0, || {
            let log = self.log();
            log.lines().any(|line| line.contains("stream ready") && line.contains(stream))
        });
        assert!(ready.is_some(), "{stream} is not ready:\n{}", self.log());
    }
}

fn write_config(folder: &Path, [http, web]: [&Port; 2], [api, rtmp, nginx]: &[String; 3], config: &str) {
    let place = folder.display();
    // A daemon that serves viewers needs nginx's secret, if there is one.
    let secret = match config.contains("[web]\n") && Path::new(nginx).join("secret").exists() {
        true => format!("secret_file = \"{nginx}/secret\"\n"),
        false => String::new(),
    };
    // The default is one port for all.
    let listen = format!("[web]\nlisten = \"127.0.0.1:{}\"\n", web.number());
    let (config, off) = match config.contains("[web]\n") {
        true if config.contains("[web]\nlisten") => (config.to_owned(), ""),
        true => (config.replacen("[web]\n", &listen, 1), ""),
        false => (config.to_owned(), "[web]\nlisten = \"off\"\n"),
    };
    // Tests must leave nothing on this machine.
    let history = match config.contains("[history]\n") {
        true => String::new(),
        false => format!("[history]\nfile = \"{place}/history.db\"\n"),
    };
    let chat = format!("[chat]\nfile = \"{place}/chat.db\"\n");
    let config = config.replacen("[chat]\n", &chat, 1);
    let text = format!(
        "{off}{history}[nginx]\n{secret}api = \"{api}\"\nrtmp = \"{rtmp}\"\n[daemon]\nlisten = \"127.0.0.1:{}\"\nsocket = \"{place}/weir.sock\"\nlog = \"text\"\n{config}",
        http.number()
    );
    std::fs::write(folder.join("weir.toml"), text.replace("@MEDIA@", &format!("{place}/media"))).unwrap();
}

fn new_folder() -> TempDir {
    tempfile::Builder::new().prefix("weir-sidecar-").tempdir().unwrap()
}

/// Writes the file from which libfaketime takes the time, whole: the daemon reads it at any moment.
fn write_clock(folder: &Path, clock: &str) {
    std::fs::write(folder.join("clock.new"), format!("{clock}\n")).unwrap();
    std::fs::rename(folder.join("clock.new"), folder.join("clock")).unwrap();
}

fn spawn(folder: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut shell = Command::new("/bin/sh");
    let clock = folder.join("clock");
    if clock.exists() {
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
        shell.env("LD_PRELOAD", products::tool(&library)).env("FAKETIME_TIMESTAMP_FILE", clock);
        let switches = ["FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"];
        shell.envs(switches.map(|name| (name, "1")));
    }
    // The caller's umask must not matter, so this is an unusual one: keepalived's.
    shell
        .args(["-c", "umask 0177; exec \"$0\" serve --config \"$1\""])
        .arg(products::weir())
        .arg(folder.join("weir.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let mut everyone = self.process().descendants();
        everyone.append(&mut self.seen);
        self.process().signal(Signal::SIGTERM);
        let status = wait::until_ok(12.0, || self.child.try_wait().unwrap());
        if status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let left = wait::until_ok(5.0, || everyone.iter().all(|process| !process.is_alive())).is_none();
        for process in everyone.iter().filter(|process| left && process.is_alive()) {
            process.signal(Signal::SIGKILL);
        }
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("{log}");
            return;
        }
        assert!(!left, "weir serve left processes: {everyone:?}\n{log}");
        assert!(!log.contains("panicked at"), "{log}");
        assert!(
            status.is_some_and(|status| status.success() || status.code().is_none()),
            "weir serve ended with {status:?}\n{log}"
        );
    }
}
