//! `weir key list`

use serde_json::Value;
use weir_model::key::{KeySource, KeyView};
use weir_model::{Network, ServerAddr};

use super::table::sparse_table;
use super::{Error, Output};
use crate::cli::KeyListArgs;
use crate::nginx::Nginx;

pub(super) async fn run(args: &KeyListArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.keys().await?;
    let app = args.app.as_ref().map(|app| app.as_str());
    Ok(match (args.json.json, app) {
        (false, _) => {
            render(answer.value.keys.iter().filter(|key| app.is_none_or(|app| app == key.app.as_str())))
                .into()
        }
        (true, None) => Output::json(&answer.text),
        (true, Some(app)) => Output::json(&only(&answer.text, app)?),
    })
}

fn render<'a>(keys: impl Iterator<Item = &'a KeyView>) -> String {
    let rows: Vec<_> = keys
        .map(|key| {
            [
                key.id.to_string(),
                key.app.to_string(),
                key.stream.to_string(),
                key.server.as_ref().map(ServerAddr::to_string).unwrap_or_default(),
                source(key.source).into(),
                key.created_at.to_string(),
                key.expires_at.map(|end| end.to_string()).unwrap_or_default(),
                key.publish_from.iter().map(Network::to_string).collect::<Vec<_>>().join(","),
                key.note.clone(),
            ]
        })
        .collect();
    let head = ["ID", "APP", "STREAM", "SERVER", "SOURCE", "CREATED", "EXPIRES", "FROM", "NOTE"];
    sparse_table(head, &rows, &[3])
}

fn source(source: KeySource) -> &'static str {
    match source {
        KeySource::Api => "api",
        KeySource::File => "file",
    }
}

/// Returns the API's answer with only the keys of one application; unknown fields stay.
fn only(text: &str, app: &str) -> Result<String, Error> {
    let mut answer: Value = serde_json::from_str(text).map_err(|e| Error::System(e.to_string()))?;
    if let Some(keys) = answer.get_mut("keys").and_then(Value::as_array_mut) {
        keys.retain(|key| key.get("app").and_then(Value::as_str) == Some(app));
    }
    Ok(answer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::Keys;

    const ANSWER: &str = r#"{"keys":[
        {"id":"k0123456789abcdef","app":"live","stream":"show","note":"hall 2","created_at":"2026-11-20T18:00:00Z",
         "expires_at":"2026-12-24T18:00:00Z","publish_from":["192.0.2.0/24","2001:db8::/32"],"source":"api",
         "previous_valid_until":null},
        {"id":"kfedcba9876543210","app":"radio","stream":"one","note":"","created_at":"2026-11-20T18:00:00Z","expires_at":null,
         "publish_from":[],"source":"file","previous_valid_until":null,"later":1}]}"#;

    #[test]
    fn one_line_a_key() {
        let keys: Keys = serde_json::from_str(ANSWER).unwrap();
        let text = render(keys.keys.iter());
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split("  ").filter(|c| !c.is_empty()).collect()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1][6].trim(), "192.0.2.0/24,2001:db8::/32");
        let file: Vec<&str> = lines[2].iter().map(|c| c.trim()).collect();
        assert_eq!(
            file,
            ["kfedcba9876543210", "radio", "one", "file", "2026-11-20T18:00:00Z", "-", "-", "-"]
        );
    }

    #[test]
    fn one_application_keeps_unknown_fields() {
        let text = only(ANSWER, "radio").unwrap();
        assert!(text.contains(r#""later":1"#) && !text.contains("hall 2"), "{text}");
        assert_eq!(only(ANSWER, "none").unwrap(), r#"{"keys":[]}"#);
    }
}
