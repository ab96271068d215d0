//! `weir doctor` finds no problem in a complete installation, and names each fault with its remedy.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Sidecar, products, until};

/// The daemon's configuration file on a machine with Weir's package; this machine has none.
const DEFAULT: &str = "/etc/weir/weir.toml";

/// Returns the exit status and the output of the command.
fn doctor(conf: &Path, api: &str, config: &Path, more: &[&str]) -> (i32, String) {
    let output = Command::new(products::weir())
        .args(["doctor", "--api", api, "--nginx"])
        .arg(products::nginx())
        .arg("--conf")
        .arg(conf)
        .arg("--config")
        .arg(config)
        .args(more)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn of(nginx: &Nginx, config: &Path, more: &[&str]) -> (i32, String) {
    doctor(&nginx.path("nginx.conf"), &nginx.url("/api"), config, more)
}

/// Returns the line of one part.
#[track_caller]
fn line<'t>(said: &'t str, part: &str) -> &'t str {
    let of_part = |line: &&str| line.split(": ").nth(1) == Some(part);
    said.lines().find(of_part).unwrap_or_else(|| panic!("nothing on {part}:\n{said}"))
}

fn keyed() -> Config {
    let mut config = Config::weir().with_api().app("live", "weir_publish key;");
    config.main.clear();
    config.main("weir_zone 1m state=@DIR@/keys/state;")
}

#[test]
fn a_whole_installation_is_well() {
    let nginx = keyed().start();
    // The default file may be missing; a file that is named must exist.
    let (status, said) = of(&nginx, Path::new("/no/such/weir.toml"), &[]);
    assert_eq!(status, 1, "{said}");
    assert!(
        line(&said, "daemon").starts_with("problem: daemon: /no/such/weir.toml does not exist: "),
        "{said}"
    );
    let (status, said) = of(&nginx, Path::new(DEFAULT), &[]);
    assert_eq!(status, 0, "{said}");
    assert!(line(&said, "nginx").starts_with("ok: nginx: nginx "), "{said}");
    assert!(line(&said, "configuration").starts_with("ok: "), "{said}");
    assert!(line(&said, "api").starts_with("ok: api: nginx answers with 1 worker, the zone is "), "{said}");
    assert!(line(&said, "ports").contains(&format!("127.0.0.1:{}", nginx.rtmp())), "{said}");
    assert!(line(&said, "daemon").starts_with(&format!("ok: daemon: {DEFAULT} does not exist")), "{said}");

    let sidecar = Sidecar::start(&nginx, "");
    let folder = sidecar.sockets().parent().unwrap().to_owned();
    let (config, socket) = (folder.join("weir.toml"), folder.join("weir.sock"));
    assert!(config.is_file() && socket.exists());
    let (status, said) = of(&nginx, &config, &["--socket", &socket.to_string_lossy(), "--json"]);
    let found: Value = serde_json::from_str(&said).unwrap();
    let daemon =
        found["findings"].as_array().unwrap().iter().find(|finding| finding["part"] == "daemon").unwrap();
    assert_eq!((status, &daemon["state"]), (0, &Value::from("ok")), "{said}");
    assert_eq!(daemon["message"], format!("weir serve runs with {}", config.display()));
    assert_eq!(daemon["remedy"], Value::Null);

    // A running daemon without its nginx is a problem.
    let (conf, socket) = (nginx.path("no.conf"), socket.to_string_lossy().into_owned());
    drop(nginx);
    until("the daemon misses nginx", 20.0, || {
        let more = ["--socket", socket.as_str()];
        let (_, said) = doctor(&conf, "http://127.0.0.1:9/api", &config, &more);
        said.lines().any(|line| line.starts_with("problem: daemon: ") && line.contains("[nginx]"))
    });
}

/// The packages install a `weir.toml` that sets nothing, and start no daemon.
#[test]
fn the_file_of_the_packages_needs_no_daemon() {
    let nginx = keyed().start();
    let folder = tempfile::tempdir().unwrap();
    let (config, socket) = (folder.path().join("weir.toml"), folder.path().join("no.sock"));
    let packaged = std::fs::read_to_string(products::workspace().join("debian/weir.toml")).unwrap();
    std::fs::write(&config, &packaged).unwrap();
    let more = ["--socket", &socket.to_string_lossy()];
    let (status, said) = of(&nginx, &config, &more);
    assert_eq!(status, 0, "{said}");
    let daemon = format!("ok: daemon: {} sets nothing that needs the daemon", config.display());
    assert!(line(&said, "daemon").starts_with(&daemon), "{said}");

    std::fs::write(&config, format!("{packaged}\n[[thumbnail]]\napp = \"live\"\nstream = \"*\"\n")).unwrap();
    let (status, said) = of(&nginx, &config, &more);
    assert!(status == 1 && said.contains("problem: daemon: no answer from weir serve"), "{said}");
}

