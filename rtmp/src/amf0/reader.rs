//! Reading AMF 0 in place.

use super::{Error, MAX_DEPTH, Marker};

/// Reads values one after another from a message's bytes.
///
/// If a read fails, the reader keeps its position, so that the caller may try another type.
///
/// ```
/// use weir_rtmp::amf0::{Reader, Writer};
/// let mut writer = Writer::new();
/// writer.string(b"publish").number(4.0).null().string(b"show");
/// let mut reader = Reader::new(writer.as_bytes());
/// assert_eq!(reader.string(), Ok(&b"publish"[..]));
/// assert_eq!(reader.number(), Ok(4.0));
/// reader.skip_value().unwrap();
/// assert_eq!(reader.string(), Ok(&b"show"[..]));
/// assert!(reader.is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// The container that [`Reader::skip_value`] is inside.
#[derive(Clone, Copy)]
enum Level {
    /// Keys and values up to an end marker.
    Keyed,
    /// This many more values.
    Counted(u32),
}

impl<'a> Reader<'a> {
    /// Returns a reader over `bytes`, which contain consecutive values.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns whether all values have been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the unread bytes.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns the type of the next value.
    pub fn marker(&self) -> Result<Marker, Error> {
        let byte = *self.rest.first().ok_or(Error::Truncated)?;
        Marker::from_byte(byte).ok_or(Error::UnknownMarker(byte))
    }

    /// Reads a number.
    pub fn number(&mut self) -> Result<f64, Error> {
        self.scalar(&[Marker::Number], "number", |r| Ok(f64::from_be_bytes(r.array()?)))
    }

    /// Reads a boolean.
    pub fn boolean(&mut self) -> Result<bool, Error> {
        self.scalar(&[Marker::Boolean], "boolean", |r| Ok(r.array::<1>()?[0] != 0))
    }

    /// Reads a string, short or long, as the raw bytes.
    pub fn string(&mut self) -> Result<&'a [u8], Error> {
        let long = self.rest.first() == Some(&(Marker::LongString as u8));
        self.scalar(&[Marker::String, Marker::LongString], "string", |r| {
            if long { r.long_bytes() } else { r.short_bytes() }
        })
    }

    /// Reads a null, or an undefined, which clients use with the same meaning.
    pub fn null(&mut self) -> Result<(), Error> {
        self.scalar(&[Marker::Null, Marker::Undefined], "null", |_| Ok(()))
    }

    /// Enters an object, ECMA array or typed object; [`key`](Self::key) then returns its first key.
    pub fn begin_object(&mut self) -> Result<(), Error> {
        let marker = self.rest.first().copied();
        self.scalar(&[Marker::Object, Marker::EcmaArray, Marker::TypedObject], "object", |r| {
            match marker.and_then(Marker::from_byte) {
                Some(Marker::EcmaArray) => r.take(4).map(drop),
                Some(Marker::TypedObject) => r.short_bytes().map(drop),
                _ => Ok(()),
            }
        })
    }

    /// Returns the next key of the current object, or `None` at its end. The caller must then read or skip the value.
    pub fn key(&mut self) -> Result<Option<&'a [u8]>, Error> {
        let mut r = self.clone();
        let key = r.short_bytes()?;
        if key.is_empty() && r.rest.first() == Some(&(Marker::ObjectEnd as u8)) {
            r.take(1)?;
            *self = r;
            return Ok(None);
        }
        *self = r;
        Ok(Some(key))
    }

    /// Skips one value of any type, with all values inside it.
    pub fn skip_value(&mut self) -> Result<(), Error> {
        let mut r = self.clone();
        let mut levels = [Level::Keyed; MAX_DEPTH];
        let mut depth = 0;
        loop {
            if let Some(inner) = r.skip_one()? {
                *levels.get_mut(depth).ok_or(Error::TooDeep)? = inner;
                depth += 1;
            }
            loop {
                let Some(top) = depth.checked_sub(1) else {
                    *self = r;
                    return Ok(());
                };
                match &mut levels[top] {
                    Level::Keyed if r.key()?.is_some() => break,
                    Level::Counted(left) if *left > 0 => {
                        *left -= 1;
                        break;
                    }
                    _ => depth = top,
                }
            }
        }
    }

    /// Skips a scalar, or enters a container.
    fn skip_one(&mut self) -> Result<Option<Level>, Error> {
        let marker = self.marker()?;
        self.take(1)?;
        let length = match marker {
            Marker::Null | Marker::Undefined | Marker::Unsupported => 0,
            Marker::Boolean => 1,
            Marker::Reference => 2,
            Marker::Number => 8,
            Marker::Date => 10,
            Marker::String => return self.short_bytes().map(|_| None),
            Marker::LongString | Marker::XmlDocument => return self.long_bytes().map(|_| None),
            Marker::Object => return Ok(Some(Level::Keyed)),
            Marker::EcmaArray => return self.take(4).map(|_| Some(Level::Keyed)),
            Marker::TypedObject => return self.short_bytes().map(|_| Some(Level::Keyed)),
            Marker::StrictArray => return Ok(Some(Level::Counted(u32::from_be_bytes(self.array()?)))),
            Marker::ObjectEnd => {
                return Err(Error::Unexpected { expected: "value", found: Marker::ObjectEnd as u8 });
            }
        };
        self.take(length).map(|_| None)
    }

    /// Reads the bytes after one of `markers`, or leaves the reader unchanged.
    fn scalar<T>(
        &mut self,
        markers: &[Marker],
        expected: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let found = *self.rest.first().ok_or(Error::Truncated)?;
        if !markers.iter().any(|marker| *marker as u8 == found) {
            return Err(Error::Unexpected { expected, found });
        }
        let mut r = Self { rest: &self.rest[1..] };
        let value = read(&mut r)?;
        *self = r;
        Ok(value)
    }

    fn short_bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn long_bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| Error::Truncated)?)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}
