//! A server on loopback that implements Hetzner's API as documented, with faults on demand.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use weir_tests::harness::ports::Port;
use weir_tests::harness::process::Process;
use weir_tests::harness::until;

/// Token of the project.
pub(crate) const TOKEN: &str = "hcloud-SECRET-0123456789abcdef0123456789abcdef";

/// Machine of a server; it ends when it is dropped.
pub(crate) trait Machine: Send {
    /// Returns the address of the machine.
    fn address(&self) -> IpAddr;

    /// Ends everything that runs on the machine. The provider still lists and charges its server.
    fn die(&mut self) {}
}

/// Creates the machine of a server from its name and user data.
pub(crate) type Maker = Box<dyn FnMut(&str, &str) -> Box<dyn Machine> + Send>;

/// Fault of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The answer has this status and code instead, and this header.
    Answer(u16, &'static str, &'static str),
    /// The request is carried out, but the answer is lost.
    Lost,
}

struct Server {
    name: String,
    labels: Value,
    created: String,
    machine: Option<Box<dyn Machine>>,
    user_data: String,
    order: Value,
}

#[derive(Default)]
struct Inner {
    servers: BTreeMap<u64, Server>,
    groups: BTreeMap<u64, Value>,
    next: u64,
    requests: Vec<String>,
    bodies: Vec<String>,
    faults: Vec<(String, usize, Fault)>,
    /// The request, counted from 1, at which a process is killed: before the request is carried out, or after.
    kill: Option<(usize, bool)>,
    seen: usize,
    /// Largest number of servers at the same time.
    peak: usize,
    created: usize,
    silent: Vec<TcpStream>,
    /// Label selectors are ignored.
    is_blind: bool,
}

/// The API; it serves until the test ends.
pub(crate) struct Hetzner {
    port: Port,
    inner: Arc<Mutex<Inner>>,
    victim: Arc<AtomicI32>,
}

impl Hetzner {
    pub(crate) fn start(maker: Maker) -> Self {
        let port = Port::reserve();
        let listener = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
        let inner = Arc::new(Mutex::new(Inner { next: 1000, ..Inner::default() }));
        let (victim, maker) = (Arc::new(AtomicI32::new(0)), Arc::new(Mutex::new(maker)));
        let (shared, killed) = (inner.clone(), victim.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (shared, killed, maker) = (shared.clone(), killed.clone(), maker.clone());
                std::thread::spawn(move || serve(connection, &shared, &killed, &maker));
            }
        });
        Self { port, inner, victim }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port.number())
    }

    /// Adds a server of another owner.
    pub(crate) fn foreign(&self, name: &str, labels: Value) -> u64 {
        let mut inner = self.inner();
        inner.next += 1;
        let id = inner.next;
        let server = Server {
            name: name.into(),
            labels,
            created: "2026-01-01T00:00:00+00:00".into(),
            machine: None,
            user_data: String::new(),
            order: Value::Null,
        };
        inner.servers.insert(id, server);
        id
    }

    /// Returns the names of all servers, including foreign ones.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.inner().servers.values().map(|server| server.name.clone()).collect();
        names.sort();
        names
    }

    pub(crate) fn groups(&self) -> usize {
        self.inner().groups.len()
    }

    /// Returns the requests so far: methods and paths.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.inner().requests.clone()
    }

    /// Returns the user data of a server.
    pub(crate) fn user_data(&self, name: &str) -> String {
        self.inner().servers.values().find(|server| server.name == name).unwrap().user_data.clone()
    }

    /// Returns the ids of the servers with machines, by name.
    pub(crate) fn ids(&self) -> BTreeMap<String, u64> {
        let inner = self.inner();
        let own = inner.servers.iter().filter(|(_, server)| server.machine.is_some());
        own.map(|(id, server)| (server.name.clone(), *id)).collect()
    }

    /// Ends everything that runs on the machine of a server.
    pub(crate) fn crash(&self, name: &str) {
        let mut inner = self.inner();
        let server = inner.servers.values_mut().find(|server| server.name == name).unwrap();
        server.machine.as_mut().unwrap().die();
    }

    /// Returns the order of a server.
    pub(crate) fn order(&self, name: &str) -> Value {
        self.inner().servers.values().find(|server| server.name == name).unwrap().order.clone()
    }

    /// Returns the largest number of servers at the same time, and how many were created in all.
    pub(crate) fn peak(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.peak, inner.created)
    }

    /// Applies a fault to the next `times` requests whose method and path begin with `request`.
    pub(crate) fn fault(&self, request: &str, times: usize, fault: Fault) {
        self.inner().faults.push((request.into(), times, fault));
    }

    /// From now on, lists all servers, whatever the label selector is.
    pub(crate) fn go_blind(&self) {
        self.inner().is_blind = true;
    }

    /// Returns how many faults have not happened yet.
    pub(crate) fn left(&self) -> usize {
        self.inner().faults.iter().map(|(_, times, _)| times).sum()
    }

    /// Kills a process at its request of this number; [`victim`](Self::victim) sets the process.
    pub(crate) fn kill_at(&self, request: usize, is_after: bool) {
        self.victim.store(0, Ordering::SeqCst);
        let mut inner = self.inner();
        (inner.kill, inner.seen) = (Some((request, is_after)), 0);
    }

    pub(crate) fn victim(&self, process: Process) {
        self.victim.store(process.0, Ordering::SeqCst);
    }

    /// Returns whether the process was killed; no process is killed from now on.
    pub(crate) fn spare(&self) -> bool {
        self.inner().kill.take().is_none()
    }
}

