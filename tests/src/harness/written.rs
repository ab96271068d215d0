//! The files of `weir init` as an admin would install them: only folders and ports are changed for this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::nginx::Config;
use super::ports::Port;
use super::{Nginx, Sidecar, files, products};

/// The files of a role.
pub struct Written {
    folder: TempDir,
    ports: Ports,
}

/// Ports for viewers, for RTMP and for the pages of the daemon.
#[derive(Clone, Copy)]
struct Numbers {
    http: u16,
    rtmp: u16,
    web: u16,
}

enum Ports {
    /// Ports of this machine, which no other test uses.
    Reserved([Port; 3]),
    /// The ports of the samples, in a network namespace of its own.
    Usual,
}

impl Written {
    /// Runs `weir init` with these arguments, separate ports, and a folder; `@HTTP@` means the port.
    #[track_caller]
    pub fn init(words: &[&str]) -> Self {
        Self::with(Ports::Reserved([Port::reserve(), Port::reserve(), Port::reserve()]), words)
    }

    /// The same with the usual ports, for a machine with a network namespace of its own.
    #[track_caller]
    pub fn init_machine(words: &[&str]) -> Self {
        Self::with(Ports::Usual, words)
    }

    #[track_caller]
    fn with(ports: Ports, words: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-init-").tempdir().unwrap();
        let written = Self { folder, ports };
        let output = written.again(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        for name in ["log", "lib", "state", "state/hls", "state/dash", "cache"] {
            fs::create_dir(written.path(name)).unwrap();
        }
        written
    }

    /// Runs it again into the same folder.
    pub fn again(&self, words: &[&str]) -> Output {
        let Numbers { http, rtmp, .. } = self.numbers();
        let (http, rtmp) = (http.to_string(), rtmp.to_string());
        let words = words.iter().map(|word| word.replace("@HTTP@", &http));
        let ports = ["--http-port", &http, "--rtmp-port", &rtmp];
        let mut command = Command::new(products::weir());
        command.arg("init").args(words).args(ports).arg("--dir").arg(self.folder.path());
        command.stdin(std::process::Stdio::null()).output().unwrap()
    }

    fn numbers(&self) -> Numbers {
        match &self.ports {
            Ports::Reserved([http, rtmp, web]) => {
                Numbers { http: http.number(), rtmp: rtmp.number(), web: web.number() }
            }
            Ports::Usual => Numbers { http: 8080, rtmp: 1935, web: 8090 },
        }
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the address of its nginx for viewers.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.numbers().http)
    }

    /// The port of its RTMP.
    pub fn rtmp(&self) -> u16 {
        self.numbers().rtmp
    }

    /// Returns a file with this machine's folders.
    pub fn text(&self, name: &str) -> String {
        let place = |name: &str| self.path(name).display().to_string();
        let modules: String = [products::nginx_rtmp(), products::module()]
            .iter()
            .map(|module| format!("load_module {};\n", module.display()))
            .collect();
        files::text(&self.path(name))
            .replace("include /etc/nginx/modules-enabled/*.conf;", &modules)
            // Not every container may raise the limit.
            .replace("worker_rlimit_nofile 65536;\n", "")
            .replace("user www-data;", "user root;\ndaemon off;")
            .replace("pid /run/nginx.pid;", "pid @DIR@/nginx.pid;")
            .replace("/var/log/nginx/error.log notice", "@DIR@/error.log info")
            .replace("/etc/nginx/weir.secret", &place("weir.secret"))
            .replace("/etc/weir/secret", &place("weir.secret"))
            .replace("/etc/weir/cluster.secret", &place("cluster.secret"))
            .replace("/etc/weir/pair.secret", &place("pair.secret"))
            .replace("/var/lib/weir/upstream.conf", &place("upstream.conf"))
            .replace("/var/lib/weir-nginx", &place("state"))
            .replace("/var/cache/nginx", &place("cache"))
            .replace("/var/log/nginx", &place("log"))
            .replace("/srv/weir/www", &place("www"))
            .replace("http://127.0.0.1:8090", &format!("http://127.0.0.1:{}", self.numbers().web))
            .replace("http {\n", &format!("http {{\n{}", temporary_paths()))
    }

    /// Starts nginx with its nginx.conf, which listens on the tests' ports in addition to its own.
    #[track_caller]
    pub fn start_nginx(&self) -> Nginx {
        let Numbers { http, rtmp, .. } = self.numbers();
        let at = match self.ports {
            Ports::Reserved(_) => "127.0.0.1:",
            Ports::Usual => "",
        };
        let text = self
            .text("nginx.conf")
            .replace("worker_processes auto;", "worker_processes 1;")
            .replace("listen 127.0.0.1:", "listen ")
            .replace(&format!("listen {http};"), &format!("listen {at}{http}; listen 127.0.0.1:@HTTP@;"))
            .replace(&format!("listen {rtmp};"), &format!("listen {at}{rtmp}; listen 127.0.0.1:@RTMP@;"))
            .replace("/var/lib/weir/", &format!("{}/", self.path("lib").display()));
        Config::whole(&text).start()
    }

    /// Starts `weir serve` with its weir.toml.
    #[track_caller]
    pub fn start_daemon(&self, nginx: &Nginx) -> Sidecar {
        self.start_daemon_of(nginx, "weir.toml", None)
    }

    /// The same with another file and, optionally, with a clock that differs, such as `+10s`.
    #[track_caller]
    pub fn start_daemon_of(&self, nginx: &Nginx, name: &str, clock: Option<&'static str>) -> Sidecar {
        Sidecar::start_whole_at(nginx, self.numbers().web, &self.daemon(name), clock)
    }

    /// Returns a weir.toml with this machine's folders.
    pub fn daemon(&self, name: &str) -> String {
        self.text(name).replace("/var/lib/weir/", &format!("{}/", self.path("lib").display()))
    }

    /// `weir check node --all` of the running node: the exit status and the lines.
    pub fn check(&self, daemon: &Sidecar) -> (i32, String) {
        let output = Command::new(products::weir())
            .args(["check", "node", "--all", "--disk", "/", "--min-free", "1m", "--conf", "/nonexistent"])
            .arg("--config")
            .arg(daemon.configuration())
            .arg("--socket")
            .arg(daemon.socket())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    }

    /// `weir doctor` of the running node: the exit status and the lines.
    pub fn doctor(&self, nginx: &Nginx, config: &Path, socket: &Path) -> (i32, String) {
        let mut command = Command::new(products::weir());
        command
            .args(["doctor", "--nginx"])
            .arg(products::nginx())
            .arg("--conf")
            .arg(nginx.path("nginx.conf"));
        command.arg("--config").arg(config).arg("--socket").arg(socket);
        let output = command.args(["--api", &self.url("/api")]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The permission bits of a file.
    pub fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }
}

/// Runs `nginx -t` on a text. Returns whether nginx accepts it, and the output.
pub fn try_nginx(folder: &Path, text: &str) -> (bool, String) {
    let path = folder.join("try.conf");
    fs::write(&path, text.replace("@DIR@", &folder.display().to_string())).unwrap();
    let mut command = Command::new(products::nginx());
    let output = command.arg("-t").arg("-p").arg(folder).arg("-c").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success() && !said.contains("[emerg]"), said)
}

/// Folders that Debian's nginx needs.
pub fn temporary_paths() -> String {
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path @DIR@/temporary;\n"))
        .collect()
}
