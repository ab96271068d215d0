use super::*;
use proptest::prelude::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

fn signer() -> Signer {
    Signer::new(SECRET).unwrap()
}

fn claims() -> Claims {
    Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Publish,
        exp: NOW.plus_seconds(3600),
        nbf: None,
        iat: None,
        jti: None,
        ip: None,
        yields: false,
    }
}

/// Returns a token with any header and claims and a valid signature.
fn signed(header: &str, claims: &str) -> String {
    let text = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let mac = signer().signs.chain_update(text.as_bytes()).finalize().into_bytes();
    format!("{text}.{}", encode(&mac))
}

fn with_claims(claims: &str) -> Result<Claims, TokenError> {
    signer().verify(&signed(r#"{"alg":"HS256"}"#, claims))
}

fn client(addr: &str) -> ClientAddr {
    ClientAddr::Ip(addr.parse().unwrap())
}

#[test]
fn reads_a_token_minted_elsewhere() {
    // Made with Python's hmac, hashlib and base64 modules.
    let token = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        "eyJzdWIiOiJsaXZlL3Nob3ciLCJhY3QiOiJwdWJsaXNoIiwiZXhwIjoxNzk1MjAxMjAwLCJuYmYiOjE3OTUxOTc2MDAuNSwiaXAiOiIxOTIuMC4yLjAvMjQiLCJpc3MiOiJtZSJ9.",
        "KWB4vGt2mUv7bpYmIXYah5WUO2nfj4x03oxqbkOCqDo",
    );
    let expected = Claims {
        nbf: Some(Timestamp::from_millis(NOW.as_millis() + 500)),
        ip: Some("192.0.2.0/24".parse().unwrap()),
        ..claims()
    };
    assert_eq!(signer().verify(token), Ok(expected));
}

#[test]
fn who_yields_says_so() {
    let yields = Claims { yields: true, ..claims() };
    assert_eq!(signer().verify(signer().mint(&yields).expose()), Ok(yields));
    let read = with_claims(r#"{"sub":"live/show","act":"publish","exp":1795201200,"yield":1}"#);
    assert_eq!(read, Err(TokenError::BadClaims));
}

#[test]
fn secret_has_32_bytes_without_its_newline() {
    assert!(Signer::new(SECRET).is_ok());
    assert_eq!(Signer::new(b"0123456789abcdef0123456789abcde\n").unwrap_err(), SignerError { len: 31 });
    let with_newline = Signer::new(&[SECRET, b"\n"].concat()).unwrap();
    assert!(with_newline.verify(signer().mint(&claims()).expose()).is_ok());
    assert_eq!(format!("{with_newline:?}"), "[redacted]");
}

#[test]
fn a_second_secret_is_believed_and_signs_nothing() {
    let (old, new) = (signer(), Signer::new(&[7; 32]).unwrap());
    let both = new.clone().accepting(old.clone());
    for token in [old.mint(&claims()), new.mint(&claims()), both.mint(&claims())] {
        assert_eq!(both.verify(token.expose()), Ok(claims()));
    }
    assert_eq!(old.verify(both.mint(&claims()).expose()), Err(TokenError::BadSignature));
    assert!(new.verify(both.mint(&claims()).expose()).is_ok());
    let third = Signer::new(&[8; 32]).unwrap();
    assert_eq!(both.verify(third.mint(&claims()).expose()), Err(TokenError::BadSignature));
    assert!(both.accepts_another() && !new.accepts_another());
}

#[test]
fn ids_are_short_and_printable() {
    assert_eq!(TokenId::random([0xff; 12]).as_str(), "________________");
    for text in ["a", "5f1c-11", &"x".repeat(64)] {
        assert_eq!(text.parse::<TokenId>().unwrap().to_string(), text);
    }
    for text in ["", "a b", "ž", "a\n", &"x".repeat(65)] {
        assert_eq!(text.parse::<TokenId>(), Err(TokenIdError), "{text}");
    }
}

#[test]
fn only_hs256_is_believed() {
    let body = r#"{"sub":"live/show","act":"play","exp":1}"#;
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"typ":"JWT"}"#,
        "{}",
        "",
        "[]",
    ] {
        assert_eq!(signer().verify(&signed(header, body)), Err(TokenError::WrongAlgorithm), "{header}");
    }
}

#[test]
fn another_secret_or_a_changed_token_is_refused() {
    let token = signer().mint(&claims());
    let other = Signer::new(&[7; 32]).unwrap();
    assert_eq!(other.verify(token.expose()), Err(TokenError::BadSignature));
    let (signed, _) = token.expose().rsplit_once('.').unwrap();
    assert_eq!(signer().verify(&format!("{signed}.")), Err(TokenError::BadSignature));
    assert_eq!(signer().verify(&format!("{}=", token.expose())), Err(TokenError::Malformed));
    assert_eq!(signer().verify(&format!("{}.x", token.expose())), Err(TokenError::Malformed));
    for text in ["", ".", "..", "a.b", "a b.c.d"] {
        assert!(signer().verify(text).is_err(), "{text}");
    }
}

