//! Configurations that `nginx -t` rejects, each with the message that an admin sees; and valid configurations, which produce no message.

use weir_model::Secret;
use weir_tests::harness::nginx::Config;

const ZONE: &str = "weir_zone 1m;";
const API: &str = "location /api { weir_api; }";

fn zoned() -> Config {
    Config::weir().main(ZONE)
}

fn main(text: &str) -> Config {
    Config::weir().main(text)
}

fn app(text: &str) -> Config {
    zoned().app("live", text)
}

fn key_file(content: &str) -> Config {
    app("weir_publish key; weir_key_file @DIR@/keys;").file("keys", content)
}

fn line(stream: &str, key: &str) -> String {
    format!("{stream} {}\n", Secret::new(key).digest().to_hex())
}

/// Returns the cases of the guard and of push targets.
fn guard_and_push() -> Vec<(Config, &'static str)> {
    vec![
        (
            zoned().rtmp("weir_guard yes;"),
            "\"weir_guard\": invalid value \"yes\", expected \"on\" or \"off\"",
        ),
        (app("weir_guard off;"), "\"weir_guard\" directive is not allowed here"),
        (zoned().rtmp("weir_guard on; weir_guard on;"), "\"weir_guard\": the directive is duplicate"),
        (
            Config::weir().rtmp("weir_guard on;"),
            "\"weir_guard\" needs a zone: add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" outside of all blocks",
        ),
        (
            zoned().rtmp("weir_session_timeout soon;"),
            "\"weir_session_timeout\": invalid time \"soon\", expected for example \"30s\"",
        ),
        (
            app("weir_idle_publisher -1;"),
            "\"weir_idle_publisher\": invalid time \"-1\", expected for example \"30s\"",
        ),
        (
            zoned().rtmp("weir_limit_unauthenticated 0;"),
            "\"weir_limit_unauthenticated\": invalid number \"0\", expected for example \"32\"",
        ),
        (
            zoned().rtmp("weir_limit_unauthenticated many;"),
            "\"weir_limit_unauthenticated\": invalid number \"many\", expected for example \"32\"",
        ),
        (
            app("weir_min_free some;"),
            "\"weir_min_free\": invalid size \"some\", expected for example \"64m\"",
        ),
        (
            app("weir_min_free 64;"),
            "\"weir_min_free\": size \"64\" is 64 bytes: write \"64m\" for 64 MB, or \"0\" for no limit",
        ),
        (zoned().rtmp("weir_min_free 1m;"), "\"weir_min_free\" directive is not allowed here"),
        (app("weir_push yes;"), "\"weir_push\": invalid value \"yes\", expected \"on\" or \"off\""),
        (app("weir_push_to;"), "invalid number of arguments in \"weir_push_to\" directive"),
        (
            app("weir_push_to http://192.0.2.1/in/key;"),
            "\"weir_push_to\": unknown scheme, expected rtmp:// or rtmps://",
        ),
        (
            app("weir_push_to rtmp://192.0.2.1/in/key stream=x;"),
            "\"weir_push_to\": invalid parameter \"stream=x\", expected \"name=NAME\"",
        ),
        (
            app("weir_push_to rtmp://192.0.2.1/in/key name=.x;"),
            "\"weir_push_to\": name \".x\": name starts with \".\" or \"-\", expected a letter, a digit or \"_\"",
        ),
        (
            app("weir_push_to rtmp://192.0.2.1/in/key; weir_push_to rtmp://192.0.2.1/in/key;"),
            "\"weir_push_to\": the directive is duplicate",
        ),
        (
            app("weir_push_deny 10.0.0.0/40;"),
            "\"weir_push_deny\": invalid value \"10.0.0.0/40\", bad prefix length, expected 0 to 32",
        ),
        (
            app("weir_push_allow everybody;"),
            "\"weir_push_allow\": invalid value \"everybody\", expected \"all\", an address or CIDR such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            app("weir_tls_verify maybe;"),
            "\"weir_tls_verify\": invalid value \"maybe\", expected \"on\" or \"off\"",
        ),
        (
            main("weir_zone 1m; weir_resolver 127.0.0.1 vaild=1s;"),
            "\"weir_resolver\": invalid parameter \"vaild=1s\", expected \"valid=30s\", \"ipv6=on\" or \"ipv6=off\"",
        ),
        (
            main("weir_zone 1m; weir_resolver 127.0.0.1 valid=x;"),
            "\"weir_resolver\": invalid parameter \"valid=x\", expected \"valid=30s\", \"ipv6=on\" or \"ipv6=off\"",
        ),
        (main("weir_zone 1m; weir_resolver ipv6=off;"), "\"weir_resolver\": a name server is missing"),
        (
            main("weir_zone 1m; weir_resolver 127.0.0.1; weir_resolver 127.0.0.1;"),
            "\"weir_resolver\": the directive is duplicate",
        ),
        (
            main("weir_zone 1m; weir_trusted_certificate @DIR@/none.pem;"),
            "\"weir_trusted_certificate\": @DIR@/none.pem cannot be read: No such file or directory (os error 2)",
        ),
        (
            main("weir_zone 1m; weir_trusted_certificate @DIR@/bad.pem;").file("bad.pem", "no certificate"),
            "\"weir_trusted_certificate\": @DIR@/bad.pem: no certificates in PEM, expected \"-----BEGIN CERTIFICATE-----\"",
        ),
    ]
}

