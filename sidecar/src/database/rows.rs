//! Rows of an answer, with the names of their columns.

use rusqlite::types::ValueRef;
use rusqlite::{Params, Statement};
use serde_json::{Map, Value, json};
use weir_model::Timestamp;

/// The names of the columns, and the rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rows {
    /// Their names.
    pub columns: Vec<String>,
    /// A value for each of them; times are RFC 3339.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// An object per row.
    pub(crate) fn objects(self) -> Vec<Value> {
        let Self { columns, rows } = self;
        let object = |row: Vec<Value>| Value::Object(columns.iter().cloned().zip(row).collect::<Map<_, _>>());
        rows.into_iter().map(object).collect()
    }
}

/// Asks, and takes all rows. Columns named `at` or with `_at` at their end are milliseconds since 1970; `data` is JSON.
pub(crate) fn rows(statement: &mut Statement<'_>, values: impl Params) -> rusqlite::Result<Rows> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement.query(values)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let cells = columns.iter().enumerate();
        rows.push(
            cells.map(|(at, name)| Ok(value(name, row.get_ref(at)?))).collect::<rusqlite::Result<_>>()?,
        );
    }
    Ok(Rows { columns, rows })
}

fn value(name: &str, cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Integer(millis) if name == "at" || name.ends_with("_at") => {
            json!(Timestamp::from_millis(u64::try_from(millis).unwrap_or_default()))
        }
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            match name {
                "data" => serde_json::from_str(&text).unwrap_or(Value::Null),
                _ => json!(text),
            }
        }
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
    }
}
