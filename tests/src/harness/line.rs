//! A long and narrow line to another machine: a rate and a round trip, which Debian's kernel could give with netem, and others not.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use super::Netns;
use super::netns::ip;

/// The line; it ends when dropped. Besides the cable of the namespace, it is the only way there.
pub struct Line {
    net: Netns,
    child: Child,
}

impl Line {
    /// Lays a line of this many kbit per second and this round trip in milliseconds to a namespace.
    #[track_caller]
    pub fn lay(net: &Netns, kbit: u32, round_trip: u32) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/harness/line.py");
        let (here, there) = (format!("{}a", net.name()), format!("{}b", net.name()));
        let mut child = Command::new("/usr/bin/python3")
            .args([script, &here, &there, &kbit.to_string(), &round_trip.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let line = Self { net: net.clone(), child };
        assert_eq!(said, "ready\n", "TUN interfaces need root and /dev/net/tun");
        ip(&format!("link set {there} netns {}", net.path()));
        ip(&format!("address add {}/24 dev {here}", line.here()));
        ip(&format!("link set {here} up"));
        net.inside(|| {
            ip(&format!("address add {}/24 dev {there}", line.there()));
            ip(&format!("link set {there} up"));
        });
        line
    }

    /// Returns the address of this machine on the line.
    pub fn here(&self) -> Ipv4Addr {
        self.address(254)
    }

    /// Returns the address of the namespace on the line.
    pub fn there(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// Out of the other half of 198.18.0.0/15.
    fn address(&self, nth: u8) -> Ipv4Addr {
        let [_, _, number, _] = self.net.host().octets();
        Ipv4Addr::new(198, 19, number, nth)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