/// Returns configurations, each with the expected message.
fn cases() -> Vec<(Config, &'static str)> {
    let twice = format!("{}{}", line("a", "x"), line("b", "x"));
    vec![
        (main("weir_zone;"), "invalid number of arguments in \"weir_zone\" directive"),
        (main("weir_zone 1m state=x y;"), "invalid number of arguments in \"weir_zone\" directive"),
        (main("weir_zone big;"), "\"weir_zone\": invalid size \"big\", expected for example \"4m\""),
        (main("weir_zone 64k;"), "\"weir_zone\": size \"64k\" is too small, the least is \"128k\""),
        (main("weir_zone 0;"), "\"weir_zone\": size \"0\" is too small, the least is \"128k\""),
        (
            main("weir_zone 1m file=x;"),
            "\"weir_zone\": invalid parameter \"file=x\", expected \"state=FILE\"",
        ),
        (
            main("weir_zone 1m state=;"),
            "\"weir_zone\": invalid parameter \"state=\", expected \"state=FILE\"",
        ),
        (
            zoned().server("weir_drain_timeout soon;"),
            "\"weir_drain_timeout\": invalid time \"soon\", expected for example \"30s\"",
        ),
        (
            zoned().app("live", "weir_drain_timeout 5s;"),
            "\"weir_drain_timeout\" directive is not allowed here",
        ),
        (
            zoned().http("location /stat { weir_stat ful; }"),
            "\"weir_stat\": invalid value \"ful\", expected \"html\", \"xml\", \"json\", \"prometheus\" or \"full\"",
        ),
        (zoned().http("location /stat { weir_stat xml json; }"), "\"weir_stat\": the directive is duplicate"),
        (main("weir_zone 1m; weir_zone 1m;"), "\"weir_zone\": the directive is duplicate"),
        (Config::weir().rtmp(ZONE), "\"weir_zone\" directive is not allowed here"),
        (
            main("weir_zone 1m state=@DIR@/nowhere/deeper/state;"),
            "\"weir_zone\": the folder @DIR@/nowhere/deeper cannot be made: No such file or directory (os error 2)",
        ),
        (
            main("weir_zone 1m state=@DIR@;"),
            "\"weir_zone\": @DIR@ cannot be read: Is a directory (os error 21)",
        ),
        (
            Config::weir().app("live", "weir_publish key;"),
            "\"weir_publish\" needs a zone: add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" outside of all blocks",
        ),
        (
            Config::weir().app("live", "weir_duplicate takeover;"),
            "\"weir_duplicate\" needs a zone: add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" outside of all blocks",
        ),
        (
            Config::weir().http(API),
            "\"weir_api\" needs a zone: add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" outside of all blocks",
        ),
        (
            Config::weir().main("weir_secret @DIR@/secret;").file("secret", [b'x'; 32]),
            "\"weir_secret\" needs a zone: add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" outside of all blocks",
        ),
        (app("weir_publish;"), "invalid number of arguments in \"weir_publish\" directive"),
        (
            app("weir_publish on;"),
            "\"weir_publish\": invalid value \"on\", expected \"off\" or \"key\" or \"open\"",
        ),
        (app("weir_publish key; weir_publish open;"), "\"weir_publish\": the directive is duplicate"),
        (zoned().http("weir_publish key;"), "\"weir_publish\" directive is not allowed here"),
        (
            app("weir_duplicate both;"),
            "\"weir_duplicate\": invalid value \"both\", expected \"reject\" or \"takeover\"",
        ),
        (
            app("weir_duplicate reject; weir_duplicate reject;"),
            "\"weir_duplicate\": the directive is duplicate",
        ),
        (
            app("weir_key_file @DIR@/missing;"),
            "\"weir_key_file\": @DIR@/missing cannot be read: No such file or directory (os error 2)",
        ),
        (
            key_file("show\n"),
            "\"weir_key_file\": @DIR@/keys: line 1: no digest, expected STREAM SHA256HEX [comment], as \"weir key hash\" prints it",
        ),
        (
            key_file("show 12345\n"),
            "\"weir_key_file\": @DIR@/keys: line 1: bad digest: not a SHA-256, expected exactly 64 hex digits, as \"weir key hash\" prints them",
        ),
        (
            key_file("\n-x 12345\n"),
            "\"weir_key_file\": @DIR@/keys: line 2: bad stream name: name starts with \".\" or \"-\", expected a letter, a digit or \"_\"",
        ),
        (
            key_file(&twice),
            "\"weir_key_file\": @DIR@/keys: line 2: the same digest as in line 1, expected another key for each line",
        ),
        (
            zoned().rtmp("weir_key_file @DIR@/keys;").file("keys", ""),
            "\"weir_key_file\" directive is not allowed here",
        ),
        (
            app("weir_key_file @DIR@/keys; weir_key_file @DIR@/keys;").file("keys", ""),
            "\"weir_key_file\": the directive is duplicate",
        ),
        (
            zoned()
                .app("a..", "weir_key_file @DIR@/keys;")
                .app("..", "weir_key_file @DIR@/keys;")
                .file("keys", ""),
            "\"weir_key_file\": application \"..\": application name has the part \".\" or \"..\", which means a folder",
        ),
        (
            zoned().main("weir_secret @DIR@/missing;"),
            "\"weir_secret\": @DIR@/missing cannot be read: No such file or directory (os error 2)",
        ),
        (
            zoned().main("weir_secret /dev/zero;"),
            "\"weir_secret\": /dev/zero cannot be read: it has more than 65536 bytes, the most that is read",
        ),
        (
            app("weir_key_file /dev/zero;"),
            "\"weir_key_file\": /dev/zero cannot be read: it has more than 67108864 bytes, the most that is read",
        ),
        (
            zoned().main("weir_secret @DIR@/secret;").file("secret", [b'x'; 31]),
            "\"weir_secret\": @DIR@/secret: secret of 31 bytes, at least 32 are needed",
        ),
        (
            zoned()
                .main("weir_secret @DIR@/secret; weir_secret @DIR@/secret; weir_secret @DIR@/secret;")
                .file("secret", [b'x'; 32]),
            "\"weir_secret\": there are two already: the first one signs, the second one is accepted",
        ),
        (zoned().http("weir_api;"), "\"weir_api\" directive is not allowed here"),
        (
            zoned().http("location /api { weir_api on; }"),
            "invalid number of arguments in \"weir_api\" directive",
        ),
        (
            zoned().http("location /api { weir_api; weir_stat; }"),
            "\"weir_stat\": the location has \"weir_api\" already, which answers its requests: use a location for each",
        ),
        (
            zoned().http("location /api { weir_stat; weir_api; }"),
            "\"weir_api\": the location has \"weir_stat\" already, which answers its requests: use a location for each",
        ),
        (zoned().http("location /api { weir_api; weir_api; }"), "\"weir_api\": the directive is duplicate"),
        (
            zoned().http("location /api { weir_api; weir_api_token @DIR@/missing; }"),
            "\"weir_api_token\": @DIR@/missing cannot be read: No such file or directory (os error 2)",
        ),
        (
            zoned().http("location /api { weir_api; weir_api_token @DIR@/token; }").file("token", "short\n"),
            "\"weir_api_token\": @DIR@/token: expected one line of at least 16 printable characters, the token",
        ),
        (
            zoned()
                .http("location /api { weir_api; weir_api_token @DIR@/token; }")
                .file("token", "two lines of\ntoken text\n"),
            "\"weir_api_token\": @DIR@/token: expected one line of at least 16 printable characters, the token",
        ),
        (
            {
                let mut config = zoned();
                config.modules.reverse();
                config
            },
            "\"weir_zone\": nginx-rtmp is loaded after this module: put \"load_module modules/ngx_rtmp_module.so;\" before \"load_module modules/ngx_rtmp_weir_module.so;\"",
        ),
        (
            {
                let mut config = zoned();
                config.modules.remove(0);
                config
            },
            "\"weir_zone\": nginx-rtmp is not loaded: put \"load_module modules/ngx_rtmp_module.so;\" before \"load_module modules/ngx_rtmp_weir_module.so;\"",
        ),
    ]
}

