//! `nginx-conf/restream` does what it promises: an nginx with this configuration accepts a key and pushes to a target of the API, but not
//! to a target in the networks that the sample denies.

use std::process::Command;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Netns, Peer, Publisher, files, products, until};

/// Returns the text of the sample.
fn sample() -> String {
    files::text(&products::workspace().join("nginx-conf/restream/nginx.conf"))
}

/// Returns the body of the sample's application.
fn application() -> String {
    let text = sample();
    let (_, rest) = text.split_once("application live {").unwrap();
    rest.split_once("\n        }").unwrap().0.to_owned()
}

#[test]
fn the_sample_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for name in ["log", "state"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    let modules = [products::nginx_rtmp(), products::module()];
    let load: String = modules.iter().map(|module| format!("load_module {};\n", module.display())).collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {};", path("temporary")))
        .collect();
    let text = sample()
        .replace("include /etc/nginx/modules-enabled/*.conf;", &load)
        .replace("/var/lib/weir-nginx/state", &path("state/state"))
        .replace("/var/log/nginx", &path("log"))
        .replace("/run/nginx.pid", &path("nginx.pid"))
        .replace("user www-data;", "user root;")
        .replace("http {", &format!("http {{ {temporary}"));
    std::fs::write(path("nginx.conf"), text).unwrap();
    let output = Command::new(products::nginx())
        .args(["-t", "-p", &path(""), "-e", &path("error.log"), "-c", &path("nginx.conf")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("[warn]"), "{said}");
}

#[test]
fn the_sample_pushes_to_the_world_and_not_into_the_house() {
    let net = Netns::create();
    let (world, house) = (
        net.inside(|| Peer::at(&net.address(1).to_string(), weir_tests::harness::Manners::Takes)),
        Peer::takes(),
    );
    let nginx = Config::weir()
        .with_api()
        .app("live", &format!("{}\n", application().replace("live on;", "")))
        .start();
    let api = nginx.api();
    let outside = super::add(&api, "show", &world.url("app/key"));
    let inside = super::add(&api, "show", &house.url("app/key"));
    let key = api.create_key("live", "show");
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    super::wait_state(&api, &outside, "live");
    world.wait_frames("key", 20);
    super::wait_error(&api, &inside, "address is denied by weir_push_deny");
    until("nobody was called", 1.0, || house.calls().is_empty());
}
