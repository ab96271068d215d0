//! Reads the fields of a request's JSON body one by one, so that each error can name its field.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::api::ApiError;

/// The longest name of an unknown field that an error repeats, in characters.
const SHOWN_NAME_LEN: usize = 64;
/// Error text for a field or an argument that a request has twice.
pub const TWICE: &str = "given twice, expected once";

/// A JSON object whose fields have not been read yet. A field that is `null` counts as absent.
#[derive(Debug)]
pub struct Fields {
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Reads a body. Returns 400 unless the body is a JSON object that has each field only once.
    pub fn parse(body: &[u8]) -> Result<Fields, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(left)) => {
                // serde_json's map silently keeps the last of two values.
                match serde_json::from_slice(body) {
                    Ok(Repeated(Some(name))) => {
                        Err(ApiError::bad_request(format!("field {:?}: {TWICE}", shown(&name))))
                    }
                    _ => Ok(Fields { left, known: Vec::new() }),
                }
            }
            Ok(other) => Err(ApiError::bad_request(format!(
                "the body: expected a JSON object, found {}",
                kind_of(&other)
            ))),
            Err(error) => Err(ApiError::bad_request(format!("the body is not JSON: {error}"))),
        }
    }

    /// Reads a required string.
    pub fn text(&mut self, name: &'static str) -> Result<String, ApiError> {
        self.optional_text(name)?.ok_or_else(|| wrong(name, "a string", "nothing"))
    }

    /// Reads an optional string.
    pub fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a string", kind_of(&other))),
        }
    }

    /// Reads a required string and parses it as a `T`.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Result<T, ApiError> {
        self.text(name)?.parse().map_err(|error| ApiError::bad_field(name, error))
    }

    /// Reads an optional string and parses it as a `T`.
    pub fn optional_parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, ApiError> {
        let text = self.optional_text(name)?;
        text.map(|text| text.parse().map_err(|error| ApiError::bad_field(name, error))).transpose()
    }

    /// Reads an optional whole number, 0 or more.
    pub fn optional_u64(&mut self, name: &'static str) -> Result<Option<u64>, ApiError> {
        const EXPECTED: &str = "a whole number, 0 or more";
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                number.as_u64().map(Some).ok_or_else(|| wrong(name, EXPECTED, &number.to_string()))
            }
            Some(other) => Err(wrong(name, EXPECTED, kind_of(&other))),
        }
    }

    /// Reads an optional `true` or `false`.
    pub fn optional_bool(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(wrong(name, "true or false", kind_of(&other))),
        }
    }

    /// Reads an optional list of strings.
    pub fn optional_list_of_text(&mut self, name: &'static str) -> Result<Option<Vec<String>>, ApiError> {
        const EXPECTED: &str = "a list of strings";
        let items = match self.take(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(wrong(name, EXPECTED, kind_of(&other))),
        };
        let text = |item| match item {
            Value::String(text) => Ok(text),
            other => Err(wrong(name, EXPECTED, &format!("{} in it", kind_of(&other)))),
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// Finishes the reading. Returns 400 if there is a field that was not read.
    pub fn finish(self) -> Result<(), ApiError> {
        let Some(unknown) = self.left.keys().next() else { return Ok(()) };
        let (unknown, known) = (shown(unknown), self.known.join(", "));
        Err(ApiError::bad_request(format!("unknown field {unknown:?}, known are {known}")))
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }
}

/// The first name that an object has twice.
struct Repeated(Option<String>);

impl<'de> Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Repeated, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Repeated;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Repeated, A::Error> {
                let (mut seen, mut repeated) = (HashSet::new(), None);
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if let Some(again) = seen.replace(name) {
                        repeated.get_or_insert(again);
                    }
                }
                Ok(Repeated(repeated))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN_NAME_LEN).collect()
}

fn wrong(name: &str, expected: &str, found: &str) -> ApiError {
    ApiError::bad_field(name, format_args!("expected {expected}, found {found}"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn takes_each_kind() {
        let mut fields = fields(r#"{"a":"x","b":7,"c":true,"d":["y","z"],"e":null,"f":"8"}"#);
        assert_eq!(fields.text("a").unwrap(), "x");
        assert_eq!(fields.optional_u64("b").unwrap(), Some(7));
        assert_eq!(fields.optional_bool("c").unwrap(), Some(true));
        assert_eq!(fields.optional_list_of_text("d").unwrap().unwrap(), ["y", "z"]);
        assert_eq!(fields.optional_text("e").unwrap(), None);
        assert_eq!(fields.parsed::<u8>("f").unwrap(), 8);
        assert_eq!(fields.optional_parsed::<u8>("g").unwrap(), None);
        fields.finish().unwrap();
    }

    #[test]
    fn names_the_field_and_what_was_expected() {
        let mut fields = fields(r#"{"a":1,"b":1.5,"c":"yes","d":[1],"e":-1,"f":"x","g":{}}"#);
        for (error, message) in [
            (fields.text("a").unwrap_err(), "field \"a\": expected a string, found a number"),
            (fields.text("z").unwrap_err(), "field \"z\": expected a string, found nothing"),
            (
                fields.optional_u64("b").unwrap_err(),
                "field \"b\": expected a whole number, 0 or more, found 1.5",
            ),
            (fields.optional_bool("c").unwrap_err(), "field \"c\": expected true or false, found a string"),
            (
                fields.optional_list_of_text("d").unwrap_err(),
                "field \"d\": expected a list of strings, found a number in it",
            ),
            (
                fields.optional_u64("e").unwrap_err(),
                "field \"e\": expected a whole number, 0 or more, found -1",
            ),
            (fields.parsed::<u8>("f").unwrap_err(), "field \"f\": invalid digit found in string"),
            (
                fields.optional_list_of_text("g").unwrap_err(),
                "field \"g\": expected a list of strings, found an object",
            ),
        ] {
            assert_eq!((error.status, error.message.as_str()), (400, message));
        }
    }

    #[test]
    fn unknown_fields_are_refused_and_the_known_listed() {
        let mut fields = fields(r#"{"a":"x","strean\n":1}"#);
        fields.text("a").unwrap();
        fields.optional_text("b").unwrap();
        assert_eq!(fields.finish().unwrap_err().message, "unknown field \"strean\\n\", known are a, b");
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        let message = |body: &str| Fields::parse(body.as_bytes()).unwrap_err().message;
        assert_eq!(message(r#"{"a":"x","b":1,"a":"x"}"#), "field \"a\": given twice, expected once");
        assert_eq!(message(r#"{"a":null,"\u0061":"x"}"#), "field \"a\": given twice, expected once");
        assert_eq!(message(r#"{"b":{"a":1},"a":[],"b":2}"#), "field \"b\": given twice, expected once");
    }

    #[test]
    fn the_body_must_be_an_object() {
        let message = |body: &[u8]| Fields::parse(body).unwrap_err().message;
        assert_eq!(message(b"[]"), "the body: expected a JSON object, found a list");
        assert!(message(b"").starts_with("the body is not JSON: "));
        assert!(message(b"{\"a\":").starts_with("the body is not JSON: "));
        assert!(message(b"{\"a\":\"\xff\"}").starts_with("the body is not JSON: "));
    }
}