/// Without `--api`, the command asks the API that `weir.toml` names.
#[test]
fn the_api_of_the_configuration() {
    let token = "0123456789abcdef0123456789abcdef";
    let nginx = Config::weir()
        .main("weir_zone 2m;")
        .file("token", token)
        .app("live", "weir_publish key;")
        .http("location /api/ { weir_api; weir_api_token @DIR@/token; }")
        .start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("weir.toml");
    let text = format!(
        "[nginx]\napi = \"{}\"\napi_token_file = \"{}\"\nrtmp = \"rtmp://127.0.0.1:{}\"\n",
        nginx.url("/api"),
        nginx.path("token").display(),
        nginx.rtmp()
    );
    std::fs::write(&config, text).unwrap();
    let run = |more: &[&str]| {
        let output = Command::new(products::weir())
            .env_remove("WEIR_API")
            .env_remove("WEIR_API_TOKEN_FILE")
            .arg("doctor")
            .arg("--nginx")
            .arg(products::nginx())
            .arg("--conf")
            .arg(nginx.path("nginx.conf"))
            .arg("--config")
            .arg(&config)
            .args(more)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = run(&[]);
    assert!(line(&said, "api").starts_with("ok: api: nginx answers with 1 worker"), "{said}");
    let said = run(&["--api", "http://127.0.0.1:9/api"]);
    assert!(line(&said, "api").contains("http://127.0.0.1:9/api"), "{said}");
}

/// Without `--socket`, `weir doctor` and `weir check node --all` ask the daemon at the socket that `weir.toml` names.
#[test]
fn the_socket_of_the_configuration() {
    let nginx = keyed().start();
    let sidecar = Sidecar::start(&nginx, "");
    let config = sidecar.configuration();
    let runs = format!("ok: daemon: weir serve runs with {}", config.display());
    let (status, said) = of(&nginx, &config, &[]);
    assert_eq!((status, line(&said, "daemon")), (0, runs.as_str()), "{said}");
    let output = Command::new(products::weir())
        .args(["check", "node", "--all", "--api", &nginx.url("/api"), "--conf"])
        .arg(nginx.path("nginx.conf"))
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(line(&said, "daemon"), runs, "{said}");

    let (status, said) = of(&nginx, &config, &["--socket", "/no/such/weir.sock"]);
    let silent = "problem: daemon: no answer from weir serve at /no/such/weir.sock";
    assert!(status == 1 && line(&said, "daemon").starts_with(silent), "{said}");
}

/// `weir doctor` also shows problems that the daemon reports only in its log.
#[test]
fn a_configuration_that_is_of_another_nginx() {
    let nginx = keyed().start();
    let mut sidecar =
        Sidecar::start(&nginx, "[[thumbnail]]\napp = \"livve\"\nstream = \"*\"\nfolder = \"@DIR@\"\n");
    let folder = sidecar.sockets().parent().unwrap().to_owned();
    let (config, socket) = (folder.join("weir.toml"), folder.join("weir.sock"));
    let look = || of(&nginx, &config, &["--socket", &socket.to_string_lossy()]).1;
    let said = look();
    let rtmp: Vec<&str> = said.lines().filter(|line| line.contains(": rtmp: ")).collect();
    let unknown = "problem: rtmp: [[thumbnail]]: app: nginx has no application \"livve\": nginx has \"live\": \
                   correct the name in weir.toml, or add the application to nginx.conf";
    assert!(rtmp[0].starts_with("ok: rtmp: ") && rtmp[1..] == [unknown], "{said}");

    sidecar.kill();
    let text = std::fs::read_to_string(&config).unwrap();
    let (own, closed) = (format!(":{}", nginx.rtmp()), ":9");
    assert!(text.contains(&own), "{text}");
    std::fs::write(&config, text.replace(&own, closed)).unwrap();
    let said = look();
    let rtmp = line(&said, "rtmp");
    assert!(rtmp.starts_with("problem: rtmp: ") && rtmp.contains(":9/live"), "{said}");
}

#[test]
fn a_module_that_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("nginx.conf");
    std::fs::write(&conf, "events {}\nweir_zone 1m;\n").unwrap();
    // Nothing listens on the discard port.
    let (status, said) = doctor(&conf, "http://127.0.0.1:9/api", Path::new("/no/such"), &[]);
    assert_eq!(status, 1, "{said}");
    let nginx = line(&said, "nginx");
    assert!(nginx.starts_with("problem: nginx: unknown directive \"weir_zone\" in "), "{nginx}");
    assert!(nginx.contains("libnginx-mod-rtmp-weir"), "{nginx}");
    assert!(
        line(&said, "configuration").starts_with("problem: configuration: there is no \"rtmp\" block"),
        "{said}"
    );
    assert!(
        line(&said, "api").starts_with("problem: api: no answer from the API at http://127.0.0.1:9/api"),
        "{said}"
    );
}

