//! Rows as comma-separated values (RFC 4180).

use serde_json::Value;

use super::rows::Rows;

/// The text, with a line of names. A spreadsheet computes nothing of what is in it.
pub(crate) fn text(rows: &Rows) -> String {
    let names = rows.columns.iter().map(|name| cell(name)).collect::<Vec<_>>().join(",");
    let mut text = format!("{names}\r\n");
    for row in &rows.rows {
        text.push_str(&row.iter().map(value).collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    text
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        Value::Number(number) => number.to_string(),
        other => cell(&other.to_string()),
    }
}

fn cell(text: &str) -> String {
    // A spreadsheet takes what begins so for a formula (OWASP, CSV injection).
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_leaves_its_cell_and_nothing_is_a_formula() {
        let rows = Rows {
            columns: vec!["stream".into(), "bytes".into()],
            rows: vec![
                vec![json!("a,\"b\"\nc"), json!(-7)],
                vec![json!("=HYPERLINK(1)"), Value::Null],
                vec![json!("+1"), json!({ "a": 1 })],
            ],
        };
        assert_eq!(
            text(&rows),
            "stream,bytes\r\n\"a,\"\"b\"\"\nc\",-7\r\n'=HYPERLINK(1),\r\n'+1,\"{\"\"a\"\":1}\"\r\n"
        );
    }
}
