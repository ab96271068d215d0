//! Everything in the built program that needs neither nginx nor ffmpeg: exit statuses, files, generated texts.
#![allow(clippy::unwrap_used, reason = "all of it is tests, the helpers too")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn weir(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(args).env_remove("WEIR_API").env_remove("WEIR_API_TOKEN_FILE").env_remove("WEIR_STREAM_KEY");
    command
}

fn run(args: &[&str]) -> Output {
    weir(args).stdin(Stdio::null()).output().unwrap()
}

fn run_with(args: &[&str], input: &[u8]) -> Output {
    let mut child =
        weir(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Returns the status and the only line on standard error, which begins with the program's name.
fn refusal(output: &Output) -> (Option<i32>, &str) {
    let line = text(&output.stderr);
    assert!(line.starts_with("weir: ") && line.ends_with('\n') && line.lines().count() == 1, "{line:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), line)
}

/// Creates an empty folder for this test run.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn help_and_version_are_done() {
    for args in [&["--help"][..], &["--version"], &["help", "key"], &["key", "add", "--help"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
    }
    let help = run(&["--help"]);
    let commands = text(&help.stdout).split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    assert!(!commands.contains("completions") && !commands.contains("man "), "{commands}");
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [
        &["frobnicate"][..],
        &["key", "add", "live"],
        &["key", "add", "live", "show", "--from", "192.0.2.0/99"],
        &["key", "revoke", "wk_abc"],
        &["key", "revoke", "nope"],
        &["target", "remove", "nope"],
        &["token", "mint", "live", "show", "--ttl", "0s"],
        &["token", "mint", "live", "show", "--action", "play", "--ttl", "3"],
        &["token", "mint", "live", "show", "--secret", "/nonexistent"],
        &["token", "revoke", "live"],
        &["token", "revoke", "live", "show", "--jti", "a"],
        &["link", "live", "*"],
        &["link", "live", "show", "--url", "live.example.org"],
        &["key", "rotate", "k0123456789abcdef", "--overlap", "10"],
        &["check", "http", "http://127.0.0.1/", "--timeout", "3"],
        &["stream", "list", "--api", "127.0.0.1:8080"],
        &["stream", "drop", "live", "show", "--player", "7"],
        &["stream", "drop", "live", "show", "--player", "s7", "--ban", "1m"],
        &["top", "--interval", "0s"],
        &["test-stream", "rtmp://127.0.0.1/live"],
        &["test-stream", "rtmps://127.0.0.1/live/show"],
        &["completions", "tcsh"],
    ] {
        let output = run(args);
        assert_eq!(refusal(&output).0, Some(2), "{args:?}");
    }
}

#[test]
fn a_configuration_that_is_missing_or_wrong_is_status_1() {
    let wrong = folder("wrong").join("weir.toml");
    std::fs::write(&wrong, "[web]\ncolour = 7\n").unwrap();
    for file in ["/nonexistent/weir.toml", wrong.to_str().unwrap()] {
        for args in [
            &["admin", "list"][..],
            &["admin", "remove", "ana"],
            &["admin", "totp", "ana"],
            &["admin", "setup-link"],
            &["link", "live", "show"],
            &["serve", "--check"],
        ] {
            let output = run(&[args, &["--config", file]].concat());
            let (status, line) = refusal(&output);
            assert!(status == Some(1) && line.contains(file), "{args:?}: {status:?} {line}");
        }
    }
}

#[test]
fn a_command_without_its_second_word_shows_help() {
    for args in [&[][..], &["key"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("Usage: weir"), "{output:?}");
    }
}

#[test]
fn a_new_secret_is_private_and_never_overwritten() {
    let file = folder("secret").join("weir.secret");
    let name = file.to_str().unwrap();
    assert_eq!(run(&["secret", "new", name]).status.code(), Some(0));
    let first = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(first.len() == 65 && first.ends_with('\n'), "64 hex digits and a line end");

    let output = run(&["secret", "new", name]);
    let (status, line) = refusal(&output);
    assert!(status == Some(1) && line.contains(name) && line.contains("--force"), "{line}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);

    assert_eq!(run(&["secret", "new", name, "--force"]).status.code(), Some(0));
    assert_ne!(std::fs::read_to_string(&file).unwrap(), first);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
}

/// Runs the program under a umask.
fn run_under(umask: &str, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", "umask \"$0\"; exec \"$@\"", umask, env!("CARGO_BIN_EXE_weir")]).args(args);
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["0177", "0077", "0027", "0"] {
        let place = folder(&format!("umask-{umask}"));
        let secret = place.join("secret");
        assert_eq!(run_under(umask, &["secret", "new", secret.to_str().unwrap()]).status.code(), Some(0));
        let man = place.join("share/man1");
        assert_eq!(run_under(umask, &["man", man.to_str().unwrap()]).status.code(), Some(0), "{umask}");
        let state = place.join("state/notify");
        let api = "http://127.0.0.1:1/api";
        let notify =
            ["--api", api, "notify", "INSTANCE", "a", "MASTER", "1", "--timeout", "1ms", "--state-dir"];
        let said = run_under(umask, &[&notify[..], &[state.to_str().unwrap()]].concat());
        // The API does not answer, but the command has created the folder.
        assert!(
            text(&said.stderr).contains("no answer from the API") || text(&said.stderr).contains("too long"),
            "{said:?}"
        );
        for (path, mode) in [
            (&secret, 0o600),
            (&man.join("weir.1"), 0o644),
            (&man, 0o755),
            (&place.join("share"), 0o755),
            (&state, 0o700),
            (&state.join("instance-a"), 0o600),
            (&state.join("instance-a.lock"), 0o600),
        ] {
            let has = std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(format!("{has:o}"), format!("{mode:o}"), "{umask} {}", path.display());
        }
    }
}

#[test]
fn errors_are_json_where_results_are() {
    let error = |args: &[&str]| {
        let output = run(args);
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(error["error"]["message"].is_string() && output.stdout.is_empty(), "{output:?}");
        (output.status.code(), error["error"]["code"].as_str().unwrap().to_owned())
    };
    let api = ["--api", "http://127.0.0.1:1/api"];
    assert_eq!(error(&[&["--json", "stream", "list"], &api[..]].concat()), (Some(1), "unreachable".into()));
    assert_eq!(error(&[&api[..], &["key", "list", "--json"]].concat()), (Some(1), "unreachable".into()));
    assert_eq!(error(&["--json", "key", "add", "live"]), (Some(2), "usage".into()));
    assert_eq!(error(&["key", "revoke", "x", "--json"]), (Some(2), "usage".into()));
    assert_eq!(error(&["--json", "key"]), (Some(2), "usage".into()));
    assert_eq!(error(&["--json", "lint", "/nonexistent"]), (Some(2), "configuration".into()));
    assert_eq!(
        error(&["--json", "serve", "--check", "--config", "/nonexistent"]),
        (Some(1), "configuration".into())
    );
    assert_eq!(error(&["--json", "secret", "new", "/nonexistent/a"]), (Some(1), "file".into()));
}

#[test]
fn a_secret_is_not_written_through_a_link() {
    let folder = folder("link");
    let (target, link) = (folder.join("target"), folder.join("link"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(run(&["secret", "new", link.to_str().unwrap()]).status.code(), Some(1));
    assert!(!target.exists());
}

#[test]
fn a_secret_in_no_folder_is_refused() {
    let output = run(&["secret", "new", "/nonexistent/weir.secret"]);
    let (status, line) = refusal(&output);
    assert!(status == Some(1) && line.contains("/nonexistent/weir.secret"), "{line}");
}

#[test]
fn a_token_is_signed_with_the_secret_of_the_file() {
    let file = folder("token").join("secret");
    let name = file.to_str().unwrap();
    run(&["secret", "new", name]);
    let output = run(&["token", "mint", "live", "*", "--action", "publish", "--secret", name]);
    let signer = weir_model::token::Signer::new(&std::fs::read(&file).unwrap()).unwrap();
    let claims = signer.verify(text(&output.stdout).trim_end()).unwrap();
    assert_eq!((claims.sub.to_string().as_str(), claims.act.to_string().as_str()), ("live/*", "publish"));

    let json = run(&["token", "mint", "live", "show", "--action", "play", "--secret", name, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let claims = signer.verify(json["token"].as_str().unwrap()).unwrap();
    assert_eq!(json["expires_at"], claims.exp.to_string());
    // An admin needs these claims to revoke the token.
    assert!(claims.iat.is_some() && json["jti"] == claims.jti.unwrap().as_str());

    std::fs::write(&file, "short\n").unwrap();
    let output = run(&["token", "mint", "live", "*", "--action", "play", "--secret", name]);
    let (status, line) = refusal(&output);
    assert!(status == Some(1) && line.contains("weir secret new"), "{line}");
}

#[test]
fn a_key_is_hashed_from_standard_input() {
    let output = run_with(&["key", "hash", "show", "--comment", "hall 2"], b"wk_0123456789abcdef\n");
    let hash = weir_model::Secret::new("wk_0123456789abcdef").digest().to_hex();
    assert_eq!(text(&output.stdout), format!("show {hash} hall 2\n"));
    assert!(output.stderr.is_empty(), "no prompt when nobody types");

    let output = run_with(&["key", "hash", "show"], b"abc\n");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("this short"));

    let output = run_with(&["key", "hash", "show"], b"\n");
    assert_eq!(refusal(&output).0, Some(1));
}

#[test]
fn a_new_key_goes_to_standard_error_and_its_line_to_standard_output() {
    let output = run(&["key", "hash", "show", "--new"]);
    let key = text(&output.stderr).strip_prefix("Stream key: ").unwrap().trim_end();
    assert!(key.len() == 35 && key.starts_with("wk_"));
    let again = run_with(&["key", "hash", "show"], key.as_bytes());
    assert_eq!(output.stdout, again.stdout);
}

/// Returns status, output and errors of `weir lint` for this text, without the folder's name.
fn lint(name: &str, text: &str, options: &[&str]) -> (Option<i32>, String, String) {
    let folder = folder(name);
    let main = folder.join("nginx.conf");
    std::fs::create_dir(folder.join("sites")).unwrap();
    std::fs::write(&main, text).unwrap();
    std::fs::write(folder.join("sites/b.conf"), "location /c {\n    rtmp_control all;\n}\n").unwrap();
    std::fs::write(folder.join("sites/.hidden.conf"), "}").unwrap();
    let output = run(&[&["lint", main.to_str().unwrap()], options].concat());
    let shown = |bytes: &[u8]| self::text(bytes).replace(folder.to_str().unwrap(), "DIR");
    (output.status.code(), shown(&output.stdout), shown(&output.stderr))
}

#[test]
fn a_configuration_is_linted_with_what_it_includes() {
    let quiet = "rtmp { server { application live { weir_publish key; exec a $name; } } }";
    let nothing = "DIR/nginx.conf: nothing found in 1 file\n".to_owned();
    assert_eq!(lint("lint-quiet", quiet, &[]), (Some(0), nothing, String::new()));

    let text =
        "rtmp { server { application live {\n exec a $name; } } }\nhttp { server { include sites/*.conf; } }";
    let (status, stdout, stderr) = lint("lint", text, &[]);
    assert_eq!((status, stderr.as_str()), (Some(1), ""));
    let lines: Vec<_> = stdout.lines().collect();
    assert!(lines[0].starts_with("DIR/nginx.conf:2: danger: \"exec\" passes "), "{stdout}");
    assert!(lines[1].starts_with("DIR/sites/b.conf:2: danger: \"rtmp_control\" lets "), "{stdout}");
    assert_eq!(lines.len(), 2, "{stdout}");

    let (status, stdout, _) = lint("lint-json", text, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let first = &json["advice"][0];
    assert_eq!((status, &first["file"], &first["line"]), (Some(1), &"DIR/nginx.conf".into(), &2.into()));
    assert_eq!((&first["directive"], &first["severity"]), (&"exec".into(), &"danger".into()));
    assert!(first["problem"].is_string() && first["remedy"].is_string());
}

#[test]
fn a_configuration_that_cannot_be_read_is_wrong_usage() {
    let (status, stdout, stderr) = lint("lint-broken", "rtmp {\n", &[]);
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    assert_eq!(stderr, "weir: DIR/nginx.conf:2: unexpected end of file, expected \"}\"\n");
    let output = run(&["lint", "/nonexistent/nginx.conf"]);
    let (status, line) = refusal(&output);
    assert!(status == Some(2) && line.contains("/nonexistent/nginx.conf: No such file"), "{line}");
    assert_eq!(run(&["lint", "a", "b"]).status.code(), Some(2));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        for word in ["revoke", "test-stream", "api-token-file"] {
            assert!(text(&output.stdout).contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn there_is_a_man_page_for_each_command() {
    let folder = folder("man").join("man1");
    // The environment at build time must not appear in a page.
    let output = weir(&["man", folder.to_str().unwrap()])
        .env("WEIR_API", "http://build.example/api")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for page in [
        "weir.1",
        "weir-key-add.1",
        "weir-secret-new.1",
        "weir-stream-list.1",
        "weir-test-stream.1",
        "weir-top.1",
    ] {
        let text = std::fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".SH NAME") && !text.contains("build.example"), "{page}");
    }
}

#[test]
fn a_test_stream_without_a_server_is_refused_without_showing_the_key() {
    // Port 1 is tcpmux, where nothing listens.
    let url = "rtmp://127.0.0.1:1/live";
    let output = weir(&["test-stream", url])
        .env("WEIR_STREAM_KEY", "wk_secret")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (status, line) = refusal(&output);
    assert_eq!(status, Some(1));
    assert!(line.contains("cannot connect") && line.contains(url) && !line.contains("wk_secret"), "{line}");
}
