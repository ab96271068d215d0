use proptest::prelude::*;

use super::*;
use crate::secret::Secret;
use crate::token::{Revocation, Signer, TokenId, Verifier};

const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

fn signer() -> Signer {
    Signer::new(&[1; 32]).unwrap()
}

fn claims() -> Claims {
    Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Play,
        exp: NOW.plus_seconds(60),
        nbf: None,
        iat: None,
        jti: None,
        ip: None,
        yields: false,
    }
}

fn tokens(arguments: [&str; 2], authorization: Option<&str>, cookies: &[&str]) -> String {
    let cookies = cookies.iter().map(|line| line.as_bytes());
    let found = presented(arguments.map(str::as_bytes), authorization.map(str::as_bytes), cookies);
    let found: Vec<String> = found.iter().map(|one| format!("{} {:?}", one.token, one.by)).collect();
    found.join(", ")
}

#[test]
fn a_token_comes_in_three_ways() {
    for (arguments, authorization, cookies, found) in [
        (["", ""], None, &[][..], ""),
        (["token=a", "token=b"], None, &[], "a Argument"),
        (["x=1", "token=b&token=c"], None, &[], "b Argument"),
        (["token=", "x=1&token=b"], None, &[], "b Argument"),
        (["tokens=a&xtoken=b&Token=c&token", ""], None, &[], ""),
        (["", ""], Some("Bearer a"), &[], "a Header"),
        (["", ""], Some("bearer  a "), &[], "a Header"),
        (["", ""], Some("Basic a"), &[], ""),
        (["", ""], Some("Bearer"), &[], ""),
        (["", ""], None, &["x=1; weir_token=a;weir_token=b", "weir_token=c"], "a Cookie, b Cookie, c Cookie"),
        (["", ""], None, &["weir_tokens=a; xweir_token=b; weir_token=; weir_token"], ""),
        (
            ["token=a", ""],
            Some("Bearer b"),
            &["weir_token=c; weir_token=d; weir_token=e"],
            "a Argument, b Header, c Cookie, d Cookie",
        ),
    ] {
        assert_eq!(
            tokens(arguments, authorization, cookies),
            found,
            "{arguments:?} {authorization:?} {cookies:?}"
        );
    }
    assert!(presented([b"token=\xff", b""], None, std::iter::empty()).is_empty());
}

#[test]
fn a_query_with_a_token_is_known() {
    for query in ["token=a", "x=1&token=a", "Token=a", "token"] {
        assert!(holds_token(query.as_bytes()), "{query}");
    }
    assert!(!holds_token(b"x=token") && !holds_token(b"") && !holds_token(b"tokens=a"));
}

#[test]
fn a_player_s_token_is_taken_out() {
    for (raw, token, rest) in [
        ("show", None, "show"),
        ("show?", None, "show?"),
        ("show?token=a", Some("a"), "show"),
        ("show?x=1&token=a&y", Some("a"), "show?x=1&y"),
        ("show?token=a&token=b", Some("a"), "show"),
        ("show?Token=a&tokens=b", None, "show?tokens=b"),
        ("show?token=", None, "show"),
        ("token=a", None, "token=a"),
        ("", None, ""),
    ] {
        let parted = part_token(raw.as_bytes());
        assert_eq!(parted.token, token.map(str::as_bytes), "{raw}");
        assert_eq!(parted.rest, rest.as_bytes(), "{raw}");
    }
}

fn of<'r>(tokens: &'r [Secret]) -> Vec<Presented<'r>> {
    tokens.iter().map(|token| Presented { token: token.expose(), by: By::Argument }).collect()
}

fn ask(tokens: &[Secret], stream: &str, variant_of: Option<&str>, client: &str) -> Result<usize, Refusal> {
    let base: Option<StreamName> = variant_of.map(|name| name.parse().unwrap());
    let wanted = Wanted { app: "live", stream, variant_of: base.as_ref() };
    let client = ClientAddr::Ip(client.parse().unwrap());
    let presented = of(tokens);
    let believed = Believed { signer: &signer(), revoked: &RevokedTokens::default() };
    let (one, _) = admit(&presented, believed, &wanted, client, NOW)?;
    Ok(presented.iter().position(|other| other == one).unwrap())
}

/// The attack table: only a valid token of the right kind admits a client.
#[test]
fn each_wrong_token_is_refused() {
    let mint = |claims: Claims| vec![signer().mint(&claims)];
    let here = "192.0.2.1";
    assert_eq!(ask(&mint(claims()), "show", None, here), Ok(0));
    assert_eq!(ask(&mint(Claims { sub: "live/*".parse().unwrap(), ..claims() }), "show", None, here), Ok(0));
    assert_eq!(
        ask(&mint(Claims { ip: Some("192.0.2.0/24".parse().unwrap()), ..claims() }), "show", None, here),
        Ok(0)
    );
    for (tokens, refusal) in [
        (vec![], Refusal::NoToken),
        (vec![Secret::new("")], Refusal::TokenInvalid),
        (vec![Secret::new("x.y.z")], Refusal::TokenInvalid),
        (vec![Secret::new("a".repeat(5000))], Refusal::TokenInvalid),
        // {"alg":"none"}, with the claims of live/show
        (
            vec![Secret::new(
                "eyJhbGciOiJub25lIn0.eyJzdWIiOiJsaXZlL3Nob3ciLCJhY3QiOiJwbGF5IiwiZXhwIjo0MDAwMDAwMDAwfQ.",
            )],
            Refusal::TokenInvalid,
        ),
        (vec![Signer::new(&[2; 32]).unwrap().mint(&claims())], Refusal::TokenInvalid),
        (
            mint(Claims { exp: Timestamp::from_millis(NOW.as_millis() - 30_000), ..claims() }),
            Refusal::TokenExpired,
        ),
        (mint(Claims { nbf: Some(NOW.plus_seconds(31)), ..claims() }), Refusal::TokenNotYet),
        (mint(Claims { act: Action::Publish, ..claims() }), Refusal::TokenWrongAction),
        (mint(Claims { sub: "live/other".parse().unwrap(), ..claims() }), Refusal::TokenWrongStream),
        (mint(Claims { sub: "live/show-2".parse().unwrap(), ..claims() }), Refusal::TokenWrongStream),
        (mint(Claims { sub: "live/show_low".parse().unwrap(), ..claims() }), Refusal::TokenWrongStream),
        (mint(Claims { sub: "live2/*".parse().unwrap(), ..claims() }), Refusal::TokenWrongStream),
        (mint(Claims { ip: Some("192.0.2.2".parse().unwrap()), ..claims() }), Refusal::TokenForeignNetwork),
    ] {
        assert_eq!(ask(&tokens, "show", None, here), Err(refusal));
    }
}

