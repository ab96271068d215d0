//! The configuration of an nginx.

use std::fmt::Write;
use std::path::PathBuf;

use super::Place;
use crate::harness::written::temporary_paths;
use crate::harness::{Netns, products};

/// An nginx configuration in parts. In each part `@DIR@`, `@RTMP@` and `@HTTP@` mean folder and ports.
#[derive(Debug, Clone)]
pub struct Config {
    /// The modules to load, in order.
    pub modules: Vec<PathBuf>,
    /// `worker_processes`.
    pub workers: usize,
    /// `worker_connections`.
    pub connections: usize,
    /// `master_process`.
    pub master: bool,
    /// Whether nginx runs in the background, as under a service manager, which an upgrade of the binary needs.
    pub daemon: bool,
    /// The level of the error log.
    pub log_level: String,
    /// The user of the workers.
    pub user: String,
    /// Directives of the main level.
    pub main: String,
    /// Directives of `rtmp`, outside of its one server.
    pub rtmp: String,
    /// Directives of the RTMP server: applications.
    pub server: String,
    /// Directives of `http`, outside of its one server.
    pub web: String,
    /// Directives of the HTTP server: locations.
    pub http: String,
    /// A whole file that replaces all parts.
    pub whole: Option<String>,
    /// Additional files in the folder, by name and content.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Config {
    /// Returns nginx with nginx-rtmp only.
    pub fn stock() -> Self {
        Self {
            modules: vec![products::nginx_rtmp()],
            workers: 1,
            connections: 512,
            master: true,
            daemon: false,
            log_level: "info".to_owned(),
            user: "root".to_owned(),
            main: String::new(),
            rtmp: String::new(),
            server: String::new(),
            web: String::new(),
            http: String::new(),
            whole: None,
            files: Vec::new(),
        }
    }

    /// Returns nginx with nginx-rtmp, then Weir's module.
    pub fn weir() -> Self {
        let mut config = Self::stock();
        config.modules.push(products::module());
        config
    }

    /// Uses a whole file unchanged, except for `@DIR@`, `@RTMP@` and `@HTTP@`.
    pub fn whole(text: &str) -> Self {
        Self { whole: Some(text.to_owned()), ..Self::weir() }
    }

    /// Sets the number of workers.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Sets the number of connections per worker, and the number of open files for them.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self.main(&format!("worker_rlimit_nofile {};", connections + 512))
    }

    /// Adds directives at the main level.
    pub fn main(mut self, text: &str) -> Self {
        self.main += text;
        self.main.push('\n');
        self
    }

    /// Adds directives to `rtmp`.
    pub fn rtmp(mut self, text: &str) -> Self {
        self.rtmp += text;
        self.rtmp.push('\n');
        self
    }

    /// Adds directives to the RTMP server.
    pub fn server(mut self, text: &str) -> Self {
        self.server += text;
        self.server.push('\n');
        self
    }

    /// Listens for RTMP on the cable of another network, too.
    pub fn reached_from(self, net: &Netns) -> Self {
        self.server(&format!("listen {}:@RTMP@;", net.host()))
    }

    /// Adds a live application with these directives.
    pub fn app(self, name: &str, text: &str) -> Self {
        self.server(&format!("application {name} {{ live on; {text} }}"))
    }

    /// Adds directives to `http`.
    pub fn web(mut self, text: &str) -> Self {
        self.web += text;
        self.web.push('\n');
        self
    }

    /// Adds directives to the HTTP server.
    pub fn http(mut self, text: &str) -> Self {
        self.http += text;
        self.http.push('\n');
        self
    }

    /// Adds a zone without a file, and the API below `/api`.
    pub fn with_api(self) -> Self {
        self.main("weir_zone 2m;").http("location /api { weir_api; }")
    }

    /// Adds a file to the folder before nginx starts.
    pub fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((name.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// Returns the whole file.
    pub(super) fn text(&self, place: &Place) -> String {
        let mut text = String::new();
        for module in &self.modules {
            writeln!(text, "load_module {};", module.display()).unwrap();
        }
        let on = |flag| if flag { "on" } else { "off" };
        write!(
            text,
            "user {};\nworker_processes {};\nmaster_process {};\ndaemon {};\n\
             pid @DIR@/nginx.pid;\nerror_log @DIR@/error.log {};\n{}\
             events {{ worker_connections {}; }}\n\
             rtmp {{\n{}server {{\nlisten 127.0.0.1:@RTMP@;\n{}}}\n}}\n\
             http {{\naccess_log off;\n{}{}server {{\nlisten 127.0.0.1:@HTTP@;\n{}}}\n}}\n",
            self.user,
            self.workers,
            on(self.master),
            on(self.daemon),
            self.log_level,
            self.main,
            self.connections,
            self.rtmp,
            self.server,
            temporary_paths(),
            self.web,
            self.http,
        )
        .unwrap();
        if let Some(whole) = &self.whole {
            text.clone_from(whole);
        }
        text.replace("@DIR@", &place.folder.path().to_string_lossy())
            .replace("@RTMP@", &place.rtmp.number().to_string())
            .replace("@HTTP@", &place.http.number().to_string())
    }
}
