//! When nginx reads a configuration, Weir warns of dangerous directives that are not Weir's own: once per place, with file, line and
//! remedy. It does not warn of a place where the admin has applied the remedy.

use std::process::Command;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::products;

/// Returns a configuration with an application and a location in files of their own, so that their line numbers are known.
fn config(application: &str, location: &str) -> Config {
    Config::weir()
        .main("weir_zone 1m;")
        .server("include @DIR@/rtmp-*.conf;")
        .http("include http.conf;")
        .file("rtmp-live.conf", format!("application live {{\n    live on;\n    {application}\n}}\n"))
        .file("http.conf", format!("location /control {{\n    {location}\n}}\n"))
}

/// Returns Weir's warnings in nginx's output.
fn warnings(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.contains("[warn] ") && line.contains("weir: ")).collect()
}

#[test]
fn each_danger_is_said_once_with_its_place_and_remedy() {
    for (application, location, file, remedy) in [
        ("exec_push /bin/echo $name;", "", "/rtmp-live.conf:3 ", "add \"weir_publish key;\""),
        ("\n    exec /bin/echo\n    \"a=${args}\";", "", "/rtmp-live.conf:4 ", "add \"weir_publish key;\""),
        ("exec_play /bin/echo $name;", "", "/rtmp-live.conf:3 ", "\"on_play\""),
        ("exec_pull /bin/echo $name;", "", "/rtmp-live.conf:3 ", "write the name of the stream"),
    ] {
        let said = config(application, location).accepted();
        let found = warnings(&said);
        assert_eq!(found.len(), 1, "{application} {location}: {said}");
        assert!(found[0].contains(file) && found[0].contains(remedy), "{found:?}");
    }
}

#[test]
fn playback_protected_by_halves_is_said_once_per_place() {
    let base = |application: &str, http: &str| {
        Config::weir()
            .main("weir_zone 1m; weir_secret @DIR@/secret;")
            .file("secret", [7; 32])
            .app("live", &format!("hls on; hls_path @DIR@/hls; {application}"))
            .web("log_format masked '$weir_masked_request';")
            .http(http)
    };
    const PLAY: &str = "weir_play token;";
    // The umask decides the mode of the test's secret file, so Weir may also warn that the file is world-readable.
    fn told(said: &str) -> Vec<&str> {
        warnings(said).into_iter().filter(|line| !line.contains("world-readable")).collect()
    }
    for (application, http, file, text) in [
        (
            PLAY,
            "access_log @DIR@/a.log;\nlocation /hls/ { root @DIR@; weir_play token app=live; }\nlocation /b/ { weir_play token; }",
            "\"access_log\" in ",
            "$weir_masked_request in place of $request",
        ),
        (
            "",
            "location /hls/ { weir_play token app=live; }",
            "\"application\" in ",
            "add \"weir_play token;\" to",
        ),
        ("", "location /hls/ { weir_viewers app=livve; }", "\"weir_viewers\" in ", "\"live\""),
        ("weir_max_viewers 5;", "", "\"weir_max_viewers\" in ", "add \"weir_viewers app=live;\""),
    ] {
        let said = base(application, http).accepted();
        let found = told(&said);
        assert_eq!(found.len(), 1, "{application} {http}: {said}");
        assert!(found[0].contains(file) && found[0].contains(text), "{found:?}");
    }
    let whole = "access_log @DIR@/a.log masked; location /hls/ { root @DIR@; weir_play token app=live; weir_viewers app=live; }";
    let said = base("weir_play token; weir_max_viewers 5;", whole).accepted();
    assert_eq!(told(&said), [""; 0], "{said}");
}

#[test]
fn what_was_mended_is_not_mentioned() {
    for (application, location) in [
        ("weir_publish key; exec_push /bin/echo $name $args;", ""),
        ("weir_publish open; exec_push /bin/echo $name $args;", ""),
        ("exec_push /bin/echo fixed; exec_static /bin/true;", ""),
        ("", "rtmp_control all; allow 127.0.0.1; deny all;"),
        // The test's server listens on loopback only.
        ("", "rtmp_control all;"),
        ("", "weir_api;"),
        // Only `weir lint` has a hint for this one.
        ("", "rtmp_stat all;"),
    ] {
        let said = config(application, location).accepted();
        assert!(!said.contains("[warn]"), "{application} {location}: {said}");
    }
    // Weir gives advice only where a zone is configured.
    let mut stranger = config("exec_push /bin/echo $name;", "rtmp_control all;");
    stranger.main.clear();
    assert_eq!(warnings(&stranger.accepted()), [""; 0]);
}

#[test]
fn it_is_said_at_each_start_and_reload_and_by_no_worker() {
    let nginx = config("exec_push /bin/echo $name;\n    exec_play /bin/echo $name;", "").workers(2).start();
    let count = || {
        (nginx.log_lines("weir: \"exec_push\" in ").len(), nginx.log_lines("weir: \"exec_play\" in ").len())
    };
    assert_eq!(count(), (1, 1), "{}", nginx.log());
    nginx.reload();
    assert_eq!(count(), (2, 2), "{}", nginx.log());

    // A process that only signals the master logs no warning; the master does.
    let folder = nginx.folder();
    let signaller = Command::new(products::nginx())
        .args(["-s", "reopen", "-p"])
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .arg("-e")
        .arg(folder.join("error.log"))
        .output()
        .unwrap();
    assert!(signaller.status.success(), "{signaller:?}");
    assert_eq!(warnings(&String::from_utf8_lossy(&signaller.stderr)), [""; 0]);
    assert_eq!(count(), (2, 2), "{}", nginx.log());
}

#[test]
fn a_small_stack_is_said() {
    let nginx = config("", "").start();
    let test = |stack_kb: &str| {
        let output = Command::new("/bin/sh")
            .args(["-c", "ulimit -S -s $0; exec \"$@\"", stack_kb])
            .arg(products::nginx())
            .args(["-t", "-p"])
            .arg(nginx.folder())
            .arg("-c")
            .arg(nginx.folder().join("nginx.conf"))
            .arg("-e")
            .arg(nginx.folder().join("error.log"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = test("4096");
    assert!(
        said.contains("weir: the stack of a worker ends at 4096 KB") && said.contains("LimitSTACK=8M"),
        "{said}"
    );
    assert!(!test("8192").contains("[warn]"));
}
