//! Real OBS Studio with a stream key: live with video and audio, stopped and started again, reconnected by itself after the death of a
//! worker, and not affected by a reload. The guard refuses nothing of it, and a capture of it with mistakes disturbs nobody.

use std::time::Duration;

use weir_tests::harness::obs::Obs;
use weir_tests::harness::{Player, Recorder, until};

use super::captures::{self, LENGTH};
use super::encoders::assert_on_air;
use super::{assert_nothing_refused, keyed, wait_gone, wait_on_air};

#[test]
#[ignore = "make test-long: it takes a desktop's packages"]
fn obs_studio_publishes_and_comes_back() {
    let mut nginx = keyed().workers(2).main("rtmp_auto_push on;").start();
    let key = nginx.api().create_key("live", "show").key;
    let recorder = Recorder::before(nginx.rtmp());
    let mut obs = Obs::publish(&format!("rtmp://127.0.0.1:{}/live", recorder.port()), &key);
    let stream = wait_on_air(&nginx, "show");
    assert_on_air(&nginx, "show");
    println!("{}: {stream}", Obs::version());

    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(10);
    nginx.reload();
    player.wait_video(20);
    assert!(player.seen().gap() < Duration::from_secs(2), "{:?}", player.seen().gap());
    drop(player);
    until("enough to send again", 20.0, || recorder.recorded().len() >= LENGTH);

    obs.stop_streaming();
    wait_gone(&nginx, "show");
    obs.start_streaming();
    wait_on_air(&nginx, "show");

    let worker = wait_on_air(&nginx, "show")["publisher"]["worker_pid"].clone();
    let worker = nginx.workers().into_iter().find(|it| worker == it.0).unwrap();
    nginx.kill_worker(worker);
    until("OBS comes back by itself", 20.0, || {
        nginx.api().stream("live", "show").filter(|stream| stream["publisher"]["worker_pid"] != worker.0)
    });
    wait_on_air(&nginx, "show");
    assert!(!obs.has_ended(), "{}", obs.log());
    assert_nothing_refused(&nginx);

    obs.stop_streaming();
    wait_gone(&nginx, "show");
    let status = obs.quit();
    assert!(status.success(), "OBS ended with {status}");
    captures::disturb_nobody(&mut nginx, "obs", &recorder.recorded()[..LENGTH], 1000);
}
