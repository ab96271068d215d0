//! The verdict on a publish: whether it is accepted, and under which name.
//!
//! The caller looks up the credential that [`credential_of`] returns, passes the facts to one of the `decide`
//! functions, and acts on the answer. No function here waits, reads a clock or keeps state.

use crate::client::ClientAddr;
use crate::key::KeyId;
use crate::masking;
use crate::network::Network;
use crate::publish::Presented;
pub use crate::refusal::{ArgumentError, Refusal};
use crate::secret::{Digest, Secret};
use crate::stream_name::StreamName;
use crate::time::Timestamp;
use crate::token::{self, Action, Claims, RevokedTokens};

/// `weir_publish`: the credential that a publisher must present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// nginx-rtmp manages names and duplicates; Weir requires no key.
    #[default]
    Off,
    /// A stream key, or a token that permits a publish.
    Key,
    /// A valid name is enough.
    Open,
}

/// Facts about a key that was found by its digest.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// Its public id.
    pub id: KeyId,
    /// The application that the key permits.
    pub app: &'a str,
    /// The public name of the stream.
    pub stream: &'a str,
    /// Whether the key is limited to another `server` block than the client's.
    pub wrong_server: bool,
    /// The time from which the key is invalid.
    pub expires_at: Option<Timestamp>,
    /// The networks from which the key is valid. An empty list means all addresses.
    pub publish_from: &'a [Network],
    /// The end of its ban, if it was banned.
    pub banned_until: Option<Timestamp>,
}

/// The credential of a live stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No credential was required.
    Open,
    /// This key.
    Key(KeyId),
    /// A token that permits the stream.
    Token,
    /// A token of a stopgap, which any other publisher replaces.
    Stopgap,
    /// nginx-rtmp pulls the stream itself.
    Pull,
}

impl Credential {
    /// Returns whether the publish needed an authorisation: by a key, by a token, or because the server pulls the
    /// stream itself.
    #[must_use]
    pub const fn is_authorised(self) -> bool {
        !matches!(self, Credential::Open)
    }
}

/// An accepted publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The public name of the stream.
    pub stream: StreamName,
    /// What authorised the publish.
    pub credential: Credential,
}

/// The secret that a publisher presents, where one is required.
#[derive(Clone, Copy, Debug)]
pub enum Presentation<'a> {
    /// The digest of a key, to look up.
    Key(Digest),
    /// A token, to verify; the stream's name is the presented name.
    Token(&'a Secret),
    /// No secret.
    None,
}

/// Returns the secret to look up: `key=` first, then a name in the form of a key that Weir creates, then `token=`, else the name itself is
/// the key.
pub fn credential_of(presented: &Presented) -> Presentation<'_> {
    match (&presented.key, &presented.token) {
        (Some(key), _) => Presentation::Key(key.digest()),
        (None, Some(token)) if !masking::holds_key(presented.name.as_bytes()) => Presentation::Token(token),
        (None, None) if presented.name.is_empty() => Presentation::None,
        (None, _) => Presentation::Key(Digest::of(presented.name.as_bytes())),
    }
}

/// Decides on a publisher with a key; `facts` is `None` if no key has the digest.
pub fn decide_key(
    app: &str,
    facts: Option<&KeyFacts<'_>>,
    client: ClientAddr,
    now: Timestamp,
) -> Result<Accepted, Refusal> {
    let key = facts.ok_or(Refusal::UnknownKey)?;
    if key.app != app {
        return Err(Refusal::WrongApplication);
    }
    if key.wrong_server {
        return Err(Refusal::WrongServer);
    }
    if key.expires_at.is_some_and(|end| now >= end) {
        return Err(Refusal::Expired);
    }
    if !key.publish_from.is_empty() && !client.is_in(key.publish_from) {
        return Err(Refusal::ForeignNetwork);
    }
    if key.banned_until.is_some_and(|end| now < end) {
        return Err(Refusal::Banned);
    }
    let stream = StreamName::parse(key.stream.as_bytes())?;
    Ok(Accepted { stream, credential: Credential::Key(key.id) })
}

/// Decides on a publisher who needs no key: the presented name is the stream's name.
pub fn decide_open(presented: &Presented) -> Result<Accepted, Refusal> {
    let stream = StreamName::parse(presented.name.as_bytes())?;
    Ok(Accepted { stream, credential: Credential::Open })
}

