//! The installation steps, as commands for root.

use std::path::Path;

use weir_model::link::Base;
use weir_rtmp::url::DEFAULT_PORT;

use super::answers::{Answers, Role, host};
use super::{File, Place};

/// Name of the second node's weir.toml in a pair.
const OTHER: &str = "weir-b.toml";

/// Returns the next steps as text for a terminal.
pub(crate) fn steps(answers: &Answers, folder: &Path, files: &[File]) -> String {
    let folder = quoted(&folder.display().to_string());
    let is_cache = answers.edge.as_ref().is_some_and(|edge| edge.cache);
    let mut text = format!("Read the files in {folder}, then install them as root:\n\n");
    let mut line = |command: &str| text.push_str(&format!("  {command}\n"));
    if !is_cache {
        line("systemd-sysusers && systemd-tmpfiles --create");
    }
    for command in folders(answers, is_cache) {
        line(command);
    }
    let is_whole = files.iter().any(|file| file.name == "nginx.conf");
    if is_whole {
        line("cp -a /etc/nginx/nginx.conf /etc/nginx/nginx.conf.before-weir");
    }
    for file in files {
        for place in &file.places {
            let command = install(&folder, file.name, place);
            match file.name {
                OTHER => line(&format!("# on the second machine instead: {command}")),
                _ => line(&command),
            }
        }
    }
    line("nginx -t && systemctl restart nginx");
    if answers.role == Role::Loadbalancer {
        line("systemctl daemon-reload && systemctl enable --now weir-upstream.path");
    }
    if !is_cache {
        line("weir serve --check && systemctl enable --now weir");
    }
    if answers.pair.is_some() {
        line("echo 'DAEMON_ARGS=\"-i a\"' >> /etc/default/keepalived      # -i b on the second machine");
        line("systemctl enable --now keepalived");
    }
    if is_cache {
        line(&format!("curl -fsS http://127.0.0.1:{}/healthz", answers.http_port));
    } else {
        let port = answers.http_port;
        let api = if port == 8080 { String::new() } else { format!(" --api http://127.0.0.1:{port}/api") };
        line(&format!("weir check node --all{api}"));
    }
    text + &ending(answers, is_cache)
}

/// Returns commands that create the folders nginx writes to.
fn folders(answers: &Answers, is_cache: bool) -> &'static [&'static str] {
    match answers.role {
        Role::Single => &[
            "install -d -o www-data -g www-data -m 0700 /var/lib/weir-nginx /var/lib/weir-nginx/hls /var/lib/weir-nginx/dash",
        ],
        Role::Origin => {
            &["install -d -o www-data -g www-data -m 0700 /var/lib/weir-nginx /var/lib/weir-nginx/hls"]
        }
        Role::Edge if is_cache => {
            &["install -d -o www-data -g www-data /var/cache/nginx/weir /var/cache/nginx/weir-lists"]
        }
        Role::Edge | Role::Restream => &["install -d -o www-data -g www-data -m 0700 /var/lib/weir-nginx"],
        Role::Loadbalancer => &[],
    }
}

fn install(folder: &str, name: &str, place: &Place) -> String {
    let owner = place.owner.map(|user| format!(" -o {user} -g {user}")).unwrap_or_default();
    format!("install -D{owner} -m {} {folder}/{name} {}", place.mode, place.path)
}

