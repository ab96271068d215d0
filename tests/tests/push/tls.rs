//! `rtmps://`: TLS that ends at nginx's `stream` module, with a certificate authority of the test's own. If the server is not the one that
//! the URL names, it gets no byte of the stream.

use weir_tests::harness::authority::Certificate;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Authority, Dns, Nginx, Peer, files, products, until, until_ok, valgrind};

use super::{Stage, patch, source};

/// A peer behind a TLS front end.
struct Front {
    peer: Peer,
    nginx: Nginx,
    port: Port,
}

impl Front {
    fn start(certificate: &Certificate, words: &str) -> Self {
        let (peer, port) = (Peer::takes(), Port::reserve());
        let mut config = Config::stock();
        config.modules.push(products::tool("/usr/lib/nginx/modules/ngx_stream_module.so"));
        let stream = format!(
            "stream {{
                log_format names '$ssl_server_name $ssl_protocol';
                access_log @DIR@/names.log names;
                server {{
                    listen 127.0.0.1:{0} ssl;
                    listen [::1]:{0} ssl;
                    ssl_certificate @DIR@/leaf.pem;
                    ssl_certificate_key @DIR@/leaf.key;
                    {words}
                    proxy_pass {1};
                }}
            }}",
            port.number(),
            peer.address()
        );
        let config = config.file("leaf.pem", &certificate.certificate).file("leaf.key", &certificate.key);
        Self { peer, nginx: config.main(&stream).start(), port }
    }

    fn url(&self, host: &str) -> String {
        format!("rtmps://{host}:{}/app/key", self.port.number())
    }

    /// Waits until a connection with this server name and this version of TLS has ended.
    #[track_caller]
    fn wait_seen(&self, line: &str) {
        let seen = || files::text(&self.nginx.path("names.log"));
        let found = until_ok(5.0, || seen().lines().any(|seen| seen == line));
        assert!(found.is_some(), "expected {line:?}, seen are:\n{}", seen());
    }
}

/// Returns the configuration of a source that trusts this authority.
fn trusting(authority: &Authority) -> Config {
    source("").file("ca.pem", authority.certificate()).main("weir_trusted_certificate @DIR@/ca.pem;")
}

#[test]
fn a_trusted_target_is_live_and_told_the_name() {
    let (authority, dns) = (Authority::create(), Dns::start());
    dns.set("target.example", &["127.0.0.1"]);
    let front = Front::start(&authority.issue("DNS:target.example"), "ssl_protocols TLSv1.2 TLSv1.3;");
    let stage = Stage::set(trusting(&authority).main(&format!("weir_resolver {};", dns.address())));
    let id = stage.add(&front.url("target.example"));
    stage.wait_state(&id, "live");
    let call = front.peer.wait_frames("key", 200);
    weir_tests::harness::peer::assert_unbroken(&call.frames);
    assert_eq!(call.tc_url, front.url("target.example").trim_end_matches("/key"));
    patch(&stage.api, &id, &serde_json::json!({"enabled": false}));
    let call = front.peer.wait_closed("key");
    let goodbye = ["FCUnpublish".to_owned(), "deleteStream".to_owned()];
    assert!(call.commands.ends_with(&goodbye), "{:?}", call.commands);
    front.wait_seen("target.example TLSv1.3");
    assert!(front.nginx.log_lines("SSL_").is_empty(), "TLS ends as it should");
    stage.is_undisturbed();
}

/// The dot is for the resolver; certificates do not include it.
#[test]
fn a_name_that_ends_with_a_dot() {
    let (authority, dns) = (Authority::create(), Dns::start());
    dns.set("target.example", &["127.0.0.1"]);
    let front = Front::start(&authority.issue("DNS:target.example"), "ssl_protocols TLSv1.3;");
    let stage = Stage::set(trusting(&authority).main(&format!("weir_resolver {};", dns.address())));
    let id = stage.add(&front.url("target.example."));
    stage.wait_state(&id, "live");
    patch(&stage.api, &id, &serde_json::json!({"enabled": false}));
    front.wait_seen("target.example TLSv1.3");
    stage.is_undisturbed();
}

#[test]
fn an_address_in_place_of_a_name() {
    let authority = Authority::create();
    let front = Front::start(&authority.issue("IP:127.0.0.1"), "ssl_protocols TLSv1.2;");
    let stage = Stage::set(trusting(&authority));
    let id = stage.add(&front.url("127.0.0.1"));
    stage.wait_state(&id, "live");
    front.peer.wait_frames("key", 10);
    let other = stage.add(&front.url("[::1]"));
    stage.wait_error(&other, "certificate: it is not for ::1");
    patch(&stage.api, &id, &serde_json::json!({"enabled": false}));
    // For an address, no server name is sent (RFC 6066, section 3).
    front.wait_seen("- TLSv1.2");
    stage.is_undisturbed();
}

