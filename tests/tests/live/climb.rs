//! The player in Chromium tries a better transport beside the current one: the current one plays on if the try fails, the next try is
//! later, and the player switches when the better one plays.

use std::io::{Read, Write, copy};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use weir_tests::harness::browser::Browser;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::open;

/// Bytes that a narrow path carries per connection: the answer, the first message and a part of the media.
const FEW: u64 = 2000;
/// Longest time without a new frame, in milliseconds.
const WORST: f64 = 1500.0;

/// A proxy on whose path WebSocket carries only [`FEW`] bytes, until it is wide.
struct Narrow {
    port: u16,
    tries: Arc<AtomicUsize>,
    is_wide: Arc<AtomicBool>,
}

impl Narrow {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tries, is_wide) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, wide) = (tries.clone(), is_wide.clone());
        spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let (count, wide) = (count.clone(), wide.clone());
                spawn(move || carry(here, to, &count, &wide));
            }
        });
        Self { port, tries, is_wide }
    }

    fn tries(&self) -> usize {
        self.tries.load(Ordering::Relaxed)
    }
}

fn carry(mut here: TcpStream, to: u16, tries: &AtomicUsize, is_wide: &AtomicBool) {
    let mut head = [0; 4096];
    let Ok(length) = here.read(&mut head) else { return };
    let Ok(mut there) = TcpStream::connect(("127.0.0.1", to)) else { return };
    there.write_all(&head[..length]).unwrap();
    let is_media = String::from_utf8_lossy(&head[..length]).starts_with("GET /stream/live/show/ws ");
    let (mut back, mut forth) = (there.try_clone().unwrap(), here.try_clone().unwrap());
    let asking = spawn(move || copy(&mut forth, &mut there));
    if is_media && !is_wide.load(Ordering::Relaxed) {
        tries.fetch_add(1, Ordering::Relaxed);
        let _ = copy(&mut (&mut back).take(FEW), &mut here);
        // The rest never arrives.
        let _ = asking.join();
        return;
    }
    let _ = copy(&mut back, &mut here);
    let _ = here.shutdown(std::net::Shutdown::Both);
}

fn data(browser: &Browser, name: &str) -> String {
    browser.run(&format!("return document.body.dataset.{name} ?? ''")).as_str().unwrap().to_owned()
}

#[track_caller]
fn wait_playing(browser: &Browser, tech: &str) {
    until(&format!("it plays by {tech}"), 40.0, || {
        data(browser, "state") == "PLAYING" && data(browser, "tech") == tech
    });
    let time = || browser.run("return document.getElementById('video').currentTime").as_f64().unwrap();
    let begin = time();
    until("two seconds are played", 20.0, || time() > begin + 2.0);
}

/// Begins to note the longest time without a new frame.
fn watch(browser: &Browser) {
    browser.run(
        "const video = document.getElementById('video');
         let [shown, at] = [video.currentTime, performance.now()];
         window.worst = 0;
         clearInterval(window.watching);
         window.watching = setInterval(() => {
           const now = performance.now();
           if (video.currentTime !== shown) [shown, at] = [video.currentTime, now];
           window.worst = Math.max(window.worst, now - at);
         }, 50);",
    );
}

#[track_caller]
fn assert_smooth(browser: &Browser) {
    let worst = browser.run("return window.worst").as_f64().unwrap();
    println!("longest time without a new frame: {worst:.0} ms");
    assert!(worst < WORST, "{worst} ms");
}

#[test]
fn a_try_that_fails_disturbs_nothing_and_the_next_one_is_later() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let narrow = Narrow::start(sidecar.web());
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/embed/live/show?tech=ws,llhls", narrow.port));
    wait_playing(&browser, "llhls");
    let first = narrow.tries();
    watch(&browser);
    until("it tries WebSocket", 40.0, || narrow.tries() > first);
    let tried = Instant::now();
    while tried.elapsed() < Duration::from_secs(28) {
        assert_eq!((data(&browser, "state"), data(&browser, "tech")), ("PLAYING".into(), "llhls".into()));
        assert_eq!(narrow.tries(), first + 1, "{:?}", tried.elapsed());
        sleep(Duration::from_millis(200));
    }
    assert_smooth(&browser);
    // After a change of the network, it need not wait.
    narrow.is_wide.store(true, Ordering::Relaxed);
    browser.run("dispatchEvent(new Event('online'))");
    wait_playing(&browser, "ws");
}

#[test]
fn it_switches_to_webrtc_without_a_pause_when_that_plays() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar =
        Sidecar::start(&nginx, &format!("[web]\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number()));
    // While a file is there, this proxy refuses sessions of WebRTC.
    let proxy = open()
        .file("off", "")
        .http(&format!(
            "location / {{ set $whep $request_method$uri; if (-f @DIR@/off) {{ set $whep off$whep; }}\n\
             if ($whep ~ ^offPOST.*whep$) {{ return 404; }}\nproxy_pass http://127.0.0.1:{}; }}",
            sidecar.web()
        ))
        .start();
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let browser = Browser::start();
    browser.open(&proxy.url("/embed/live/show?tech=whep,llhls"));
    wait_playing(&browser, "llhls");
    watch(&browser);
    std::fs::remove_file(proxy.path("off")).unwrap();
    browser.run("dispatchEvent(new Event('online'))");
    wait_playing(&browser, "whep");
    assert_smooth(&browser);
    until("only one session is open", 20.0, || {
        nginx.api().stream("live", "show").is_some_and(|stream| stream["viewers"]["webrtc"] == 1)
    });
}