/// Decides on a publisher whose token was verified: `name` is the stream's name, and the token must cover it.
pub fn decide_token(
    claims: &Claims,
    revoked: &RevokedTokens,
    app: &str,
    name: &str,
    client: ClientAddr,
    now: Timestamp,
) -> Result<Accepted, Refusal> {
    let stream = StreamName::parse(name.as_bytes())?;
    token::check(claims, Action::Publish, app, name, client, now)?;
    if revoked.holds(claims.jti.as_ref(), claims.iat, app, name) {
        return Err(Refusal::TokenRevoked);
    }
    let credential = if claims.yields { Credential::Stopgap } else { Credential::Token };
    Ok(Accepted { stream, credential })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Revocation;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);
    const KEY: KeyFacts<'_> = KeyFacts {
        id: KeyId(7),
        app: "live",
        stream: "show",
        wrong_server: false,
        expires_at: None,
        publish_from: &[],
        banned_until: None,
    };

    fn presented(text: &str) -> Presented {
        Presented::parse(text.as_bytes()).unwrap()
    }

    fn client(addr: &str) -> ClientAddr {
        ClientAddr::Ip(addr.parse().unwrap())
    }

    fn decide(key: &KeyFacts<'_>) -> Result<Accepted, Refusal> {
        decide_key("live", Some(key), client("192.0.2.1"), NOW)
    }

    #[test]
    fn the_name_is_the_key_unless_an_argument_is() {
        let own = "wk_abcdefghijklmnopqrstuvwxyz234567";
        let (with_token, shown) = (format!("{own}?token=t"), format!("show?token=t&key={own}"));
        for (text, key) in [
            ("wk_a", "wk_a"),
            ("show?key=wk_a", "wk_a"),
            ("show?token=t&key=wk_a", "wk_a"),
            (&with_token, own),
            (&shown, own),
        ] {
            match credential_of(&presented(text)) {
                Presentation::Key(digest) => assert_eq!(digest, Digest::of(key.as_bytes()), "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(
            matches!(credential_of(&presented("show?token=t")), Presentation::Token(t) if t.expose() == "t")
        );
        assert!(matches!(credential_of(&presented("?a=1")), Presentation::None));
    }

    #[test]
    fn a_good_key_gives_the_stream_its_public_name() {
        let accepted = decide(&KEY).unwrap();
        assert_eq!(accepted.stream.as_str(), "show");
        assert_eq!(accepted.credential, Credential::Key(KeyId(7)));
    }

    #[test]
    fn each_reason_to_refuse_a_key() {
        assert_eq!(decide_key("live", None, ClientAddr::Unix, NOW), Err(Refusal::UnknownKey));
        assert_eq!(decide(&KeyFacts { app: "other", ..KEY }), Err(Refusal::WrongApplication));
        assert_eq!(decide(&KeyFacts { wrong_server: true, ..KEY }), Err(Refusal::WrongServer));
        assert_eq!(decide(&KeyFacts { expires_at: Some(NOW), ..KEY }), Err(Refusal::Expired));
        assert_eq!(
            decide(&KeyFacts { banned_until: Some(NOW.plus_seconds(1)), ..KEY }),
            Err(Refusal::Banned)
        );
        let elsewhere = ["198.51.100.0/24".parse().unwrap()];
        assert_eq!(decide(&KeyFacts { publish_from: &elsewhere, ..KEY }), Err(Refusal::ForeignNetwork));
        assert!(matches!(decide(&KeyFacts { stream: "-x", ..KEY }), Err(Refusal::BadName(_))));
    }

    #[test]
    fn limits_that_do_not_apply() {
        let here = ["198.51.100.0/24".parse().unwrap(), "192.0.2.1".parse().unwrap()];
        assert!(decide(&KeyFacts { expires_at: Some(NOW.plus_seconds(1)), ..KEY }).is_ok());
        assert!(decide(&KeyFacts { banned_until: Some(NOW), ..KEY }).is_ok());
        assert!(decide(&KeyFacts { publish_from: &here, ..KEY }).is_ok());
        assert!(decide_key("live", Some(&KEY), ClientAddr::Unix, NOW).is_ok());
        let key = KeyFacts { publish_from: &here, ..KEY };
        assert_eq!(decide_key("live", Some(&key), ClientAddr::Unix, NOW), Err(Refusal::ForeignNetwork));
    }

    #[test]
    fn open_asks_only_for_a_good_name() {
        assert_eq!(decide_open(&presented("show?a=1")).unwrap().stream.as_str(), "show");
        assert!(matches!(decide_open(&presented(">/x")), Err(Refusal::BadName(_))));
        assert!(matches!(decide_open(&presented("?a=1")), Err(Refusal::BadName(_))));
    }

    #[test]
    fn a_token_covers_the_name_presented() {
        let claims = Claims {
            sub: "live/show".parse().unwrap(),
            act: Action::Publish,
            exp: NOW.plus_seconds(60),
            nbf: None,
            iat: None,
            jti: None,
            ip: None,
            yields: false,
        };
        let none = RevokedTokens::default();
        let decide =
            |claims: &Claims, name| decide_token(claims, &none, "live", name, client("192.0.2.1"), NOW);
        assert_eq!(decide(&claims, "show").unwrap().credential, Credential::Token);
        assert_eq!(decide(&claims, "other"), Err(Refusal::TokenWrongStream));
        assert!(matches!(decide(&claims, "*"), Err(Refusal::BadName(_))));
        let stopgap = decide(&Claims { yields: true, ..claims.clone() }, "show").unwrap();
        assert_eq!(stopgap.credential, Credential::Stopgap);
        let play = Claims { act: Action::Play, ..claims };
        assert_eq!(decide(&play, "show"), Err(Refusal::TokenWrongAction));
        let revocation = Revocation::from_json(br#"{"app":"live","stream":"show"}"#, NOW).unwrap();
        let revoked = RevokedTokens::new([revocation]);
        let publish = Claims { act: Action::Publish, ..play };
        let decided = decide_token(&publish, &revoked, "live", "show", client("192.0.2.1"), NOW);
        assert_eq!(decided, Err(Refusal::TokenRevoked));
    }

    prop_compose! {
        fn any_moment()(offset in -3_000_i64..3_000) -> Timestamp {
            Timestamp::from_millis(NOW.as_millis().saturating_add_signed(offset))
        }
    }

    proptest! {
        /// A key is accepted exactly if each of its limits accepts it, and always for its own stream.
        #[test]
        fn a_key_opens_only_within_its_limits(
            same_app: bool,
            same_server: bool,
            known: bool,
            expires_at in prop::option::of(any_moment()),
            banned_until in prop::option::of(any_moment()),
            networks in prop::collection::vec(
                prop::sample::select(vec!["192.0.2.0/24", "192.0.2.1", "198.51.100.0/24", "::/0"]), 0..4),
            from in prop::sample::select(vec![Some("192.0.2.1"), Some("::ffff:192.0.2.9"), Some("2001:db8::1"), None]),
        ) {
            let networks: Vec<Network> = networks.iter().map(|text| text.parse().unwrap()).collect();
            let from = from.map_or(ClientAddr::Unix, client);
            let app = if same_app { "live" } else { "live2" };
            let key =
                KeyFacts { wrong_server: !same_server, expires_at, banned_until, publish_from: &networks, ..KEY };
            let inside = networks.is_empty()
                || matches!(from, ClientAddr::Ip(ip) if networks.iter().any(|network| network.contains(ip)));
            let open = known && same_app && same_server && inside
                && expires_at.is_none_or(|end| NOW < end)
                && banned_until.is_none_or(|end| NOW >= end);
            match decide_key(app, known.then_some(&key), from, NOW) {
                Ok(accepted) => {
                    prop_assert!(open);
                    prop_assert_eq!(accepted.stream.as_str(), "show");
                    prop_assert_eq!(accepted.credential, Credential::Key(KeyId(7)));
                }
                Err(refusal) => {
                    prop_assert!(!open);
                    prop_assert_eq!(refusal.is_wrong_key(), !known);
                }
            }
        }

        /// For any input, an accepted publish has a valid name, and no reason to refuse repeats a secret.
        #[test]
        fn no_reason_tells_what_was_presented(name in "[A-Za-z0-9_]{9,35}", key in "[A-Za-z0-9_+/]{9,35}", junk in "[ -~]{0,20}") {
            let raw = format!("{name}?{junk}&key={key}");
            let reason = match Presented::parse(raw.as_bytes()) {
                Ok(presented) => {
                    if let Ok(accepted) = decide_open(&presented) {
                        prop_assert_eq!(accepted.stream.as_str(), presented.name.as_str());
                    }
                    decide_key("live", None, ClientAddr::Unix, NOW).unwrap_err().to_string()
                }
                Err(refusal) => refusal.to_string(),
            };
            prop_assert!(!reason.contains(&name) && !reason.contains(&key));
        }
    }
}