#[test]
fn who_is_not_to_be_trusted_gets_nothing() {
    let (ours, theirs) = (Authority::create(), Authority::create());
    let stage = Stage::set(trusting(&ours));
    for (certificate, reason) in [
        (theirs.issue("IP:127.0.0.1"), "certificate: unable to verify the first certificate"),
        (ours.issue("IP:127.0.0.2,DNS:other.example"), "certificate: it is not for 127.0.0.1"),
        (ours.issue_expired("IP:127.0.0.1"), "certificate: certificate has expired"),
    ] {
        let front = Front::start(&certificate, "");
        let id = stage.add(&front.url("127.0.0.1"));
        stage.wait_error(&id, reason);
        assert!(
            front.peer.calls().iter().all(|call| call.commands.is_empty()),
            "{reason}: {:?}",
            front.peer.calls()
        );
    }
    stage.is_undisturbed();
}

/// The authority is trusted and the certificate is valid; only the host name differs.
#[test]
fn a_certificate_for_another_host_name_is_refused() {
    let (authority, dns) = (Authority::create(), Dns::start());
    let stage = Stage::set(trusting(&authority).main(&format!("weir_resolver {};", dns.address())));
    for (index, names) in
        ["DNS:other.example", "DNS:example", "DNS:*.target0.example", "IP:127.0.0.1"].iter().enumerate()
    {
        let host = format!("target{index}.example");
        dns.set(&host, &["127.0.0.1"]);
        let front = Front::start(&authority.issue(names), "");
        let id = stage.add(&front.url(&host));
        stage.wait_error(&id, &format!("certificate: it is not for {host}"));
        let calls = front.peer.calls();
        assert!(calls.iter().all(|call| call.commands.is_empty()), "{names}: {calls:?}");
    }
    stage.is_undisturbed();
}

#[test]
fn who_speaks_no_tls_or_an_old_one_is_told_apart() {
    let authority = Authority::create();
    let certificate = authority.issue("IP:127.0.0.1");
    let old = Front::start(&certificate, "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;");
    let plain = Peer::takes();
    let stage = Stage::set(trusting(&authority));
    let id = stage.add(&old.url("127.0.0.1"));
    stage.wait_error(&id, "tls: ");
    let id = stage.add(&format!("rtmps://{}/app/key", plain.address()));
    let session = stage.wait_state(&id, "waiting");
    let said = session["last_error"].as_str().unwrap();
    assert!(said.starts_with("tls: ") || said == "timed out in the handshake", "{said}");
    assert!(old.peer.calls().is_empty());
    stage.is_undisturbed();
}

#[test]
fn verification_can_be_switched_off_and_is_warned_of() {
    let (ours, theirs) = (Authority::create(), Authority::create());
    let front = Front::start(&theirs.issue("DNS:whoever.example"), "");
    let config = || {
        Config::weir()
            .with_api()
            .app("live", "weir_publish open; weir_push on; weir_tls_verify off;")
            .file("ca.pem", ours.certificate())
            .main("weir_trusted_certificate @DIR@/ca.pem;")
    };
    let said = config().accepted();
    assert!(said.contains("[warn]") && said.contains("weir_tls_verify off"), "{said}");
    let stage = Stage::set(config());
    let id = stage.add(&front.url("127.0.0.1"));
    stage.wait_state(&id, "live");
    front.peer.wait_frames("key", 10);
    stage.is_undisturbed();
}

#[test]
fn connects_leave_no_memory_behind() {
    let (ours, theirs) = (Authority::create(), Authority::create());
    let (good, bad) =
        (Front::start(&ours.issue("IP:127.0.0.1"), ""), Front::start(&theirs.issue("IP:127.0.0.1"), ""));
    let stage = Stage::set(trusting(&ours));
    let (well, ill) = (stage.add(&good.url("127.0.0.1")), stage.add(&bad.url("127.0.0.1")));
    let turn = || {
        for (id, state) in [(&well, "live"), (&ill, "waiting")] {
            patch(&stage.api, id, &serde_json::json!({"enabled": true}));
            stage.wait_state(id, state);
            patch(&stage.api, id, &serde_json::json!({"enabled": false}));
            stage.wait_state(id, "off");
        }
    };
    // By now, nginx and OpenSSL have allocated the memory that they need only once.
    (0..10).for_each(|_| turn());
    until("connections are closed", 5.0, || good.peer.playing() == 0);
    let worker = stage.workers[0];
    let (before, files) = (worker.memory(), worker.open_files().len());
    (0..40).for_each(|_| turn());
    until("connections are closed", 5.0, || worker.open_files().len() <= files);
    let more = worker.memory().saturating_sub(before);
    // A TLS session takes tens of kilobytes. valgrind keeps freed memory for a while, and reports lost memory itself.
    assert!(valgrind::is_on() || more < 1 << 20, "{more} bytes more after 80 connects");
    stage.is_undisturbed();
}
