//! etcd on the machine of the players: the table of edges of both origins.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use weir_tests::harness::{Space, until};

/// Lines of `[cluster]` for the daemons that use it.
pub(super) fn settings(address: Ipv4Addr) -> String {
    format!("store = \"etcd\"\netcd = [\"http://{address}:2379\"]\n")
}

/// A running etcd, or one that was killed; killed when dropped.
pub(super) struct Etcd {
    folder: TempDir,
    space: Space,
    address: Ipv4Addr,
    child: Option<Child>,
}

impl Etcd {
    pub(super) fn start(space: &Space, address: Ipv4Addr) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-etcd-").tempdir().unwrap();
        let mut etcd = Self { folder, space: space.clone(), address, child: None };
        etcd.start_again();
        etcd
    }

    /// Starts it with the data that it had.
    pub(super) fn start_again(&mut self) {
        let (client, peer) =
            (format!("http://{}:2379", self.address), format!("http://{}:2380", self.address));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.folder.path().join("data"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = self.space.inside(|| command.spawn());
        self.child = Some(child.expect("etcd is missing: run `make deps`"));
        let place = std::net::SocketAddr::from((self.address, 2379));
        until("etcd listens", 20.0, || self.space.inside(|| std::net::TcpStream::connect(place).is_ok()));
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}
