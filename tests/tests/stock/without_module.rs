//! `nginx-conf/without-module.sh`: with the changed files, nginx-rtmp alone starts and survives a reload. Everything that Weir protected is
//! closed.

use std::process::Command;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Publisher, files, products};

#[test]
fn nginx_survives_reloads_and_protected_applications_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("nginx");
    std::fs::create_dir(&etc).unwrap();
    // No file but the first one has a directive of Weir.
    let written = [
        ("app.conf", "weir_publish key; weir_push on;\n"),
        ("workers.conf", "rtmp_auto_push on;\n"),
        ("plain.conf", "# open\n"),
    ];
    for (name, text) in written {
        std::fs::write(etc.join(name), text).unwrap();
    }
    let script = products::workspace().join("nginx-conf/without-module.sh");
    let output = Command::new("sh").arg(script).arg(&etc).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, text) in written {
        assert_eq!(files::text(&folder.path().join("nginx.weir").join(name)), text);
    }

    let left = |name: &str| files::text(&etc.join(name));
    assert_eq!(left("plain.conf"), "# open\n");
    let nginx = Config::stock()
        .workers(2)
        .main(&left("workers.conf"))
        .app("live", &left("app.conf"))
        .app("open", "")
        .start();
    let publisher = Publisher::to(nginx.rtmp(), "open/show").start().started();
    publisher.send_more(300);
    nginx.reload();
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    // nginx-rtmp looks at `deny` after it has answered.
    Publisher::to(nginx.rtmp(), "live/show").start().wait_closed(5.0);
}
