//! Servers that are rented for an event: planned, created, watched and deleted through a server that implements Hetzner's API. Each file's
//! header says what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod commands;
mod errors;
mod evening;
mod hetzner;
mod kills;
mod losses;
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
/// Configuration of an origin.
const ORIGIN: &str = "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n";

/// Returns the configuration of an origin's nginx, with its secrets.
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

/// Returns the time in so many seconds from now.
fn moment(seconds: i64) -> String {
    weir_model::Timestamp::from_millis(now_ms().saturating_add_signed(seconds * 1000) / 1000 * 1000)
        .to_string()
}

/// The file of an event, and the arguments with which `weir fleet` runs.
struct Event {
    folder: tempfile::TempDir,
    socket: PathBuf,
    endpoint: String,
}

impl Event {
    /// Writes the file: `top` comes before the tables, `more` after them. `[edge]` pulls from `origin`, which is `http://ADDRESS:PORT`.
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

    /// Replaces a text of the file.
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

    /// Runs `weir fleet`; returns its exit status, output and log.
    fn run(&self, verb: &str, more: &[&str]) -> (i32, String, String) {
        let output = self.command(verb, more).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Runs `weir fleet`, which must succeed; returns its output and log.
    #[track_caller]
    fn done(&self, verb: &str, more: &[&str]) -> (String, String) {
        let (status, output, log) = self.run(verb, more);
        assert_eq!(status, 0, "weir fleet {verb}: {output}{log}");
        (output, log)
    }

    /// Starts `weir fleet`; its log goes to a file.
    fn start(&self, verb: &str, more: &[&str]) -> Running {
        let log = self.folder.path().join("log");
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = self.command(verb, more).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Running { child, log }
    }

    /// Returns the text of every file that it has left, except for the event's own.
    fn left(&self) -> String {
        let mut all = String::new();
        for path in files::below(self.folder.path()) {
            let _ = writeln!(all, "{}: {}", path.display(), files::text(&path));
        }
        all
    }
}

/// A running `weir fleet`; it is killed when dropped.
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

    /// Returns its exit status, if it has ended.
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

/// Returns the URL of an origin's daemon on this machine.
fn at_home(daemon: &Sidecar) -> String {
    format!("http://127.0.0.1:{}", daemon.web())
}

/// Asserts that none of these texts contains the provider's token, or the ticket that was given to `gala-1`.
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
