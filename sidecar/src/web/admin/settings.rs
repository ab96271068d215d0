//! The settings of weir.toml with their line numbers, without secrets and without comments, which may contain anything.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use toml::de::{DeTable, DeValue};
use weir_model::text::clean;

use super::gate::Reader;
use crate::supervise::mask::masked;
use crate::web::answer;
use crate::web::common::Web;

/// A setting.
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

/// Returns the settings of a valid text, in its order.
fn settings(text: &str) -> Vec<Setting> {
    let Ok(root) = DeTable::parse(text) else { return Vec::new() };
    let mut found = Vec::new();
    collect(root.get_ref(), &[], false, &mut found);
    found.sort_by_key(|(at, _)| *at);
    let line = |at: usize| text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
    found.into_iter().map(|(at, setting)| Setting { line: line(at), ..setting }).collect()
}

/// Collects the settings of a table and its subtables, each with its position in the text.
fn collect(table: &DeTable<'_>, path: &[&str], is_in_list: bool, found: &mut Vec<(usize, Setting)>) {
    for (key, value) in table {
        let (at, key) = (key.span().start, key.get_ref().as_ref());
        let path_of_key: Vec<&str> = path.iter().copied().chain([key]).collect();
        match value.get_ref() {
            DeValue::Table(inner) => collect(inner, &path_of_key, false, found),
            DeValue::Array(items) if items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))) => {
                for item in items {
                    if let DeValue::Table(inner) = item.get_ref() {
                        collect(inner, &path_of_key, true, found);
                    }
                }
            }
            value => {
                let table = match (path.join("."), is_in_list) {
                    (path, _) if path.is_empty() => path,
                    (path, false) => format!("[{path}]"),
                    (path, true) => format!("[[{path}]]"),
                };
                let value = shown(value, path, key);
                found.push((at, Setting { line: 0, table, key: key.to_owned(), value }));
            }
        }
    }
}

/// Returns a value without secrets. It masks the part before `@` in an address, arguments, the last part of an RTMP address, the
/// path of a webhook, the arguments of a program, and anything that looks like a key or token.
fn shown(value: &DeValue<'_>, path: &[&str], key: &str) -> String {
    match value {
        DeValue::String(text) if path.first() == Some(&"hooks") && key == "url" => {
            let host = text.split('/').take(3).collect::<Vec<_>>().join("/");
            quoted(&format!("{}/***", without_secrets(&host)))
        }
        DeValue::String(text) => quoted(&without_secrets(text)),
        DeValue::Array(items) if key == "run" => {
            let program = items.first().map(|item| shown(item.get_ref(), path, ""));
            let rest = (items.len() > 1).then(|| "***".to_owned());
            format!("[{}]", program.into_iter().chain(rest).collect::<Vec<_>>().join(", "))
        }
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(item.get_ref(), path, key)).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Table(_) => "{ ... }".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", clean(text).replace('\\', "\\\\").replace('"', "\\\""))
}

fn without_secrets(text: &str) -> String {
    let (text, has_arguments) = match text.split_once('?') {
        Some((text, _)) if text.contains(':') => (text, true),
        _ => (text, false),
    };
    // Names of streams may be patterns with an asterisk, which are no secret.
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

    fn value(text: &str) -> String {
        settings(text).swap_remove(0).value
    }

    #[test]
    fn secrets_are_masked_however_they_are_written() {
        for (written, expected) in [
            (r#""rtsp://viewer:PASS@192.0.2.10/stream1""#, r#""rtsp://***@192.0.2.10/stream1""#),
            ("'rtsp://viewer:PASS@192.0.2.10/stream1'", r#""rtsp://***@192.0.2.10/stream1""#),
            ("\"\"\"\nrtsp://viewer:PASS@192.0.2.10/1\"\"\"", r#""rtsp://***@192.0.2.10/1""#),
            (r#""rtsp://viewer:PAS\u0053@192.0.2.10/1""#, r#""rtsp://***@192.0.2.10/1""#),
            (r#""srt://:9000?mode=listener&passphrase=PASS""#, r#""srt://:9000?***""#),
            ("'srt://:9000?mode=listener&passphrase=PASS'", r#""srt://:9000?***""#),
            (
                r#"["stun:s.example.org", 'turn:U:PASS@t.example.org:3478']"#,
                r#"["stun:s.example.org", "turn:***@t.example.org:3478"]"#,
            ),
            ("'rtmp://h/live/PASS'", r#""rtmp://h/live/***""#),
            (r#""rtmp://127.0.0.1:1935""#, r#""rtmp://127.0.0.1:1935""#),
            (r#""https://u:p@PASS@h/x?token=PASS""#, r#""https://***@h/x?***""#),
            ("10000", "10000"),
            ("true", "true"),
            (r#"["live/*"]"#, r#"["live/*"]"#),
        ] {
            assert_eq!(value(&format!("key = {written}\n")), expected, "{written}");
        }
        let hook = "[hooks.webhook.chat]\nurl = \"https://hooks.example.com/services/T0/PASS\"\n";
        assert_eq!(value(hook), r#""https://hooks.example.com/***""#);
        assert_eq!(value("[hooks.command.c]\nrun = ['/bin/x', '--token', 'PASS']\n"), r#"["/bin/x", ***]"#);
    }

    #[test]
    fn each_setting_has_its_line() {
        let text = "# SECRET\n[web]\nlisten = \"a#b\" # SECRET\nlist = [\n  \"x\", # SECRET\n]\n\n[[record]]\nsplit = '1h'\n[web.brand]\nname = 'A'\n";
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
                setting(4, "[web]", "list", "[\"x\"]"),
                setting(9, "[[record]]", "split", "\"1h\""),
                setting(11, "[web.brand]", "name", "\"A\""),
            ]
        );
    }
}
