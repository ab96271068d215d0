//! A viewer over WebRTC (aiortc, in a network of its own) whose network is too slow for the stream: the daemon reports that once, the
//! viewer gets the smaller rendition of the ladder, still counts as a viewer of the stream, and gets the stream again when the network is
//! fast enough. Another viewer misses no frame. In Chromium, the player shows a message if there is no smaller rendition.

use std::io::copy;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::spawn;

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::netns::Netns;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Sidecar, products, until};

use super::foreign::Client;
use super::{SECRET, open};

/// A publisher of more than two megabits per second, at 160 x 90.
struct Noise(Child);

impl Noise {
    fn publish(url: &str) -> Self {
        let picture = "nullsrc=size=160x90:rate=20,geq=lum='random(1)*255':cb=128:cr=128";
        let child = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", picture])
            .args(["-f", "lavfi", "-i", "sine=frequency=440", "-c:v", "libx264", "-preset", "ultrafast"])
            .args([
                "-tune",
                "zerolatency",
                "-pix_fmt",
                "yuv420p",
                "-b:v",
                "2500k",
                "-g",
                "20",
                "-threads",
                "1",
            ])
            .args(["-c:a", "aac", "-b:a", "32k", "-f", "flv", url])
            .stdin(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes the daemon's pages reachable from another network; returns the port.
pub(crate) fn forward(net: &Netns, to: u16) -> u16 {
    let listener = TcpListener::bind((net.host(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        for here in listener.incoming().map_while(Result::ok) {
            let Ok(there) = TcpStream::connect(("127.0.0.1", to)) else { return };
            let (mut a, mut b) = (here.try_clone().unwrap(), there.try_clone().unwrap());
            let (mut here, mut there) = (here, there);
            spawn(move || copy(&mut a, &mut there));
            spawn(move || copy(&mut b, &mut here));
        }
    });
    port
}

#[test]
fn a_viewer_whose_network_is_too_slow_gets_the_smaller_rendition_until_it_is_faster() {
    let (net, port) = (Netns::create(), Port::reserve());
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish open;")
        .app("abr", "weir_publish key;")
        .start();
    let config = format!(
        "[web]\n[rung.low]\nheight = 60\nbitrate = \"100k\"\n[ladder.one]\nrungs = [\"low\"]\n\
         [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"one\"\ndeliver = \"rtmp\"\nto_app = \"abr\"\n\
         [webrtc]\nlisten = \"{}:{}\"\n",
        net.host(),
        port.number()
    );
    let sidecar = Sidecar::start(&nginx, &config);
    let _publisher = Noise::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("the rendition is live", 40.0, || nginx.api().stream("abr", "show_low"));
    let rate = |app: &str, name: &str| nginx.api().stream(app, name).unwrap()["bitrate_in"].as_u64().unwrap();
    until("their bitrates are known", 30.0, || {
        rate("live", "show") > 2_000_000 && (50_000..400_000).contains(&rate("abr", "show_low"))
    });
    let web = forward(&net, sidecar.web());
    let url = format!("http://{}:{web}/stream/live/show/whep", net.host());
    let host = net.address(1).to_string();
    let mut player = net.inside(|| Client::at(&host, &["play", &url, "300"]));
    assert_eq!(player.next(), json!({ "playing": true }));
    let mut other = Client::at(&net.host().to_string(), &["play", &url, "40"]);
    assert_eq!(other.next(), json!({ "playing": true }));

    net.limit(Some(1000));
    assert_eq!(player.within(40.0), Some(json!({ "size": [106, 60] })), "{}", sidecar.log());
    let told = sidecar.told("not_enough_bandwidth");
    assert_eq!(
        [&told["app"], &told["name"], &told["viewers"], &told["watched"], &told["next"]],
        [&json!("live"), &json!("show"), &json!(1), &json!("live/show"), &json!("abr/show_low")]
    );
    until("both count where they came", 15.0, || {
        nginx.api().stream("live", "show").is_some_and(|stream| stream["viewers"]["webrtc"] == 2)
    });
    // The other viewer has received each frame of the stream: 20 per second.
    let end = other.next();
    assert!(end["size"] == json!([160, 90]) && end["video"].as_u64().unwrap() > 720, "{end}");
    // The daemon tried the larger rendition without success, and does not report the same slow network twice.
    let told = sidecar.all_told("not_enough_bandwidth");
    assert_eq!(told.len(), 1, "{told:?}");

    net.limit(None);
    let mut size = json!({ "size": [106, 60] });
    until("it gets the stream again, and keeps it", 90.0, || {
        let news = player.within(6.0);
        size = news.clone().unwrap_or(size.take());
        news.is_none() && size == json!({ "size": [160, 90] })
    });
}

#[test]
fn the_player_says_so_where_no_rendition_is_small_enough() {
    let (net, port) = (Netns::create(), Port::reserve());
    let nginx = open().start();
    let config = format!("[web]\n[webrtc]\nlisten = \"{}:{}\"\n", net.host(), port.number());
    let sidecar = Sidecar::start(&nginx, &config);
    let _publisher = Noise::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let web = forward(&net, sidecar.web());
    // The browser's driver also needs its thread in that network.
    let browser = net.inside(Browser::start);
    let state = || browser.run("return document.body.dataset.state ?? ''");
    browser.open(&format!("http://{}:{web}/embed/live/show?tech=whep", net.host()));
    until("it plays", 40.0, || state() == "PLAYING");
    net.limit(Some(1000));
    until("it says so", 30.0, || state() == "NOT_ENOUGH_BANDWIDTH");
    let told = sidecar.told("not_enough_bandwidth");
    assert_eq!([&told["watched"], &told["next"]], [&json!("live/show"), &json!(null)]);
    net.limit(None);
    until("it plays again", 30.0, || state() == "PLAYING");
    assert_eq!(sidecar.count_told("not_enough_bandwidth"), 1);
}
