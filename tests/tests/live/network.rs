//! Chromium in a network of its own. A viewer's cable is pulled: no packet arrives, and nothing closes the connection. In Chromium, the player says so within seconds, and
//! plays again when the cable is plugged in. The pages use the STUN and TURN servers of `ice_servers`.

use std::net::UdpSocket;
use std::time::Duration;

use weir_tests::harness::browser::Browser;
use weir_tests::harness::netns::Netns;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::bandwidth::forward;
use super::open;

#[test]
fn a_player_says_so_when_the_network_fails_without_a_sign_and_plays_again_after_it() {
    let (net, port) = (Netns::create(), Port::reserve());
    let nginx = open().start();
    let config = format!("[web]\n[webrtc]\nlisten = \"{}:{}\"\n", net.host(), port.number());
    let sidecar = Sidecar::start(&nginx, &config);
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let web = forward(&net, sidecar.web());
    // The browser's driver also needs its thread in that network.
    let browser = net.inside(Browser::start);
    let data = |name: &str| browser.run(&format!("return document.body.dataset.{name} ?? ''"));
    for (techs, tech) in [("ws,llhls", "ws"), ("whep", "whep"), ("llhls", "llhls")] {
        browser.open(&format!("http://{}:{web}/embed/live/show?tech={techs}", net.host()));
        until(&format!("it plays by {tech}"), 30.0, || data("state") == "PLAYING" && data("tech") == tech);
        net.pull();
        until(&format!("it says so by {tech}"), 15.0, || data("state") == "PENDING");
        net.plug();
        until(&format!("it plays again by {tech}"), 30.0, || data("state") == "PLAYING");
    }
}

#[test]
fn the_pages_of_the_daemon_use_the_servers_of_ice_servers() {
    let (net, port) = (Netns::create(), Port::reserve());
    let nginx = open().start();
    let stun = UdpSocket::bind((net.host(), 0)).unwrap();
    stun.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let config = format!(
        "[web]\n[webrtc]\nlisten = \"{}:{}\"\nice_servers = [\"stun:{}\"]\n",
        net.host(),
        port.number(),
        stun.local_addr().unwrap()
    );
    let sidecar = Sidecar::start(&nginx, &config);
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let web = forward(&net, sidecar.web());
    let browser = net.inside(Browser::start);
    browser.open(&format!("http://{}:{web}/embed/live/show?tech=whep", net.host()));
    let mut packet = [0; 1500];
    let (length, _) = stun.recv_from(&mut packet).expect("the browser asks the server for its address");
    // A binding request (RFC 8489, 5) with its magic cookie.
    assert_eq!(
        (length >= 20, &packet[..2], &packet[4..8]),
        (true, &[0, 1][..], &[0x21, 0x12, 0xa4, 0x42][..])
    );
    let state = || browser.run("return document.body.dataset.state ?? ''");
    until("it plays", 30.0, || state() == "PLAYING");
}
