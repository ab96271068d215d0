//! The code snippets of docs/operations.md mint tokens that open the stream.

use std::path::Path;
use std::process::Command;

use weir_tests::harness::{Nginx, Player, Publisher, products};

use super::{config, get, start};

/// Returns the blocks of a language in the section on members, with the test's secret.
fn snippets(language: &str, nginx: &Nginx) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Only for members")).unwrap();
    let secret = nginx.path("secret").display().to_string();
    let mut blocks = Vec::new();
    let mut rest = section;
    while let Some((_, after)) = rest.split_once(&format!("```{language}\n")) {
        let (block, after) = after.split_once("```").unwrap();
        let lines: Vec<&str> = block.lines().map(|line| line.strip_prefix("   ").unwrap_or(line)).collect();
        let is_list = block.lines().all(|line| line.is_empty() || line.starts_with("   "));
        let text = if is_list { lines.join("\n") } else { block.to_owned() };
        blocks.push(
            text.replace("/etc/nginx/weir.secret", &secret).replace("/etc/website/weir.secret", &secret),
        );
        rest = after;
    }
    blocks
}

/// Returns the token in the first link that a program prints.
#[track_caller]
fn token_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}, run: make deps"));
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let link = printed.lines().next().unwrap();
    link.split_once("https://live.example.org/hls/show.m3u8?token=").unwrap().1.to_owned()
}

#[test]
fn each_snippet_mints_a_token_that_opens() {
    let nginx = start(
        config()
            .app("live", "weir_publish open; weir_play token;")
            .http("location /hls/ { root @DIR@/www; weir_play token app=live; }"),
    );
    let folder = products::weir().parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let mut tokens = Vec::new();
    for (language, program, option) in [("python", "python3", "-c"), ("sh", "sh", "-c")] {
        let snippets = snippets(language, &nginx);
        assert_eq!(snippets.len(), 1, "{snippets:?}");
        tokens.push(token_of(Command::new(program).arg(option).arg(&snippets[0]).env("PATH", &path)));
    }
    let file = nginx.path("snippet.php");
    let php = snippets("php", &nginx);
    assert_eq!(php.len(), 1);
    std::fs::write(&file, &php[0]).unwrap();
    tokens.push(token_of(Command::new("php").arg(&file)));
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    for token in tokens {
        assert_eq!(get(&nginx, &format!("/hls/show.m3u8?token={token}")).status, 200, "{token}");
        assert_eq!(get(&nginx, &format!("/hls/other.m3u8?token={token}")).status, 403, "{token}");
        Player::start(nginx.rtmp(), &format!("live/show?token={token}")).wait_video(3);
    }
}
