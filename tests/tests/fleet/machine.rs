//! The machines behind the servers of [`super::hetzner`]: real ones, which are namespaces of this kernel with an edge in them, and hollow
//! ones, which only behave like an edge that serves.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Netns, files, products, until_ok};

use super::hetzner::Machine;

/// A machine with a network, files, a host name and processes of its own. A shell instead of cloud-init runs the user data unchanged;
/// `apt-get` installs the packages of this build, and `systemctl` starts the units.
pub(crate) struct Real {
    net: Netns,
    init: Child,
    folder: tempfile::TempDir,
}

/// First program of a machine. Overlays protect the folders of the host: what the machine writes stays in its own folder.
const BOOT: &str = r#"
set -e
for place in etc usr var; do
    mkdir -p "$FOLDER/$place" "$FOLDER/$place.work"
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$FOLDER/$place,workdir=$FOLDER/$place.work" "/$place"
done
mount -t tmpfs tmpfs /run
hostname "$NAME"
echo "$NAME" >/etc/hostname
echo 'weir:x:64321:' >>/etc/group
echo 'weir:x:64321:64321::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
export PATH="$FOLDER/bin:$PATH"
sh "$FOLDER/user-data" || echo "user data failed: $?"
exec sleep infinity
"#;

const APT_GET: &str = r#"#!/bin/sh
case "$*" in
    *libnginx-mod-rtmp-weir*)
        install -m 0755 "$WEIR" /usr/bin/weir
        install -m 0644 "$MODULE" /usr/lib/nginx/modules/ngx_rtmp_weir_module.so
        echo 'load_module modules/ngx_rtmp_weir_module.so;' >/etc/nginx/modules-enabled/70-mod-rtmp-weir.conf
        install -d -o weir -g weir /etc/weir /var/lib/weir ;;
esac
"#;

const SYSTEMCTL: &str = r#"#!/bin/sh
case "$*" in
    'restart nginx') nginx ;;
    'restart weir') setpriv --reuid weir --regid weir --clear-groups true && install -d -o weir -g weir /run/weir &&
        setsid setpriv --reuid weir --regid weir --clear-groups /usr/bin/weir serve --config /etc/weir/weir.toml >"$FOLDER/weir.log" 2>&1 & ;;
    'enable weir') ;;
    *) echo "systemctl $*?" >&2; exit 1 ;;
esac
"#;

impl Real {
    pub(crate) fn boot(name: &str, user_data: &str) -> Self {
        let (net, folder) = (Netns::create(), tempfile::tempdir().unwrap());
        let place = folder.path();
        std::fs::create_dir(place.join("bin")).unwrap();
        for (name, text) in [("apt-get", APT_GET), ("systemctl", SYSTEMCTL)] {
            std::fs::write(place.join("bin").join(name), text).unwrap();
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(place.join("bin").join(name), mode).unwrap();
        }
        std::fs::write(place.join("user-data"), user_data).unwrap();
        let log = File::create(place.join("log")).unwrap();
        let gateway = net.host().to_string();
        let init = net.inside(|| {
            let route = Command::new(products::tool("/usr/sbin/ip"))
                .args(["route", "add", "default", "via", &gateway])
                .status();
            assert!(route.unwrap().success());
            Command::new(products::tool("/usr/bin/unshare"))
                .args([
                    "--mount",
                    "--uts",
                    "--pid",
                    "--fork",
                    "--kill-child",
                    "--mount-proc",
                    "sh",
                    "-c",
                    BOOT,
                ])
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .env("FOLDER", place)
                .env("NAME", name)
                .env("WEIR", products::weir())
                .env("MODULE", products::module())
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap()
        });
        Self { net, init, folder }
    }
}

impl Real {
    /// Ends all processes of the machine. Returns whether they have ended.
    fn end(&mut self) -> bool {
        // When its first process ends, all its processes end.
        let first = weir_tests::harness::process::Process(self.init.id() as i32).children();
        let _ = self.init.kill();
        let _ = self.init.wait();
        until_ok(10.0, || first.iter().all(|process| !process.is_alive())).is_some()
    }
}

