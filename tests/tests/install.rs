//! `make install` puts each built file in its place, readable for everybody; nginx loads the module from any prefix; and `make uninstall`
//! removes everything.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_tests::harness::products;

/// Runs `make install` into a folder with these variables, under a umask that gives others no rights.
fn install(root: &Path, variables: &[&str]) {
    make("install", &[&[format!("DESTDIR={}", root.display()).as_str()], variables].concat());
}

fn make(target: &str, variables: &[&str]) {
    let weir = products::workspace().join("build/weir");
    assert!(weir.exists(), "{} is missing: run `make build`", weir.display());
    let output = Command::new("bash")
        .args(["-c", "umask 077; exec make \"$@\"", "make", "--silent", target])
        .args(variables)
        .current_dir(products::workspace())
        // The variables of an outer make must not reach this one.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns everything below a folder, except for links.
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
    assert!(read("usr/share/man/man5/weir.toml.5").contains(".TH weir.toml 5"));
    assert!(read("usr/lib/sysusers.d/weir.conf").contains("\nu weir "));
    assert!(read("usr/lib/tmpfiles.d/weir.conf").contains("\nd /var/lib/weir 0750 weir www-data"));
    assert!(path("etc/weir").is_dir());
    for completion in [
        "bash-completion/completions/weir",
        "zsh/vendor-completions/_weir",
        "fish/vendor_completions.d/weir.fish",
    ] {
        assert!(read(&format!("usr/share/{completion}")).contains("weir"), "{completion}");
    }
    for doc in [
        "README.md",
        "LICENSE",
        "THIRD-PARTY-NOTICES",
        "docs/directives.md",
        "examples/weir.toml",
        "nginx-conf/README.md",
    ] {
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
    install(
        root.path(),
        &["PREFIX=/opt/weir", "LIBDIR=/opt/weir/lib64", "SYSCONFDIR=/opt/etc", "NGINX_GROUP=nginx"],
    );
    let read = |path: &str| fs::read_to_string(root.path().join("opt/weir/lib64").join(path)).unwrap();
    let unit = read("systemd/system/weir.service");
    assert!(unit.contains("\nExecStart=/opt/weir/bin/weir serve "));
    assert!(unit.contains("\nGroup=nginx\n"));
    assert!(read("tmpfiles.d/weir.conf").contains("\nd /var/lib/weir 0750 weir nginx -"));
    assert!(root.path().join("opt/weir/lib64/nginx/modules/ngx_rtmp_weir_module.so").is_file());
    assert!(root.path().join("opt/etc/nginx/modules-enabled/70-mod-rtmp-weir.conf").is_symlink());
    let places = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(places.collect::<Vec<_>>(), ["opt"]);
}

#[test]
fn no_link_loads_the_module_for_another_nginx() {
    let root = tempfile::tempdir().unwrap();
    let variables = ["PREFIX=/usr/local", "NGINX_MODULES=/usr/local/nginx/modules"];
    install(root.path(), &variables);
    assert!(root.path().join("usr/local/nginx/modules/ngx_rtmp_weir_module.so").is_file());
    // Debian's nginx reads this folder, and would not start.
    assert!(!root.path().join("etc/nginx").exists());
    assert!(!root.path().join("usr/local/share/nginx").exists());

    make("uninstall", &[&[format!("DESTDIR={}", root.path().display()).as_str()], &variables[..]].concat());
    let left: Vec<PathBuf> = below(root.path()).into_iter().filter(|path| path.is_file()).collect();
    assert_eq!(left, [""; 0].map(PathBuf::from));

    // The folder of Debian's nginx, with another prefix.
    let root = tempfile::tempdir().unwrap();
    install(root.path(), &["PREFIX=/usr/local", "NGINX_MODULES=/usr/lib/nginx/modules"]);
    assert!(root.path().join("etc/nginx/modules-enabled/70-mod-rtmp-weir.conf").is_symlink());
}

/// Returns the files below a folder that contain a text.
fn that_mention(folder: &Path, text: &str) -> Vec<PathBuf> {
    let holds =
        |path: &PathBuf| fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text));
    below(folder).into_iter().filter(|path| path.is_file() && holds(path)).collect()
}

#[test]
fn nginx_loads_the_module_from_any_prefix() {
    let place = tempfile::tempdir().unwrap();
    let prefix = place.path().join("local");
    let variables = [
        format!("PREFIX={}", prefix.display()),
        format!("SYSCONFDIR={}", place.path().join("etc").display()),
        "DESTDIR=".to_owned(),
    ];
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    make("install", &variables);
    let config = place.path().join("nginx.conf");
    let text = format!(
        "load_module {};\ninclude {}/etc/nginx/modules-enabled/*.conf;\npid nginx.pid; error_log stderr;\nweir_zone 1m;\nevents {{}}\n",
        products::nginx_rtmp().display(),
        place.path().display(),
    );
    let text = text.replace("pid ", &format!("pid {}/", place.path().display()));
    fs::write(&config, text).unwrap();
    let output = Command::new(products::nginx()).args(["-t", "-c"]).arg(&config).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // No installed file contains another prefix.
    let docs = prefix.join("share/doc/weir");
    for text in ["/usr/bin/weir", "/usr/share/doc/weir"] {
        assert_eq!(that_mention(&prefix.join("lib/systemd"), text), [""; 0].map(PathBuf::from), "{text}");
        assert_eq!(that_mention(&prefix.join("share/man"), text), [""; 0].map(PathBuf::from), "{text}");
        assert_eq!(that_mention(&docs, text), [""; 0].map(PathBuf::from), "{text}");
    }
    assert!(prefix.join("share/zsh/site-functions/_weir").is_file());

    let _ = fs::remove_file(place.path().join("nginx.pid"));
    fs::write(place.path().join("etc/weir/weir.toml"), "").unwrap();
    make("uninstall", &variables);
    let mut left: Vec<PathBuf> = below(place.path()).into_iter().filter(|path| path.is_file()).collect();
    left.sort();
    assert_eq!(left, [place.path().join("etc/weir/weir.toml"), config]);
    assert!(!place.path().join("etc/nginx/modules-enabled/70-mod-rtmp-weir.conf").is_symlink());
}
