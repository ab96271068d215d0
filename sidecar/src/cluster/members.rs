//! Streams for members only: whether this edge asks for a play token wherever its origins do. An edge decides for itself who may watch, so
//! its own configuration must ask, too.

use std::collections::BTreeSet;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use weir_model::{AppName, Secret};

use super::signature::Key;
use super::wire::{Answer, Member};
use crate::config::web::Play;
use crate::nginx::Application;

/// An application whose streams need a play token at an origin, and none at this edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Leak {
    /// Name of the application.
    pub app: AppName,
    /// Part of this edge that asks for no token.
    pub open: Open,
}

/// Part of an edge that asks for no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Open {
    /// All parts. The edge does not pull these streams.
    All,
    /// nginx, over RTMP.
    Rtmp,
    /// The pages of the daemon.
    Pages,
}

impl Leak {
    /// Returns the fault.
    pub(crate) fn fault(&self) -> String {
        let (gives, then) = match self.open {
            Open::All => {
                ("this edge's nginx gives its streams without one", ", so this edge does not pull them")
            }
            Open::Rtmp => ("this edge's nginx gives its streams over RTMP without one", ""),
            Open::Pages => ("the pages of this edge give its streams without one", ""),
        };
        format!("application \"{}\" needs play tokens at the origin, and {gives}{then}", self.app)
    }

    /// Returns the remedy.
    pub(crate) fn remedy(&self) -> String {
        match self.open {
            Open::All | Open::Rtmp => {
                format!(
                    "add \"weir_play token;\" to application {} in nginx.conf, then reload nginx",
                    self.app
                )
            }
            Open::Pages => "remove play from [web] in weir.toml, then systemctl reload weir".into(),
        }
    }
}

/// Returns the leaks among the applications that need a token at an origin. `play` is the setting of this edge's pages, and `known` are the
/// applications of its nginx.
pub(super) fn leaks(members: &[Member], play: Play, known: &[Application]) -> Vec<Leak> {
    let leak = |member: &Member| {
        // Nothing can be published to an application that nginx does not have.
        let own = known.iter().find(|own| own.name == member.app)?;
        let over_rtmp = own.needs_token_over_rtmp()?;
        let on_pages = match play {
            Play::Token => true,
            Play::Open => false,
            Play::AsNginx => own.needs_play_token(),
        };
        let open = match (over_rtmp, on_pages) {
            (false, false) => Open::All,
            (false, true) if member.rtmp => Open::Rtmp,
            (true, false) => Open::Pages,
            (_, true) => return None,
        };
        Some(Leak { app: member.app.parse().ok()?, open })
    };
    members.iter().filter_map(leak).collect()
}

/// Fault of an edge with another secret of play tokens than its origin.
pub(crate) const OTHER_SECRET: &str =
    "this edge has another weir_secret than the origin, so it refuses the viewers of streams for members";
/// Its remedy.
pub(crate) const COPY_SECRET: &str = "copy the file of weir_secret from the origin to the file of weir_secret and to secret_file of \
                                      [nginx] on this edge, then reload nginx and systemctl reload weir";

/// Returns the secret of play tokens; `None` if it cannot be read.
pub(crate) fn secret(file: Option<&Path>) -> Option<Secret> {
    std::fs::read_to_string(file?).ok().map(Secret::new)
}

/// Returns a fingerprint of the secret of play tokens. Only nodes of the cluster can compute it.
pub(super) fn fingerprint(key: &Key, secret: &Secret) -> Option<String> {
    let text = secret.expose();
    // A line break at the end is no part of the secret.
    let bytes = key.derive(&format!("weir-play-secret-1\n{}", text.strip_suffix('\n').unwrap_or(text)))?;
    Some(HEXLOWER.encode(bytes.first_chunk::<16>()?))
}