/// Returns the steps on other machines, and hints for people.
fn ending(answers: &Answers, is_cache: bool) -> String {
    let port = answers.http_port;
    let pages = answers.url.as_ref().map(|url| format!("{}/tv", url.as_str().trim_end_matches('/')));
    let pages = pages.unwrap_or_default();
    let url = answers.url.as_ref().or(answers.edge.as_ref().map(|edge| &edge.address));
    let url = url.map(Base::as_str);
    let other_port = url.filter(|url| port_of(url) != Some(port)).map(|url| {
        format!("nginx listens on port {port}: {url} needs a server before it that passes requests on, with TLS for https.\n")
    });
    let other_port = other_port.unwrap_or_default();
    let pair = match answers.pair {
        Some(_) => {
            "Install the files of this folder on the second machine, too, with the same secrets; then weir pair says \"in step\" on \
             both, and each key and target is on both.\n"
        }
        None => "",
    };
    match answers.role {
        Role::Single => format!(
            "\nweir key add live show prints the two lines for OBS. Watch at {pages}/watch/live/show\n{other_port}"
        ),
        Role::Restream => {
            format!(
                "\nweir key add live show prints the two lines for OBS; weir target add live show --url-file - adds a service.\n{pair}"
            )
        }
        Role::Origin => format!(
            "\nweir key add live show prints the two lines for OBS. Watch at {pages}/watch/live/show\n{other_port}{pair}\
             For each edge, copy weir.secret and cluster.secret there and run:\n\
             \n  weir init edge --origin {pages}{} --secret weir.secret --cluster-secret cluster.secret \
             --address {} --bandwidth 1g\n",
            origin_rtmp(answers),
            // Browsers do not play from http:// on a page with https://.
            if pages.starts_with("https://") { "https://EDGE" } else { "http://EDGE:8080" }
        ),
        Role::Edge if is_cache => {
            let address = answers.edge.as_ref().map(|edge| edge.address.as_str().to_owned());
            let bandwidth = answers.edge.as_ref().map(|edge| edge.bandwidth.clone());
            format!(
                "\n{other_port}In weir.toml of the origin and of each load balancer, so that viewers are sent here; then systemctl restart weir there:\n\
                 \n  [[cluster.edge]]\n  address = \"{}\"\n  bandwidth = \"{}\"\n  check = \"/healthz\"\n",
                address.unwrap_or_default(),
                bandwidth.unwrap_or_default()
            )
        }
        Role::Edge => {
            let webrtc = match answers.edge.as_ref().is_some_and(|edge| edge.transport == "webrtc") {
                true => {
                    "The origin needs [webrtc] in its weir.toml, and its UDP port must be open for this edge.\n"
                }
                false => "",
            };
            let pages = answers.edge.as_ref().map(|edge| without_path(&edge.origin)).unwrap_or_default();
            format!("\n{pages}{other_port}{webrtc}On the origin, weir edge list shows this edge.\n")
        }
        Role::Loadbalancer => on_edges(answers),
    }
}

/// Returns a note on an origin whose address may not be that of its pages.
fn without_path(origin: &Base) -> String {
    let origin = origin.as_str().trim_end_matches('/');
    match origin.matches('/').count() {
        2 => format!(
            "--origin {origin} has no path: weir init origin puts the pages at {origin}/tv. If they are there, run this command again \
             with --force and --origin {origin}/tv.\n"
        ),
        _ => String::new(),
    }
}

/// Returns the lines that each edge needs for its load balancers. Otherwise the edge takes them for the viewers.
fn on_edges(answers: &Answers) -> String {
    // Host of a URL, and address.
    let (second, machines) = match &answers.pair {
        Some(pair) => (
            "Install the files of this folder on the second machine, too.\n",
            pair.machines.map(|machine| (super::pair::bracketed(&machine), machine.to_string())).to_vec(),
        ),
        None => ("", vec![("THIS-MACHINE".to_owned(), "ADDRESS-OF-THIS-MACHINE".to_owned())]),
    };
    let port = answers.http_port;
    let each = |line: &dyn Fn(&str, &str) -> String| -> String {
        machines.iter().map(|(host, address)| line(host, address)).collect()
    };
    let origins = each(&|host, _| format!(", \"http://{host}:{port}/tv\""));
    let trusted = each(&|_, address| format!(", \"{address}\""));
    let proxies = each(&|_, address| format!("  set_real_ip_from {address};\n"));
    format!(
        "\n{second}In weir.toml of each edge, then systemctl restart weir there:\n\
         \n  [edge]\n  origin = [\"https://ORIGIN/tv\"{origins}]\n  [web]\n  trusted_proxies = [\"127.0.0.1\"{trusted}]\n\
         \nIn nginx.conf of each edge, remove the # before these lines, so that the edge sees the addresses of viewers; then nginx -t \
         && nginx -s reload:\n\n{proxies}  real_ip_header X-Forwarded-For;\n  real_ip_recursive on;\n"
    )
}

/// Returns the option with which an edge finds the RTMP server of this origin, if it needs one.
fn origin_rtmp(answers: &Answers) -> String {
    match (&answers.url, answers.rtmp_port) {
        (Some(url), port) if port != DEFAULT_PORT => format!(" --origin-rtmp rtmp://{}:{port}", host(url)),
        _ => String::new(),
    }
}

/// Quotes a path for a shell.
fn quoted(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    match !path.is_empty() && path.bytes().all(is_plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

/// Returns the port of an address `http://HOST:PORT`.
fn port_of(url: &str) -> Option<u16> {
    let (scheme, rest) = url.split_once("://")?;
    let usual = if scheme == "https" { 443 } else { 80 };
    let host = rest.split('/').next()?;
    match host.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port.parse().ok(),
        _ => Some(usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_an_address() {
        for (url, port) in [
            ("https://live.example.org", 443),
            ("http://live.example.org/", 80),
            ("http://192.0.2.1:8080", 8080),
            ("http://[2001:db8::1]", 80),
            ("http://[2001:db8::1]:8080/", 8080),
        ] {
            assert_eq!(port_of(url), Some(port), "{url}");
        }
    }
}
