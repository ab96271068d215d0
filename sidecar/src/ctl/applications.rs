//! Warns if a new key, target or token is useless: nginx lacks the application, or the application does not use it.

use serde_json::json;

use crate::nginx::{Application, Nginx};

/// Something that a command made for an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// A stream key, or a token to publish with.
    Key,
    /// A push target.
    Target,
    /// A revocation of tokens.
    Revocation,
    /// A token to watch, or links with one.
    PlayToken,
}

/// Returns a warning for standard error, or an empty text if there is no problem or nginx does not answer. It is no error, because
/// the application may be added later.
pub(super) async fn warning(nginx: &Nginx, app: &str, made: Made, json: bool) -> String {
    // The command itself has succeeded, so a module that does not answer now causes no error.
    let Ok(Some(known)) = nginx.applications().await else { return String::new() };
    problem(&known, app, made).map(|(code, message)| shown(code, &message, json)).unwrap_or_default()
}

/// Formats a warning for standard error.
pub(super) fn shown(code: &str, message: &str, json: bool) -> String {
    match json {
        true => format!("{}\n", json!({ "warning": { "code": code, "message": message } })),
        false => format!("weir: warning: {message}\n"),
    }
}

/// Returns whether the application writes HLS, or `None` if nginx does not report it.
pub(super) async fn writes_hls(nginx: &Nginx, app: &str) -> Option<bool> {
    let known = nginx.applications().await.ok()??;
    known.into_iter().find(|known| known.name == app)?.hls
}

/// Returns the port on which nginx accepts the application's streams, if nginx reports it.
pub(super) async fn rtmp_port(nginx: &Nginx, app: &str) -> Option<u16> {
    // The command itself has succeeded: without an answer, the address has no port.
    let known = nginx.applications().await.ok()??;
    known.into_iter().find(|known| known.name == app)?.rtmp_port
}

fn problem(known: &[Application], app: &str, made: Made) -> Option<(&'static str, String)> {
    let Some(found) = known.iter().find(|known| known.name == app) else {
        let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        return Some(("unknown_application", weir_model::api::no_application(app, &names)));
    };
    let says = |directive: &str, what: &str| {
        ("not_in_use", format!("the application \"{app}\" has no \"{directive}\" in nginx.conf: {what}"))
    };
    match made {
        Made::Key if found.publish.as_deref().is_some_and(|publish| publish != "key") => {
            Some(says("weir_publish key;", "anyone who knows its address can publish without a key"))
        }
        Made::Target if found.push == Some(false) => {
            Some(says("weir_push on;", "nothing is pushed to the target until it is set"))
        }
        Made::PlayToken if found.play.is_some() && !found.needs_play_token() => {
            Some(says("weir_play token;", "anyone who knows its address can watch without a token"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_use_is_said() {
        let application = |name: &str, publish: &str, push| Application {
            name: name.into(),
            publish: Some(publish.into()),
            push: Some(push),
            play: Some("off".into()),
            play_http: (name == "live").then(|| "token".into()),
            hls: None,
            rtmp_port: None,
        };
        let known = [application("live", "key", true), application("free", "open", false)];
        let said = |app, made| problem(&known, app, made).map(|(_, message)| message).unwrap_or_default();
        assert_eq!(said("live", Made::Key) + &said("live", Made::Target), "");
        assert!(said("livve", Made::Key).ends_with("nginx has \"live\", \"free\""));
        assert!(said("free", Made::Key).contains("\"weir_publish key;\""));
        assert!(said("free", Made::Target).contains("\"weir_push on;\""));
        assert!(said("free", Made::PlayToken).contains("\"weir_play token;\""));
        assert_eq!(said("live", Made::PlayToken), "");
        // An older module reports only the names.
        let old = [Application {
            name: "live".into(),
            publish: None,
            push: None,
            play: None,
            play_http: None,
            hls: None,
            rtmp_port: None,
        }];
        assert_eq!(problem(&old, "live", Made::Target), None);
    }
}
