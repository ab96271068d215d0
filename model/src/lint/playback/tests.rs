use super::super::tests::{lint, places};
use super::has_variable;

/// An application with HLS below `/srv/hls`, and these lines in `http`.
fn both(app: &str, http: &str) -> String {
    format!(
        "rtmp {{ server {{\napplication live {{ hls on; hls_path /srv/hls; {app} }} }} }}\nhttp {{\n{http} }}"
    )
}

#[test]
fn an_access_log_with_tokens_is_told_once() {
    const OWN: &str = "log_format own '$remote_addr \"$weir_masked_request\"';";
    for (http, found) in [
        // nginx's default log is `combined`.
        ("server {\nlocation /hls/ { root /srv; weir_play token app=live; } }", &["5 weir_play"][..]),
        (
            "access_log /a;\nserver { location /hls/ { root /srv; weir_play token app=live; } location /x/ { weir_play token; } }",
            &["4 access_log"],
        ),
        ("access_log /a combined;\nserver { location /hls/ { weir_play token; } }", &["4 access_log"]),
        ("access_log off;\nserver { location /hls/ { weir_play token; } }", &[]),
        ("access_log /a;\nserver { access_log off; location /hls/ { weir_play token; } }", &[]),
        ("access_log /a;\nserver { location /hls/ { weir_play off; } location /x { } }", &[]),
        (
            "access_log /a main;\nlog_format main '$request_uri';\nserver { weir_play token; }",
            &["4 access_log"],
        ),
        ("access_log /a main;\nlog_format main \"${args}\";\nserver { weir_play token; }", &["4 access_log"]),
        (
            "access_log /a main;\nlog_format main '$status' '$http_referer';\nserver { weir_play token; }",
            &["4 access_log"],
        ),
        (
            "access_log /a main;\nlog_format main escape=json '$status $request_time';\nserver { weir_play token; }",
            &[],
        ),
        ("access_log /a buffer=4k;\nserver { weir_play token; }", &["4 access_log"]),
        (
            "access_log /a own;\naccess_log /b;\nlog_format own '$weir_masked_request';\nserver { weir_play token; }",
            &["5 access_log"],
        ),
    ] {
        let text = both("weir_play token;", http);
        assert_eq!(places(&text), found, "{text}");
    }
    let text =
        both("weir_play token;", &format!("{OWN} access_log /a own; server {{ weir_play token app=live; }}"));
    assert_eq!(lint(&text), [""; 0]);
    let text = both("weir_play token;", "server { location /hls/ { weir_play token; access_log /a; } }");
    assert_eq!(
        lint(&text),
        [
            "/etc/nginx/nginx.conf:4: danger: \"access_log\" writes the tokens of viewers to a log ($request, $http_referer) at \
             \"location /hls/\": use a \"log_format\" with $weir_masked_request in place of $request, and without the others"
        ]
    );
}

#[test]
fn half_a_protection_is_found() {
    const TOKEN: &str = "weir_play token;";
    for (app, http, found) in [
        // HTTP serves the files without a token.
        (TOKEN, "server {\nlocation /hls/ { root /srv; } }", &["5 location"][..]),
        (TOKEN, "server {\nlocation /hls { alias /srv/hls; } }", &["5 location"]),
        (TOKEN, "server {\nlocation / { root /srv; } }", &["5 location"]),
        (TOKEN, "\nserver { root /srv; }", &["5 server"]),
        (TOKEN, "server {\nlocation /x/ { alias /srv/hls/deep/; } }", &["5 location"]),
        (
            TOKEN,
            "server { location / { root /srv; }\nlocation /hls/ { root /srv; weir_play token app=live; } }",
            &[],
        ),
        (TOKEN, "server { location / { root /srv;\nlocation /hls/ { weir_play token app=live; } } }", &[]),
        (
            TOKEN,
            "server { root /srv; location / { root /srv/www; } location /hls/ { weir_play token app=live; } }",
            &[],
        ),
        (TOKEN, "server { location /hls/ { root /srv; deny all; } }", &[]),
        (TOKEN, "server { location /hls/ { root /srv; auth_request /a; } }", &[]),
        (TOKEN, "server { location /hls/ { root /srv; secure_link $arg_a; } }", &[]),
        (TOKEN, "server { location /hls/ { root /srv; internal; } }", &[]),
        (TOKEN, "server { root /srv; location / { proxy_pass http://127.0.0.1:1; } }", &[]),
        (TOKEN, "server { location /hls/ { root $root; } location /x/ { root html; } }", &[]),
        ("", "server { location /hls/ { root /srv; } }", &[]),
        // RTMP needs no token.
        ("", "server { location /hls/ { root /srv; weir_play token app=live; } }", &["2 application"]),
        ("", "server { location /any/ { weir_play token app=live; } }", &["2 application"]),
        ("weir_play off;", "server { weir_play token app=live; }", &["2 application"]),
        ("deny play all;", "server { weir_play token app=live; }", &[]),
        ("deny all;", "server { weir_play token app=live; }", &[]),
        ("", "server { location /vod/ { root /srv; weir_play token; } }", &[]),
    ] {
        let text = both(app, &format!("access_log off; {http}"));
        assert_eq!(places(&text), found, "{text}");
    }
    let text = both(TOKEN, "access_log off; server { location /hls/ { root /srv; } }");
    assert_eq!(
        lint(&text),
        [
            "/etc/nginx/nginx.conf:4: danger: \"location\" lets anyone watch the streams of the application \"live\" (hls_path \
             /srv/hls), which has \"weir_play token;\": add \"weir_play token app=live;\" to \"location /hls/\""
        ]
    );
    let text = both("", "access_log off; server { location /hls/ { weir_play token app=live; } }");
    assert_eq!(
        lint(&text),
        [
            "/etc/nginx/nginx.conf:2: danger: \"application\" lets anyone play the streams of \"live\" over RTMP, while \
             \"location /hls/\" needs a token: add \"weir_play token;\" to the application, or \"deny play all;\" if nobody \
             plays over RTMP"
        ]
    );
}

