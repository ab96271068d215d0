//! `ca_file` of `[daemon]`: the daemon gets streams over WebSocket and WebRTC from a node behind an nginx whose certificate was signed by a
//! private authority. Without the setting, it refuses them with the reason. A file without certificates is refused as well.

use std::process::Command;

use serde_json::json;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Authority, Nginx, Publisher, Sidecar, products, until_ok};

use super::{INPUT, SECRET, input, keyed};

/// Starts an nginx with TLS in front of a node's pages.
fn front(authority: &Authority, port: u16, web: u16) -> Nginx {
    let leaf = authority.issue("DNS:localhost,IP:127.0.0.1");
    let server = format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate @DIR@/leaf.pem; ssl_certificate_key @DIR@/leaf.key; \
         location / {{ proxy_pass http://127.0.0.1:{web}; proxy_http_version 1.1; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}"
    );
    Config::stock().file("leaf.pem", leaf.certificate).file("leaf.key", leaf.key).web(&server).start()
}

#[test]
fn a_private_authority_is_trusted_where_it_is_named_and_only_there() {
    let authority = Authority::create();
    let (a, tls, udp) = (
        Config::weir()
            .main("weir_secret @DIR@/secret;")
            .file("secret", SECRET)
            .with_api()
            .app("live", "weir_publish open;")
            .start(),
        Port::reserve(),
        Port::reserve(),
    );
    let webrtc = format!("[web]\nplay = \"token\"\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n", udp.number());
    let origin = Sidecar::start(&a, &webrtc);
    let _front = front(&authority, tls.number(), origin.web());
    let _publisher = Publisher::to(a.rtmp(), "live/show").start().started();
    for scheme in ["weir+wss", "whep+https"] {
        let b = keyed().file("ca.pem", authority.certificate()).start();
        let url = format!("{scheme}://localhost:{}", tls.number());
        let stranger = Sidecar::start(&b, &input(&url, ""));
        let expected =
            format!("cannot connect to localhost:{}: invalid peer certificate: UnknownIssuer", tls.number());
        let refused = until_ok(20.0, || {
            stranger
                .find(INPUT)
                .is_some_and(|job| job["last_error"].as_str().is_some_and(|why| why.starts_with(&expected)))
        });
        assert!(refused.is_some(), "{scheme}: {:?}\n{}", stranger.jobs(), stranger.log());
        assert!(b.api().stream("live", "show").is_none());
        drop(stranger);
        let friend = Sidecar::start(&b, &format!("ca_file = \"@DIR@/ca.pem\"\n{}", input(&url, "")));
        let live = until_ok(30.0, || {
            b.api().stream("live", "show").filter(|s| s["video"]["codec"] == json!("H264"))
        });
        assert!(live.is_some(), "{scheme}: {:?}\n{}", friend.jobs(), friend.log());
    }
}

#[test]
fn a_file_without_certificates_is_told_before_the_daemon_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("ca.pem"), "no certificate").unwrap();
    std::fs::write(
        path("weir.toml"),
        format!("[daemon]\nca_file = \"{}\"\nsocket = \"{}\"\n", path("ca.pem"), path("s")),
    )
    .unwrap();
    for (more, line) in [
        (&["--check"][..], "has no certificate: write those of the authorities in PEM"),
        (&[], "has no certificate: write those of the authorities in PEM"),
    ] {
        let mut command = Command::new(products::weir());
        let output = command.args(["serve", "--config", &path("weir.toml")]).args(more).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success()
                && said.contains(&format!("[daemon]: ca_file: {}: {line}", path("ca.pem"))),
            "{said}"
        );
    }
}
