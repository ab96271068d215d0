//! weir.toml, line by line and without secrets. Comments are left out: anything may be in them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::gate::Reader;
use crate::supervise::mask::masked;
use crate::web::answer;
use crate::web::common::Web;

/// One setting.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Setting {
    line: usize,
    table: String,
    key: String,
    value: String,
}

pub(super) async fn get(State(web): State<Arc<Web>>, _: Reader) -> Response {
    let file = &web.office.running.file;
    match tokio::fs::read_to_string(file).await {
        Ok(text) => Json(json!({ "file": file, "settings": settings(&text) })).into_response(),
        Err(error) => {
            tracing::warn!("the dashboard cannot show {}: {error}", file.display());
            answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the file cannot be read")
        }
    }
}

/// The settings of a text that is valid. Lines that continue a list belong to its key.
fn settings(text: &str) -> Vec<Setting> {
    let (mut table, mut found) = (String::new(), Vec::<Setting>::new());
    let mut depth = 0;
    for (index, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        if depth > 0 {
            if let Some(last) = found.last_mut() {
                last.value.push(' ');
                last.value.push_str(&shown(line));
            }
        } else if line.starts_with('[') {
            table = line.to_owned();
            continue;
        } else if let Some((key, value)) = line.split_once('=') {
            let value = shown(value.trim());
            found.push(Setting { line: index + 1, table: table.clone(), key: key.trim().to_owned(), value });
        }
        depth += balance(line);
    }
    found
}

/// A line without what follows `#` outside quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => return &line[..at],
            (None, _) => {}
        }
    }
    line
}

/// Brackets that a line opens, less those that it closes, outside quotes.
fn balance(line: &str) -> i32 {
    let parts = line.split('"').step_by(2);
    parts
        .flat_map(str::chars)
        .map(|c| match c {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        })
        .sum()
}

/// A value in which no secret is left: what stands before `@` in an address, arguments, the last part of an address of RTMP, and
/// what looks like a key or token.
fn shown(value: &str) -> String {
    let mut out = String::new();
    for (index, part) in value.split('"').enumerate() {
        if index > 0 {
            out.push('"');
        }
        if index % 2 == 1 { out.push_str(&without_secrets(part)) } else { out.push_str(part) }
    }
    out
}

fn without_secrets(text: &str) -> String {
    let (text, has_arguments) = match text.split_once('?') {
        Some((text, _)) if text.contains(':') => (text, true),
        _ => (text, false),
    };
    // The names of streams may be patterns with an asterisk, which are no secret.
    let text = masked(text);
    let mut text = match (text.split_once(':'), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host)))
            if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+') =>
        {
            let slashes = if text.contains("://") { "//" } else { "" };
            format!("{scheme}:{slashes}***@{host}")
        }
        _ => text,
    };
    let is_rtmp = text.starts_with("rtmp://") || text.starts_with("rtmps://");
    if is_rtmp && text.matches('/').count() > 3 {
        let end = text.rfind('/').map_or(0, |at| at + 1);
        text.replace_range(end.., "***");
    }
    if has_arguments { format!("{text}?***") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        for (value, expected) in [
            (r#""rtsp://viewer:PASS@192.0.2.10/stream1""#, r#""rtsp://***@192.0.2.10/stream1""#),
            (r#""srt://:9000?mode=listener&passphrase=PASS""#, r#""srt://:9000?***""#),
            (
                r#"["stun:s.example.org", "turn:U:PASS@t.example.org:3478"]"#,
                r#"["stun:s.example.org", "turn:***@t.example.org:3478"]"#,
            ),
            (r#""rtmp://h/live/PASS""#, r#""rtmp://h/live/***""#),
            (r#""rtmp://127.0.0.1:1935""#, r#""rtmp://127.0.0.1:1935""#),
            (r#""https://u:p@PASS@h/x?token=PASS""#, r#""https://***@h/x?***""#),
            ("10000", "10000"),
            (r#"["live/*"]"#, r#"["live/*"]"#),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn each_setting_has_its_line() {
        let text = "# SECRET\n[web]\nlisten = \"a#b\" # SECRET\nlist = [\n  \"x\", # SECRET\n]\n\n[[record]]\nsplit = '1h'\n";
        let setting = |line, table: &str, key: &str, value: &str| Setting {
            line,
            table: table.into(),
            key: key.into(),
            value: value.into(),
        };
        assert_eq!(
            settings(text),
            [
                setting(3, "[web]", "listen", "\"a#b\""),
                setting(4, "[web]", "list", "[ \"x\", ]"),
                setting(9, "[[record]]", "split", "'1h'"),
            ]
        );
    }
}
