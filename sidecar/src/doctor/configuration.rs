//! Checks nginx.conf for settings that nginx accepts, but that Weir cannot work with or that strangers can misuse.

use weir_model::lint::{self, Directive, Severity};

use super::finding::Finding;

const PART: &str = "configuration";
/// Blocks of http that may contain a location.
const BLOCKS: [&str; 2] = ["server", "location"];
/// Maximum depth of nested blocks that are searched; nginx's own limit is lower.
const MAX_DEPTH: usize = 64;

/// Checks the tree of nginx.conf. `follows` says that the daemon follows this nginx; that of a load balancer only passes requests on.
pub(super) fn examine(tree: &[Directive], follows: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    if follows {
        found.extend(missing_blocks(tree));
    }
    // Without streams, there are no keys and targets.
    if !is_cache(tree) {
        found.extend(without_state(tree));
    }
    found.extend(open_applications(tree));
    found.extend(proxies_of_the_api(tree));
    found.extend(lint::check(tree).into_iter().map(|advice| {
        let message =
            format!("{}:{}: \"{}\" {}", advice.file.display(), advice.line, advice.directive, advice.problem);
        match advice.severity {
            Severity::Danger | Severity::Warning => Finding::problem(PART, message, advice.remedy),
            Severity::Hint | Severity::Note => Finding::hint(PART, message, advice.remedy),
        }
    }));
    if found.is_empty() && !follows {
        found.push(Finding::ok(PART, "this load balancer passes requests on"));
    } else if found.is_empty() && is_cache(tree) {
        found.push(Finding::ok(PART, "this nginx caches streams: no \"rtmp\" block is needed"));
    } else if found.is_empty() {
        let applications = applications(tree).count();
        let s = if applications == 1 { "" } else { "s" };
        found.push(Finding::ok(PART, format!("{applications} application{s}, the zone and the API are set")));
    }
    found
}

fn named<'t>(tree: &'t [Directive], name: &'static str) -> impl Iterator<Item = &'t Directive> {
    tree.iter().filter(move |directive| directive.name() == name)
}

fn applications(tree: &[Directive]) -> impl Iterator<Item = &Directive> {
    named(tree, "rtmp").flat_map(|rtmp| rtmp.all("server")).flat_map(|server| server.all("application"))
}

/// Returns the servers of http and their locations at any depth, each with its server.
fn locations(tree: &[Directive]) -> Vec<(&Directive, &Directive)> {
    let servers = named(tree, "http").flat_map(|http| http.all("server"));
    let mut waiting: Vec<_> = servers.map(|server| (server, server, 0)).collect();
    let mut found = Vec::new();
    while let Some((server, block, depth)) = waiting.pop() {
        found.push((server, block));
        let inner = block.block.iter().filter(|directive| BLOCKS.contains(&directive.name()));
        waiting.extend(inner.filter(|_| depth < MAX_DEPTH).map(|inner| (server, inner, depth + 1)));
    }
    found
}

fn has(block: &Directive, name: &str) -> bool {
    block.all(name).next().is_some()
}

/// Returns whether this nginx only caches files of an origin for viewers, as nginx-conf/edge-cache does.
fn is_cache(tree: &[Directive]) -> bool {
    let caches = |block: &Directive| {
        has(block, "proxy_cache") && has(block, "proxy_pass") && has(block, "weir_viewers")
    };
    named(tree, "rtmp").next().is_none() && locations(tree).iter().any(|(_, location)| caches(location))
}

fn missing_blocks(tree: &[Directive]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut missing = |message: &str, remedy: &str| found.push(Finding::problem(PART, message, remedy));
    if named(tree, "rtmp").next().is_none() && !is_cache(tree) {
        missing(
            "there is no \"rtmp\" block, so nobody can publish",
            "add one: nginx-conf/single-node/nginx.conf is an example",
        );
    }
    if named(tree, "weir_zone").next().is_none() {
        missing(
            "there is no \"weir_zone\", so Weir does nothing",
            "add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" outside of all blocks",
        );
    }
    if !locations(tree).iter().any(|(_, location)| has(location, "weir_api")) {
        missing(
            "no location has \"weir_api\", so keys and targets cannot be managed",
            "add \"server { listen 127.0.0.1:8080; location /api/ { weir_api; } }\" to the http block",
        );
    }
    found
}

