//! The samples are valid: each `weir.toml`, the unit for systemd, and the layout with two applications.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use weir_tests::harness::products;

fn sample(name: &str) -> PathBuf {
    products::workspace().join("nginx-conf").join(name)
}

/// Returns whether the check accepts a text, and its errors; the paths of the samples are in a folder of the test.
fn check(text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let text = ["/etc/weir/", "/var/lib/weir/", "/run/weir/", "/usr/local/bin/"]
        .iter()
        .fold(text.to_owned(), |text, path| text.replace(path, &format!("{}/", place.display())));
    let webhook = format!("whsec_{}", "QUJD".repeat(11));
    for (name, content) in [
        ("secret", "0123456789abcdef0123456789abcdef"),
        ("cluster.secret", "0123456789abcdef0123456789abcdef"),
        ("pair.secret", "fedcba9876543210fedcba9876543210"),
        ("api.token", "sesame"),
        ("webhook.secret", webhook.as_str()),
        ("s3.credentials", "aws_access_key_id = a\naws_secret_access_key = b\n"),
        ("slate.png", "no picture"),
        ("on-event", "#!/bin/sh\n"),
        ("weir.toml", text.as_str()),
    ] {
        std::fs::write(place.join(name), content).unwrap();
        std::fs::set_permissions(place.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let config = place.join("weir.toml");
    let output =
        Command::new(products::weir()).args(["serve", "--check", "--config"]).arg(config).output().unwrap();
    // On a machine with a user weir, the check warns that the folder has another owner.
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors = errors.lines().filter(|line| !line.starts_with("weir: warning:")).collect();
    (output.status.success(), errors)
}

#[test]
fn each_weir_toml_is_good_and_what_is_commented_out_is_the_default() {
    for name in [
        "weir.toml",
        "ladder/weir.toml",
        "restream/weir.toml",
        "origin/weir.toml",
        "edge/weir.toml",
        "loadbalancer/weir.toml",
    ] {
        let text = std::fs::read_to_string(sample(name)).unwrap();
        assert_eq!(check(&text), (true, String::new()), "{name}");
    }
    // In the sample, a default is a key after a `#` without a blank.
    let text = std::fs::read_to_string(sample("weir.toml")).unwrap();
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty()).unwrap_or(line)
        })
        .collect();
    assert_eq!(check(&uncommented.join("\n")), (true, String::new()), "{}", uncommented.join("\n"));
}

#[test]
fn a_check_finds_what_would_end_the_start() {
    let base = "[hooks.webhook.a]\nurl = \"https://b.example.org/\"\n";
    for (text, problem) in [
        (format!("{base}secret_files = [\"/etc/weir/none\"]\n"), "[hooks.webhook.a]: secret_files: "),
        (format!("{base}secret_files = [\"/etc/weir/secret\"]\n"), "must be whsec_"),
        ("[jobs]\nffmpeg = \"/nonexistent/ffmpeg\"\n[[record]]\napp = \"live\"\nstream = \"*\"\n".into(), "[jobs]: ffmpeg: "),
        ("[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"/etc/weir/secret/x\"\n".into(), "[[record]]: folder: "),
        ("[daemon]\nsocket = \"/etc/weir/secret/x.sock\"\n".into(), "[daemon]: socket: "),
        ("[slate]\nstreams = [\"live/*\"]\nfile = \"/etc/weir/none.png\"\nsecret_file = \"/etc/weir/secret\"\n".into(), "[slate]: file: "),
        ("[hooks.command.c]\nrun = [\"/etc/weir/none\"]\n".into(), "[hooks.command.c]: run: "),
    ] {
        let (good, said) = check(&text);
        assert!(!good && said.contains(problem), "{text}\n{said}");
    }
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
