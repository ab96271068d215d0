//! Tokens of other libraries open a stream over HLS and RTMP, and these libraries accept the tokens of `weir token mint`: PyJWT, `jose` for
//! JavaScript, and `jsonwebtoken` for Rust.

use std::process::Command;

use serde_json::{Value, json};
use weir_tests::harness::{Nginx, Player, Publisher, products};

use super::{SECRET, config, get, start};

/// A library that mints and verifies tokens.
struct Library {
    name: &'static str,
    mint: fn(&Value) -> String,
    /// Returns the claims of a token, or `None` if the library refuses it.
    verify: fn(&str) -> Option<Value>,
}

const LIBRARIES: [Library; 3] = [
    Library {
        name: "PyJWT",
        mint: |claims| python(MINT_PYTHON, &claims.to_string()).expect("PyJWT mints"),
        verify: |token| Some(serde_json::from_str(&python(VERIFY_PYTHON, token)?).unwrap()),
    },
    Library {
        name: "jose",
        mint: |claims| node(MINT_NODE, &claims.to_string()).expect("jose mints"),
        verify: |token| Some(serde_json::from_str(&node(VERIFY_NODE, token)?).unwrap()),
    },
    Library { name: "jsonwebtoken", mint: mint_rust, verify: verify_rust },
];

const MINT_PYTHON: &str = "import jwt, json, sys
print(jwt.encode(json.loads(sys.argv[2]), sys.argv[1], algorithm='HS256'))";
const VERIFY_PYTHON: &str = "import jwt, json, sys
print(json.dumps(jwt.decode(sys.argv[2], sys.argv[1], algorithms=['HS256'])))";
const MINT_NODE: &str = "import { SignJWT } from 'jose';
const [secret, claims] = process.argv.slice(-2);
const token = new SignJWT(JSON.parse(claims)).setProtectedHeader({ alg: 'HS256' });
console.log(await token.sign(new TextEncoder().encode(secret)));";
const VERIFY_NODE: &str = "import { jwtVerify } from 'jose';
const [secret, token] = process.argv.slice(-2);
const { payload } = await jwtVerify(token, new TextEncoder().encode(secret), { algorithms: ['HS256'] });
console.log(JSON.stringify(payload));";

fn secret() -> &'static str {
    std::str::from_utf8(SECRET).unwrap()
}

/// Returns the output of a program, or `None` if the program fails.
#[track_caller]
fn printed(command: &mut Command) -> Option<String> {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("ModuleNotFound") && !errors.contains("ERR_MODULE_NOT_FOUND"), "{errors}");
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn python(script: &str, argument: &str) -> Option<String> {
    printed(Command::new(products::tool("/usr/bin/python3")).args(["-c", script, secret(), argument]))
}

fn node(script: &str, argument: &str) -> Option<String> {
    let place = products::workspace().join("build");
    let node = products::tool(&place.join("rtmp-server/bin/node").to_string_lossy());
    let packages = products::tool(&place.join("npm").to_string_lossy());
    let options = ["--input-type=module", "--eval", script, "--", secret(), argument];
    printed(Command::new(node).current_dir(packages).args(options))
}

fn mint_rust(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

fn verify_rust(token: &str) -> Option<Value> {
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET);
    let rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    jsonwebtoken::decode(token, &key, &rules).ok().map(|data| data.claims)
}

fn served() -> (Nginx, Publisher) {
    let nginx = start(
        config()
            .app("live", "weir_publish open; weir_play token;")
            .http("location /hls/ { root @DIR@/www; weir_play token app=live; }"),
    );
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    (nginx, publisher)
}

#[test]
fn tokens_of_other_libraries_open() {
    let (nginx, _publisher) = served();
    let claims = |stream: &str, exp: u64| json!({ "sub": stream, "act": "play", "exp": exp, "jti": "x-1" });
    for library in &LIBRARIES {
        let name = library.name;
        let token = (library.mint)(&claims("live/show", 4_000_000_000));
        assert_eq!(get(&nginx, &format!("/hls/show.m3u8?token={token}")).status, 200, "{name}");
        Player::start(nginx.rtmp(), &format!("live/show?token={token}")).wait_video(3);
        for refused in [claims("live/other", 4_000_000_000), claims("live/show", 1_700_000_000)] {
            let token = (library.mint)(&refused);
            assert_eq!(
                get(&nginx, &format!("/hls/show.m3u8?token={token}")).status,
                403,
                "{name}: {refused}"
            );
            let player = Player::start(nginx.rtmp(), &format!("live/show?token={token}"));
            player.wait_closed(10.0);
            assert_eq!(player.seen().video, 0, "{name}: {refused}");
        }
    }
}

#[test]
fn other_libraries_accept_minted_tokens() {
    let (nginx, _publisher) = served();
    let mut command = Command::new(products::weir());
    command.args(["token", "mint", "live", "show", "--ttl", "1h", "--ip", "127.0.0.0/8"]);
    command.args(["--api", &nginx.url("/api")]).env_remove("WEIR_API");
    let token = printed(&mut command).expect("weir mints");
    let (head, signature) = token.rsplit_once('.').unwrap();
    let reversed: String = signature.chars().rev().collect();
    for library in &LIBRARIES {
        let claims = (library.verify)(&token).unwrap_or_else(|| panic!("{} refuses {token}", library.name));
        assert_eq!(
            (&claims["sub"], &claims["act"]),
            (&"live/show".into(), &"play".into()),
            "{}",
            library.name
        );
        assert_eq!(claims["ip"], "127.0.0.0/8", "{}", library.name);
        assert_eq!((library.verify)(&format!("{head}.{reversed}")), None, "{}", library.name);
    }
}
