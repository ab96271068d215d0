//! Invalid values of `weir_viewers`, `weir_max_viewers` and `weir_max_bitrate`, each with the message that an admin sees.

use weir_tests::harness::nginx::Config;

#[test]
fn each_mistake_has_its_message() {
    let place = " in @DIR@/nginx.conf:";
    let http = |text: &str| Config::weir().with_api().http(&format!("location /hls/ {{ {text} }}"));
    let app = |text: &str| Config::weir().with_api().app("live", text);
    let window = "\"weir_viewers\": invalid window";
    let expected = "expected \"1s\" to \"1h\", for example \"30s\"";
    for (config, message) in [
        (http("weir_viewers;"), "invalid number of arguments in \"weir_viewers\" directive".to_owned()),
        (
            http("weir_viewers live;"),
            "\"weir_viewers\": invalid parameter \"live\", expected \"app=APP\", \"stream=VALUE\", \"variant=SUFFIX\", \
             \"window=TIME\", \"on\" or \"off\""
                .to_owned(),
        ),
        (http("weir_viewers app=;"), "\"weir_viewers\": invalid parameter \"app=\", expected".to_owned()),
        (http("weir_viewers off app=live;"), "\"weir_viewers\": invalid parameter \"app=live\", \"off\" has none".to_owned()),
        (http("weir_viewers app=a app=b;"), "\"weir_viewers\": the directive is duplicate".to_owned()),
        (http("weir_viewers app=live; weir_viewers off;"), "\"weir_viewers\": the directive is duplicate".to_owned()),
        (http("weir_viewers stream=$arg_s;"), "\"weir_viewers\": \"stream=\" needs \"app=APP\"".to_owned()),
        (http("weir_viewers app=live stream=$nothing;"), "unknown \"nothing\" variable".to_owned()),
        (http("weir_viewers app=live window=soon;"), format!("{window} \"soon\", {expected}")),
        (http("weir_viewers app=live window=0;"), format!("{window} \"0\", {expected}")),
        (http("weir_viewers app=live window=2h;"), format!("{window} \"2h\", {expected}")),
        (
            Config::weir().http("location /hls/ { weir_viewers app=live; }"),
            "\"weir_viewers\" needs a zone: add \"weir_zone 4m".to_owned(),
        ),
        (app("weir_max_viewers 0;"), "\"weir_max_viewers\": invalid number \"0\", expected for example \"500\"".to_owned()),
        (
            app("weir_max_bitrate fast;"),
            "\"weir_max_bitrate\": invalid rate \"fast\", expected bits such as \"8m\"".to_owned(),
        ),
        (
            app("weir_max_bitrate 0;"),
            "\"weir_max_bitrate\": invalid rate \"0\", expected bits such as \"8m\"".to_owned(),
        ),
        (
            app("weir_max_bitrate 8;"),
            "\"weir_max_bitrate\": rate \"8\" has no unit: write \"8m\" for 8 Mbit, \"500k\" for 500 kbit".to_owned(),
        ),
        (
            app("weir_max_bitrate 8000000;"),
            "\"weir_max_bitrate\": rate \"8000000\" has no unit: write \"8m\"".to_owned(),
        ),
        (
            app("weir_max_bitrate 8m burst=40;"),
            "\"weir_max_bitrate\": burst \"40\" has no unit: write \"8m\"".to_owned(),
        ),
        (
            app("weir_max_bitrate 8m 2m;"),
            "\"weir_max_bitrate\": invalid parameter \"2m\", expected \"burst=SIZE\"".to_owned(),
        ),
        (
            app("weir_max_bitrate 8m burst=x;"),
            "\"weir_max_bitrate\": invalid burst \"x\", expected bits such as \"8m\"".to_owned(),
        ),
        (app("weir_max_viewers x;"), "\"weir_max_viewers\": invalid number \"x\", expected for example \"500\"".to_owned()),
        (app("weir_max_viewers 1; weir_max_viewers 2;"), "\"weir_max_viewers\": the directive is duplicate".to_owned()),
    ] {
        let said = config.rejected();
        assert!(said.starts_with(&message), "{said}\n{message}{place}");
    }
    for accepted in [
        "weir_viewers off;",
        "weir_viewers on;",
        "weir_viewers app=live;",
        "weir_viewers app=live window=1h;",
        "weir_viewers app=live stream=$arg_s window=500ms;",
        "weir_viewers app=live variant=_low variant=_hi;",
    ] {
        if accepted.contains("500ms") {
            http(accepted).rejected();
        } else {
            http(accepted).accepted();
        }
    }
}
