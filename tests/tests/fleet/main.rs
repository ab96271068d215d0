//! Servers that are rented for an event: planned, created, watched and deleted through a server that speaks Hetzner's API. Each file's
//! header says what it proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod commands;
mod errors;
mod evening;
mod hetzner;
mod kills;
mod machine;
mod plans;
mod tickets;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use hetzner::{Hetzner, TOKEN};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Nginx, Sidecar, files, products};

const SECRET: &str = "fedcba9876543210fedcba9876543210";
/// What an origin is configured with.
const ORIGIN: &str = "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n";

/// nginx of an origin, with its secrets.
fn nginx() -> Config {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", "0123456789abcdef0123456789abcdef")
        .file("cluster.secret", SECRET)
        .with_api()
        .app("live", "weir_publish open;")
}

fn origin(nginx: &Nginx) -> Sidecar {
    Sidecar::start(nginx, ORIGIN)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A time so many seconds from now.
fn moment(seconds: i64) -> String {
    weir_model::Timestamp::from_millis(now_ms().saturating_add_signed(seconds * 1000) / 1000 * 1000)
        .to_string()
}

/// An event's file, and what `weir fleet` is run with.
struct Event {
    folder: tempfile::TempDir,
    socket: PathBuf,
    endpoint: String,
}

impl Event {
    /// `top` comes before the tables, `more` behind them. `[edge]` pulls from `origin`, which is `http://ADDRESS:PORT`.
    fn new(daemon: &Sidecar, hetzner: &str, origin: &str, top: &str, more: &str) -> Self {
        let event = Self {
            folder: tempfile::tempdir().unwrap(),
            socket: daemon.configuration().with_file_name("weir.sock"),
            endpoint: hetzner.to_owned(),
        };
        let text = format!(
            "event = \"gala\"\nstart = \"{}\"\nend = \"{}\"\nlead = \"1h\"\nbudget = 5\ndrain = \"1s\"\nboot = \"60s\"\n{top}\n\
             [server]\ntype = \"cx33\"\nlocation = \"fsn1\"\nimage = \"debian-13\"\nssh_keys = [\"ana\"]\nnetwork = \"cdn\"\n\
             firewall = \"edges\"\n[edge]\norigin = \"{origin}\"\nbandwidth = \"100m\"\ntest_stream = \"live/test\"\n\
             packages = [\"libnginx-mod-rtmp-weir\", \"weir\"]\n{more}",
            moment(60),
            moment(3600)
        );
        std::fs::write(event.file(), text).unwrap();
        event
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("event.toml")
    }

    /// Changes the file.
    fn edit(&self, from: &str, to: &str) {
        let text = files::text(&self.file());
        assert!(text.contains(from), "{from}");
        std::fs::write(self.file(), text.replace(from, to)).unwrap();
    }

    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = Command::new(products::weir());
        command.args(["fleet", verb]).arg(self.file()).args(more);
        if verb != "plan" {
            command.arg("--socket").arg(&self.socket).arg("--state").arg(self.folder.path().join("state"));
        }
        command
            .env("HCLOUD_TOKEN", TOKEN)
            .env("HCLOUD_ENDPOINT", &self.endpoint)
            .env_remove("JOURNAL_STREAM");
        command.stdin(Stdio::null());
        command
    }

    /// Runs `weir fleet`: its exit status, output and log.
    fn run(&self, verb: &str, more: &[&str]) -> (i32, String, String) {
        let output = self.command(verb, more).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// The same, which has to succeed.
    #[track_caller]
    fn done(&self, verb: &str, more: &[&str]) -> (String, String) {
        let (status, output, log) = self.run(verb, more);
        assert_eq!(status, 0, "weir fleet {verb}: {output}{log}");
        (output, log)
    }

    /// Starts it; its log is in a file.
    fn start(&self, verb: &str, more: &[&str]) -> Running {
        let log = self.folder.path().join("log");
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = self.command(verb, more).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Running { child, log }
    }

    /// Every file that it has left, except for the event's own.
    fn left(&self) -> String {
        let mut all = String::new();
        for path in files::below(self.folder.path()) {
            let _ = writeln!(all, "{}: {}", path.display(), files::text(&path));
        }
        all
    }
}

/// `weir fleet` at work; it is killed when it is dropped.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn process(&self) -> Process {
        Process(self.child.id() as i32)
    }

    fn log(&self) -> String {
        files::text(&self.log)
    }

    /// Its exit status, when it has ended.
    fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The addresses of an origin's daemon on this machine.
fn at_home(daemon: &Sidecar) -> String {
    format!("http://127.0.0.1:{}", daemon.web())
}

/// Nothing of the provider's token, or of a ticket that was given to `gala-1`, is in any of these texts.
#[track_caller]
fn assert_no_secret(hetzner: &Hetzner, texts: &[&str]) {
    let data = hetzner.user_data("gala-1");
    let ticket =
        data.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).find(|word| word.starts_with("wj_"));
    let ticket = ticket.unwrap();
    for text in texts {
        for secret in [TOKEN, ticket, "root-SECRET", SECRET] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
    assert!(!data.contains(SECRET) && !data.contains(TOKEN), "{data}");
}

fn exists(path: &Path) -> bool {
    path.exists()
}