/// Returns whether the origin of an answer has another secret of play tokens than `secret`. Returns `false` if either is unknown.
pub(super) fn is_other(answer: &Answer, key: &Key, secret: Option<&Secret>) -> bool {
    let own = secret.and_then(|secret| fingerprint(key, secret));
    answer.secret.as_ref().zip(own.as_ref()).is_some_and(|(origins, own)| origins != own)
}

/// Knowledge of the applications that need tokens at one origin.
#[derive(Debug, Default)]
pub(super) struct Members {
    apps: BTreeSet<AppName>,
    /// Those of them that were compared with this edge's nginx.
    compared: BTreeSet<AppName>,
    leaks: Vec<Leak>,
    /// The origin has another secret of play tokens.
    pub(super) has_other_secret: bool,
}

impl Members {
    /// Notes whether the origin has another secret of play tokens, and logs a change.
    pub(super) fn note_secret(&mut self, is_other: bool, origin: &str) {
        match (self.has_other_secret, is_other) {
            (false, true) => tracing::warn!("{OTHER_SECRET}: {COPY_SECRET}, origin: {origin}"),
            (true, false) => tracing::info!("this edge has the weir_secret of its origin, origin: {origin}"),
            _ => {}
        }
        self.has_other_secret = is_other;
    }

    /// Notes the applications of an origin's answer, and their leaks; `None` if this edge's nginx does not answer. Returns whether the
    /// leaks have changed.
    pub(super) fn note(&mut self, members: &[Member], leaks: Option<Vec<Leak>>) -> bool {
        self.apps = members.iter().filter_map(|member| member.app.parse().ok()).collect();
        let Some(leaks) = leaks else { return false };
        self.compared.clone_from(&self.apps);
        let is_news = self.leaks != leaks;
        self.leaks = leaks;
        is_news
    }

    pub(super) fn leaks(&self) -> &[Leak] {
        &self.leaks
    }

    /// Returns the applications that need tokens.
    pub(super) fn apps(&self) -> impl Iterator<Item = &AppName> {
        self.apps.iter()
    }

    /// Returns the applications whose tokens this edge does not accept, because it has another secret.
    pub(super) fn closed(&self) -> impl Iterator<Item = &AppName> {
        self.apps.iter().filter(|_| self.has_other_secret)
    }

    /// Logs the leaks, or that there are none any more.
    pub(super) fn tell(&self, origin: &str) {
        for leak in &self.leaks {
            let event = match leak.open {
                Open::All => "streams not pulled",
                Open::Rtmp | Open::Pages => "streams for members are open to everybody",
            };
            tracing::warn!("{event}: {}: {}, origin: {origin}", leak.fault(), leak.remedy());
        }
        if self.leaks.is_empty() {
            tracing::info!("this edge asks for play tokens as its origin does, origin: {origin}");
        }
    }

