//! Streams of one name at two `server` blocks are also two streams for the slate, and a stream with the longest name has a slate.

use std::net::SocketAddr;

use weir_tests::harness::{Nginx, Publisher, Sidecar, until};

use super::{keyed, publish, session, slate, wait_clip};

/// Returns the sessions of the stream at the two blocks.
fn sessions(nginx: &Nginx) -> [Option<String>; 2] {
    let streams = nginx.api().streams();
    ["127.0.0.1", "127.0.0.2"].map(|address| {
        let at_block = |stream: &&serde_json::Value| stream["server"].as_str().unwrap().starts_with(address);
        Some(streams.iter().find(at_block)?["session"].as_str().unwrap().to_owned())
    })
}

#[test]
fn a_slate_fills_in_at_the_block_of_its_stream() {
    let other = "server { listen 127.0.0.2:@RTMP@; application live { live on; weir_publish key; } }";
    let nginx = keyed("").rtmp(other).start();
    let sidecar = Sidecar::start(&nginx, &slate("60s"));
    let key = nginx.api().create_key("live", "show");
    let publish = |host: &str| {
        let address: SocketAddr = format!("{host}:{}", nginx.rtmp()).parse().unwrap();
        Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).at(address).start().started()
    };
    for (lost, stays) in [(0, 1), (1, 0)] {
        let publishers = ["127.0.0.1", "127.0.0.2"].map(publish);
        wait_clip(&nginx, "slate");
        let before = until("both are live", 5.0, || {
            let now = sessions(&nginx);
            now.iter().all(Option::is_some).then_some(now)
        });
        let fills = sidecar.log().matches("showing the slate").count();
        let [first, second] = publishers;
        let (gone, stayed) = if lost == 0 { (first, second) } else { (second, first) };
        gone.kill();
        until("the slate is live", 10.0, || {
            let now = sessions(&nginx);
            now[lost].is_some() && now[lost] != before[lost]
        });
        assert_eq!(sessions(&nginx)[stays], before[stays]);
        assert!(!stayed.is_closed());
        assert_eq!(sidecar.log().matches("showing the slate").count(), fills + 1, "{}", sidecar.log());
        let told = sidecar.told("slate.started");
        assert!(told["server"].as_str().unwrap().starts_with("127.0.0."), "{told}");
        // The publisher returns, and both publishers end before the next round.
        let back = publish(["127.0.0.1", "127.0.0.2"][lost]);
        sidecar.wait_log("the slate ended: a publisher is back");
        back.close();
        stayed.close();
        until("all are gone", 10.0, || sessions(&nginx) == [None, None]);
    }
}

/// A token for such a name is longer than the names that nginx-rtmp accepts.
#[test]
fn the_longest_name_has_a_slate() {
    let nginx = keyed("").start();
    let _sidecar = Sidecar::start(&nginx, &slate("60s"));
    let name = "n".repeat(128);
    let key = nginx.api().create_key("live", &name);
    let publisher = publish(&nginx, &key);
    wait_clip(&nginx, "slate");
    let first = session(&nginx, &name);
    publisher.kill();
    until("the slate is live", 10.0, || session(&nginx, &name).is_some_and(|now| Some(now) != first));
}