impl Machine for Real {
    fn address(&self) -> IpAddr {
        self.net.address(1).into()
    }

    fn die(&mut self) {
        assert!(self.end());
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let is_gone = self.end();
        if std::thread::panicking() || !is_gone {
            eprintln!("{}", logs(self.folder.path()));
        }
    }
}

/// Returns the logs of a machine and its daemon.
fn logs(folder: &Path) -> String {
    let text = |name: &str| files::text(&folder.join(name));
    format!("{}\n{}\n{}", text("log"), text("weir.log"), text("var/log/nginx/error.log"))
}

/// Forwards a port of this machine's loopback to machines in other networks.
pub(crate) fn forward(from: Ipv4Addr, port: u16) {
    let listener = TcpListener::bind((from, port)).unwrap();
    std::thread::spawn(move || {
        for outside in listener.incoming().flatten() {
            let Ok(inside) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            for (mut from, mut to) in
                [(outside.try_clone().unwrap(), inside.try_clone().unwrap()), (inside, outside)]
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
}

/// Machines that only behave like edges: they report to the origin, and serve a segment.
pub(crate) struct Hollow {
    name: String,
    _alive: Arc<()>,
}

/// Name of a machine, and whether it still exists.
type Running = (String, Weak<()>);

/// The common server of all hollow machines, and the origin that they report to.
#[derive(Clone)]
pub(crate) struct Hall {
    port: Arc<Port>,
    web: u16,
    machines: Arc<Mutex<Vec<Running>>>,
}

impl Hall {
    /// Opens the hall for the origin whose pages have this port.
    pub(crate) fn open(web: u16) -> Self {
        let port = Arc::new(Port::reserve());
        let listener = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
        std::thread::spawn(move || listener.incoming().flatten().for_each(segment));
        let hall = Self { port, web, machines: Arc::default() };
        let reporter = hall.clone();
        std::thread::spawn(move || {
            // An edge renews every two seconds, so this is often enough.
            loop {
                reporter.report();
                until_ok(0.5, || false);
            }
        });
        hall
    }

    pub(crate) fn boot(&self, name: &str) -> Hollow {
        let alive = Arc::new(());
        self.machines.lock().unwrap().push((name.to_owned(), Arc::downgrade(&alive)));
        self.report();
        Hollow { name: name.to_owned(), _alive: alive }
    }

    fn report(&self) {
        let mut machines = self.machines.lock().unwrap();
        machines.retain(|(_, alive)| alive.strong_count() > 0);
        for (name, _) in machines.iter() {
            let address = format!("http://127.0.0.1:{}", self.port.number());
            let report = json!({ "id": name, "address": address, "bandwidth": 100_000_000, "version": "1" });
            let time = super::now_ms();
            let (body, nonce) = (report.to_string(), format!("{:032x}", u128::from(time) * 7919));
            let mut mac = Hmac::<Sha256>::new_from_slice(super::SECRET.as_bytes()).unwrap();
            mac.update(format!("weir-cluster-1\nrequest\n{time}\n{nonce}\n{body}").as_bytes());
            let digits: String =
                mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let header = format!("Weir-Cluster time={time},nonce={nonce},signature={digits}");
            let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.web)) else { return };
            let _ = connection.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = write!(
                connection,
                "POST /v1/edges HTTP/1.0\r\nHost: localhost\r\nAuthorization: {header}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = connection.read(&mut [0; 1024]);
        }
    }
}

/// Answers with a playlist, or with a file that it lists.
fn segment(mut connection: TcpStream) {
    let mut buffer = [0; 4096];
    let count = connection.read(&mut buffer).unwrap_or(0);
    let is_list =
        String::from_utf8_lossy(&buffer[..count]).starts_with("GET /stream/live/test/llhls/master.m3u8 ");
    let body = if is_list { "#EXTM3U\nsegment.mp4\n" } else { "media" };
    let _ = write!(connection, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

impl Machine for Hollow {
    fn address(&self) -> IpAddr {
        assert!(!self.name.is_empty());
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).ip()
    }
}