fn serve(mut connection: TcpStream, shared: &Mutex<Inner>, victim: &AtomicI32, maker: &Mutex<Maker>) {
    let Some((head, body)) = read(&mut connection) else { return };
    let request = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").replace("/v1/", "/");
    let is_let_in = head.lines().any(|line| {
        line.split_once(": ").is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("authorization") && value == format!("Bearer {TOKEN}")
        })
    });
    let (fault, kill) = {
        let mut inner = shared.lock().unwrap();
        inner.requests.push(request.clone());
        inner.bodies.push(body.clone());
        inner.seen += 1;
        let seen = inner.seen;
        let kill = inner.kill.filter(|(at, _)| *at == seen);
        if kill.is_some() {
            inner.kill = None;
        }
        let fault = inner
            .faults
            .iter_mut()
            .find(|(begin, times, _)| *times > 0 && request.starts_with(begin.as_str()));
        let fault = fault.map(|(_, times, fault)| {
            *times -= 1;
            fault.clone()
        });
        (fault, kill)
    };
    let strike = || {
        let process = until("the victim is known", 10.0, || {
            let pid = victim.load(Ordering::SeqCst);
            (pid != 0).then_some(Process(pid))
        });
        process.signal(Signal::SIGKILL);
    };
    if matches!(kill, Some((_, false))) {
        strike();
        return;
    }
    let (status, header, answer) = match &fault {
        Some(Fault::Answer(status, code, header)) => (*status, *header, error(code)),
        _ if !is_let_in => (401, "", error("unauthorized")),
        _ => {
            let (status, answer) = act(shared, maker, &request, &body);
            (status, "", answer)
        }
    };
    if kill.is_some() {
        strike();
        return;
    }
    if matches!(fault, Some(Fault::Lost)) {
        shared.lock().unwrap().silent.push(connection);
        return;
    }
    let text = if answer.is_null() { String::new() } else { answer.to_string() };
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    let _ = write!(
        connection,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{header}Connection: close\r\n\r\n{text}",
        text.len()
    );
}

fn error(code: &str) -> Value {
    json!({ "error": { "code": code, "message": format!("this is {code}"), "details": {} } })
}

fn read(connection: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        match connection.read(&mut buffer).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn act(shared: &Mutex<Inner>, maker: &Mutex<Maker>, request: &str, body: &str) -> (u16, Value) {
    let (method, target) = request.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let argument = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
            .replace("%3D", "=")
    };
    let is_blind = shared.lock().unwrap().is_blind;
    let argument = |name: &str| match name {
        "label_selector" if is_blind => String::new(),
        name => argument(name),
    };
    let order: Value = serde_json::from_str(body).unwrap_or_default();
    match (method, path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["pricing"]) => (200, prices()),
        ("GET", ["server_types"]) if argument("name") == "cx33" => (
            200,
            json!({ "server_types": [{ "id": 1, "name": "cx33", "prices": location("0.0100", "6.0000") }] }),
        ),
        ("GET", ["server_types"]) => (200, json!({ "server_types": [] })),
        ("GET", ["networks" | "firewalls"]) => {
            let kind = path.trim_start_matches('/');
            let named = json!([{ "id": 77, "name": "cdn" }, { "id": 78, "name": "edges" }]);
            let all: Vec<Value> = named
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| one["name"] == *argument("name"))
                .cloned()
                .collect();
            (200, page(kind, all, &argument("page")))
        }
        ("GET", ["servers"]) => {
            let inner = shared.lock().unwrap();
            let all = inner.servers.iter().map(|(id, server)| described(*id, server));
            (200, page("servers", all.filter(|one| fits(one, &argument)).collect(), &argument("page")))
        }
        ("GET", ["placement_groups"]) => {
            let all = shared.lock().unwrap().groups.values().cloned().collect::<Vec<_>>();
            (
                200,
                page(
                    "placement_groups",
                    all.into_iter().filter(|one| fits(one, &argument)).collect(),
                    &argument("page"),
                ),
            )
        }
        ("POST", ["placement_groups"]) => {
            let mut inner = shared.lock().unwrap();
            if inner.groups.values().any(|group| group["name"] == order["name"]) {
                return (409, error("uniqueness_error"));
            }
            inner.next += 1;
            let id = inner.next;
            let group =
                json!({ "id": id, "name": order["name"], "labels": order["labels"], "type": "spread" });
            inner.groups.insert(id, group.clone());
            (201, json!({ "placement_group": group }))
        }
        ("POST", ["servers"]) => create(shared, maker, &order),
        ("DELETE", ["servers", id]) => {
            let id: u64 = id.parse().unwrap();
            let gone = shared.lock().unwrap().servers.remove(&id);
            // The machine ends outside of the lock.
            match gone {
                Some(server) => {
                    (200, json!({ "action": { "id": 1, "status": "running", "server": server.name } }))
                }
                None => (404, error("not_found")),
            }
        }
        ("DELETE", ["placement_groups", id]) => {
            let id: u64 = id.parse().unwrap();
            let mut inner = shared.lock().unwrap();
            if inner.servers.values().any(|server| server.order["placement_group"] == id) {
                return (409, error("conflict"));
            }
            match inner.groups.remove(&id) {
                Some(_) => (204, Value::Null),
                None => (404, error("not_found")),
            }
        }
        _ => (404, error("not_found")),
    }
}

