//! Measures how deep the values of a message are nested, without recursion.
//!
//! The walk goes where `ngx_rtmp_amf_read` goes, and further. It looks at every value of the message, not only at the
//! values that a handler asks for, and it skips values of types that nginx-rtmp does not know if their length is known.
//! Where the walk ends early, nginx-rtmp goes no deeper.

use super::bytes::Bytes;
use super::kind;
use super::violation::{MAX_DEPTH, Violation};

/// The markers of AMF 0 (specification, section 2.1).
mod marker {
    use weir_rtmp::amf0::Marker;

    pub(super) const NUMBER: u8 = Marker::Number as u8;
    pub(super) const BOOLEAN: u8 = Marker::Boolean as u8;
    pub(super) const STRING: u8 = Marker::String as u8;
    pub(super) const OBJECT: u8 = Marker::Object as u8;
    /// Reserved.
    pub(super) const MOVIE_CLIP: u8 = 0x04;
    pub(super) const NULL: u8 = Marker::Null as u8;
    pub(super) const UNDEFINED: u8 = Marker::Undefined as u8;
    pub(super) const REFERENCE: u8 = Marker::Reference as u8;
    pub(super) const ECMA_ARRAY: u8 = Marker::EcmaArray as u8;
    pub(super) const OBJECT_END: u8 = Marker::ObjectEnd as u8;
    pub(super) const STRICT_ARRAY: u8 = Marker::StrictArray as u8;
    pub(super) const DATE: u8 = Marker::Date as u8;
    pub(super) const LONG_STRING: u8 = Marker::LongString as u8;
    pub(super) const UNSUPPORTED: u8 = Marker::Unsupported as u8;
    /// Reserved.
    pub(super) const RECORD_SET: u8 = 0x0e;
    pub(super) const XML: u8 = Marker::XmlDocument as u8;
    pub(super) const TYPED_OBJECT: u8 = Marker::TypedObject as u8;
}

const CONNECT: &[u8] = b"connect";

/// The kind of an open container around the next value.
#[derive(Clone, Copy)]
enum Level {
    /// Keys and values, until an empty key.
    Object,
    /// An array with this many more values.
    Array(u32),
}

/// The open objects and arrays, outermost first.
struct Levels {
    open: [Level; MAX_DEPTH],
    depth: usize,
}

impl Levels {
    fn push(&mut self, level: Level) -> Result<(), Violation> {
        let place = self.open.get_mut(self.depth).ok_or(Violation::Depth)?;
        *place = level;
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn innermost(&mut self) -> Option<&mut Level> {
        self.open[..self.depth].last_mut()
    }
}

/// Decides on a message of AMF values.
pub(super) fn check<'a, I>(kind: u8, mut body: Bytes<'a, I>) -> Result<(), Violation>
where
    I: Iterator<Item = &'a [u8]>,
{
    if begin(kind, &mut body).is_none() {
        return Ok(());
    }
    let mut levels = Levels { open: [Level::Object; MAX_DEPTH], depth: 0 };
    while next(&mut levels, &mut body)?.is_some() {}
    Ok(())
}

/// Returns whether the message is the command `connect`, in exactly this spelling.
pub(super) fn is_connect<'a, I>(kind: u8, body: Bytes<'a, I>) -> bool
where
    I: Iterator<Item = &'a [u8]>,
{
    name(kind, body).is_some_and(|name| name.bytes() == CONNECT)
}

/// Length of the longest command name that nginx-rtmp knows, in bytes.
const MAX_NAME: usize = 24;

/// The name at the beginning of a command or a data message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Name {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Returns whether nginx-rtmp reads it as this name: nginx-rtmp compares names in lower case
    /// (`ngx_rtmp_amf_message_handler`).
    pub(super) fn is(&self, name: &str) -> bool {
        self.bytes().eq_ignore_ascii_case(name.as_bytes())
    }

    /// Returns whether the name begins with `start`. For nginx-rtmp a null byte ends a name.
    pub(super) fn begins_with(&self, start: &str) -> bool {
        self.bytes().starts_with(start.as_bytes()) && !self.bytes().contains(&0)
    }
}

