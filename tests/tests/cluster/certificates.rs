//! Two load balancers get certificates from an ACME server (Pebble) with certbot, as the head of nginx-conf/loadbalancer/nginx.conf says:
//! the challenge of the second one arrives at the first one, and certbot's hook makes nginx read a renewed certificate.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Authority, Dns, Nginx, files, products, until};

const NAME: &str = "live.example.org";

/// A running Pebble, which asks for challenges at a port instead of port 80.
struct Pebble {
    child: Child,
    folder: TempDir,
    authority: Authority,
    ports: [Port; 2],
    _dns: Dns,
}

impl Pebble {
    fn start(challenges: u16) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-acme-").tempdir().unwrap();
        let (authority, dns, ports) = (Authority::create(), Dns::start(), [Port::reserve(), Port::reserve()]);
        dns.set(NAME, &["127.0.0.1"]);
        let own = authority.issue("DNS:localhost,IP:127.0.0.1");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("cert.pem"), own.certificate).unwrap();
        fs::write(path("key.pem"), own.key).unwrap();
        fs::write(path("ca.pem"), authority.certificate()).unwrap();
        let listen = |port: &Port| format!("127.0.0.1:{}", port.number());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": listen(&ports[0]), "managementListenAddress": listen(&ports[1]),
            "certificate": path("cert.pem"), "privateKey": path("key.pem"), "httpPort": challenges, "tlsPort": 9,
            "ocspResponderURL": "", "externalAccountBindingRequired": false
        } });
        fs::write(path("config.json"), config.to_string()).unwrap();
        let log = File::create(path("log")).unwrap();
        let child = Command::new(products::tool("/usr/bin/pebble"))
            .arg("-config")
            .arg(path("config.json"))
            .args(["-dnsserver", &dns.address()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let pebble = Self { child, folder, authority, ports, _dns: dns };
        until("Pebble answers", 10.0, || {
            pebble.client().get(pebble.url(0, "/dir")).send().is_ok_and(|answer| answer.status() == 200)
        });
        pebble
    }

    fn client(&self) -> reqwest::blocking::Client {
        let own = reqwest::Certificate::from_pem(&self.authority.certificate()).unwrap();
        reqwest::blocking::Client::builder().no_proxy().add_root_certificate(own).build().unwrap()
    }

    fn url(&self, port: usize, path: &str) -> String {
        format!("https://localhost:{}{path}", self.ports[port].number())
    }

    /// Returns the certificate that signs those of servers.
    fn root(&self) -> Vec<u8> {
        self.client().get(self.url(1, "/roots/0")).send().unwrap().bytes().unwrap().to_vec()
    }

    /// Runs certbot on the machine of this nginx, as its root.
    #[track_caller]
    fn certbot(&self, nginx: &Nginx, words: &[&str]) {
        let place = |name: &str| nginx.path(name).display().to_string();
        let output = Command::new(products::tool("/usr/bin/certbot"))
            .args(words)
            .args(["--server", &self.url(0, "/dir"), "--non-interactive"])
            .args([
                "--config-dir",
                &place("letsencrypt"),
                "--work-dir",
                &place("work"),
                "--logs-dir",
                &place("logs"),
            ])
            .env("REQUESTS_CA_BUNDLE", self.folder.path().join("ca.pem"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let log = files::text(&self.folder.path().join("log"));
        assert!(output.status.success(), "certbot {words:?}: {said}\n{log}");
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        Process(self.child.id() as i32).signal(Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// The sample on two ports; the TLS lines are in it once there is a certificate.
struct Balancer {
    nginx: Nginx,
    http: Port,
    tls: Port,
    other: u16,
}

fn sample(http: u16, tls: u16, other: u16, has_certificate: bool) -> String {
    let text = files::text(&products::workspace().join("nginx-conf/loadbalancer/nginx.conf"));
    let (_, body) = text.split_once("\nhttp {").unwrap();
    let body = body.trim_end().strip_suffix('}').unwrap();
    // The lines for two load balancers.
    let body: String = body
        .lines()
        .map(|line| {
            let words = line.trim_start();
            let is_tls = words.starts_with("#listen 443") || words.starts_with("#ssl_");
            let is_code = words.starts_with('#') && !words.starts_with("# ");
            let is_inner = words.starts_with("#    ");
            match (is_code || is_inner) && (!is_tls || has_certificate) {
                true => format!("{}\n", line.replacen('#', "", 1)),
                false => format!("{line}\n"),
            }
        })
        .collect();
    body.replace("access_log off;", "")
        .replace("/var/lib/weir/upstream.conf", "@DIR@/upstream.conf")
        .replace("/var/www/certbot", "@DIR@/certbot")
        .replace("/etc/letsencrypt", "@DIR@/letsencrypt")
        .replace("http://OTHER-MACHINE:8080", &format!("http://127.0.0.1:{other}"))
        .replace("listen 8080;", &format!("listen 127.0.0.1:{http};"))
        .replace("listen 443 ssl", &format!("listen 127.0.0.1:{tls} ssl"))
}

impl Balancer {
    fn start(http: Port, other: u16) -> Self {
        let tls = Port::reserve();
        let empty = "upstream weir_edges { server 127.0.0.1:9 down; }\n";
        let text = sample(http.number(), tls.number(), other, false);
        let nginx = Config::stock().file("upstream.conf", empty).web(&text).start();
        fs::create_dir(nginx.path("certbot")).unwrap();
        Self { nginx, http, tls, other }
    }

    /// The steps of the sample.
    fn secure(&mut self, pebble: &Pebble) {
        let (program, folder) = (products::nginx(), self.nginx.folder().display().to_string());
        let hook = format!(
            "{} -p {folder} -e {folder}/told.log -c {folder}/nginx.conf -s reload",
            program.display()
        );
        let root = self.nginx.path("certbot").display().to_string();
        pebble.certbot(
            &self.nginx,
            &[
                "certonly",
                "--webroot",
                "-w",
                &root,
                "-d",
                NAME,
                "--deploy-hook",
                &hook,
                "--agree-tos",
                "-m",
                "admin@example.org",
            ],
        );
        let (http, tls, other) = (self.http.number(), self.tls.number(), self.other);
        self.nginx.edit(|mut config| {
            config.web = sample(http, tls, other, true);
            config
        });
        self.nginx.reload();
    }

    /// Asks over TLS, as a browser that trusts only this root. Returns whether the sample answers.
    fn answers(&self, root: &[u8]) -> bool {
        let root = reqwest::Certificate::from_pem(root).unwrap();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, self.tls.number()));
        let client = reqwest::blocking::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .resolve(NAME, to)
            .build()
            .unwrap();
        let answer = client.get(format!("https://{NAME}:{}/healthz", self.tls.number())).send().unwrap();
        answer.status() == 204
    }

    /// Returns the certificate that nginx presents.
    fn presented(&self) -> String {
        let to = format!("127.0.0.1:{}", self.tls.number());
        let output = Command::new(products::tool("/usr/bin/openssl"))
            .args(["s_client", "-connect", &to, "-servername", NAME, "-alpn", "h2"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("ALPN protocol: h2"), "HTTP/2: {text}");
        text.split("-----").nth(2).unwrap_or_default().to_owned()
    }
}

#[test]
#[ignore = "needs certbot and Pebble: make test-long installs them"]
fn two_load_balancers_get_certificates_and_renew_them() {
    let (one, two) = (Port::reserve(), Port::reserve());
    let numbers = (one.number(), two.number());
    // Challenges reach the first one, which has the address.
    let pebble = Pebble::start(numbers.0);
    let (mut one, mut two) = (Balancer::start(one, numbers.1), Balancer::start(two, numbers.0));
    one.secure(&pebble);
    two.secure(&pebble);
    let root = pebble.root();
    assert!(one.answers(&root) && two.answers(&root));
    // A challenge of neither machine ends.
    let none = format!("http://127.0.0.1:{}/.well-known/acme-challenge/none", numbers.0);
    assert_eq!(super::client().get(none).send().unwrap().status(), 404);

    for balancer in [&one, &two] {
        let before = balancer.presented();
        assert!(!before.is_empty());
        pebble.certbot(&balancer.nginx, &["renew", "--force-renewal", "--no-random-sleep-on-renew"]);
        until("nginx presents the new certificate", 10.0, || {
            let now = balancer.presented();
            !now.is_empty() && now != before
        });
        assert!(balancer.answers(&root));
    }
}
