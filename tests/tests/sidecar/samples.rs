//! What is there to be copied holds: each `weir.toml`, the unit for systemd, and the layout with two applications.

use std::path::{Path, PathBuf};
use std::process::Command;

use weir_tests::harness::products;

fn sample(name: &str) -> PathBuf {
    products::workspace().join("nginx-conf").join(name)
}

fn check(config: &Path) -> (bool, String) {
    let output =
        Command::new(products::weir()).args(["serve", "--check", "--config"]).arg(config).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn each_weir_toml_is_good_and_what_is_commented_out_is_the_default() {
    for name in ["weir.toml", "ladder/weir.toml"] {
        assert_eq!(check(&sample(name)), (true, String::new()), "{name}");
    }
    // A default is a key behind a mark without a blank.
    let text = std::fs::read_to_string(sample("weir.toml")).unwrap();
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty()).unwrap_or(line)
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.toml");
    std::fs::write(&path, uncommented.join("\n")).unwrap();
    assert_eq!(check(&path), (true, String::new()), "{}", uncommented.join("\n"));
}

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(sample("systemd/weir.service")).unwrap();
    // The product need not be installed.
    let text = text.replace("/usr/bin/weir", &products::weir().to_string_lossy());
    let unit = folder.path().join("weir.service");
    std::fs::write(&unit, text).unwrap();
    let output =
        Command::new(products::tool("/usr/bin/systemd-analyze")).arg("verify").arg(&unit).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let of_ours: Vec<&str> = errors.lines().filter(|line| line.contains("weir.service")).collect();
    assert!(output.status.success() && of_ours.is_empty(), "{errors}");
}

#[test]
fn nginx_takes_the_layout_with_two_applications() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_string_lossy().into_owned();
    std::fs::write(folder.path().join("weir.secret"), "0123456789abcdef0123456789abcdef").unwrap();
    let text = std::fs::read_to_string(sample("ladder/nginx.conf")).unwrap();
    let modules = format!(
        "load_module {};\nload_module {};",
        products::nginx_rtmp().display(),
        products::module().display()
    );
    let text = text
        .replace("\ninclude /etc/nginx/modules-enabled/*.conf;", &format!("\n{modules}"))
        .replace("\nuser www-data;", "\nuser root;")
        .replace("/etc/nginx/weir.secret", &format!("{place}/weir.secret"))
        .replace("/var/lib/weir-nginx", &format!("{place}/state"))
        .replace("/var/log/nginx", &place)
        .replace("/run/nginx.pid", &format!("{place}/nginx.pid"))
        .replace("listen 1935", "listen 127.0.0.1:1935");
    std::fs::create_dir(folder.path().join("state")).unwrap();
    let path = folder.path().join("nginx.conf");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(products::nginx()).arg("-t").arg("-c").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
