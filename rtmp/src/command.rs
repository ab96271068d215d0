//! Rewrites commands of clients in a form that every reader of AMF 0 understands in the same manner.
//!
//! nginx-rtmp's reader of AMF 0 differs from others (ngx_rtmp_amf_read): inside objects, an end-of-object marker (0x09)
//! is a value like any other, and an empty key ends an object whatever follows. So a program that checks a command and
//! forwards the same bytes may have checked another name than nginx-rtmp finds. The commands that this module writes
//! have only one meaning.

use crate::amf0::{Marker, Reader, Writer};

/// Length of a number and a null, which follow the name of each command, in bytes.
const HEAD: usize = 10;

/// Returns whether the values after the name of a command begin with a number and null, which all readers read in the
/// same manner.
#[must_use]
pub fn has_plain_head(command: &[u8]) -> bool {
    let is = |at: usize, marker: Marker| command.get(at) == Some(&(marker as u8));
    is(0, Marker::Number) && (is(HEAD - 1, Marker::Null) || is(HEAD - 1, Marker::Undefined))
}

/// Returns the values of a `play` (transaction, null, name, start, duration, reset) in plain form, or `None` if they
/// are plain already. A name that is missing or not a string becomes the empty name, as for nginx-rtmp
/// (ngx_rtmp_cmd_play_init).
#[must_use]
pub fn plain_play(command: &[u8]) -> Option<Vec<u8>> {
    let plain = has_plain_head(command) && Reader::new(command.get(HEAD..)?).string().is_ok();
    if plain {
        return None;
    }
    let mut reader = Reader::new(command);
    let transaction = reader.clone().number().unwrap_or_default();
    let is_read = reader.skip_value().is_ok() && reader.skip_value().is_ok();
    let name = if is_read { reader.string().ok() } else { None };
    let mut writer = Writer::new();
    writer.number(transaction).null().string(name.unwrap_or_default());
    if name.is_some() {
        writer.raw(reader.rest());
    }
    Some(writer.into_bytes())
}

/// Returns the values of a `play2` (transaction, null, an object) in plain form: of the object, `start` and the last
/// `streamName`, which is the one that nginx-rtmp uses (ngx_rtmp_cmd_play2_init).
#[must_use]
pub fn plain_play2(command: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(command);
    let transaction = reader.clone().number().unwrap_or_default();
    let (mut start, mut name) = (None, &b""[..]);
    if reader.skip_value().is_ok() && reader.skip_value().is_ok() && reader.begin_object().is_ok() {
        while let Ok(Some(key)) = reader.key() {
            match key {
                b"" => break,
                b"start" => start = reader.clone().number().ok().or(start),
                b"streamName" => name = reader.clone().string().unwrap_or(name),
                _ => {}
            }
            if reader.skip_value().is_err() {
                break;
            }
        }
    }
    let mut writer = Writer::new();
    writer.number(transaction).null().begin_object();
    if let Some(start) = start {
        writer.key("start").number(start);
    }
    writer.key("streamName").string(name).end();
    writer.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: [u8; 4] = [0, 1, b'a', 9];

    fn object_with_an_end() -> Vec<u8> {
        [&[3][..], &END, &[0, 0, 9]].concat()
    }

    /// Transaction, the second value as written, the name, start.
    fn play(second: &[u8], name: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.number(4.0).raw(second).string(name).number(-2000.0);
        writer.into_bytes()
    }

    #[test]
    fn an_ordinary_play_stays_as_it_is() {
        for second in [&[5][..], &[6]] {
            assert_eq!(plain_play(&play(second, b"show")), None);
        }
    }

    #[test]
    fn a_play_that_may_be_read_differently_is_written_anew() {
        // Known values before the name are skipped.
        let plain = play(&[5], b"show");
        let object = [&[3][..], &[0, 1, b'a', 5], &[0, 0, 9]].concat();
        assert_eq!(plain_play(&play(&object, b"show")), Some(plain));
        // nginx-rtmp finds a name in each of these commands, but this reader sees no name or another one.
        for second in
            [object_with_an_end(), vec![9], vec![10, 0, 0, 0, 1, 9], [&[3, 0, 0][..], &[5]].concat()]
        {
            let written = plain_play(&play(&second, b"show")).unwrap();
            assert!(has_plain_head(&written), "{second:?}");
            let mut reader = Reader::new(&written[HEAD..]);
            assert!(reader.string().is_ok(), "{second:?}");
        }
        for short in [&b""[..], &[0], &[5, 5], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 5]] {
            let written = plain_play(short).unwrap();
            assert_eq!(Reader::new(&written[HEAD..]).string(), Ok(&b""[..]), "{short:?}");
        }
    }

    #[test]
    fn a_play2_has_one_name() {
        let name_in = |fields: &[u8]| {
            let mut writer = Writer::new();
            writer.number(4.0).null().raw(&[3]).raw(fields).raw(&[0, 0, 9]);
            let written = plain_play2(&writer.into_bytes());
            let mut reader = Reader::new(&written[HEAD..]);
            reader.begin_object().unwrap();
            assert_eq!(reader.key(), Ok(Some(&b"streamName"[..])));
            let name = reader.string().unwrap().to_vec();
            assert_eq!(reader.key(), Ok(None));
            assert!(reader.is_empty());
            name
        };
        let field = |name: &[u8]| {
            let mut writer = Writer::new();
            writer.key("streamName").string(name);
            writer.into_bytes()
        };
        assert_eq!(name_in(&field(b"show")), b"show");
        assert_eq!(name_in(&[field(b"a"), field(b"b")].concat()), b"b");
        assert_eq!(name_in(&[&END[..], &field(b"secret")].concat()), b"");
        assert_eq!(name_in(&[field(b"a"), END.to_vec(), field(b"secret")].concat()), b"a");
        assert_eq!(name_in(&[&[0, 0, 5][..], &field(b"secret")].concat()), b"");
    }
}
