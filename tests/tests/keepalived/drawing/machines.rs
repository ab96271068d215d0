//! The machines of the drawing, with the files that `weir init` writes for each. The daemons of the second origin and of the second edge
//! have a clock that is 10 seconds ahead.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;
use weir_tests::harness::written::Written;
use weir_tests::harness::{Keepalived, Lan, Nginx, Sidecar, SlowDisk, Space, Tmpfs, files, products};

use super::etcd::{self, Etcd};
use crate::pair::Scripts;

/// Address of the origins, and of the load balancers.
pub(super) const ORIGIN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub(super) const BALANCER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
/// The machines: two origins, two load balancers, three edges. The machine of the players is the last.
const MACHINES: [u8; 8] = [11, 12, 21, 22, 31, 32, 33, 1];
const PLAYERS: usize = MACHINES.len() - 1;
/// Address of etcd, on the machine of the players.
const ETCD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const EDGES: usize = 3;
const AHEAD: &str = "+10s";
/// Size of the disk of the last edge.
const DISK_KB: usize = 4096;

/// One machine. `keepalived` is `None` for edges.
pub(super) struct Machine {
    pub(super) keepalived: Option<Keepalived>,
    pub(super) daemon: Sidecar,
    pub(super) nginx: Nginx,
    pub(super) space: Space,
    /// Position in the network.
    pub(super) nth: usize,
    written: Written,
    _scripts: Option<Scripts>,
}

/// All machines and their network.
pub(super) struct Machines {
    pub(super) origins: Vec<Machine>,
    pub(super) balancers: Vec<Machine>,
    pub(super) edges: Vec<Machine>,
    /// The table of edges of both origins.
    pub(super) etcd: Etcd,
    /// Disks of the second and of the last edge: logs of nginx, and the history of the daemon.
    pub(super) slow: SlowDisk,
    pub(super) small: Tmpfs,
    pub(super) lan: Lan,
}

impl Machines {
    pub(super) fn start() -> Self {
        let lan = Lan::create(&MACHINES.map(|last| Ipv4Addr::new(192, 0, 2, last)));
        let etcd = Etcd::start(lan.machine(PLAYERS), ETCD);
        let origins = origins(&lan);
        let secrets =
            ["--cluster-secret".to_owned(), origins[0].written.path("cluster.secret").display().to_string()];
        let balancers = balancers(&lan, &secrets);
        let (slow, small) = (SlowDisk::mount(), Tmpfs::mount(DISK_KB));
        let disks = [None, Some(slow.path()), Some(small.path().to_owned())];
        let edge = |(nth, disk)| start_edge(&lan, nth, &secrets, disk);
        let edges = disks.into_iter().enumerate().map(edge).collect();
        Self { origins, balancers, edges, etcd, slow, small, lan }
    }

    /// Returns the network of the players and encoders.
    pub(super) fn players(&self) -> &Space {
        self.lan.machine(PLAYERS)
    }

    /// Returns the origin that has the address.
    pub(super) fn active_origin(&self) -> Option<usize> {
        active(&self.origins, ORIGIN)
    }

    /// Returns the load balancer that has the address.
    pub(super) fn active_balancer(&self) -> Option<usize> {
        active(&self.balancers, BALANCER)
    }

    /// Returns names and states of the edges in the table of the active origin, or of the load balancer at this position.
    pub(super) fn listed(&self, balancer: Option<usize>) -> Vec<String> {
        let machine = match balancer {
            Some(nth) => &self.balancers[nth],
            None => match self.active_origin() {
                Some(nth) => &self.origins[nth],
                None => return Vec::new(),
            },
        };
        let (status, text, _) = machine.daemon.command(&["edge", "list", "--json"]);
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let edges = answer["edges"].as_array().filter(|_| status == 0).cloned().unwrap_or_default();
        let word = |edge: &Value, name: &str| edge[name].as_str().unwrap_or_default().to_owned();
        edges.iter().map(|edge| format!("{} {}", word(edge, "id"), word(edge, "state"))).collect()
    }

    /// Returns whether each origin uses its last known table, because etcd does not answer, or whether none does.
    pub(super) fn are_stale(&self, stale: bool) -> bool {
        self.origins.iter().all(|machine| {
            let (_, text, _) = machine.daemon.command(&["edge", "list", "--json"]);
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            answer["edges"].is_array() && answer["stale"].is_string() == stale
        })
    }

    /// Returns the edge with the most viewers of HLS.
    pub(super) fn busiest(&self) -> usize {
        (0..EDGES).max_by_key(|nth| self.edges[*nth].viewers()).unwrap()
    }

    /// Returns the names of the publishers' streams at both origins, sorted.
    pub(super) fn published(&self) -> Vec<String> {
        let mut names: Vec<String> = self.origins.iter().flat_map(Machine::streams).collect();
        names.sort();
        names
    }
}

/// Returns the one machine that has the address; `None` if it is none or both.
fn active(pair: &[Machine], address: Ipv4Addr) -> Option<usize> {
    let mut with = (0..pair.len()).filter(|nth| pair[*nth].has(address));
    with.next().filter(|_| with.next().is_none())
}

impl Machine {
    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        self.space.ip("-4 -o address show dev eth0").contains(&format!(" {address}/"))
    }

    /// Returns the names of the live streams.
    pub(super) fn streams(&self) -> Vec<String> {
        let answer = self.space.inside(|| self.nginx.api().get("/v1/streams"));
        let streams = answer.json["streams"].as_array().cloned().unwrap_or_default();
        streams.iter().map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the file in which nginx has its upstream servers.
    pub(super) fn upstreams(&self) -> String {
        files::text(&self.written.path("upstream.conf"))
    }

    /// Returns the number of viewers of HLS.
    pub(super) fn viewers(&self) -> u64 {
        let answer = self.space.inside(|| self.nginx.api().get("/v1/streams"));
        let streams = answer.json["streams"].as_array().cloned().unwrap_or_default();
        streams.iter().filter_map(|stream| stream["viewers"]["llhls"].as_u64()).sum()
    }

    pub(super) fn start_daemon_again(&mut self) {
        let (space, daemon) = (&self.space, &mut self.daemon);
        space.inside(|| daemon.start_again());
    }
}

