//! Writing AMF 0.

use super::Marker;

/// A value inside [`Writer::object`]. For deeper nesting use [`Writer::begin_object`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Value<'a> {
    Number(f64),
    Boolean(bool),
    String(&'a [u8]),
    Null,
}

/// Appends values to a buffer; the calls chain.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Returns an empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a number.
    pub fn number(&mut self, value: f64) -> &mut Self {
        self.mark(Marker::Number).raw(&value.to_be_bytes())
    }

    /// Appends a boolean.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.mark(Marker::Boolean).raw(&[u8::from(value)])
    }

    /// Appends a string; a string of more than 65,535 bytes becomes a long string.
    pub fn string(&mut self, value: &[u8]) -> &mut Self {
        match u16::try_from(value.len()) {
            Ok(length) => self.mark(Marker::String).raw(&length.to_be_bytes()).raw(value),
            Err(_) => self.mark(Marker::LongString).raw(&(value.len() as u32).to_be_bytes()).raw(value),
        }
    }

    /// Appends a null.
    pub fn null(&mut self) -> &mut Self {
        self.mark(Marker::Null)
    }

    /// Appends a value of any of the plain types.
    pub fn value(&mut self, value: Value<'_>) -> &mut Self {
        match value {
            Value::Number(number) => self.number(number),
            Value::Boolean(boolean) => self.boolean(boolean),
            Value::String(string) => self.string(string),
            Value::Null => self.null(),
        }
    }

    /// Appends a whole object of plain values, in the given order.
    pub fn object(&mut self, pairs: &[(&str, Value<'_>)]) -> &mut Self {
        self.begin_object();
        for (key, value) in pairs {
            self.key(key).value(*value);
        }
        self.end()
    }

    /// Begins an object. The caller then appends pairs of a [`key`](Self::key) and a value, and calls
    /// [`end`](Self::end).
    pub fn begin_object(&mut self) -> &mut Self {
        self.mark(Marker::Object)
    }

    /// Begins an ECMA array (as in `onMetaData`) that announces `count` pairs. The rest is the same as for an object.
    pub fn begin_ecma_array(&mut self, count: u32) -> &mut Self {
        self.mark(Marker::EcmaArray).raw(&count.to_be_bytes())
    }

    /// Begins a strict array of exactly `count` values, which the caller appends. It has no end marker.
    pub fn begin_strict_array(&mut self, count: u32) -> &mut Self {
        self.mark(Marker::StrictArray).raw(&count.to_be_bytes())
    }

    /// Appends the key of the next value in an object or ECMA array, cut at 65,535 bytes.
    pub fn key(&mut self, key: &str) -> &mut Self {
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
        self.raw(&length.to_be_bytes()).raw(&key.as_bytes()[..usize::from(length)])
    }

    /// Ends an object or ECMA array.
    pub fn end(&mut self) -> &mut Self {
        self.raw(&[0, 0, Marker::ObjectEnd as u8])
    }

    /// Appends bytes unchanged, such as values that were encoded elsewhere.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Returns the written bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the written bytes and consumes the writer.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn mark(&mut self, marker: Marker) -> &mut Self {
        self.raw(&[marker as u8])
    }
}
