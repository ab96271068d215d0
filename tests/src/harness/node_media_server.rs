//! A server that others wrote: node-media-server, as `make test` puts it into `build/rtmp-server`.

use std::fs::File;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ports::Port;
use super::process::Process;
use super::{files, products, wait};

/// A running server; killed when dropped.
pub struct NodeMediaServer {
    child: Child,
    port: Port,
    http: Port,
    folder: TempDir,
}

impl NodeMediaServer {
    /// Starts it.
    #[track_caller]
    pub fn start() -> Self {
        let place = products::workspace().join("build/rtmp-server");
        let program = products::tool(&place.join("bin/node").to_string_lossy());
        let (port, http, folder) = (Port::reserve(), Port::reserve(), tempfile::tempdir().unwrap());
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .arg(place.join("serve.js"))
            .args([port.number(), http.number()].map(|number| number.to_string()))
            .arg(folder.path().join("store"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { child, port, http, folder };
        let up = wait::until_ok(60.0, || TcpStream::connect(("127.0.0.1", server.port.number())).is_ok());
        assert!(up.is_some(), "no RTMP server:\n{}", server.log());
        server
    }

    /// The process.
    pub fn process(&self) -> Process {
        Process(self.child.id().cast_signed())
    }

    /// The port of RTMP.
    pub fn rtmp(&self) -> u16 {
        self.port.number()
    }

    /// The port of HTTP and WebSocket.
    pub fn http(&self) -> u16 {
        self.http.number()
    }

    /// The URL of a stream there.
    pub fn url(&self, path: &str) -> String {
        format!("rtmp://127.0.0.1:{}/{path}", self.port.number())
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        files::text(&self.folder.path().join("log"))
    }

    /// How many publishers of this stream there have been, and how many of them have gone.
    pub fn publishers(&self, path: &str) -> (usize, usize) {
        let log = self.log();
        let ids: Vec<_> = log
            .lines()
            .filter(|line| line.ends_with(&format!("start push /{path}")))
            .filter_map(|line| line.split("RTMP session ").nth(1)?.split(' ').next())
            .collect();
        let gone = |id: &&&str| log.lines().any(|line| line.ends_with(&format!("RTMP session {id} close")));
        (ids.len(), ids.iter().filter(gone).count())
    }
}

impl Drop for NodeMediaServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
