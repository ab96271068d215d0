//! nginx takes the samples for edges and load balancers as they are.

use std::process::Command;

use weir_tests::harness::{files, products};

#[test]
fn nginx_takes_the_samples() {
    let modules = [products::nginx_rtmp(), products::module()];
    let load: String = modules.iter().map(|module| format!("load_module {};\n", module.display())).collect();
    for name in ["edge", "edge-cache", "loadbalancer"] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("log")).unwrap();
        std::fs::write(path("weir.secret"), "0123456789abcdef0123456789abcdef").unwrap();
        std::fs::write(path("upstream.conf"), "upstream weir_edges { server 127.0.0.1:9 down; }\n").unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {};", path("temporary")))
            .collect();
        let text = files::text(&products::workspace().join(format!("nginx-conf/{name}/nginx.conf")))
            .replace("include /etc/nginx/modules-enabled/*.conf;", &load)
            .replace("/etc/nginx/weir.secret", &path("weir.secret"))
            .replace("/var/lib/weir/upstream.conf", &path("upstream.conf"))
            .replace("/var/cache/nginx/", &path("cache-"))
            .replace("/var/log/nginx", &path("log"))
            .replace("/run/nginx.pid", &path("nginx.pid"))
            .replace("user www-data;", "user root;")
            // Nobody here resolves it.
            .replace("origin.example.org", "192.0.2.1")
            .replace("http {", &format!("http {{ {temporary}"));
        std::fs::write(path("nginx.conf"), text).unwrap();
        let output = Command::new(products::nginx())
            .args(["-t", "-p", &path(""), "-e", &path("error.log"), "-c", &path("nginx.conf")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("[emerg]"), "{name}: {said}");
    }
}