#[test]
fn a_variant_opens_with_the_token_of_its_stream() {
    let show = [signer().mint(&claims())];
    assert_eq!(ask(&show, "show_low", Some("show"), "192.0.2.1"), Ok(0));
    assert_eq!(ask(&show, "show_low", None, "192.0.2.1"), Err(Refusal::TokenWrongStream));
    assert_eq!(ask(&show, "other_low", Some("other"), "192.0.2.1"), Err(Refusal::TokenWrongStream));
    let low = [signer().mint(&Claims { sub: "live/show_low".parse().unwrap(), ..claims() })];
    assert_eq!(ask(&low, "show_low", Some("show"), "192.0.2.1"), Ok(0));
}

#[test]
fn one_good_token_of_several_is_enough() {
    let old = signer().mint(&Claims { exp: Timestamp::default(), ..claims() });
    let good = signer().mint(&claims());
    assert_eq!(ask(&[old.clone(), good], "show", None, "192.0.2.1"), Ok(1));
    assert_eq!(ask(&[old, Secret::new("x")], "show", None, "192.0.2.1"), Err(Refusal::TokenExpired));
}

/// A cached token never admits more than an uncached one, whatever changes between two requests.
mod what_is_kept {
    use super::*;

    fn some_claims() -> impl Strategy<Value = Claims> {
        let second = || (0_u64..200).prop_map(|s| NOW.plus_seconds(s));
        let sub = prop_oneof![Just("live/show"), Just("live/*"), Just("live/other"), Just("event/show")];
        let ip = prop_oneof![Just(None), Just(Some("192.0.2.0/24")), Just(Some("2001:db8::/32"))];
        let jti = prop_oneof![Just(None), Just(Some("one")), Just(Some("two"))];
        let iat = prop::option::of(second());
        (sub, any::<bool>(), second(), prop::option::of(second()), iat, jti, ip).prop_map(
            |(sub, plays, exp, nbf, iat, jti, ip)| Claims {
                sub: sub.parse().unwrap(),
                act: if plays { Action::Play } else { Action::Publish },
                exp,
                nbf,
                iat,
                jti: jti.map(|jti| jti.parse().unwrap()),
                ip: ip.map(|ip| ip.parse().unwrap()),
                yields: false,
            },
        )
    }

    #[derive(Debug, Clone)]
    struct Asked {
        token: usize,
        stream: &'static str,
        client: &'static str,
        at: u64,
        revoked: &'static str,
    }

    fn asked() -> impl Strategy<Value = Asked> {
        let stream = prop_oneof![Just("show"), Just("other"), Just("show_low")];
        let client = prop_oneof![Just("192.0.2.7"), Just("198.51.100.1"), Just("2001:db8::1")];
        let revoked = prop_oneof![Just(""), Just("one"), Just("two"), Just("live/show")];
        (0_usize..6, stream, client, 0_u64..260, revoked)
            .prop_map(|(token, stream, client, at, revoked)| Asked { token, stream, client, at, revoked })
    }

    fn revocations(what: &str) -> RevokedTokens {
        let body = match what {
            "" => return RevokedTokens::default(),
            "live/show" => r#"{"app":"live","stream":"show"}"#.to_owned(),
            jti => serde_json::json!({ "jti": jti.parse::<TokenId>().unwrap() }).to_string(),
        };
        RevokedTokens::new([Revocation::from_json(body.as_bytes(), NOW.plus_seconds(100)).unwrap()])
    }

    proptest! {
        #[test]
        fn makes_no_difference(
            claims in prop::collection::vec(some_claims(), 4),
            requests in prop::collection::vec(asked(), 1..60),
        ) {
            let mut tokens: Vec<Secret> = claims.iter().map(|claims| signer().mint(claims)).collect();
            // Two tokens that were never valid.
            tokens.push(Signer::new(&[2; 32]).unwrap().mint(&claims[0]));
            tokens.push(Secret::new(format!("{}A", tokens[0].expose())));
            let verifier = Verifier::new(signer());
            let base: StreamName = "show".parse().unwrap();
            for Asked { token, stream, client, at, revoked } in requests {
                let presented = of(&tokens[token..=token]);
                let variant_of = (stream == "show_low").then_some(&base);
                let wanted = Wanted { app: "live", stream, variant_of };
                let (client, now) = (ClientAddr::Ip(client.parse().unwrap()), NOW.plus_seconds(at));
                let revoked = revocations(revoked);
                let (plain, kept) = (signer(), &verifier);
                let decide = |signer: &dyn Verify| {
                    admit(&presented, Believed { signer, revoked: &revoked }, &wanted, client, now)
                };
                prop_assert_eq!(decide(&plain), decide(kept));
            }
        }
    }
}
