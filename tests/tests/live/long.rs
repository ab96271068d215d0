//! Ten minutes: 500 viewers over WebSocket take no more memory at the end, and Low-Latency HLS in Chromium stays close to live.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::{open, watch};

const LONG: Duration = Duration::from_secs(600);
const VIEWERS: usize = 500;

/// Reads from all viewers for some time; returns the least number of bytes of a viewer.
fn read_all(viewers: &mut [TcpStream], time: Duration) -> usize {
    let (begin, mut buffer) = (Instant::now(), vec![0; 1 << 18]);
    let mut each = vec![0; viewers.len()];
    while begin.elapsed() < time {
        let mut sockets: Vec<_> =
            viewers.iter().map(|viewer| PollFd::new(viewer.as_fd(), PollFlags::POLLIN)).collect();
        poll(&mut sockets, PollTimeout::from(100_u16)).unwrap();
        let ready: Vec<_> = sockets.iter().map(|socket| socket.any() == Some(true)).collect();
        for ((viewer, count), _) in viewers.iter_mut().zip(&mut each).zip(ready).filter(|(_, ready)| *ready) {
            match viewer.read(&mut buffer) {
                Ok(more @ 1..) => *count += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                end => panic!("the daemon ended a viewer's connection: {end:?}"),
            }
        }
    }
    each.into_iter().min().unwrap()
}

#[test]
#[ignore = "takes ten minutes"]
fn five_hundred_viewers_take_no_more_memory_after_ten_minutes() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\nmax_connections = 1000\n");
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let sockets: Vec<_> = (0..VIEWERS).map(|_| watch(&sidecar, "show")).collect();
    let mut viewers: Vec<_> = sockets.iter().map(|socket| socket.stream().try_clone().unwrap()).collect();
    viewers.iter().for_each(|viewer| viewer.set_nonblocking(true).unwrap());
    read_all(&mut viewers, LONG / 10);
    let before = sidecar.process().memory();
    let least = read_all(&mut viewers, LONG - LONG / 10);
    let after = sidecar.process().memory();
    println!("{VIEWERS} viewers: {before} bytes of memory, {after} at the end");
    assert!(after < before + before / 10, "{before} {after}");
    assert!(least > 1_000_000, "{least}");
}

#[test]
#[ignore = "takes ten minutes"]
fn low_latency_hls_stays_close_to_live_for_ten_minutes() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/embed/live/show?tech=llhls", sidecar.web()));
    let data = |name: &str| browser.run(&format!("return document.body.dataset.{name} ?? ''"));
    let latency = || data("latency").as_str().and_then(|text| text.parse::<f64>().ok());
    until("it plays close to live", 60.0, || {
        data("state") == "PLAYING" && latency().is_some_and(|latency| latency <= 2.5)
    });
    let (begin, mut all) = (Instant::now(), Vec::new());
    while begin.elapsed() < LONG {
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(
            (data("state"), data("tech")),
            ("PLAYING".into(), "llhls".into()),
            "{:?}",
            begin.elapsed()
        );
        all.extend(latency());
    }
    all.sort_by(f64::total_cmp);
    println!("seconds behind live: {} .. {}, median {}", all[0], all[all.len() - 1], all[all.len() / 2]);
    assert!(all[all.len() - 1] <= 2.5, "{all:?}");
}