fn origins(lan: &Lan) -> Vec<Machine> {
    let url = format!("http://{ORIGIN}:8080");
    let pair = ["--virtual-ip", "192.0.2.10", "--machine-a", "192.0.2.11", "--machine-b", "192.0.2.12"];
    let words = [&["origin", "--url", &url], &pair[..]].concat();
    let a = Written::init_machine(&words);
    let place = |name: &str| a.path(name).display().to_string();
    let (secret, cluster) = (place("weir.secret"), place("cluster.secret"));
    let b =
        Written::init_machine(&[&words[..], &["--secret", &secret, "--cluster-secret", &cluster]].concat());
    fs::copy(a.path("pair.secret"), b.path("pair.secret")).unwrap();
    // The defaults of these files are folders of this machine.
    let own = format!("[cluster]\npair_file = \"/var/lib/weir/pair.db\"\n{}", etcd::settings(ETCD));
    for (written, name) in [(&a, "weir-a.toml"), (&b, "weir-b.toml")] {
        let text = files::text(&written.path(name)).replace("[cluster]\n", &own);
        let text = text.replace("[web]\n", "[web]\nadmins_file = \"/var/lib/weir/admins\"\n");
        fs::write(written.path(name), text).unwrap();
    }
    let start = |(nth, written): (usize, Written)| {
        let (name, clock) = [("a", None), ("b", Some(AHEAD))][nth];
        let space = lan.machine(nth).clone();
        let (nginx, daemon) = space.inside(|| {
            let nginx = written.start_nginx();
            let daemon = written.start_daemon_of(&nginx, &format!("weir-{name}.toml"), clock);
            (nginx, daemon)
        });
        with_keepalived(
            Machine { keepalived: None, daemon, nginx, space, nth, written, _scripts: None },
            name,
        )
    };
    [a, b].into_iter().enumerate().map(start).collect()
}

fn balancers(lan: &Lan, secrets: &[String; 2]) -> Vec<Machine> {
    let pair = ["--virtual-ip", "192.0.2.20", "--machine-a", "192.0.2.21", "--machine-b", "192.0.2.22"];
    let start = |(nth, name): (usize, &'static str)| {
        let written =
            Written::init_machine(&[&["loadbalancer", &secrets[0], &secrets[1]], &pair[..]].concat());
        let space = lan.machine(2 + nth).clone();
        let nginx = space.inside(|| written.start_nginx());
        // systemd would reload nginx.
        let (program, folder) = (products::nginx(), nginx.folder().display());
        let words = |more: &str| {
            format!(
                "[\"{}\", \"-p\", \"{folder}\", \"-e\", \"{folder}/told.log\", \"-c\", \"{folder}/nginx.conf\", {more}]",
                program.display()
            )
        };
        let text = files::text(&written.path("weir.toml"))
            .replace("test = [\"true\"]", &format!("test = {}", words("\"-t\"")))
            .replace("reload = [\"true\"]", &format!("reload = {}", words("\"-s\", \"reload\"")));
        fs::write(written.path("weir.toml"), text).unwrap();
        let daemon = space.inside(|| written.start_daemon(&nginx));
        let machine =
            Machine { keepalived: None, daemon, nginx, space, nth: 2 + nth, written, _scripts: None };
        with_keepalived(machine, name)
    };
    ["a", "b"].into_iter().enumerate().map(start).collect()
}

fn with_keepalived(mut machine: Machine, name: &str) -> Machine {
    let scripts = Scripts::install();
    let text = scripts.rendered(&files::text(&machine.written.path("keepalived.conf")), "www-data");
    machine.keepalived = Some(Keepalived::start(&machine.space, &scripts.path("keepalived"), name, &text));
    machine._scripts = Some(scripts);
    machine
}

fn start_edge(lan: &Lan, nth: usize, secrets: &[String; 2], disk: Option<PathBuf>) -> Machine {
    let (origin, address) = (format!("http://{ORIGIN}:8080/tv"), format!("http://192.0.2.{}:8080", 31 + nth));
    let own =
        ["edge", "--origin", &origin, "--address", &address, "--bandwidth", "1g", &secrets[0], &secrets[1]];
    let written = Written::init_machine(&own);
    if let Some(disk) = &disk {
        fs::remove_dir(written.path("log")).unwrap();
        symlink(disk, written.path("log")).unwrap();
    }
    let history = match &disk {
        Some(disk) => format!("\n[history]\nfile = \"{}/history.db\"\n", disk.display()),
        None => String::new(),
    };
    let everyone =
        format!("origin = [\"{origin}\", \"http://192.0.2.21:8080/tv\", \"http://192.0.2.22:8080/tv\"]");
    let text = files::text(&written.path("weir.toml")).replace(&format!("origin = \"{origin}\""), &everyone);
    fs::write(written.path("weir.toml"), text + &history).unwrap();
    let nth = 4 + nth;
    let space = lan.machine(nth).clone();
    let clock = (nth == 5).then_some(AHEAD);
    let (nginx, daemon) = space.inside(|| {
        let nginx = written.start_nginx();
        let daemon = written.start_daemon_of(&nginx, "weir.toml", clock);
        (nginx, daemon)
    });
    Machine { keepalived: None, daemon, nginx, space, nth, written, _scripts: None }
}
