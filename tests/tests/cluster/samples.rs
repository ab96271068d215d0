//! nginx accepts the samples of a cluster unchanged, nft and logrotate accept their samples, and ufw's sample names each port that the
//! firewall opens.

use std::process::Command;

use weir_tests::harness::{files, products};

#[test]
fn nginx_takes_the_samples() {
    let modules = [products::nginx_rtmp(), products::module()];
    let load: String = modules.iter().map(|module| format!("load_module {};\n", module.display())).collect();
    for name in ["origin", "edge", "edge-cache", "loadbalancer"] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("log")).unwrap();
        std::fs::create_dir(path("state")).unwrap();
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
            .replace("/var/lib/weir-nginx", &path("state"))
            .replace("/var/cache/nginx/", &path("cache-"))
            .replace("/var/log/nginx", &path("log"))
            .replace("/run/nginx.pid", &path("nginx.pid"))
            .replace("user www-data;", "user root;")
            // The lines for an edge behind load balancers.
            .replace("#set_real_ip_from", "set_real_ip_from")
            .replace("#real_ip_", "real_ip_")
            // This host name does not resolve on the test machine.
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

#[test]
fn the_firewall_and_the_rotation_are_taken() {
    let sample = |name: &str| products::workspace().join("nginx-conf").join(name);
    let run = |program: &str, words: &[&str], file: &str| {
        let output = Command::new(products::tool(program)).args(words).arg(sample(file)).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success() && !said.contains("error:"), "{program}: {said}");
    };
    run("/usr/sbin/nft", &["-c", "-f"], "firewall/nftables.conf");
    // logrotate rejects a file that users other than root may write to.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("weir");
    std::fs::copy(sample("logrotate/weir"), &copy).unwrap();
    std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let output = Command::new(products::tool("/usr/sbin/logrotate")).arg("-d").arg(&copy).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("error:"), "{said}");

    let profile = files::text(&sample("firewall/ufw.profile"));
    let ports: Vec<&str> = profile.lines().filter_map(|line| line.strip_prefix("ports=")).collect();
    assert_eq!(ports, ["1935/tcp", "80,443,8080/tcp", "8189"]);
    assert!(profile.contains("port 8090 proto tcp"), "{profile}");
    let rules = files::text(&sample("firewall/nftables.conf"));
    for rule in [
        "tcp dport 1935 accept",
        "tcp dport { 80, 443, 8080 } accept",
        "udp dport 8189 accept",
        "ip saddr @cluster tcp dport 8090 accept",
    ] {
        assert!(rules.contains(rule), "{rule}");
    }
}