/// Returns the name at the beginning of a message, or `None` if the message begins with something else or with a longer
/// name.
pub(super) fn name<'a, I>(kind: u8, mut body: Bytes<'a, I>) -> Option<Name>
where
    I: Iterator<Item = &'a [u8]>,
{
    if !matches!(kind, kind::DATA | kind::DATA_AMF3 | kind::COMMAND | kind::COMMAND_AMF3) {
        return None;
    }
    begin(kind, &mut body)?;
    let [marker, high, low] = body.array()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if marker != marker::STRING || len > MAX_NAME {
        return None;
    }
    let mut bytes = [0; MAX_NAME];
    for place in &mut bytes[..len] {
        *place = body.byte()?;
    }
    Some(Name { bytes, len })
}

/// Moves to the first value with a marker (`ngx_rtmp_amf_message_handler`): messages of AMF 3 begin with an extra byte,
/// and the name of a shared object has no marker.
fn begin<'a, I>(kind: u8, body: &mut Bytes<'a, I>) -> Option<()>
where
    I: Iterator<Item = &'a [u8]>,
{
    let has_prefix = matches!(kind, kind::DATA_AMF3 | kind::SHARED_AMF3 | kind::COMMAND_AMF3);
    // nginx-rtmp looks for this byte in the first buffer only.
    if has_prefix && body.first_piece_held_any() {
        body.byte()?;
    }
    if matches!(kind, kind::SHARED | kind::SHARED_AMF3) {
        let [high, low] = body.array()?;
        body.skip(u16::from_be_bytes([high, low]).into())?;
    }
    Some(())
}

/// Takes one step: a value, or the end of an object or array. Returns `None` at the end of the message.
fn next<'a, I>(levels: &mut Levels, body: &mut Bytes<'a, I>) -> Result<Option<()>, Violation>
where
    I: Iterator<Item = &'a [u8]>,
{
    let mut ends_object = false;
    match levels.innermost() {
        None => {}
        Some(Level::Array(0)) => {
            levels.pop();
            return Ok(Some(()));
        }
        Some(Level::Array(left)) => *left -= 1,
        Some(Level::Object) => {
            // An object may end with the message here (`ngx_rtmp_amf_read_object`). One byte may be left for the
            // enclosing value, but it cannot go deeper.
            let Some(len) = body.array().map(u16::from_be_bytes) else { return Ok(None) };
            if body.skip(len.into()).is_none() {
                return Ok(None);
            }
            ends_object = len == 0;
        }
    }
    let Some(marker) = body.byte() else { return Ok(None) };
    if ends_object && marker == marker::OBJECT_END {
        levels.pop();
        return Ok(Some(()));
    }
    value(marker, levels, body)
}

/// Reads a value after its marker, or opens a container.
fn value<'a, I>(marker: u8, levels: &mut Levels, body: &mut Bytes<'a, I>) -> Result<Option<()>, Violation>
where
    I: Iterator<Item = &'a [u8]>,
{
    let level = match marker {
        marker::OBJECT => Some(Level::Object),
        marker::ECMA_ARRAY => body.skip(4).map(|()| Level::Object),
        marker::TYPED_OBJECT => short_string(body).map(|()| Level::Object),
        marker::STRICT_ARRAY => body.array().map(u32::from_be_bytes).map(Level::Array),
        _ => return Ok(pass_over(marker, body)),
    };
    level.map(|level| levels.push(level)).transpose()
}

/// Skips a value that holds no other values. Returns `None` if its end is unknown or missing.
fn pass_over<'a, I: Iterator<Item = &'a [u8]>>(marker: u8, body: &mut Bytes<'a, I>) -> Option<()> {
    match marker {
        marker::NUMBER => body.skip(8),
        marker::BOOLEAN => body.skip(1),
        marker::REFERENCE => body.skip(2),
        marker::DATE => body.skip(10),
        marker::STRING => short_string(body),
        marker::LONG_STRING | marker::XML => long_string(body),
        marker::NULL
        | marker::UNDEFINED
        | marker::UNSUPPORTED
        | marker::MOVIE_CLIP
        | marker::RECORD_SET
        | marker::OBJECT_END => Some(()),
        // AMF 3, and bytes that are not AMF. nginx-rtmp follows neither.
        _ => None,
    }
}

fn short_string<'a, I: Iterator<Item = &'a [u8]>>(body: &mut Bytes<'a, I>) -> Option<()> {
    let len = body.array().map(u16::from_be_bytes)?;
    body.skip(len.into())
}

fn long_string<'a, I: Iterator<Item = &'a [u8]>>(body: &mut Bytes<'a, I>) -> Option<()> {
    let len = body.array().map(u32::from_be_bytes)?;
    body.skip(usize::try_from(len).ok()?)
}

#[cfg(test)]
mod tests;