fn create(shared: &Mutex<Inner>, maker: &Mutex<Maker>, order: &Value) -> (u16, Value) {
    let text = |key: &str| order[key].as_str().unwrap_or_default().to_owned();
    let (name, user_data) = (text("name"), text("user_data"));
    if name.is_empty() || text("image").is_empty() || user_data.len() > 32768 || text("server_type") != "cx33"
    {
        return (422, error("invalid_input"));
    }
    // Servers are created one after the other, so that no name is used twice.
    let mut maker = maker.lock().unwrap();
    let mut inner = shared.lock().unwrap();
    if inner.servers.values().any(|server| server.name == name) {
        return (409, error("uniqueness_error"));
    }
    inner.next += 1;
    let id = inner.next;
    drop(inner);
    let machine = maker(&name, &user_data);
    let mut inner = shared.lock().unwrap();
    let server = Server {
        name,
        labels: order["labels"].clone(),
        created: super::moment(0).replace('Z', "+00:00"),
        machine: Some(machine),
        user_data,
        order: order.clone(),
    };
    let answer =
        json!({ "server": described(id, &server), "action": { "id": 2 }, "root_password": "root-SECRET" });
    inner.servers.insert(id, server);
    inner.created += 1;
    inner.peak = inner.peak.max(inner.servers.len());
    (201, answer)
}

fn described(id: u64, server: &Server) -> Value {
    let ip = server.machine.as_ref().map(|machine| machine.address().to_string());
    json!({
        "id": id, "name": server.name, "status": "running", "created": server.created, "labels": server.labels,
        "public_net": { "ipv4": { "ip": ip }, "ipv6": null }, "private_net": [],
    })
}

fn fits(one: &Value, argument: &dyn Fn(&str) -> String) -> bool {
    let (name, selector) = (argument("name"), argument("label_selector"));
    let label = |pair: &str| {
        let (key, value) = pair.split_once("==").unwrap();
        one["labels"][key] == *value
    };
    (name.is_empty() || one["name"] == *name) && (selector.is_empty() || selector.split(',').all(label))
}

/// Returns a page of two entries, so that clients must request a second page.
fn page(kind: &str, all: Vec<Value>, page: &str) -> Value {
    let page: usize = page.parse().unwrap_or(1);
    let here: Vec<Value> = all.iter().skip((page - 1) * 2).take(2).cloned().collect();
    let next = (all.len() > page * 2).then_some(page + 1);
    json!({ kind: here, "meta": { "pagination": { "page": page, "next_page": next, "total_entries": all.len() } } })
}

fn location(hourly: &str, monthly: &str) -> Value {
    let price = |text: &str| json!({ "net": text, "gross": format!("{text}000000000000") });
    let (included, per_tb) = (2_000_000_000_000_u64, price("1.1900"));
    json!([
        { "location": "nbg1", "price_hourly": price("9.0000"), "price_monthly": price("99.0000") },
        { "location": "fsn1", "price_hourly": price(hourly), "price_monthly": price(monthly),
          "included_traffic": included, "price_per_tb_traffic": per_tb },
    ])
}

fn prices() -> Value {
    json!({ "pricing": { "currency": "EUR", "primary_ips": [
        { "type": "ipv6", "prices": location("8.0000", "88.0000") },
        { "type": "ipv4", "prices": location("0.0010", "0.6000") },
    ] } })
}