#[test]
fn size_is_limited() {
    let long = "a".repeat(4097);
    assert_eq!(signer().verify(&long), Err(TokenError::TooLong { len: 4097 }));
}

#[test]
fn claims_are_checked_and_unknown_ones_ignored() {
    assert_eq!(
        with_claims(r#"{"sub":"live/show","act":"publish","exp":1795201200,"iss":[1],"iss":2}"#),
        Ok(claims())
    );
    assert_eq!(with_claims(r#"{"sub":"live/show","act":"play"}"#), Err(TokenError::NoExpiry));
    for body in [
        "",
        "[]",
        r#"{"act":"play","exp":1}"#,
        r#"{"sub":"live","act":"play","exp":1}"#,
        r#"{"sub":"live/show","act":"rule","exp":1}"#,
        r#"{"sub":"live/show","act":"play","exp":"1"}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"exp":2}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"ip":"192.0.2.1/24"}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"nbf":true}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"iat":"now"}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"jti":[1]}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"jti":""}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"jti":"a b"}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"jti":"a","jti":"b"}"#,
        r#"{"sub":"live/show","sub":"live/other","act":"play","exp":1}"#,
        r#"{"sub":"live/show","act":"play","act":"publish","exp":1}"#,
        r#"{"sub":"live/show","act":"play","exp":1,"ip":"192.0.2.1","ip":"192.0.2.2"}"#,
    ] {
        assert_eq!(with_claims(body), Err(TokenError::BadClaims), "{body}");
    }
}

#[test]
fn times_are_whole_or_fractions() {
    for (exp, millis) in [
        ("1795201200", 1_795_201_200_000),
        ("1795201200.25", 1_795_201_200_250),
        ("1.7952012e9", 1_795_201_200_000),
        ("1e300", Timestamp::MAX.as_millis()),
        ("18446744073709551615", Timestamp::MAX.as_millis()),
    ] {
        let claims = with_claims(&format!(r#"{{"sub":"live/show","act":"play","exp":{exp}}}"#)).unwrap();
        assert_eq!(claims.exp.as_millis(), millis, "{exp}");
    }
}

#[test]
fn subject_is_divided_at_its_last_slash() {
    let subject: Subject = "live/eu/show".parse().unwrap();
    assert!(subject.covers("live/eu", "show"));
    assert!(!subject.covers("live", "eu/show"));
    let all: Subject = "live/*".parse().unwrap();
    assert!(all.covers("live", "anything") && !all.covers("live/eu", "show"));
    for text in ["live", "/show", "live/", "*/show", "live/a*", "live/../x"] {
        assert_eq!(text.parse::<Subject>(), Err(SubjectError), "{text}");
    }
}

#[test]
fn each_reason_why_it_does_not_allow() {
    let good = Claims { nbf: Some(NOW), ip: Some("192.0.2.0/24".parse().unwrap()), ..claims() };
    let ask = |claims: &Claims, from, now| check(claims, Action::Publish, "live", "show", from, now);
    let here = client("192.0.2.9");
    assert_eq!(ask(&good, here, NOW), Ok(()));
    let last = Timestamp::from_millis(good.exp.as_millis() + 29_999);
    assert_eq!(ask(&good, here, last), Ok(()));
    assert_eq!(ask(&good, here, last.plus_millis(1)), Err(CheckError::Expired));
    let first = Timestamp::from_millis(NOW.as_millis() - 30_000);
    assert_eq!(ask(&good, here, first), Ok(()));
    assert_eq!(ask(&good, here, Timestamp::from_millis(first.as_millis() - 1)), Err(CheckError::NotYet));
    assert_eq!(ask(&good, client("198.51.100.1"), NOW), Err(CheckError::ForeignNetwork));
    assert_eq!(ask(&good, ClientAddr::Unix, NOW), Err(CheckError::ForeignNetwork));
    assert_eq!(ask(&Claims { act: Action::Play, ..good.clone() }, here, NOW), Err(CheckError::WrongAction));
    let other = Claims { sub: "live/other".parse().unwrap(), ..good };
    assert_eq!(ask(&other, here, NOW), Err(CheckError::WrongStream));
}

proptest! {
    #[test]
    fn what_is_minted_is_verified(
        sub in "[a-z]{1,8}(/[a-z]{1,8}){0,2}/([a-z]{1,8}|\\*)",
        publish: bool,
        exp in 0_u64..250_000_000_000,
        nbf in prop::option::of(0_u64..250_000_000_000),
        iat in prop::option::of(0_u64..250_000_000_000),
        jti in prop::option::of("[!-~]{1,64}"),
        addr in prop::option::of(any::<std::net::IpAddr>()),
    ) {
        let claims = Claims {
            sub: sub.parse().unwrap(),
            act: if publish { Action::Publish } else { Action::Play },
            exp: Timestamp::default().plus_seconds(exp),
            nbf: nbf.map(|nbf| Timestamp::default().plus_seconds(nbf)),
            iat: iat.map(|iat| Timestamp::default().plus_seconds(iat)),
            jti: jti.map(|jti| jti.parse().unwrap()),
            ip: addr.map(|addr| addr.to_string().parse().unwrap()),
            yields: nbf.is_none(),
        };
        prop_assert_eq!(signer().verify(signer().mint(&claims).expose()), Ok(claims));
    }

    #[test]
    fn a_changed_character_is_refused(at: prop::sample::Index, new in "[A-Za-z0-9_.-]") {
        let token = signer().mint(&claims());
        let at = at.index(token.expose().len());
        prop_assume!(token.expose()[at..=at] != new);
        let changed = format!("{}{new}{}", &token.expose()[..at], &token.expose()[at + 1..]);
        prop_assert!(signer().verify(&changed).is_err());
    }

    #[test]
    fn any_text_is_refused(text in ".{0,200}") {
        prop_assert!(signer().verify(&text).is_err());
    }
}

#[test]
fn odd_tokens_are_refused_and_usual_ones_are_not() {
    let good = r#"{"sub":"live/show","act":"play","exp":1795201200}"#;
    for header in [
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"["HS256",null]"#,
        r#"["HS256"]"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":null}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        "null",
    ] {
        assert_eq!(signer().verify(&signed(header, good)), Err(TokenError::WrongAlgorithm), "{header}");
    }
    for claims in [
        r#"["live/show","play",1795201200,null,null,null,null,false]"#,
        r#"{"sub":"live/show","act":{"play":null},"exp":1795201200}"#,
        r#"{"sub":"live/show","act":["play"],"exp":1795201200}"#,
        r#"{"sub":["live/show"],"act":"play","exp":1795201200}"#,
        r#"{"sub":"live/show","act":"play","exp":null}"#,
        r#"{"sub":"live/show","act":"play","exp":"1795201200"}"#,
        r#"{"sub":"live/show","act":"play","exp":[1795201200]}"#,
        r#"{"sub":"live/show","act":"play","exp":-1}"#,
        r#"{"sub":"live/show","act":"play","exp":-0.5}"#,
        r#"{"sub":"live/show","act":"play","exp":1795201200,"nbf":null}"#,
        r#"{"sub":"live/show","act":"play","exp":1795201200,"nbf":-1}"#,
        r#"{"sub":"live/show","act":"play","exp":1795201200,"iat":-1}"#,
        r#"{"sub":"live/show","act":"play","exp":1795201200,"iat":null}"#,
        r#"{"sub":"live/show","act":"play","exp":1795201200,"jti":null}"#,
        r#"{"sub":"live/show","act":"play","exp":1795201200,"ip":null}"#,
        r#"{"sub":"live/show","act":"play","exp":1795201200,"ip":["192.0.2.0/24"]}"#,
        r#"{"sub":"live/show","act":"play","exp":1795201200,"yield":null}"#,
    ] {
        assert_eq!(with_claims(claims), Err(TokenError::BadClaims), "{claims}");
    }
    // As PyJWT, jose and jsonwebtoken write them, and with claims of their own.
    for header in [
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"typ":"JWT","alg":"HS256","kid":"1","jku":null}"#,
        r#" {"alg":"HS256"} "#,
    ] {
        let own = r#" {"iss":"me","aud":["a"],"sub":"live/show","act":"play","exp":1795201200.0,"iat":0,"other":{"x":null}}"#;
        assert!(signer().verify(&signed(header, own)).is_ok(), "{header}");
    }
}

proptest! {
    #[test]
    fn any_text_is_no_token(text in ".{0,300}") {
        prop_assert!(signer().verify(&text).is_err());
    }

    /// Any signed JSON is either accepted or refused, and accepted claims can be minted and read again.
    #[test]
    fn any_signed_parts_are_read_or_refused(
        header in prop::sample::select(vec![r#"{"alg":"HS256"}"#, "{}", "[]", "\"x\"", r#"{"alg":"HS256","crit":{}}"#]),
        sub in prop::sample::select(vec!["\"live/show\"", "\"live/*\"", "null", "[]", "\"\"", "7"]),
        act in prop::sample::select(vec!["\"play\"", "\"publish\"", "null", "{}", "\"PLAY\""]),
        time in "-?[0-9]{1,20}(\\.[0-9]{1,3})?(e[0-9])?",
        more in prop::sample::select(vec!["", ",\"ip\":\"::/0\"", ",\"jti\":\"a\"", ",\"exp\":1", ",\"nbf\":{}", ",\"x\":[[[]]]"]),
    ) {
        let body = format!("{{\"sub\":{sub},\"act\":{act},\"exp\":{time}{more}}}");
        if let Ok(claims) = signer().verify(&signed(header, &body)) {
            let again = signer().verify(signer().mint(&claims).expose()).unwrap();
            prop_assert_eq!(again.sub, claims.sub);
        }
    }
}
