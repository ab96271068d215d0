//! The user data of a new server: a script that cloud-init runs as root at the first start.

use std::fmt::Write;

use weir_model::Secret;

use super::error::Error;
use crate::config::fleet::Fleet;

/// The script, with marks such as `@NAME@`.
const SCRIPT: &str = include_str!("script/edge.sh");
/// The nginx.conf of an edge.
const NGINX: &str = include_str!("../../../nginx-conf/edge/nginx.conf");

/// Returns the user data of a server.
///
/// # Errors
///
/// [`Error::File`]: `setup` cannot be read.
pub(super) fn user_data(fleet: &Fleet, name: &str, ticket: &Secret) -> Result<Secret, Error> {
    let edge = &fleet.edge;
    let setup = match &edge.setup {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Error::File { path: path.clone(), why: error.to_string() })?,
    };
    let host = host(edge.origin.as_str());
    let rtmp = edge.rtmp.as_ref().map(|rtmp| format!("rtmp = \"{rtmp}\"\n")).unwrap_or_default();
    let (mut fetched, mut packages) = (String::new(), Vec::new());
    for (nth, package) in edge.packages.iter().enumerate() {
        match package.split_once("#sha256=") {
            Some((address, sum)) => {
                let _ = writeln!(fetched, "fetch package-{nth}.deb '{address}' {}", sum.to_lowercase());
                packages.push(format!("\"$packages/package-{nth}.deb\""));
            }
            None => packages.push(format!("'{package}'")),
        }
    }
    let text = SCRIPT
        .replace("@NAME@", name)
        .replace("@EVENT@", &fleet.event)
        .replace("@HOST@", host)
        .replace("@ORIGIN@", edge.origin.as_str())
        .replace("@ADDRESS@", &edge.address.replace("{ip}", "$ip").replace("{name}", name))
        .replace("@BANDWIDTH@", &edge.bandwidth.to_string())
        .replace("@TRANSPORT@", edge.transport)
        .replace("@RTMP@\n", &rtmp)
        .replace("@FETCH@\n", &fetched)
        .replace("@PACKAGES@", &packages.join(" "))
        .replace("@NGINX@\n", NGINX)
        .replace("@SETUP@\n", &setup)
        // The ticket is last, so that no mark in it is replaced.
        .replace("@TICKET@", ticket.expose());
    Ok(Secret::new(text))
}

/// Returns the host of a URL: `origin.example.org` of `https://origin.example.org:8443/tv`.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or(authority),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_script_has_everything_and_no_mark() {
        let text = include_str!("../../../nginx-conf/fleet/event.toml");
        let fleet = crate::config::fleet::parse(Path::new("event.toml"), text).unwrap();
        let data = user_data(&fleet, "gala-2", &Secret::new("wj_ticket")).unwrap();
        let text = data.expose();
        for part in [
            "name = \"gala-2\"",
            "wj_ticket",
            "origin = \"https://origin.example.org/tv\"",
            "address = \"http://$ip:8080\"",
            "weir_publish key;",
            "\"$packages/package-0.deb\" \"$packages/package-1.deb\"",
            "fetch package-1.deb 'https://example.org/weir_amd64.deb' 0000",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let mark = text
            .split('@')
            .skip(1)
            .step_by(2)
            .find(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()));
        assert_eq!(mark, None);
        assert!(text.len() < 16 << 10, "{}", text.len());
        assert_eq!(format!("{data:?}"), "[redacted]");
        assert_eq!((host("http://[fd00::1]:80/x"), host("https://a.b/tv")), ("fd00::1", "a.b"));
    }
}
