//! AMF 0 values, read and written without recursion.
//!
//! [`Reader`] borrows from the message and allocates nothing. It walks any nesting with a fixed stack of [`MAX_DEPTH`]
//! levels.

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::{Value, Writer};

/// How deep objects and arrays may nest before [`Error::TooDeep`]; real encoders stay below 4.
pub const MAX_DEPTH: usize = 32;

/// The marker byte before each value (AMF 0, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Marker {
    Number = 0x00,
    Boolean = 0x01,
    String = 0x02,
    Object = 0x03,
    Null = 0x05,
    Undefined = 0x06,
    Reference = 0x07,
    EcmaArray = 0x08,
    ObjectEnd = 0x09,
    StrictArray = 0x0a,
    Date = 0x0b,
    LongString = 0x0c,
    Unsupported = 0x0d,
    XmlDocument = 0x0f,
    TypedObject = 0x10,
}

impl Marker {
    /// Returns the marker of `byte`, or `None` for reserved markers and for the switch to AMF 3.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00 => Self::Number,
            0x01 => Self::Boolean,
            0x02 => Self::String,
            0x03 => Self::Object,
            0x05 => Self::Null,
            0x06 => Self::Undefined,
            0x07 => Self::Reference,
            0x08 => Self::EcmaArray,
            0x09 => Self::ObjectEnd,
            0x0a => Self::StrictArray,
            0x0b => Self::Date,
            0x0c => Self::LongString,
            0x0d => Self::Unsupported,
            0x0f => Self::XmlDocument,
            0x10 => Self::TypedObject,
            _ => return None,
        })
    }
}

/// Why bytes are not the requested AMF 0 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a value, or before one.
    #[error("amf0 value is cut short")]
    Truncated,
    /// The value has another type.
    #[error("expected amf0 {expected}, found marker {found:#04x}")]
    Unexpected {
        /// The requested type, in words.
        expected: &'static str,
        /// The marker byte of the value.
        found: u8,
    },
    /// The marker is reserved by AMF 0, or is for AMF 3.
    #[error("unknown amf0 marker {0:#04x}")]
    UnknownMarker(u8),
    /// Objects or arrays are nested deeper than [`MAX_DEPTH`].
    #[error("amf0 value nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}
