//! Another machine's network at the other end of a cable that can be pulled. Needs root.
//!
//! Loopback is trusted with more than a stranger is, and never loses a packet. The namespace has no name in any folder: it is
//! gone with the last who holds it, also when a test is killed.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns, unshare};

use super::{clients, ports, products};

/// Out of 198.18.0.0/15, which is set aside for such tests (RFC 2544): one of these for each namespace.
const NETWORKS: u8 = 200;
/// The name of the other side's network interface.
const INSIDE: &str = "eth0";

/// A network namespace that reaches this machine by one cable. Clones refer to the same one.
#[derive(Debug, Clone)]
pub struct Netns(Arc<Space>);

#[derive(Debug)]
struct Space {
    space: File,
    number: u8,
    _lock: File,
}

impl Netns {
    /// Creates a namespace with its cable plugged in.
    #[track_caller]
    pub fn create() -> Self {
        let (number, lock) = reserve();
        let space = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("the tests make network namespaces, which needs root");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let net = Self(Arc::new(Space { space: space.join().unwrap(), number, _lock: lock }));
        let (outside, host) = (net.0.outside(), net.host());
        ip(&format!("link add {outside} type veth peer name {INSIDE} netns {}", net.path()));
        ip(&format!("address add {host}/24 dev {outside}"));
        ip(&format!("link set {outside} up"));
        net.inside(|| {
            ip("link set lo up");
            ip(&format!("address add {}/24 dev {INSIDE}", net.address(1)));
            // All addresses of the lower half belong to it.
            ip(&format!("route add local {}/25 dev lo", net.address(0)));
            ip(&format!("link set {INSIDE} up"));
        });
        net
    }

    /// Returns the namespace for programs, as a path.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&self.0.space))
    }

    /// Returns the name of this machine's end of the cable, which no other namespace has.
    pub(super) fn name(&self) -> String {
        self.0.outside()
    }

    /// Returns the address of this machine's end of the cable: servers listen on it, and the other side connects to it.
    pub fn host(&self) -> Ipv4Addr {
        self.address(254)
    }

    /// Returns an address of the other side, from 1 to 126.
    pub fn address(&self, nth: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.0.number, nth)
    }

    /// Runs `work` in the namespace: its sockets and processes stay there.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let space = &self.0.space;
        let outcome = std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(space, CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            thread.join()
        });
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Connects to a port of this machine from address `nth` of the other side.
    pub fn connect(&self, nth: u8, port: u16) -> std::io::Result<TcpStream> {
        let to = SocketAddr::from((self.host(), port));
        self.inside(|| clients::connect(to, Some(IpAddr::V4(self.address(nth)))))
    }

    /// Pulls the cable; no process is notified.
    pub fn pull(&self) {
        self.inside(|| ip(&format!("link set {INSIDE} down")));
    }

    /// Limits the rate to the other side to this many kbit/s; without a number, removes the limit.
    pub fn limit(&self, rate: Option<u32>) {
        let device = self.0.outside();
        let line = match rate {
            Some(rate) => {
                format!("qdisc replace dev {device} root tbf rate {rate}kbit burst 8kb latency 200ms")
            }
            None => format!("qdisc del dev {device} root"),
        };
        let output = Command::new(products::tool("/usr/sbin/tc")).args(line.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tc {line}: {said}");
    }

    /// Plugs it in again.
    pub fn plug(&self) {
        self.inside(|| ip(&format!("link set {INSIDE} up")));
    }
}

impl Space {
    fn outside(&self) -> String {
        format!("weir{}", self.number)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // The kernel removes an unused namespace only later, but the name of this end must be free immediately.
        let _ = Command::new(products::tool("/usr/sbin/ip")).args(["link", "del", &self.outside()]).status();
    }
}

/// Returns a network that no other test uses.
fn reserve() -> (u8, File) {
    let folder = ports::shared_folder().join("networks");
    std::fs::create_dir_all(&folder).unwrap();
    let free = (0..NETWORKS).find_map(|number| {
        let lock = File::create(folder.join(number.to_string())).unwrap();
        lock.try_lock().ok()?;
        // A killed test may have left the interface to the kernel, which has not removed it yet.
        let taken = std::path::Path::new(&format!("/sys/class/net/weir{number}")).exists();
        (!taken).then_some((number, lock))
    });
    free.expect("a free network")
}

#[track_caller]
pub(super) fn ip(arguments: &str) {
    let output = Command::new(products::tool("/usr/sbin/ip")).args(arguments.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
}
