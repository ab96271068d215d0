//! Senders over SRT, RIST and UDP are published; without the passphrase a sender is refused, and a sender may return.

use std::time::Duration;

use weir_tests::harness::ports::Port;
use weir_tests::harness::{Sidecar, until};

use super::{INPUT, MEDIA, Sender, input, keyed, restarts, wait_ended, wait_live};

const PASSPHRASE: &str = "a-long-passphrase";

#[test]
fn srt_with_a_passphrase_is_published_and_returns() {
    let (nginx, port) = (keyed().start(), Port::reserve());
    let at = port.number();
    let url = format!("srt://:{at}?mode=listener&passphrase={PASSPHRASE}");
    let mut sidecar = Sidecar::start(&nginx, &input(&url, ""));
    let send = |phrase: &str| {
        Sender::start(&MEDIA.file("minutes.mp4"), &format!("srt://127.0.0.1:{at}?passphrase={phrase}"))
    };
    let mut refused = send("another-passphrase");
    let ended = weir_tests::harness::until_ok(20.0, || refused.0.try_wait().unwrap());
    assert!(ended.is_some_and(|status| !status.success()), "a wrong passphrase is taken");
    assert!(nginx.api().stream("live", "show").is_none());
    for _ in 0..2 {
        // A listener that has just ended takes a moment to listen again.
        let mut sender = send(PASSPHRASE);
        let live = weir_tests::harness::until_ok(30.0, || {
            if sender.0.try_wait().unwrap().is_some() {
                sender = send(PASSPHRASE);
            }
            nginx.api().stream("live", "show")
        });
        assert!(live.is_some(), "{}", sidecar.log());
        wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
        assert!(!sidecar.wait_running(INPUT, 10.0).title().contains(PASSPHRASE));
        drop(sender);
        wait_ended(&nginx);
    }
    assert!(!sidecar.log().contains(PASSPHRASE), "{}", sidecar.log());
}

#[test]
fn srt_with_a_stream_key_as_streamid() {
    let (nginx, port) = (keyed().start(), Port::reserve());
    let at = port.number();
    let api = nginx.api();
    let (key, other) = (api.create_key("live", "show"), api.create_key("live", "other"));
    let sidecar = Sidecar::start(&nginx, &input(&format!("srt://:{at}?mode=listener"), "streamid = \"key\""));
    let send =
        |id: &str| Sender::start(&MEDIA.file("minutes.mp4"), &format!("srt://127.0.0.1:{at}?streamid={id}"));
    let error = || {
        sidecar.find(INPUT).and_then(|job| job["last_error"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    // Sends until a condition holds: a listener that has just ended takes a moment to listen again.
    let send_until = |what: &str, id: &str, holds: &dyn Fn() -> bool| {
        let mut sender = send(id);
        until(what, 30.0, || {
            if sender.0.try_wait().unwrap().is_some() {
                sender = send(id);
            }
            holds()
        });
        sender
    };
    // No key, and more than a key.
    drop(send_until("no key is refused", "", &|| error().contains("streamid is no stream key")));
    drop(send_until("no arguments pass", "show%3Fa%3Db%26key", &|| {
        error().contains("streamid is no stream key")
    }));
    assert!(api.stream("live", "show").is_none() && api.stream("live", "other").is_none());

    // The key decides which stream it is, as with an encoder.
    let sender = send_until("the other key opens its own stream", &other.key, &|| {
        api.stream("live", "other").is_some()
    });
    assert!(api.stream("live", "show").is_none());
    drop(sender);
    until("it ends", 20.0, || api.stream("live", "other").is_none());

    for id in [key.key.clone(), format!("#!::m=publish,r={}", key.key)] {
        let sender = send_until("the key opens", &id, &|| api.stream("live", "show").is_some());
        wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
        assert_eq!(api.stream("live", "show").unwrap()["publisher"]["key_id"], key.id.as_str());
        drop(sender);
        wait_ended(&nginx);
    }
    let sender = send_until("the key opens", &key.key, &|| api.stream("live", "show").is_some());
    api.delete(&format!("/v1/keys/{}", key.id)).expect(200);
    wait_ended(&nginx);
    drop(sender);
    drop(send_until("a revoked key is refused", &key.key, &|| error().contains("unknown key")));
    assert!(api.stream("live", "show").is_none());
    for secret in [&key.key, &other.key] {
        assert!(!sidecar.log().contains(secret.as_str()), "{}", sidecar.log());
    }
}

#[test]
fn udp_is_waited_for_and_published() {
    let (nginx, port) = (keyed().start(), Port::reserve());
    let sidecar = Sidecar::start(&nginx, &input(&format!("udp://:{}", port.number()), ""));
    // This is longer than ffmpeg may take without progress after its start.
    until("ffmpeg waits", 20.0, || sidecar.find(INPUT).is_some_and(|job| job["state"] == "running"));
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(restarts(&sidecar), 0, "{}", sidecar.log());
    let _sender = Sender::start(&MEDIA.file("minutes.mp4"), &format!("udp://127.0.0.1:{}", port.number()));
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
}

#[test]
fn rist_is_published() {
    let nginx = keyed().start();
    // RIST uses an even port and the next one.
    let ports: Vec<Port> = (0..4).map(|_| Port::reserve()).collect();
    let at = ports.iter().map(Port::number).find(|at| at % 2 == 0).unwrap();
    let sidecar = Sidecar::start(&nginx, &input(&format!("rist://:{at}"), ""));
    let _sender = Sender::start(&MEDIA.file("minutes.mp4"), &format!("rist://127.0.0.1:{at}"));
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
}
