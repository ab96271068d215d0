//! Two machines with nginx and keepalived, a client beside them, and the address that moves between them.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{User, chown};
use serde_json::json;
use tempfile::TempDir;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Keepalived, Lan, Nginx, Space, products, until, until_ok};

/// The addresses of the samples.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const MACHINES: [(&str, Ipv4Addr); 2] =
    [("a", Ipv4Addr::new(192, 0, 2, 11)), ("b", Ipv4Addr::new(192, 0, 2, 12))];
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const RTMP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ADDRESS), 1935);
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ADDRESS), 8080);

/// User of the scripts: a user of nginx's package, without any rights in this test.
const USER: &str = "www-data";

const PLATFORM: &str = "rtmp://192.0.2.1/in/show";

/// Returns a sample as it is shipped.
pub(crate) fn sample(name: &str) -> String {
    fs::read_to_string(products::workspace().join(format!("nginx-conf/keepalived/{name}.conf"))).unwrap()
}

/// `weir` in a folder that only root can change: keepalived runs scripts as root only from such a folder.
pub(crate) struct Scripts(TempDir);

impl Scripts {
    pub(crate) fn install() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-test-").tempdir_in("/var/lib");
        let scripts = Self(folder.expect("the tests install a script below /var/lib, which needs root"));
        fs::set_permissions(scripts.path(""), Permissions::from_mode(0o755)).unwrap();
        // `weir notify` creates its own folder in this one, with the umask that keepalived sets.
        let home = scripts.path("home");
        fs::create_dir(&home).unwrap();
        let user =
            User::from_name(USER).unwrap().unwrap_or_else(|| panic!("no user {USER}: run `make deps`"));
        chown(&home, Some(user.uid), Some(user.gid)).unwrap();
        fs::copy(products::weir(), scripts.path("weir")).unwrap();
        scripts
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns the sample with this folder instead of its own folders, and with another user for its scripts.
    pub(crate) fn rendered(&self, sample: &str, user: &str) -> String {
        let place = |name| self.path(name).display().to_string();
        let rendered = sample
            .replace(
                "/usr/bin/weir notify",
                &format!("/usr/bin/weir notify --state-dir {}", place("home/notify")),
            )
            .replace("/usr/bin/weir", &place("weir"))
            .replace("/etc/keepalived/drain", &place("drain"))
            .replace("/var/lib/weir-nginx", &place(""));
        rendered.replace("script_user weir", &format!("script_user {user}"))
    }
}

/// One machine of the pair.
pub(crate) struct Machine {
    pub keepalived: Keepalived,
    pub nginx: Nginx,
    pub scripts: Scripts,
    /// `a` or `b`.
    pub name: &'static str,
    /// The machine's own address.
    pub address: Ipv4Addr,
    pub space: Space,
}

/// Both machines, the platform that they push to, and the client.
pub(crate) struct Pair {
    pub machines: Vec<Machine>,
    /// A service that accepts pushed streams; it runs on the client's machine.
    platform: Nginx,
    pub lan: Lan,
}

impl Pair {
    /// Starts both machines with a sample, changed by `edit`; the first machine has the address before the second one starts.
    pub(crate) fn start(name: &str, edit: impl Fn(String) -> String, config: impl Fn() -> Config) -> Self {
        let lan = Lan::create(&[MACHINES[0].1, MACHINES[1].1, CLIENT]);
        let platform = Config::weir().with_api().app("in", "weir_publish open;").server("listen 1935;");
        let platform = lan.machine(2).inside(|| platform.start());
        let mut pair = Self { machines: Vec::new(), platform, lan };
        for (nth, (machine, address)) in MACHINES.into_iter().enumerate() {
            let scripts = Scripts::install();
            let space = pair.lan.machine(nth);
            let config = config().server("listen 1935;").http(&format!(
                "listen 8080; location = /healthz {{ return 204; }} location = /machine {{ return 200 {machine}; }}"
            ));
            let nginx = space.inside(|| config.start());
            if nginx.path("keys").exists() {
                // A machine pushes nothing before keepalived makes it active.
                let target = json!({ "app": "live", "stream": "show", "url": PLATFORM, "enabled": false });
                space.inside(|| nginx.api().post("/v1/targets", &target).expect(201));
            }
            let text = edit(scripts.rendered(&sample(name), USER));
            let keepalived = Keepalived::start(space, &scripts.path("keepalived"), machine, &text);
            let space = space.clone();
            pair.machines.push(Machine { keepalived, nginx, scripts, name: machine, address, space });
            pair.wait_answer("a", 10.0);
        }
        pair
    }

