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
        // `http:///api` names the host "api", as the URL standard says.
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
    let unreachable =
        |by| Error::Unreachable { by, api: api.to_string(), why: "Connection refused".into() }.to_string();
    let of_daemon = unreachable(SetBy::Configuration);
    assert!(of_daemon.ends_with("with api of [nginx] in weir.toml"), "{of_daemon}");
    let text = unreachable(SetBy::CommandLine);
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
    let missing =
        |nginx: Result<Nginx, Error>| nginx.err().map(|error| error.to_string()).unwrap_or_default();
    let (api, file) = ("http://127.0.0.1/api", Some(Path::new("/nowhere")));
    assert!(missing(Nginx::new(api.parse().unwrap(), file)).contains("(--api-token-file or "));
    let said = missing(Nginx::of_configuration(api.parse().unwrap(), file));
    assert!(
        said.contains("/nowhere: No such file")
            && said.ends_with("(api_token_file of [nginx] in weir.toml names it)")
    );
}

/// Accepts connections one after the other. Closes the first `closed` connections without an answer. Returns the number of requests.
async fn serve(listener: tokio::net::TcpListener, closed: usize) -> usize {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut requests = 0;
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await.unwrap();
        requests += 1;
        if requests > closed {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"streams\":[]}").await.unwrap();
            return requests;
        }
    }
}

#[tokio::test]
async fn a_connection_that_closes_early_is_replaced_for_reads_alone() {
    for (closed, reads) in [(0, true), (1, true), (2, true), (1, false)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}/api", listener.local_addr().unwrap());
        let nginx = Nginx::new(api.parse().unwrap(), None).unwrap();
        let server = tokio::spawn(serve(listener, closed));
        let is_answered =
            if reads { nginx.streams().await.is_ok() } else { nginx.save_state().await.is_ok() };
        assert_eq!(is_answered, reads && closed < 2, "{closed} {reads}");
        server.abort();
    }
}

#[test]
fn secrets_of_answers_cannot_be_printed() {
    let text = r#"{"id":"k0123456789abcdef","app":"live","stream":"show","note":"","created_at":"2026-11-20T18:00:00Z",
        "expires_at":null,"publish_from":[],"source":"api","previous_valid_until":null,"key":"wk_secret"}"#;
    let key: FreshKey = serde_json::from_str(text).unwrap();
    assert!(!format!("{key:?}").contains("wk_secret"));
    assert_eq!(key.key.expose(), "wk_secret");
}

/// The daemon follows the streams of a server that has no applications and no ticket.
#[tokio::test]
async fn what_a_server_does_not_tell_is_no_error() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api: ApiUrl = format!("http://{}/api", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        for status in ["200 OK", "200 OK", "404 Not Found", "500 Internal Server Error"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let body = r#"{"streams":[]}"#;
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let nginx = Nginx::new(api, None).unwrap();
    assert!(nginx.applications().await.unwrap().is_none());
    assert!(nginx.player_ticket().await.unwrap().is_none());
    assert!(nginx.applications().await.unwrap().is_none());
    // The server has no streams either, and that is an error.
    assert!(nginx.streams().await.is_err());
}