    /// Returns the applications whose streams this edge does not pull: it would give them to everybody, or does not know yet.
    pub(super) fn refused(&self) -> impl Iterator<Item = &AppName> {
        let open = self.leaks.iter().filter(|leak| leak.open == Open::All).map(|leak| &leak.app);
        self.apps.difference(&self.compared).chain(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[&str], rtmp: bool) -> Vec<Member> {
        names.iter().map(|name| Member { app: (*name).into(), rtmp }).collect()
    }

    fn own(name: &str, play: Option<&str>, play_http: Option<&str>) -> Application {
        Application {
            name: name.into(),
            publish: None,
            push: None,
            play: play.map(Into::into),
            play_http: play_http.map(Into::into),
            hls: None,
            rtmp_port: None,
        }
    }

    #[test]
    fn an_edge_must_ask_wherever_its_origin_does() {
        let at = |over_rtmp, play, rtmp: Option<&str>, http: Option<&str>| {
            let known = [own("other", Some("off"), None), own("live", rtmp, http)];
            leaks(&members(&["live"], over_rtmp), play, &known).first().map(|leak| leak.open)
        };
        let found = |play, rtmp, http| at(true, play, rtmp, http);
        let (off, token) = (Some("off"), Some("token"));
        assert_eq!(found(Play::AsNginx, token, None), None);
        assert_eq!(found(Play::Token, token, None), None);
        assert_eq!(found(Play::AsNginx, off, None), Some(Open::All));
        assert_eq!(found(Play::Open, off, None), Some(Open::All));
        assert_eq!(found(Play::Token, off, None), Some(Open::Rtmp));
        assert_eq!(found(Play::AsNginx, off, token), Some(Open::Rtmp));
        assert_eq!(found(Play::Open, token, None), Some(Open::Pages));
        assert_eq!(found(Play::AsNginx, None, None), None, "an older module");
        assert_eq!(leaks(&members(&["none"], true), Play::AsNginx, &[own("live", off, None)]), []);
        // Only the pages of the origin ask for tokens.
        assert_eq!(at(false, Play::Token, off, None), None);
        assert_eq!(at(false, Play::AsNginx, off, None), Some(Open::All));
        assert_eq!(at(false, Play::Open, token, None), Some(Open::Pages));
        let all = Leak { app: "live".parse().unwrap(), open: Open::All };
        assert_eq!(
            format!("{}: {}", all.fault(), all.remedy()),
            "application \"live\" needs play tokens at the origin, and this edge's nginx gives its streams without one, so this edge does not \
             pull them: add \"weir_play token;\" to application live in nginx.conf, then reload nginx"
        );
    }

    #[test]
    fn an_edge_notices_another_secret_of_play_tokens() {
        let key = |byte| Key::new(&[byte; 32]).unwrap();
        let (one, other) = (Secret::new("1".repeat(32)), Secret::new("2".repeat(32)));
        let answer = |secret: Option<&Secret>| Answer {
            secret: secret.and_then(|secret| fingerprint(&key(7), secret)),
            ..Answer::default()
        };
        let is_other = |origins, own| is_other(&answer(origins), &key(7), own);
        assert!(is_other(Some(&one), Some(&other)));
        let with_break = Secret::new(format!("{}\n", one.expose()));
        assert!(!is_other(Some(&one), Some(&one)) && !is_other(Some(&one), Some(&with_break)));
        assert!(!is_other(None, Some(&other)) && !is_other(Some(&one), None), "no finding without both");
        let print = fingerprint(&key(7), &one).unwrap();
        assert!(print.len() == 32 && fingerprint(&key(8), &one).unwrap() != print);
        let mut known = Members::default();
        known.note(&members(&["live"], true), Some(Vec::new()));
        known.note_secret(true, "http://a");
        assert!(known.has_other_secret && known.closed().count() == 1);
        known.note_secret(false, "http://a");
        assert!(!known.has_other_secret && known.closed().count() == 0);
    }

    #[test]
    fn what_is_not_known_to_be_closed_is_refused() {
        let mut known = Members::default();
        let refused = |known: &Members| known.refused().map(ToString::to_string).collect::<Vec<_>>();
        let leak = |open| vec![Leak { app: "live".parse().unwrap(), open }];
        // nginx does not answer.
        assert!(!known.note(&members(&["live"], true), None));
        assert_eq!(refused(&known), ["live"]);
        assert!(known.note(&members(&["live"], true), Some(leak(Open::All))));
        assert!(!known.note(&members(&["live"], true), Some(leak(Open::All))), "no news");
        assert_eq!(refused(&known), ["live"]);
        // The administrator closes a part of it, and then all of it.
        assert!(known.note(&members(&["live"], true), Some(leak(Open::Rtmp))));
        assert_eq!((refused(&known), known.leaks().len()), (Vec::new(), 1));
        assert!(known.note(&members(&["live"], true), Some(Vec::new())));
        // A later silence of nginx changes nothing for the applications that are known.
        assert!(!known.note(&members(&["live", "new"], true), None));
        assert_eq!(refused(&known), ["new"]);
        assert!(!known.note(&members(&[], true), Some(Vec::new())));
        assert_eq!(refused(&known), [""; 0]);
    }
}
