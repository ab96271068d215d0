//! Compares RTMPS with the usual set-ups without it: nginx-rtmp pushes to stunnel, or to nginx's `stream` proxy, which provide TLS.

use std::process::{Child, Command, Stdio};

use super::{Load, add, compare};
use crate::bench::report::Report;
use crate::bench::table::{self, Target};
use crate::harness::nginx::Config;
use crate::harness::ports::Port;
use crate::harness::process::Process;
use crate::harness::{Authority, Nginx, Peer, products, until};

/// Targets of the stream, of 4 Mbit/s each.
const TARGETS: usize = 10;

/// Measures the processor time of all involved processes per second of the stream at ten targets.
pub(crate) fn rtmps() -> Report {
    super::super::part(std::iter::empty());
    let loads = vec![
        tunnelled("nginx-rtmp and stunnel"),
        tunnelled("the same once more"),
        native(),
        proxied("nginx-rtmp and the `stream` proxy of the same nginx"),
        proxied("this once more"),
    ];
    let targets = vec![
        Target::AtMost { ours: 2, peer: 0, ratio: 0.7 },
        Target::AtMost { ours: 2, peer: 3, ratio: 0.8 },
    ];
    let table = compare(loads, targets);
    let gigabits = TARGETS as f64 * 4.0 / 1000.0;
    let costs = table.arms.iter().map(|arm| {
        let seconds = table::median(&arm.all) / 1e6 / gigabits;
        format!("\"{}\" takes {seconds:.2} s of the processor a Gbit", arm.name)
    });
    let costs: Vec<_> = costs.collect();
    let mut report = table::report(&table);
    report.say(&format!("\n{}", costs.join(", ")));
    report
}

/// A peer behind TLS, and the handle that ends it.
fn front(authority: &Authority) -> (Peer, Nginx, Port) {
    let (peer, port) = (Peer::takes(), Port::reserve());
    let mut config = Config::stock();
    config.modules.push(products::tool("/usr/lib/nginx/modules/ngx_stream_module.so"));
    let leaf = authority.issue("IP:127.0.0.1,DNS:localhost");
    let stream = format!(
        "stream {{ server {{ listen 127.0.0.1:{} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate @DIR@/leaf.pem;
         ssl_certificate_key @DIR@/leaf.key; proxy_pass {}; }} }}",
        port.number(),
        peer.address()
    );
    let config = config.file("leaf.pem", &leaf.certificate).file("leaf.key", &leaf.key).main(&stream);
    (peer, config.start(), port)
}

fn native() -> Load {
    let authority = Authority::create();
    let (peer, front, port) = front(&authority);
    let nginx = Config::weir()
        .with_api()
        .main("weir_trusted_certificate @DIR@/ca.pem;")
        .file("ca.pem", authority.certificate())
        .server("weir_idle_publisher 0;")
        .app("live", "weir_publish open; weir_push on;")
        .start();
    for nth in 0..TARGETS {
        add(&nginx, &format!("rtmps://127.0.0.1:{}/app/key-{nth}", port.number()));
    }
    let mut load = Load::of("rtmps:// of Weir", nginx, peer, TARGETS);
    load._behind = vec![Box::new(front), Box::new(port)];
    load
}

fn tunnelled(name: &'static str) -> Load {
    let authority = Authority::create();
    let (peer, front, port) = front(&authority);
    let stunnel = Stunnel::start(port.number(), &authority);
    let lines: String = (0..TARGETS)
        .map(|nth| format!("push rtmp://127.0.0.1:{}/app/key-{nth};\n", stunnel.port.number()))
        .collect();
    let nginx = Config::stock().app("live", &lines).start();
    let mut load = Load::of(name, nginx, peer, TARGETS);
    load.helpers = vec![Process(stunnel.child.id() as i32)];
    load._behind = vec![Box::new(stunnel), Box::new(front), Box::new(port)];
    load
}

/// The worker that pushes also runs the proxy.
fn proxied(name: &'static str) -> Load {
    let authority = Authority::create();
    let ((peer, front, port), proxy) = (front(&authority), Port::reserve());
    let lines: String = (0..TARGETS)
        .map(|nth| format!("push rtmp://127.0.0.1:{}/app/key-{nth};\n", proxy.number()))
        .collect();
    let stream = format!(
        "stream {{ server {{ listen 127.0.0.1:{}; proxy_pass 127.0.0.1:{}; proxy_ssl on; proxy_ssl_name localhost;
         proxy_ssl_verify on; proxy_ssl_trusted_certificate @DIR@/ca.pem; proxy_ssl_session_reuse on; }} }}",
        proxy.number(),
        port.number()
    );
    let mut config =
        Config::stock().app("live", &lines).main(&stream).file("ca.pem", authority.certificate());
    config.modules.push(products::tool("/usr/lib/nginx/modules/ngx_stream_module.so"));
    let mut load = Load::of(name, config.start(), peer, TARGETS);
    load._behind = vec![Box::new(front), Box::new(port), Box::new(proxy)];
    load
}

/// stunnel as a client that verifies certificates.
struct Stunnel {
    child: Child,
    port: Port,
    _folder: tempfile::TempDir,
}

impl Stunnel {
    fn start(to: u16, authority: &Authority) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("ca.pem"), authority.certificate()).unwrap();
        let text = format!(
            "foreground = yes\npid =\nsyslog = no\noutput = {}\ndebug = 4\n[rtmp]\nclient = yes\naccept = 127.0.0.1:{}\n\
             connect = 127.0.0.1:{to}\nverifyChain = yes\ncheckIP = 127.0.0.1\nCAfile = {}\n",
            path("log").display(),
            port.number(),
            path("ca.pem").display()
        );
        std::fs::write(path("stunnel.conf"), text).unwrap();
        let child = Command::new(products::tool("/usr/bin/stunnel4"))
            .arg(path("stunnel.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        super::super::pin(child.id() as i32, super::super::cores()[0]);
        until("stunnel listens", 10.0, || std::net::TcpStream::connect(("127.0.0.1", port.number())).is_ok());
        Self { child, port, _folder: folder }
    }
}

impl Drop for Stunnel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
