//! The samples pass `keepalived -t` on both machines, with script security on.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use weir_tests::harness::Keepalived;

use crate::pair::{Scripts, sample};

/// keepalived 2.2.7 ends `-t` with its own SIGTERM if its scripts have another user (acassen/keepalived#2617).
const USER: &str = "root";

#[test]
fn each_sample_is_accepted_on_both_machines() {
    let scripts = Scripts::install();
    for name in ["restream", "loadbalancer"] {
        let path = scripts.path(&format!("{name}.conf"));
        std::fs::write(&path, scripts.rendered(&sample(name), USER)).unwrap();
        for machine in ["a", "b"] {
            let (status, said) = Keepalived::test(&path, machine);
            assert_eq!(status, Some(0), "{name}, {machine}: {said}");
        }
    }
}

#[test]
fn the_samples_let_nobody_but_root_change_what_is_run() {
    for name in ["restream", "loadbalancer"] {
        let text = sample(name);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert!(lines.contains(&"enable_script_security"), "{name}");
        // As root, keepalived would run only scripts that nobody but root can change; as any other user, the scripts can do no harm.
        assert!(lines.contains(&"script_user weir"), "{name}");
        for line in lines.iter().filter(|line| line.contains("script \"") || line.starts_with("notify")) {
            assert!(line.contains("\"/usr/bin/weir "), "{name}: {line}");
        }
    }
}

#[test]
fn a_script_that_others_could_change_is_noticed() {
    let scripts = Scripts::install();
    let open = scripts.path("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    std::fs::copy(scripts.path("weir"), open.join("weir")).unwrap();
    let path = scripts.path("keepalived.conf");
    let text = scripts.rendered(&sample("restream"), USER);
    let there = scripts.path("weir").display().to_string();
    std::fs::write(&path, text.replace(&there, &open.join("weir").display().to_string())).unwrap();
    let (status, said) = Keepalived::test(&path, "a");
    assert!(status != Some(0) && said.contains("insecure"), "{status:?}: {said}");
}