/// Reports a zone whose keys are lost when nginx stops.
fn without_state(tree: &[Directive]) -> Option<Finding> {
    let zone = named(tree, "weir_zone").next()?;
    let keeps = zone.words.iter().any(|word| word.starts_with("state="));
    (!keeps).then(|| {
        let message =
            format!("{}:{}: keys and targets are lost when nginx stops", zone.file.display(), zone.line);
        Finding::hint(PART, message, "add \"state=/var/lib/weir-nginx/state\" to weir_zone")
    })
}

/// Reports applications that accept any publisher.
fn open_applications(tree: &[Directive]) -> Vec<Finding> {
    let outer =
        |block: &Directive| block.all("weir_publish").last().and_then(|d| d.argument(0)).map(str::to_owned);
    let mut found = Vec::new();
    for rtmp in named(tree, "rtmp") {
        for server in rtmp.all("server") {
            for application in server.all("application") {
                let publish = outer(application).or_else(|| outer(server)).or_else(|| outer(rtmp));
                let asks = ["on_publish", "on_connect", "deny"].iter().any(|name| has(application, name));
                if publish.as_deref() == Some("key") || asks || !has(application, "live") {
                    continue;
                }
                let name = application.argument(0).unwrap_or_default();
                let at = format!("{}:{}", application.file.display(), application.line);
                found.push(Finding::hint(
                    PART,
                    format!("{at}: anyone may publish to the application \"{name}\""),
                    "add \"weir_publish key;\" to it",
                ));
            }
        }
    }
    found
}

/// Reports proxies to the API. A proxy on this machine makes all clients look local, and the API without a token serves local
/// clients.
fn proxies_of_the_api(tree: &[Directive]) -> Vec<Finding> {
    let places = locations(tree);
    let http_has_token = named(tree, "http").any(|http| has(http, "weir_api_token"));
    let ports: Vec<&str> = places
        .iter()
        .filter(|(server, location)| {
            has(location, "weir_api")
                && !(http_has_token || has(server, "weir_api_token") || has(location, "weir_api_token"))
        })
        .flat_map(|(server, _)| server.all("listen").filter_map(|listen| listen.argument(0)))
        .map(|listen| listen.rsplit(':').next().unwrap_or(listen))
        .collect();
    let leads_there = |pass: &&Directive| pass.argument(0).is_some_and(|url| leads_to(tree, url, &ports));
    let passes = places.iter().flat_map(|(_, location)| location.all("proxy_pass")).filter(leads_there);
    passes
        .map(|pass| {
            let message = format!(
                "{}:{}: the API has no token and treats every client of this proxy_pass as local",
                pass.file.display(),
                pass.line
            );
            let remedy = "add \"weir_api_token FILE;\" to the API's location, or let the API listen on a port of its own";
            Finding::problem(PART, message, remedy)
        })
        .collect()
}

/// Returns whether a URL of `proxy_pass` leads to this machine at one of these ports, directly or by the name of an `upstream` block.
fn leads_to(tree: &[Directive], url: &str, ports: &[&str]) -> bool {
    let (rest, default_port) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (rest, "80"),
        (None, Some(rest)) => (rest, "443"),
        (None, None) => return false,
    };
    let place = rest.split('/').next().unwrap_or(rest);
    let upstreams = named(tree, "http").flat_map(|http| http.all("upstream"));
    let mut upstreams = upstreams.filter(|upstream| upstream.argument(0) == Some(place)).peekable();
    if upstreams.peek().is_none() {
        return is_local(place, default_port, ports);
    }
    // A `server` line without a port means port 80 for https too (ngx_http_upstream_server).
    let mut servers = upstreams.flat_map(|upstream| upstream.all("server"));
    servers.any(|server| server.argument(0).is_some_and(|place| is_local(place, "80", ports)))
}

