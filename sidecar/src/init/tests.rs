use super::*;

fn answers(role: Role) -> Answers {
    let pair = Pair {
        address: [203, 0, 113, 10].into(),
        machines: [[203, 0, 113, 11].into(), [203, 0, 113, 12].into()],
        interface: "ens3".into(),
        prefix: 28,
        router_id: 77,
    };
    let edge = Edge {
        origin: "https://origin.example.net/tv".parse().unwrap(),
        origin_rtmp: Some("rtmp://origin.example.net:1937".into()),
        address: "https://edge7.example.net:8443".parse().unwrap(),
        bandwidth: "10g".into(),
        transport: "ws",
        cache: false,
    };
    Answers {
        role,
        http_port: 8880,
        rtmp_port: 1936,
        url: matches!(role, Role::Single | Role::Origin).then(|| "https://tv.example.net".parse().unwrap()),
        public_name: (role == Role::Restream).then(|| "in.example.net".to_owned()),
        drop_in: false,
        edge: (role == Role::Edge).then_some(edge),
        pair: matches!(role, Role::Restream | Role::Origin | Role::Loadbalancer).then_some(pair),
    }
}

fn text(files: &[File], name: &str) -> String {
    match &files.iter().find(|file| file.name == name).unwrap().content {
        Content::Text(text) => text.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

/// Returns the lines that nginx or the daemon reads.
fn without_comments(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn each_answer_is_in_its_place_and_no_example_is_left() {
    for role in [Role::Single, Role::Restream, Role::Origin, Role::Edge, Role::Loadbalancer] {
        let answers = answers(role);
        let files = files(&answers).unwrap();
        for file in &files {
            let Content::Text(text) = &file.content else { continue };
            let read = without_comments(text).join("\n");
            for example in ["example.org", "192.0.2.", "8080", "1935", "eth0"] {
                assert!(!read.contains(example), "{role:?}, {}: {example} in\n{read}", file.name);
            }
            assert!(
                text.starts_with(&format!("# Written by `weir init {}`", role.word()))
                    || file.name == "upstream.conf",
                "{text}"
            );
        }
        let steps = steps(&answers, std::path::Path::new("/tmp/a b"), &files);
        for file in &files {
            assert!(steps.contains(&format!(" '/tmp/a b'/{} ", file.name)), "{}: {steps}", file.name);
        }
    }
    let keepalived = text(&files(&answers(Role::Restream)).unwrap(), "keepalived.conf");
    for line in [
        "virtual_router_id 77",
        "interface ens3",
        "203.0.113.10/28",
        "@b  unicast_src_ip 203.0.113.12",
        "@a      203.0.113.12",
    ] {
        assert!(keepalived.contains(line), "{line}: {keepalived}");
    }
    let pair = files(&answers(Role::Restream)).unwrap();
    assert!(text(&pair, "nginx.conf").contains("\nweir_pair_secret /etc/weir/pair.secret;"));
    for (name, own, other) in [("weir-a.toml", 11, 12), ("weir-b.toml", 12, 11)] {
        let daemon = text(&pair, name);
        let web = format!("\nlisten = \"203.0.113.{own}:8090\"\n");
        let peer = format!(
            "\n[cluster]\npair_secret_file = \"/etc/weir/pair.secret\"\npeer = \"http://203.0.113.{other}:8090\"\n"
        );
        assert!(daemon.contains(&web) && daemon.contains(&peer), "{name}: {daemon}");
    }
    let origins = files(&answers(Role::Origin)).unwrap();
    assert!(text(&origins, "nginx.conf").contains("\nweir_pair_secret /etc/weir/pair.secret;"));
    for (name, other) in [("weir-a.toml", 12), ("weir-b.toml", 11)] {
        let daemon = text(&origins, name);
        let pair = format!(
            "\npair_secret_file = \"/etc/weir/pair.secret\"\npeer = \"http://203.0.113.{other}:8880/tv\"\n"
        );
        assert!(
            daemon.contains(&pair) && daemon.contains("\nlisten = \"127.0.0.1:8090\"\n"),
            "{name}: {daemon}"
        );
    }
    assert!(origins.iter().any(|file| file.name == "pair.secret"));
    let daemon = text(&files(&answers(Role::Edge)).unwrap(), "weir.toml");
    for line in [
        "origin = \"https://origin.example.net/tv\"",
        "address = \"https://edge7.example.net:8443\"",
        "bandwidth = \"10g\"",
        "\nrtmp = \"rtmp://origin.example.net:1937\"",
        "transport = \"ws\"",
    ] {
        assert!(daemon.contains(line), "{line}: {daemon}");
    }
}

#[test]
fn the_command_for_the_edges_of_an_origin_is_complete() {
    let command = |rtmp_port| {
        let of = Answers { rtmp_port, ..answers(Role::Origin) };
        let text = steps(&of, std::path::Path::new("/tmp/a"), &files(&of).unwrap());
        text.lines().find(|line| line.starts_with("  weir init edge ")).unwrap().to_owned()
    };
    let rest = "--secret weir.secret --cluster-secret cluster.secret --address https://EDGE --bandwidth 1g";
    let pages = "  weir init edge --origin https://tv.example.net/tv";
    assert_eq!(command(1936), format!("{pages} --origin-rtmp rtmp://tv.example.net:1936 {rest}"));
    assert_eq!(command(1935), format!("{pages} {rest}"));
}

#[test]
fn the_steps_name_what_other_machines_need() {
    let said = |of: &Answers| steps(of, std::path::Path::new("/tmp/a"), &files(of).unwrap());
    let mut of = answers(Role::Edge);
    assert!(!said(&of).contains("The origin needs [webrtc]"));
    if let Some(edge) = &mut of.edge {
        edge.transport = "webrtc";
    }
    assert!(said(&of).contains("The origin needs [webrtc]"));
    if let Some(edge) = &mut of.edge {
        edge.cache = true;
    }
    assert!(said(&of).contains("of the origin and of each load balancer"));
    let mut of = answers(Role::Loadbalancer);
    let both = said(&of);
    for part in [
        "second machine",
        "origin = [\"https://ORIGIN/tv\", \"http://203.0.113.11:8880/tv\", \"http://203.0.113.12:8880/tv\"]\n",
        "trusted_proxies = [\"127.0.0.1\", \"203.0.113.11\", \"203.0.113.12\"]\n",
        "  set_real_ip_from 203.0.113.11;\n  set_real_ip_from 203.0.113.12;\n  real_ip_header X-Forwarded-For;\n",
    ] {
        assert!(both.contains(part), "{part}: {both}");
    }
    of.pair = None;
    let one = said(&of);
    assert!(one.contains("http://THIS-MACHINE:8880/tv"), "{one}");
    assert!(one.contains("  set_real_ip_from ADDRESS-OF-THIS-MACHINE;\n"), "{one}");
    let of = Answers { url: Some("http://tv.example.net:8880".parse().unwrap()), ..answers(Role::Origin) };
    assert!(said(&of).contains("--address http://EDGE:8080 "));
}

#[test]
fn an_address_that_nginx_does_not_listen_at_and_an_origin_without_a_path_are_said() {
    let edge = |origin: &str, address: &str, cache: bool| {
        let mut of = answers(Role::Edge);
        let edge = of.edge.as_mut().unwrap();
        (edge.origin, edge.address, edge.cache) = (origin.parse().unwrap(), address.parse().unwrap(), cache);
        steps(&of, std::path::Path::new("/tmp/a"), &files(&of).unwrap())
    };
    let (pages, nginx) = ("https://origin.example.net/tv", "https://origin.example.net");
    let other_port = "nginx listens on port 8880: https://edge7.example.net needs a server before it";
    let no_path = "--origin https://origin.example.net has no path";
    for (origin, address, cache, expected) in [
        (pages, "https://edge7.example.net", false, [true, false]),
        (nginx, "https://edge7.example.net", true, [true, false]),
        (pages, "http://edge7.example.net:8880", false, [false, false]),
        ("https://origin.example.net/", "http://edge7.example.net:8880", false, [false, true]),
    ] {
        let said = edge(origin, address, cache);
        assert_eq!(
            [said.contains(other_port), said.contains(no_path)],
            expected,
            "{origin} {address}: {said}"
        );
    }
}

#[test]
fn comments_have_the_scheme_of_the_address() {
    for (role, expected) in [
        (Role::Single, "# "),
        (Role::Origin, "Watch at https://tv.example.net/tv/watch/live/show"),
        (Role::Edge, "Watch at https://edge7.example.net:8443/watch/live/NAME"),
    ] {
        let nginx = text(&files(&answers(role)).unwrap(), "nginx.conf");
        assert!(nginx.contains(expected), "{role:?}: {nginx}");
        for wrong in ["http://tv.example.net", "http://edge7.example.net"] {
            assert!(!nginx.contains(wrong), "{role:?}, {wrong}: {nginx}");
        }
    }
}

#[test]
fn a_load_balancer_keeps_the_port_that_the_check_and_the_other_one_use() {
    let files = files(&answers(Role::Loadbalancer)).unwrap();
    let nginx = text(&files, "nginx.conf");
    for part in ["\n        listen 8880;", "`listen 8880;`", "http://OTHER-MACHINE:8880;"] {
        assert!(nginx.contains(part), "{part}: {nginx}");
    }
    let keepalived = text(&files, "keepalived.conf");
    assert!(keepalived.contains(" http://127.0.0.1:8880/healthz"), "{keepalived}");
}

#[test]
fn a_cache_asks_the_origin_over_tls_where_it_has_it() {
    let mut of = answers(Role::Edge);
    if let Some(edge) = &mut of.edge {
        edge.cache = true;
    }
    let nginx = text(&files(&of).unwrap(), "nginx.conf");
    assert!(nginx.contains("server origin.example.net:443 "), "{nginx}");
    assert!(
        nginx.contains("proxy_pass https://origin$uri;") && nginx.contains("proxy_ssl_verify on;"),
        "{nginx}"
    );
    // The check uses an address of its own, at the port of the answers.
    for line in ["listen 8880;", "proxy_pass http://127.0.0.2:8880;", "listen 127.0.0.2:8880;"] {
        assert!(without_comments(&nginx).contains(&line), "{line}: {nginx}");
    }
    assert!(!nginx.contains(":8080"), "{nginx}");
    assert_eq!(files(&of).unwrap().len(), 1);
}

#[test]
fn the_drop_in_is_the_whole_file_in_two_halves() {
    let mut of = answers(Role::Single);
    let whole = text(&files(&of).unwrap(), "nginx.conf");
    of.drop_in = true;
    let files = files(&of).unwrap();
    let (rtmp, site) = (text(&files, "rtmp.conf"), text(&files, "site.conf"));
    let mut left: Vec<&str> = without_comments(&rtmp).into_iter().chain(without_comments(&site)).collect();
    // These lines are in Debian's nginx.conf, or in another block there.
    const DEBIANS: [&str; 15] = [
        "user www-data;",
        "pid /run/nginx.pid;",
        "error_log /var/log/nginx/error.log notice;",
        "include /etc/nginx/modules-enabled/*.conf;",
        "worker_processes 1;",
        "worker_rlimit_nofile 8192;",
        "events {",
        "worker_connections 4096;",
        "http {",
        "include /etc/nginx/mime.types;",
        "default_type application/octet-stream;",
        "sendfile on;",
        "tcp_nopush on;",
        "}",
        "server_tokens off;",
    ];
    let mut missing = Vec::new();
    for line in without_comments(&whole) {
        match left.iter().position(|other| *other == line) {
            Some(at) => drop(left.remove(at)),
            None if DEBIANS.contains(&line) => {}
            None => missing.push(line),
        }
    }
    assert!(missing.is_empty(), "not in the drop-in: {missing:?}");
    assert_eq!(left, [""; 0], "only in the drop-in");
}

#[test]
fn rtmp_players_find_the_streams_of_all_workers() {
    let mut drop_in = answers(Role::Single);
    drop_in.drop_in = true;
    for (of, name) in [
        (answers(Role::Single), "nginx.conf"),
        (drop_in, "rtmp.conf"),
        (answers(Role::Origin), "nginx.conf"),
        (answers(Role::Edge), "nginx.conf"),
    ] {
        let text = text(&files(&of).unwrap(), name);
        let lines = without_comments(&text);
        assert!(lines.contains(&"rtmp_auto_push on;"), "{:?}, {name}", of.role);
    }
    // Nobody plays there, and each worker would get each stream.
    let restream = text(&files(&answers(Role::Restream)).unwrap(), "nginx.conf");
    assert!(
        !without_comments(&restream).contains(&"rtmp_auto_push on;")
            && restream.contains("#rtmp_auto_push on;")
    );
}

#[test]
fn a_sample_without_the_place_of_an_answer_is_an_error() {
    let sample = sample::Sample::new("x/nginx.conf", "listen 80;");
    assert_eq!(
        sample.put("listen 8080;", "listen 1;").unwrap_err().to_string(),
        "the sample x/nginx.conf has no \"listen 8080;\""
    );
}