    /// Returns the network of the client.
    pub(crate) fn client(&self) -> &Space {
        self.lan.machine(2)
    }

    /// Asks once which machine answers at the address.
    fn answers(&self) -> Option<String> {
        const PATIENCE: Duration = Duration::from_millis(100);
        self.client().inside(|| {
            let mut socket = TcpStream::connect_timeout(&HTTP, PATIENCE).ok()?;
            socket.set_read_timeout(Some(PATIENCE)).ok()?;
            socket.write_all(b"GET /machine HTTP/1.0\r\n\r\n").ok()?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).ok()?;
            answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
        })
    }

    /// Waits until this machine answers at the address, and returns how long that took.
    #[track_caller]
    pub(crate) fn wait_answer(&self, machine: &str, seconds: f64) -> Duration {
        let begin = Instant::now();
        if until_ok(seconds, || self.answers().as_deref() == Some(machine)).is_none() {
            let logs: Vec<_> = self.machines.iter().map(|machine| machine.keepalived.log()).collect();
            panic!("{machine} has not answered for {seconds} s:\n{}", logs.join("\n---\n"));
        }
        begin.elapsed()
    }

    /// Returns which machine answers; a busy machine may need more than one attempt.
    #[track_caller]
    pub(crate) fn who_answers(&self) -> String {
        until("somebody answers", 5.0, || self.answers())
    }

    /// Waits until the platform has the stream from this machine.
    #[track_caller]
    pub(crate) fn wait_pushed(&self, from: usize) {
        let from = self.machines[from].address.to_string();
        until(&format!("{from} pushes the stream"), 20.0, || {
            let stream = self.client().inside(|| self.platform.api().get("/v1/streams/in/show"));
            stream.json["publisher"]["addr"].as_str() == Some(&from)
        });
    }

    /// Waits until the other machine has the address. Returns how long keepalived took to notice the fault of this one, and how long the
    /// change took from then on.
    #[track_caller]
    pub(crate) fn wait_change(&self, from: usize) -> (Duration, Duration) {
        let begin = Instant::now();
        let (here, there) = (&self.machines[from], &self.machines[1 - from]);
        until("keepalived sees it", 10.0, || here.keepalived.count("Entering FAULT STATE") > 0);
        let seen = begin.elapsed();
        (seen, self.wait_answer(there.name, 10.0))
    }
}

impl Machine {
    /// Returns whether the push target is enabled.
    pub(crate) fn pushes(&self) -> Option<bool> {
        let answer = self.space.inside(|| self.nginx.api().get("/v1/targets"));
        answer.json["targets"][0]["enabled"].as_bool()
    }

    /// Kills nginx with all its workers together, as a machine without memory would.
    pub(crate) fn kill_nginx(&self) {
        let workers = self.nginx.workers();
        // The master is first, or it would start another worker, which would then continue to serve.
        self.nginx.master().signal(Signal::SIGKILL);
        for worker in workers {
            worker.signal(Signal::SIGKILL);
        }
    }

    /// Stops the workers: the kernel still accepts connections, but no process answers on them. The workers continue when the guard is
    /// dropped.
    pub(crate) fn silence_nginx(&self) -> Silent {
        let silent = Silent(self.nginx.workers());
        for worker in &silent.0 {
            worker.signal(Signal::SIGSTOP);
        }
        silent
    }
}

/// Stopped workers.
pub(crate) struct Silent(Vec<Process>);

impl Drop for Silent {
    fn drop(&mut self) {
        for worker in &self.0 {
            worker.signal(Signal::SIGCONT);
        }
    }
}
