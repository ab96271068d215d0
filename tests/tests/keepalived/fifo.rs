//! `weir serve` reads keepalived's notifications from its FIFO, including those from the time when the daemon was stopped, and those after
//! a restart of keepalived.

use weir_tests::harness::sidecar::Sidecar;
use weir_tests::harness::until;

use crate::alone;
use crate::pair::Pair;

#[test]
fn the_daemon_follows_keepalived() {
    let _alone = alone();
    let with_fifo = |text: String| {
        let fifo = text.replace("# vrrp_notify_fifo /var/lib/weir/", "vrrp_notify_fifo @FOLDER@/");
        let lines = fifo.lines().filter(|line| !line.trim().starts_with("notify "));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        // The sample names only one folder of the test: that of the script.
        let folder =
            text.split_once("file /var/lib/").and_then(|(_, rest)| rest.split_once("/drain")).unwrap().0;
        text.replace("@FOLDER@", &format!("/var/lib/{folder}"))
    };
    let pair = Pair::start("restream", with_fifo, crate::restream::config);
    let machine = &pair.machines[0];
    // No process has read keepalived's notifications yet.
    assert_eq!(machine.pushes(), Some(false));
    let fifo = machine.scripts.path("keepalived.fifo");
    let config = format!("[notify]\nfifo = \"{}\"\ninstance = \"restream\"\n", fifo.display());
    let _daemon = machine.space.inside(|| Sidecar::start(&machine.nginx, &config));
    until("a is told to push", 10.0, || machine.pushes() == Some(true));
    std::fs::write(machine.scripts.path("drain"), "-20\n").unwrap();
    until("a is told to push no more", 10.0, || machine.pushes() == Some(false));
    std::fs::write(machine.scripts.path("drain"), "0\n").unwrap();
    pair.machines[1].keepalived.stop();
    until("a is told to push again", 10.0, || machine.pushes() == Some(true));
}
