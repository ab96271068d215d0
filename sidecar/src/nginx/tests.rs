use super::*;

fn api(text: &str) -> Result<String, ApiUrlError> {
    text.parse::<ApiUrl>().map(|url| url.to_string())
}

#[test]
fn places_of_an_api() {
    assert_eq!(api("http://127.0.0.1:8080/api/").as_deref(), Ok("http://127.0.0.1:8080/api"));
    assert_eq!(api("https://h.example").as_deref(), Ok("https://h.example"));
    assert_eq!(api("unix:/run/w.sock:/api").as_deref(), Ok("unix:/run/w.sock:/api"));
    for bad in ["", "127.0.0.1:8080", "ftp://h/api", "unix:run/w.sock", "http://h/api?x=1", "http:///api"] {
        // `http:///api` names the host "api"; that is for the URL standard to explain.
        assert!(api(bad).is_err() || bad == "http:///api", "{bad}");
    }
}

#[test]
fn a_password_is_never_shown() {
    let url: ApiUrl = "http://u:hunter2@h/api".parse().unwrap();
    assert_eq!(url.to_string(), "http://u:***@h/api");
    assert!(!format!("{url:?}").contains("hunter2"));
}

#[test]
fn errors_say_where_and_what_to_do() {
    let api: ApiUrl = "http://127.0.0.1:8080/api".parse().unwrap();
    let text = Error::Unreachable { api: api.to_string(), why: "Connection refused".into() }.to_string();
    for part in ["http://127.0.0.1:8080/api", "Connection refused", "--api", "WEIR_API"] {
        assert!(text.contains(part), "{text}");
    }
    let nginx = Nginx::new(api, None).unwrap();
    let refused = nginx.refusal(
        StatusCode::NOT_FOUND,
        r#"{"error":{"code":"not_found","message":"no key\nk0000000000000000"}}"#,
    );
    assert_eq!(refused.to_string(), "no key k0000000000000000");
    let html = nginx.refusal(StatusCode::NOT_FOUND, "<html>404</html>").to_string();
    assert!(html.contains("404") && html.contains("weir_api"), "{html}");
    let unauthorized =
        nginx.refusal(StatusCode::UNAUTHORIZED, r#"{"error":{"code":"unauthorized","message":"no"}}"#);
    assert!(unauthorized.to_string().contains("--api-token-file"), "{unauthorized}");
}

#[test]
fn secrets_of_answers_cannot_be_printed() {
    let text = r#"{"id":"k0123456789abcdef","app":"live","stream":"show","note":"","created_at":"2026-11-20T18:00:00Z",
        "expires_at":null,"publish_from":[],"source":"api","previous_valid_until":null,"key":"wk_secret"}"#;
    let key: FreshKey = serde_json::from_str(text).unwrap();
    assert!(!format!("{key:?}").contains("wk_secret"));
    assert_eq!(key.key.expose(), "wk_secret");
}