#[test]
fn an_nginx_that_is_down_and_a_daemon_that_cannot_start() {
    let nginx = keyed().start();
    let (conf, api, rtmp) = (nginx.path("nginx.conf"), nginx.url("/api"), nginx.rtmp());
    let text = std::fs::read_to_string(&conf).unwrap();
    drop(nginx);
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("nginx.conf");
    std::fs::write(&conf, text).unwrap();
    let config = folder.path().join("weir.toml");
    std::fs::write(&config, "[jobs]\nnice = 99\n").unwrap();
    let socket = folder.path().join("no.sock");
    let (status, said) = doctor(&conf, &api, &config, &["--socket", &socket.to_string_lossy()]);
    assert_eq!(status, 1, "{said}");
    assert!(
        line(&said, "api").ends_with("start nginx, or set the URL of the API with --api or WEIR_API"),
        "{said}"
    );
    let ports = line(&said, "ports");
    assert!(
        ports.contains(&format!("127.0.0.1:{rtmp}")) && ports.contains("systemctl reload nginx"),
        "{ports}"
    );
    let daemon: Vec<_> = said.lines().filter(|line| line.contains(": daemon: ")).collect();
    assert_eq!(daemon.len(), 2, "{said}");
    assert!(daemon[0].contains("nice = 99") && daemon[1].contains("systemctl enable --now weir"), "{said}");
}

#[test]
fn what_strangers_can_use() {
    let nginx = Config::weir().with_api().app("live", "weir_publish open;").start();
    let text = std::fs::read_to_string(nginx.path("nginx.conf")).unwrap();
    let proxy =
        format!("http {{ server {{ location / {{ proxy_pass http://127.0.0.1:{}; }} }}", nginx.http());
    std::fs::write(nginx.path("other.conf"), text.replacen("http {", &proxy, 1)).unwrap();
    let (_, said) = doctor(&nginx.path("other.conf"), &nginx.url("/api"), Path::new("/no/such"), &[]);
    for expected in
        ["anyone may publish to the application \"live\"", "treats every client of this proxy_pass as local"]
    {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

/// The workers' rights count, not those of root, who runs the command.
#[test]
fn folders_that_the_workers_cannot_write_to() {
    let folder = tempfile::tempdir().unwrap();
    let (conf, hls) = (folder.path().join("nginx.conf"), folder.path().join("hls"));
    let rtmp = format!("application live {{ live on; hls on; hls_path {}; }}", hls.display());
    std::fs::write(
        &conf,
        format!("user nobody nogroup;\nevents {{}}\nrtmp {{ server {{ listen 127.0.0.1:9;\n{rtmp} }} }}\n"),
    )
    .unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).arg(folder.path()).status().unwrap().success());
    };
    let look = || {
        let (_, said) = doctor(&conf, "http://127.0.0.1:9/api", Path::new("/no/such"), &[]);
        said.lines().find(|line| line.contains("hls_path")).map(str::to_owned)
    };
    run("chmod", &["700"]);
    let (shown, above) = (hls.display(), folder.path().display());
    let message = |fault: &str| {
        Some(format!("problem: configuration: {}:4: nginx's workers (user nobody) {fault}", conf.display()))
    };
    // nginx-rtmp makes the folder, if it can.
    let remedy = format!("run install -d -o nobody -m 0700 {shown}");
    assert_eq!(look(), message(&format!("cannot write to {shown} of hls_path: {remedy}")));
    std::fs::create_dir(&hls).unwrap();
    let remedy = format!("run chmod o+x {above}, or name another folder");
    let fault = format!("cannot enter {above}, so they cannot write to {shown} of hls_path");
    assert_eq!(look(), message(&format!("{fault}: {remedy}")));
    run("chmod", &["755"]);
    let remedy = format!("run chown nobody {shown} && chmod u+rwx {shown}");
    assert_eq!(look(), message(&format!("cannot write to {shown} of hls_path: {remedy}")));
    run("chown", &["-R", "nobody"]);
    assert_eq!(look(), None);
}