/// Returns whether `HOST[:PORT]` is this machine at one of these ports.
fn is_local(place: &str, default_port: &str, ports: &[&str]) -> bool {
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (place, default_port),
    };
    matches!(host, "127.0.0.1" | "localhost" | "[::1]") && ports.contains(&port)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use weir_nginx_files::Disk;

    use super::*;

    fn said(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("nginx.conf");
        std::fs::write(&conf, text).unwrap();
        let tree = lint::read(&conf, &Disk).unwrap();
        let lines = examine(&tree, true).into_iter().map(|finding| finding.to_string());
        lines.map(|line| line.replace(&format!("{}/", folder.path().display()), "")).collect()
    }

    const API: &str = "server { listen 127.0.0.1:8080; location /api/ { weir_api; } }";
    const RTMP: &str = "rtmp { server { listen 1935; application live { live on; weir_publish key; } } }";
    const ZONE: &str = "weir_zone 4m state=/var/lib/weir-nginx/state;";

    #[test]
    fn a_whole_configuration_is_well() {
        let said = said(&format!("{ZONE} {RTMP} http {{ {API} }}"));
        assert_eq!(said, ["ok: configuration: 1 application, the zone and the API are set"]);
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nginx-conf/single-node/nginx.conf");
        let text = std::fs::read_to_string(sample).unwrap().replace("include /etc", "# include /etc");
        assert_eq!(self::said(&text).len(), 1, "{:?}", self::said(&text));
    }

    #[test]
    fn a_cache_needs_no_rtmp_block_and_a_load_balancer_nothing_of_weir() {
        let sample = |name: &str| {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../nginx-conf/{name}/nginx.conf"));
            std::fs::read_to_string(file).unwrap().replace("include /", "# include /")
        };
        let cache = sample("edge-cache");
        let ok = "ok: configuration: this nginx caches streams: no \"rtmp\" block is needed";
        assert_eq!(said(&cache), [ok]);
        let without = said(&cache.replace("weir_api;", ""));
        assert!(without.len() == 1 && without[0].contains("no location has \"weir_api\""), "{without:?}");

        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("nginx.conf");
        std::fs::write(&conf, sample("loadbalancer")).unwrap();
        let tree = lint::read(&conf, &Disk).unwrap();
        let of = |follows| examine(&tree, follows).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of(false), ["ok: configuration: this load balancer passes requests on"]);
        // Without [loadbalancer], the same file is a fault.
        assert_eq!(of(true).len(), 3, "{:?}", of(true));
    }

    #[test]
    fn what_is_missing() {
        let starts = |said: Vec<String>, beginnings: &[&str]| {
            assert_eq!(said.len(), beginnings.len(), "{said:?}");
            for (line, beginning) in said.iter().zip(beginnings) {
                assert!(line.starts_with(beginning), "{line}");
            }
        };
        starts(
            said(""),
            &[
                "problem: configuration: there is no \"rtmp\"",
                "problem: configuration: there is no \"weir_zone\"",
                "problem: configuration: no location has \"weir_api\"",
            ],
        );
        starts(
            said(&format!("weir_zone 4m;\n{RTMP} http {{ {API} }}")),
            &["hint: configuration: nginx.conf:1: keys and targets are lost"],
        );
        let open = RTMP.replace("weir_publish key;", "");
        starts(
            said(&format!("{ZONE}\n{open} http {{ {API} }}")),
            &["hint: configuration: nginx.conf:2: anyone may publish to the application \"live\""],
        );
        let above = RTMP.replace("weir_publish key;", "").replace("server {", "weir_publish key; server {");
        starts(said(&format!("{ZONE}\n{above} http {{ {API} }}")), &["ok: "]);
    }

    #[test]
    fn a_proxy_in_front_of_an_api_without_token() {
        let with = |proxy: &str, api: &str| {
            said(&format!("{ZONE} {RTMP} http {{ {api}\nserver {{ listen 80; location / {{ {proxy} }} }} }}"))
        };
        let open = with("proxy_pass http://127.0.0.1:8080;", API);
        assert!(
            open[0].starts_with("problem: configuration: nginx.conf:2: the API has no token"),
            "{open:?}"
        );
        assert!(with("proxy_pass http://127.0.0.1:8090/;", API)[0].starts_with("ok: "));
        let upstream =
            |place: &str| format!("upstream backend {{ server 192.0.2.1; server {place} backup; }} {API}");
        for (proxy, api, is_open) in [
            ("proxy_pass https://[::1]:8080/;", API.to_owned(), true),
            ("proxy_pass https://localhost;", API.replace("127.0.0.1:8080", "443 ssl"), true),
            ("proxy_pass http://localhost;", API.replace("127.0.0.1:8080", "443 ssl"), false),
            ("proxy_pass http://backend;", upstream("127.0.0.1:8080"), true),
            ("proxy_pass https://backend/api/;", upstream("localhost:8080"), true),
            ("proxy_pass https://backend;", upstream("[::1]").replace("127.0.0.1:8080", "80"), true),
            ("proxy_pass http://backend;", upstream("127.0.0.1:8090"), false),
            ("proxy_pass http://other;", upstream("127.0.0.1:8080"), false),
        ] {
            let said = with(proxy, &api);
            assert_eq!(said[0].contains("the API has no token"), is_open, "{proxy} {api}: {said:?}");
        }
        let token = API.replace("weir_api;", "weir_api; weir_api_token /t;");
        assert!(with("proxy_pass http://localhost:8080/api/;", &token)[0].starts_with("ok: "));
    }
}
