//! `[webrtc]`: playing and publishing over WebRTC. It is off unless the section exists.

use std::net::{IpAddr, SocketAddr};

use toml::Spanned;
use weir_model::Secret;

use super::check::{Checked, Unfit, number, problem, text_or};

pub(in crate::config) mod raw {
    use serde::Deserialize;
    use toml::Spanned;

    use crate::config::check::{Number, Text};

    /// `[webrtc]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct WebRtc {
        pub listen: Text,
        pub addresses: Vec<Spanned<String>>,
        pub ice_servers: Vec<Spanned<String>>,
        pub max_sessions: Number,
        pub max_sessions_per_address: Number,
        pub transcode: bool,
    }
}

/// Settings of playing and publishing over WebRTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebRtc {
    /// Address for UDP, and for TCP (ICE-TCP).
    pub listen: SocketAddr,
    /// Addresses that browsers send to; if empty, the addresses of this machine.
    pub addresses: Vec<IpAddr>,
    /// STUN and TURN servers for browsers.
    pub ice_servers: Vec<IceServer>,
    /// Maximum number of simultaneous sessions.
    pub max_sessions: usize,
    /// Maximum number of simultaneous sessions per client.
    pub max_sessions_per_address: usize,
    /// Whether streams that WebRTC cannot carry are transcoded for it.
    pub transcode: bool,
}

/// A STUN or TURN server.
#[derive(Clone, Debug)]
pub(crate) struct IceServer {
    /// URL without credentials.
    pub url: String,
    /// User name and password of a TURN server.
    pub credentials: Option<(String, Secret)>,
}

impl PartialEq for IceServer {
    fn eq(&self, other: &Self) -> bool {
        let parts = |server: &Self| {
            let credentials = server.credentials.as_ref();
            (server.url.clone(), credentials.map(|(user, password)| (user.clone(), password.digest())))
        };
        parts(self) == parts(other)
    }
}

impl Eq for IceServer {}

pub(super) fn webrtc(raw: Option<raw::WebRtc>) -> Checked<Option<WebRtc>> {
    let Some(raw) = raw else { return Ok(None) };
    let default = || Some(SocketAddr::from(([0, 0, 0, 0], 8189)));
    let Some(listen) = text_or("listen", &raw.listen, default, listen)? else { return Ok(None) };
    Ok(Some(WebRtc {
        listen,
        addresses: raw.addresses.iter().map(address).collect::<Checked<_>>()?,
        ice_servers: raw.ice_servers.iter().map(ice_server).collect::<Checked<_>>()?,
        max_sessions: number("max_sessions", &raw.max_sessions, 1000, 1, 100_000)? as usize,
        max_sessions_per_address: number(
            "max_sessions_per_address",
            &raw.max_sessions_per_address,
            50,
            1,
            100_000,
        )? as usize,
        transcode: raw.transcode,
    }))
}

fn listen(text: &str) -> Result<Option<SocketAddr>, Unfit> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| Unfit::Remedy("write it as 0.0.0.0:8189, or \"off\"")),
    }
}

fn address(text: &Spanned<String>) -> Checked<IpAddr> {
    match text.get_ref().parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() => Ok(address),
        _ => problem(
            text,
            format!(
                "addresses: {:?}: write an address of this server that viewers reach, such as \"203.0.113.5\"",
                text.get_ref()
            ),
        ),
    }
}

fn ice_server(text: &Spanned<String>) -> Checked<IceServer> {
    let parsed = server(text.get_ref());
    parsed.map_or_else(
        || {
            problem(
                text,
                "ice_servers: write it as \"stun:stun.example.org:3478\" or \"turn:USER:PASSWORD@turn.example.org:3478\"",
            )
        },
        Ok,
    )
}

fn server(text: &str) -> Option<IceServer> {
    let (scheme, rest) = text.split_once(':')?;
    let (credentials, place) = match rest.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials.split_once(':')?), place),
        None => (None, rest),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]?=".contains(&byte);
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let is_known = match scheme {
        "stun" | "stuns" => credentials.is_none(),
        "turn" | "turns" => credentials.is_some_and(|(user, password)| is_plain(user) && is_plain(password)),
        _ => false,
    };
    let credentials = credentials.map(|(user, password)| (user.to_owned(), Secret::new(password)));
    (is_known && !place.is_empty() && place.bytes().all(fits))
        .then(|| IceServer { url: format!("{scheme}:{place}"), credentials })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Error, parse};

    fn read(text: &str) -> Result<Option<WebRtc>, Error> {
        parse(Path::new("weir.toml"), text).map(|config| config.webrtc)
    }

    #[test]
    fn it_is_off_unless_it_is_written() {
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("[webrtc]\nlisten = \"off\"\n").unwrap(), None);
        let webrtc = read("[webrtc]\n").unwrap().unwrap();
        assert_eq!(webrtc.listen, "0.0.0.0:8189".parse().unwrap());
        assert_eq!(
            (webrtc.max_sessions, webrtc.max_sessions_per_address, webrtc.transcode),
            (1000, 50, false)
        );
        let servers = "[\"stun:stun.example.org\", \"turn:u:p@w@turn.example.org:3478?transport=udp\"]";
        let text =
            format!("[webrtc]\naddresses = [\"203.0.113.5\", \"2001:db8::5\"]\nice_servers = {servers}\n");
        let webrtc = read(&text).unwrap().unwrap();
        assert_eq!(webrtc.addresses.len(), 2);
        assert_eq!(webrtc.ice_servers[0].url, "stun:stun.example.org");
        assert_eq!(webrtc.ice_servers[1].url, "turn:turn.example.org:3478?transport=udp");
        let (user, password) = webrtc.ice_servers[1].credentials.clone().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("u", "p@w"));
        assert!(!format!("{webrtc:?}").contains("p@w"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("listen = \"8189\"", "weir.toml:2: listen = \"8189\": write it as 0.0.0.0:8189, or \"off\""),
            ("addresses = [\"here\"]", "weir.toml:2: addresses: \"here\": write an address of this server"),
            ("addresses = [\"0.0.0.0\"]", "weir.toml:2: addresses: \"0.0.0.0\": write an address"),
            ("ice_servers = [\"turn:u:secret@\"]", "weir.toml:2: ice_servers: write it as \"stun:"),
            ("ice_servers = [\"turn:x.example.org\"]", "ice_servers: write it as"),
            ("max_sessions = 0", "weir.toml:2: max_sessions = 0"),
            ("port = 1", "weir.toml:2: unknown field `port`"),
        ] {
            let error = read(&format!("[webrtc]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
