//! Invalid values of `weir_play` and `weir_secret`, each with the message that an admin sees.

use weir_tests::harness::nginx::Config;

use super::config;

#[test]
fn each_mistake_has_its_message() {
    let place = " in @DIR@/nginx.conf:";
    let http = |text: &str| config().http(&format!("location /hls/ {{ {text} }}"));
    for (config, message) in [
        (http("weir_play;"), "invalid number of arguments in \"weir_play\" directive"),
        (http("weir_play key;"), "\"weir_play\": invalid value \"key\", expected \"off\" or \"token\""),
        (http("weir_play off app=live;"), "\"weir_play\": invalid parameter \"app=live\", \"off\" has none"),
        (
            http("weir_play token name=x;"),
            "\"weir_play\": invalid parameter \"name=x\", expected \"app=APP\", \"stream=VALUE\" or \"variant=SUFFIX\"",
        ),
        (
            http("weir_play token app=;"),
            "\"weir_play\": invalid parameter \"app=\", expected \"app=APP\", \"stream=VALUE\" or \"variant=SUFFIX\"",
        ),
        (http("weir_play token app=a app=b;"), "\"weir_play\": the directive is duplicate"),
        (http("weir_play token app=live; weir_play off;"), "\"weir_play\": the directive is duplicate"),
        (http("weir_play token stream=$arg_s;"), "\"weir_play\": \"stream=\" needs \"app=APP\""),
        (http("weir_play token app=live stream=$nothing;"), "unknown \"nothing\" variable"),
        (http("weir_play token app=live variant=/;"), "\"weir_play\": variant \"/\": invalid character"),
        (
            config().app("live", "weir_play on;"),
            "\"weir_play\": invalid value \"on\", expected \"off\" or \"token\"",
        ),
        (config().app("live", "weir_play off; weir_play off;"), "\"weir_play\": the directive is duplicate"),
        (
            Config::weir().with_api().app("live", "weir_play token;"),
            "\"weir_play token\" needs a secret: add \"weir_secret FILE;\" outside of all blocks",
        ),
        (
            Config::weir().with_api().http("weir_play token app=live;"),
            "\"weir_play token\" needs a secret: add \"weir_secret FILE;\" outside of all blocks",
        ),
        (Config::weir().app("live", "weir_play off;"), "\"weir_play\" needs a zone: "),
        (
            config().main("weir_secret @DIR@/b; weir_secret @DIR@/c;").file("b", [1; 32]).file("c", [2; 32]),
            "\"weir_secret\": there are two already: the first one signs, the second one is accepted",
        ),
    ] {
        let said = config.rejected();
        assert!(said.starts_with(message), "{said}\n{message}{place}");
    }
    for accepted in [
        "weir_play off;",
        "weir_play token app=live;",
        "weir_play token;",
        "weir_play token app=live variant=_low variant=_hi;",
    ] {
        http(accepted).accepted();
    }
}
