//! `make run` at a terminal: one clear sentence if it cannot start, the same key the next time, and everything stops together. It says
//! that it simulates viewers, of whom one joins the chat as soon as the daemon lets it in; the printed command makes a link, and targets are
//! pushed to. The test of the video is in `browser.rs`.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::process::Process;
use weir_tests::harness::run::{Place, Run};
use weir_tests::harness::{Peer, Publisher, products, until};

/// Runs it to its end, which must be a failure, and returns its error output.
#[track_caller]
fn fails(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_port_that_is_taken_is_named_with_its_variable() {
    // A process that another test starts at this moment keeps a closed listener for a moment, so each try has ports of its own.
    for (port, variable) in
        [(Place::rtmp_port as fn(&Place) -> u16, "RTMP_PORT"), (Place::http_port, "HTTP_PORT")]
    {
        let place = Place::reserve();
        let port = port(&place);
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let said = fails(place.command());
        assert_eq!(said, format!("run.sh: port {port} is taken: choose another one with {variable}=\n"));
    }
    let mut command = Place::reserve().command();
    command.env("HTTP_PORT", "web");
    assert_eq!(fails(command), "run.sh: HTTP_PORT=web is no port\n");
}

/// A program and its children, which end with the test.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Reads a frame of a client with a short text.
fn message(from: &mut impl Read) -> String {
    let mut head = [0; 6];
    from.read_exact(&mut head).unwrap();
    let mut text = vec![0; usize::from(head[1] & 0x7f)];
    from.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_person_in_the_chat_joins_again_while_the_daemon_cannot_check() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new(products::workspace().join("scripts/audience.sh"));
    command.arg(listener.local_addr().unwrap().port().to_string()).process_group(0);
    let _audience = Group(command.stdout(Stdio::null()).spawn().unwrap());
    let refusal = r#"{"type":"error","code":"unavailable","message":"x"}"#;
    let mut answers = vec![r#"{"type":"chat.welcome","people":1}"#, refusal, refusal];
    // The viewers of the script connect, too.
    for _ in 0..60 {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut head = String::new();
        while reader.read_line(&mut head).unwrap_or_default() > 2 {}
        if !head.starts_with("GET /tv/v1/ws ") {
            continue;
        }
        socket.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
        assert!(message(&mut reader).contains(r#""type":"join""#));
        let answer = answers.pop().unwrap();
        socket.write_all(&[0x81, u8::try_from(answer.len()).unwrap()]).unwrap();
        socket.write_all(answer.as_bytes()).unwrap();
        if answers.is_empty() {
            assert!(message(&mut reader).contains(r#""type":"chat""#));
            return;
        }
    }
    panic!("it does not join again");
}

#[test]
fn a_folder_has_one_run_at_a_time() {
    let run = Run::start();
    let other = Place::reserve();
    let mut command = other.command();
    command.env("PREFIX", run.prefix());
    let said = fails(command);
    let folder = run.prefix();
    assert_eq!(
        said,
        format!(
            "run.sh: another run uses the folder {}: choose another one with PREFIX=\n",
            folder.display()
        )
    );
}

#[test]
fn the_printed_pages_are_there() {
    let run = Run::start_with_test_stream();
    let browser = Browser::start();
    browser.open(&run.printed("Dashboard"));
    let is = |script: &str| browser.run(&format!("return Boolean({script})")) == true;
    until("an administrator can be made", 20.0, || {
        is("document.querySelectorAll('input[type=password]').length")
    });
    assert!(run.printed("WHIP").contains("/tv/stream/live/test/whip"));
    assert!(run.output().contains("simulates two viewers"), "{}", run.output());
    let watch = run.printed("Watch");
    browser.open(watch.split(' ').next().unwrap());
    until("it plays", 60.0, || is("document.body.dataset.state === 'PLAYING'"));
    let text =
        |id: &str| browser.run(&format!("return document.getElementById('{id}').innerText")).to_string();
    until("somebody has written", 20.0, || text("chat-list").contains("Hello."));
    until("viewers are counted", 30.0, || {
        let count: String = text("viewers").chars().filter(char::is_ascii_digit).collect();
        count.parse::<u32>().is_ok_and(|count| count >= 2)
    });
    let processes = run.processes();
    drop(run);
    for process in processes {
        until(&format!("{process:?} is gone"), 10.0, || !process.is_alive());
    }
}

#[test]
fn the_printed_command_makes_a_link_and_targets_work() {
    let run = Run::start();
    let printed = run.printed("Link");
    let mut words = printed.split(' ');
    let program = products::workspace().join(words.next().unwrap());
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = run.page("").replace("?stream=", "tv/watch/live/test?token=");
    let links = String::from_utf8(output.stdout).unwrap();
    assert!(links.starts_with(&format!("Watch:   {page}")), "{links}");
    assert!(!run.output().contains("simulates"), "{}", run.output());

    let target = Peer::takes();
    let body = json!({"app": "live", "stream": "test", "url": target.url("app/show")});
    run.api().post("/v1/targets", &body).expect(201);
    let key = run.printed("Stream Key");
    let _publisher = Publisher::to(run.rtmp_port(), &format!("live/{key}")).start().started();
    target.wait_media("show");
}

#[test]
fn the_next_run_in_a_folder_has_the_same_key_unless_its_state_is_gone() {
    let run = Run::start();
    let first = run.printed("Stream Key");
    assert_eq!(run.printed("Statistics"), run.page("").replace("?stream=", "stat"));
    let recordings = format!("{} (the last hour)", run.prefix().join("recordings").display());
    assert_eq!(run.printed("Recordings"), recordings);
    assert!(run.output().contains(" top --api "), "{}", run.output());
    let run = run.leave().start();
    assert_eq!(run.printed("Stream Key"), first);

    let place = run.leave();
    std::fs::remove_dir_all(place.prefix().join("state")).unwrap();
    let run = place.start();
    assert_ne!(run.printed("Stream Key"), first);
}

#[test]
fn the_death_of_one_part_stops_the_others() {
    let parts = [
        ("nginx", "nginx has ended"),
        ("weir serve", "weir serve has ended"),
        ("weir test-stream", "the test stream has ended"),
    ];
    for (part, said) in parts {
        let mut run = Run::start_with_test_stream();
        let processes = run.processes();
        let is_part = |process: &&Process| process.title().contains(&format!("{part} "));
        processes.iter().find(is_part).unwrap().signal(Signal::SIGKILL);
        assert_eq!(run.wait_ended().code(), Some(1));
        assert!(run.output().contains(said), "{}", run.output());
        for process in processes {
            until(&format!("{process:?} is gone"), 5.0, || !process.is_alive());
        }
    }
}

#[test]
fn the_sample_passes_nginx_t_wherever_its_folder_is() {
    let place = Place::reserve();
    let prefix = place.prefix();
    for folder in ["logs", "hls", "dash", "state", "temp"] {
        std::fs::create_dir_all(prefix.join(folder)).unwrap();
    }
    let output = Command::new(products::workspace().join("scripts/render-single-node.sh"))
        .arg(&prefix)
        .args([place.rtmp_port().to_string(), place.http_port().to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let config = prefix.join("nginx.conf");
    std::fs::write(&config, &output.stdout).unwrap();
    // `nginx -t` would not notice a path of the sample's own folders on a machine that has these folders.
    let text = String::from_utf8(output.stdout).unwrap();
    for path in ["/srv/weir", "/var/lib/weir-nginx", "/var/log", "/run/nginx.pid", "modules-enabled"] {
        assert!(!text.contains(path), "{path} is still in:\n{text}");
    }
    let mut nginx = Command::new(products::nginx());
    nginx
        .arg("-t")
        .arg("-q")
        .arg("-p")
        .arg(&prefix)
        .arg("-c")
        .arg(&config)
        .arg("-e")
        .arg(prefix.join("logs/error.log"));
    let output = nginx.output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
