//! The information object of an `onStatus`, `_result` or `_error`, from any server.
//!
//! Servers differ in the values before the object, in the order and types of its fields, and in their encoding. A
//! publisher must understand all of them, so that reading a status never fails.

use crate::amf0::{Error, Marker, Reader};

/// The status of a command or of a stream that a server reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// A code such as `NetStream.Publish.Start`.
    pub code: String,
    /// A text for people.
    pub description: String,
    /// `status`, `warning` or `error`.
    pub level: String,
}

impl Status {
    /// Reads the values of a message after its name: the first object with a code or a level counts, at any position.
    /// Missing fields are empty. From values that are not AMF 0, only a code is read.
    pub fn read(values: &[u8]) -> Self {
        let mut status = Self::default();
        let outcome = status.fill(&mut Reader::new(values));
        if outcome.is_err() && status.is_empty() {
            return Self::search(values);
        }
        status
    }

    fn is_empty(&self) -> bool {
        self.code.is_empty() && self.level.is_empty()
    }

    fn fill(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        while !reader.is_empty() && self.is_empty() {
            if !matches!(reader.marker()?, Marker::Object | Marker::EcmaArray | Marker::TypedObject) {
                reader.skip_value()?;
                continue;
            }
            reader.begin_object()?;
            while let Some(key) = reader.key()? {
                match key {
                    b"code" => self.code = text(reader)?,
                    b"description" => self.description = text(reader)?,
                    b"level" => self.level = text(reader)?,
                    _ => reader.skip_value()?,
                }
            }
        }
        Ok(())
    }

    /// Finds a code as text, which works for AMF 3 too.
    fn search(values: &[u8]) -> Self {
        let begins = |at: &usize| {
            ["NetStream.", "NetConnection."].iter().any(|code| values[*at..].starts_with(code.as_bytes()))
        };
        let Some(at) = (0..values.len()).find(begins) else { return Self::default() };
        let is_code = |byte: &&u8| byte.is_ascii_alphabetic() || **byte == b'.';
        let code: Vec<u8> = values[at..].iter().take_while(is_code).copied().collect();
        let is_error = values.windows(b"error".len()).any(|part| part == b"error");
        Self {
            code: String::from_utf8_lossy(&code).into_owned(),
            level: if is_error { "error" } else { "" }.to_owned(),
            description: String::new(),
        }
    }
}

/// Reads a string or a number as text; returns an empty text for any other value.
fn text(reader: &mut Reader<'_>) -> Result<String, Error> {
    if let Ok(text) = reader.string() {
        return Ok(String::from_utf8_lossy(text).into_owned());
    }
    if let Ok(number) = reader.number() {
        return Ok(number.to_string());
    }
    reader.skip_value()?;
    Ok(String::new())
}
