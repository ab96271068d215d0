//! A network of several machines: network namespaces on one bridge, separate from this machine's network. Needs root.
//!
//! The namespaces have no name in any folder: the kernel removes each with its last user.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns, unshare};

use super::products;

/// The name of a machine's network interface.
pub const INTERFACE: &str = "eth0";

/// One network namespace. Clones refer to the same one.
#[derive(Debug, Clone)]
pub struct Space(Arc<File>);

impl Space {
    /// Creates a namespace with loopback only.
    #[track_caller]
    pub fn create() -> Self {
        let space = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("the tests make network namespaces, which needs root");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let space = Self(Arc::new(space.join().unwrap()));
        space.ip("link set lo up");
        space
    }

    /// Runs `work` in the namespace: its sockets, threads and processes stay there.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let outcome = std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(&*self.0, CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            thread.join()
        });
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs `ip` in the namespace, and returns its output.
    #[track_caller]
    pub fn ip(&self, arguments: &str) -> String {
        self.run("/usr/sbin/ip", arguments)
    }

    /// Loses this percentage of the packets that arrive in the namespace, but none of its own loopback. The namespace can still send.
    #[track_caller]
    pub fn lose(&self, percent: u32) {
        self.nft("add table inet loss");
        self.nft("add chain inet loss in { type filter hook input priority 0; }");
        self.nft(&format!("add rule inet loss in iif != lo numgen random mod 100 < {percent} drop"));
    }

    /// Ends [`lose`](Self::lose).
    #[track_caller]
    pub fn lose_nothing(&self) {
        self.nft("delete table inet loss");
    }

    #[track_caller]
    fn nft(&self, line: &str) {
        self.run("/usr/sbin/nft", line);
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &str) -> String {
        let output = self
            .inside(|| Command::new(products::tool(program)).args(arguments.split(' ')).output().unwrap());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// The machines and their bridge.
#[derive(Debug)]
pub struct Lan {
    switch: Space,
    machines: Vec<Space>,
}

impl Lan {
    /// Creates a machine for each address, in one network of 256 addresses.
    #[track_caller]
    pub fn create(addresses: &[Ipv4Addr]) -> Self {
        let switch = Space::create();
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 up");
        let machine = |(nth, address): (usize, &Ipv4Addr)| {
            let machine = Space::create();
            let place = format!("/proc/{}/fd/{}", std::process::id(), machine.0.as_raw_fd());
            switch.ip(&format!("link add port{nth} type veth peer name {INTERFACE} netns {place}"));
            switch.ip(&format!("link set port{nth} master br0 up"));
            machine.ip(&format!("address add {address}/24 dev {INTERFACE}"));
            machine.ip(&format!("link set {INTERFACE} up"));
            machine
        };
        let machines = addresses.iter().enumerate().map(machine).collect();
        Self { switch, machines }
    }

    /// Cuts a machine off. Its packets are lost, but unlike with a pulled cable, the machine is not notified.
    pub fn cut_off(&self, nth: usize) {
        self.switch.ip(&format!("link set port{nth} nomaster"));
    }

    /// Reconnects the machine.
    pub fn reconnect(&self, nth: usize) {
        self.switch.ip(&format!("link set port{nth} master br0"));
    }

    /// Returns the machine with the address at this position of the list.
    pub fn machine(&self, nth: usize) -> &Space {
        &self.machines[nth]
    }
}