#[test]
fn each_is_told_what_is_wrong() {
    for (config, message) in cases().into_iter().chain(guard_and_push()) {
        let shown = format!("{} {} {} {}", config.main, config.rtmp, config.server, config.http);
        assert_eq!(config.rejected(), message, "{shown}");
    }
}

#[test]
fn the_other_nginx_rtmp_is_told_apart() {
    // Weir recognizes the fork by a symbol, so a module with that symbol is enough for the test.
    let folder = tempfile::tempdir().unwrap();
    let (source, module) = (folder.path().join("fork.c"), folder.path().join("fork.so"));
    let symbols =
        "void *ngx_rtmp_playlist, *ngx_modules[1]; char *ngx_module_names[1], *ngx_module_order[1];";
    std::fs::write(&source, symbols).unwrap();
    let built = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&module, &source])
        .status()
        .unwrap();
    assert!(built.success());
    let mut config = zoned();
    config.modules.insert(0, module);
    assert_eq!(
        config.rejected(),
        "\"weir_zone\": the loaded nginx-rtmp is the fork of sergey-dryabzhinsky, and this module was built for arut's: \
         build it with NGINX_RTMP_SOURCE_DIR naming the fork's source"
    );
}

#[test]
fn what_is_right_is_accepted_in_silence() {
    let config = zoned()
        .file("keys", format!("# none\n\n{}", line("show", "x")))
        .rtmp("weir_publish open; weir_duplicate takeover;")
        .server("weir_publish key;")
        .app("live", "weir_publish key; weir_duplicate reject; weir_key_file @DIR@/keys;")
        .app("off", "weir_publish off;")
        .http(API);
    let said = config.accepted();
    assert!(!said.contains("[warn]") && !said.contains("[error]"), "{said}");
    // A module that is loaded and not used produces no message.
    Config::weir().app("live", "").accepted();
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    let config = zoned().main("weir_secret @DIR@/secret;").file("secret", [b'x'; 32]);
    let said = config.accepted();
    assert!(said.contains("[warn]") && said.contains("chmod"), "{said}");
}
