//! The examples of docs/api.md for front ends, in JavaScript, Python and PHP, list a live stream and get its events.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Sidecar, products, until};

use super::{ask, open, publish};

/// Returns the code blocks of a language under a heading, with the address of the test's daemon.
fn snippets(heading: &str, language: &str, sidecar: &Sidecar) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n### ").find(|section| section.starts_with(heading)).unwrap();
    let port = sidecar.web();
    let fence = format!("```{language}\n");
    let blocks = section.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|block| {
            block
                .replace("https://live.example.org/tv", &format!("http://127.0.0.1:{port}"))
                .replace("wss://live.example.org/tv", &format!("ws://127.0.0.1:{port}"))
                .replace("tls://live.example.org:443", &format!("tcp://127.0.0.1:{port}"))
                .replace("/tv/v1/ws", "/v1/ws")
        })
        .collect()
}

/// Returns whether a program prints a line that contains `part`; the program is then killed.
fn prints(command: &mut Command, part: &str) -> bool {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, said) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut found = false;
    while let (false, Ok(line)) = (found, said.recv_timeout(Duration::from_secs(15))) {
        found = line.contains(part);
    }
    let _ = child.kill();
    let _ = child.wait();
    found
}

#[test]
fn front_ends_in_three_languages_hear_of_a_stream() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = publish(&nginx, "show");
    until("it is live", 10.0, || ask(sidecar.web(), "/v1/live", &[]).json()["streams"][0].is_object());
    let python = products::workspace().join("build/webrtc-client/bin/python");
    let python = products::tool(&python.to_string_lossy());
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/", sidecar.web()));
    browser.run("window.printed = []; console.log = (...words) => window.printed.push(words.join(' '))");
    for (heading, part) in [("`/v1/live`", "live/show"), ("`/v1/ws`", "live/show can be played")] {
        for language in ["js", "python", "php"] {
            let blocks = snippets(heading, language, &sidecar);
            assert_eq!(blocks.len(), 1, "{heading} {language}");
            let is_right = match language {
                "js" => {
                    browser.run(&format!("(async () => {{ {} }})()", blocks[0]));
                    let printed = format!("return window.printed.some(line => line.includes('{part}'))");
                    until("the page prints it", 10.0, || browser.run(&printed) == true);
                    true
                }
                "python" => prints(Command::new(&python).args(["-u", "-c", &blocks[0]]), part),
                _ => {
                    let file = nginx.path("example.php");
                    std::fs::write(&file, &blocks[0]).unwrap();
                    prints(Command::new("php").arg(&file), part)
                }
            };
            assert!(is_right, "{heading} {language} does not print {part:?}");
        }
        browser.run("window.printed = []");
    }
}
