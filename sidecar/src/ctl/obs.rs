//! Prints a new key as the two lines that OBS needs.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use weir_model::{Secret, ServerAddr};
use weir_rtmp::url::DEFAULT_PORT;

use super::{Error, Output};
use crate::cli::{ApiArgs, ServerArg};
use crate::config;
use crate::files::PRIVATE;
use crate::files::durable;
use crate::nginx::{Answer, FreshKey};
use crate::values::Host;

/// Host for OBS, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    host: String,
    from: Source,
}

/// Source of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// `--server`
    Option,
    /// `[daemon] public_name`
    Configuration,
    /// The host of the API.
    Api,
    /// The host name of this machine.
    Machine,
}

/// Returns the only output that contains a key, unless the key goes to a file. `port` is the port on which nginx accepts the
/// application's streams.
pub(super) fn fresh_key(
    answer: &Answer<FreshKey>,
    json: bool,
    server: &ServerArg,
    api: &ApiArgs,
    port: Option<u16>,
    file: Option<&Path>,
) -> Result<Output, Error> {
    let FreshKey { about, key } = &answer.value;
    let id = &about.id;
    let if_unread = Some(format!("; nobody read the key: `weir key rotate {id}` makes another"));
    if json {
        return Ok(Output { if_unread, ..Output::json(&answer.text) });
    }
    let Server { host, from } = find(server, api);
    let host = with_port(host, about.server.as_ref(), port);
    let mut stdout = format!("Key:        {id} for {}/{}", about.app, about.stream);
    if let Some(end) = about.expires_at {
        stdout.push_str(&format!(", until {end}"));
    }
    if let Some(end) = about.previous_valid_until {
        stdout.push_str(&format!("; the old one is valid until {end}"));
    }
    let shown = match file {
        Some(file) => {
            write(file, key).map_err(|error| {
                let why = format!("{error}; nobody has the key: `weir key rotate {id}` makes another");
                Error::File { option: Some("--key-file"), path: file.into(), why }
            })?;
            format!("in {}", file.display())
        }
        None => key.expose().to_owned(),
    };
    stdout.push_str(&format!("\nServer:     rtmp://{host}/{}\nStream key: {shown}\n", about.app));
    let guessed = match from {
        Source::Option | Source::Configuration => "",
        Source::Api => "The server is the API's host; --server HOST selects another.\n",
        Source::Machine => {
            "The server is this machine's host name; --server HOST, or public_name under [daemon] in weir.toml, selects another.\n"
        }
    };
    let once = if file.is_none() { "The stream key is shown only this once.\n" } else { "" };
    let if_unread = if_unread.filter(|_| file.is_none());
    Ok(Output { stdout, stderr: format!("{once}{guessed}"), if_unread })
}

/// Checks that the file of `--key-file` does not exist; called before a key is created.
pub(super) fn check_free(file: Option<&Path>) -> Result<(), Error> {
    match file {
        Some(file) if file.symlink_metadata().is_ok() => {
            let why = "exists; remove it, or name another file".into();
            Err(Error::File { option: Some("--key-file"), path: file.into(), why })
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, key: &Secret) -> io::Result<()> {
    let line = Secret::new(format!("{}\n", key.expose()));
    durable::create_for(None, file, PRIVATE.file, line.expose().as_bytes())
}

fn find(server: &ServerArg, api: &ApiArgs) -> Server {
    let public_name = || config::load(Path::new(config::DEFAULT_PATH)).ok()?.daemon.public_name;
    let host_name = || {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        name.trim().parse::<Host>().ok()
    };
    choose(server.server.as_ref(), public_name, api.api.host(), host_name)
}

/// Returns the first available host: of the option, of the configuration, of an API on another machine, or this machine's name.
fn choose(
    option: Option<&Host>,
    public_name: impl FnOnce() -> Option<Host>,
    api: &str,
    host_name: impl FnOnce() -> Option<Host>,
) -> Server {
    let with = |host: &str, from| Server { host: host.to_owned(), from };
    if let Some(host) = option {
        return with(&host.0, Source::Option);
    }
    if let Some(host) = public_name() {
        return with(&host.0, Source::Configuration);
    }
    if !is_loopback(api) {
        return with(api, Source::Api);
    }
    match host_name().filter(|host| !is_loopback(&host.0)) {
        Some(host) => with(&host.0, Source::Machine),
        None => with(api, Source::Api),
    }
}

/// Adds the port of a server block to a host without a port: the block that the key is limited to, otherwise the application's.
fn with_port(host: String, block: Option<&ServerAddr>, port: Option<u16>) -> String {
    let port = block.map_or(port, |block| block.socket().map(|socket| socket.port()));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.contains(']'));
    match port {
        Some(port) if port != DEFAULT_PORT && !has_port => format!("{host}:{port}"),
        _ => host,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|addr: IpAddr| addr.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_one_server_block_names_its_port() {
        let line = |host: &str, block: &str| with_port(host.to_owned(), block.parse().ok().as_ref(), None);
        for (host, block, line_for_obs) in [
            ("studio", "1936", "studio:1936"),
            ("studio", "127.0.0.1:1936", "studio:1936"),
            ("[2001:db8::1]", "[::]:1936", "[2001:db8::1]:1936"),
            ("studio", "1935", "studio"),
            ("studio", "", "studio"),
            ("studio", "unix:/run/rtmp.sock", "studio"),
            ("studio:1937", "1936", "studio:1937"),
            ("[2001:db8::1]:1937", "1936", "[2001:db8::1]:1937"),
        ] {
            assert_eq!(line(host, block), line_for_obs, "{host} {block}");
        }
        let of_app = |host: &str, port| with_port(host.to_owned(), None, port);
        assert_eq!(of_app("studio", Some(1936)), "studio:1936");
        assert_eq!(of_app("studio", Some(1935)), "studio");
        assert_eq!(of_app("studio:1937", Some(1936)), "studio:1937");
        let block: ServerAddr = "1937".parse().unwrap();
        assert_eq!(with_port("studio".into(), Some(&block), Some(1936)), "studio:1937");
    }

    #[test]
    fn encoders_are_not_sent_to_loopback() {
        let host = |name: &str| Host(name.to_owned());
        let (option, public, machine) = (host("a.example"), host("b.example"), host("studio"));
        let found = |option: Option<&Host>, public: Option<&Host>, api: &str, machine: &Host| {
            let Server { host, from } = choose(option, || public.cloned(), api, || Some(machine.clone()));
            (host, from)
        };
        let want = |host: &str, from| (host.to_owned(), from);
        assert_eq!(
            found(Some(&option), Some(&public), "127.0.0.1", &machine),
            want("a.example", Source::Option)
        );
        assert_eq!(
            found(None, Some(&public), "127.0.0.1", &machine),
            want("b.example", Source::Configuration)
        );
        assert_eq!(found(None, None, "media.example", &machine), want("media.example", Source::Api));
        for api in ["127.0.0.1", "localhost", "[::1]"] {
            assert_eq!(found(None, None, api, &machine), want("studio", Source::Machine));
        }
        assert_eq!(found(None, None, "127.0.0.1", &host("localhost")), want("127.0.0.1", Source::Api));
    }
}
