//! Proves where `make install` puts what was built, and that everybody may read it there.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_tests::harness::products;

/// What lies below a folder after `make install` with these variables, by an installer who keeps things to himself.
fn install(root: &Path, variables: &[&str]) {
    let weir = products::workspace().join("build/weir");
    assert!(weir.exists(), "{} is missing: run `make build`", weir.display());
    let output = Command::new("bash")
        .args(["-c", "umask 077; exec make \"$@\"", "make", "--silent", "install"])
        .arg(format!("DESTDIR={}", root.display()))
        .args(variables)
        .current_dir(products::workspace())
        // What make itself was given is not for this one.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// All that is below a folder, links apart.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| !path.is_symlink()).collect();
    for folder in found.clone().iter().filter(|path| path.is_dir()) {
        found.extend(below(folder));
    }
    found
}

#[test]
fn each_file_is_where_a_distribution_has_it() {
    let root = tempfile::tempdir().unwrap();
    install(root.path(), &["PREFIX=/usr"]);
    let path = |path: &str| root.path().join(path);
    let read = |file: &str| fs::read_to_string(path(file)).unwrap();

    assert!(path("usr/lib/nginx/modules/ngx_rtmp_weir_module.so").is_file());
    let loads = "/usr/share/nginx/modules-available/mod-rtmp-weir.conf";
    assert_eq!(read(&loads[1..]), "load_module modules/ngx_rtmp_weir_module.so;\n");
    let link = fs::read_link(path("etc/nginx/modules-enabled/70-mod-rtmp-weir.conf")).unwrap();
    assert_eq!(link, Path::new(loads));
    assert_eq!(fs::metadata(path("usr/bin/weir")).unwrap().permissions().mode() & 0o777, 0o755);
    let unit = "usr/lib/systemd/system/weir.service";
    assert!(read(unit).contains("\nExecStart=/usr/bin/weir serve "));
    assert!(read("usr/share/man/man1/weir-serve.1").contains(".TH weir-serve 1"));
    for completion in [
        "bash-completion/completions/weir",
        "zsh/vendor-completions/_weir",
        "fish/vendor_completions.d/weir.fish",
    ] {
        assert!(read(&format!("usr/share/{completion}")).contains("weir"), "{completion}");
    }
    for doc in ["README.md", "LICENSE", "docs/directives.md", "examples/weir.toml", "nginx-conf/README.md"] {
        assert!(path("usr/share/doc/weir").join(doc).is_file(), "{doc}");
    }
}

#[test]
fn everybody_may_read_what_is_installed() {
    let root = tempfile::tempdir().unwrap();
    install(root.path(), &["PREFIX=/usr"]);
    for path in below(root.path()) {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert!(mode == 0o755 || mode == 0o644 && path.is_file(), "{} {mode:o}", path.display());
    }
}

#[test]
fn another_prefix_holds_for_the_unit_too() {
    let root = tempfile::tempdir().unwrap();
    install(root.path(), &["PREFIX=/opt/weir", "LIBDIR=/opt/weir/lib64", "SYSCONFDIR=/opt/etc"]);
    let unit = fs::read_to_string(root.path().join("opt/weir/lib64/systemd/system/weir.service")).unwrap();
    assert!(unit.contains("\nExecStart=/opt/weir/bin/weir serve "));
    assert!(root.path().join("opt/weir/lib64/nginx/modules/ngx_rtmp_weir_module.so").is_file());
    assert!(root.path().join("opt/etc/nginx/modules-enabled/70-mod-rtmp-weir.conf").is_symlink());
    let places = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(places.collect::<Vec<_>>(), ["opt"]);
}