#[test]
fn an_application_that_is_not_there_is_found() {
    for (http, found) in [
        ("server {\nlocation /hls/ { weir_viewers app=live; } }", &[][..]),
        ("server {\nlocation /hls/ { weir_viewers app=livve; } }", &["5 weir_viewers"]),
        (
            "server {\nlocation /a/ { weir_play token app=x; weir_viewers app=x; } }",
            &["5 weir_play", "5 weir_viewers"],
        ),
        ("server {\nweir_viewers app=x; location /a/ { } location /b/ { } }", &["5 weir_viewers"]),
    ] {
        let text = both("", &format!("access_log off; {http}"));
        assert_eq!(places(&text), found, "{text}");
    }
    // The applications of an edge are on another machine.
    assert_eq!(places("http { server { location /hls/ { weir_viewers app=live; } } }"), [""; 0]);
    let text = both("", "server { weir_viewers app=livve; }");
    assert_eq!(
        lint(&text),
        [
            "/etc/nginx/nginx.conf:4: warning: \"weir_viewers\" has app=livve, and no \"rtmp\" server has that application: write \
             the name of one that is there: \"live\""
        ]
    );
}

#[test]
fn a_limit_of_viewers_that_nobody_counts_is_found() {
    for (http, found) in [
        ("", true),
        ("server { location /hls/ { } }", true),
        ("server { location /hls/ { weir_viewers off; } }", true),
        ("server { location /hls/ { weir_viewers app=live; } }", false),
        ("server { location /hls/ { weir_viewers on; } }", false),
        ("weir_viewers on; server { }", false),
    ] {
        let text = both("weir_max_viewers 5;", http);
        assert_eq!(places(&text) == ["2 weir_max_viewers"], found, "{text}");
    }
    // RTMP players are always counted.
    assert_eq!(places("rtmp { server { application live { weir_max_viewers 5; } } }"), [""; 0]);
    assert_eq!(
        lint(&both("weir_max_viewers 5;", "")),
        [
            "/etc/nginx/nginx.conf:2: warning: \"weir_max_viewers\" does not limit the viewers of HLS and DASH: no location counts \
             those of the application \"live\": add \"weir_viewers app=live;\" to the locations that serve them"
        ]
    );
}

#[test]
fn variables_are_told_apart() {
    for (text, found) in [
        ("$request", true),
        ("\"$request\"", true),
        ("${request}", true),
        ("a$request.b", true),
        ("$request_time", false),
        ("$weir_masked_request", false),
        ("$requests", false),
        ("${request_uri}", false),
        ("request", false),
        ("$$request", true),
        ("$", false),
        ("", false),
    ] {
        assert_eq!(has_variable(text, "request"), found, "{text}");
    }
}

#[test]
fn a_folder_of_streams_without_an_application_is_found() {
    for (http, found) in [
        ("server {\nlocation /hls/ { root /srv; weir_play token; } }", &["5 weir_play"][..]),
        ("server {\nlocation /hls { alias /srv/hls; weir_viewers on; } }", &["5 weir_viewers"]),
        (
            "weir_play token;\nserver { location /a/ { alias /srv/hls/; } location /b/ { alias /srv/hls/; } }",
            &["4 weir_play"],
        ),
        ("server {\nlocation /hls/ { root /srv; weir_play token app=live; } }", &[]),
        // The application is a folder in the path.
        ("server {\nlocation / { root /srv/; weir_viewers on; } }", &[]),
        ("server {\nlocation /hls/ { root /srv; weir_viewers off; } }", &[]),
    ] {
        let text = both("weir_play token;", &format!("access_log off; {http}"));
        let places: Vec<_> = places(&text).into_iter().filter(|place| !place.contains("location")).collect();
        assert_eq!(places, found, "{text}");
    }
    assert_eq!(
        lint(&both("", "server { location /hls/ { root /srv; weir_viewers on; } }")),
        [
            "/etc/nginx/nginx.conf:4: warning: \"weir_viewers\" has no \"app=\", so it takes the application from the path; \
             \"location /hls/\" serves /srv/hls, where paths begin with the stream: write \"app=live\""
        ]
    );
}
