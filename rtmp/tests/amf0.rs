//! AMF 0: written values can be read back, and for any bytes the reader neither panics nor recurses nor loops.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_rtmp::amf0::{Error, MAX_DEPTH, Reader, Value, Writer};

#[derive(Debug, Clone)]
enum Scalar {
    Number(f64),
    Boolean(bool),
    String(Vec<u8>),
    Null,
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        any::<f64>().prop_filter("comparable", |n| !n.is_nan()).prop_map(Scalar::Number),
        any::<bool>().prop_map(Scalar::Boolean),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Scalar::String),
        Just(Scalar::Null),
    ]
}

fn as_value(scalar: &Scalar) -> Value<'_> {
    match scalar {
        Scalar::Number(number) => Value::Number(*number),
        Scalar::Boolean(boolean) => Value::Boolean(*boolean),
        Scalar::String(string) => Value::String(string),
        Scalar::Null => Value::Null,
    }
}

fn check(reader: &mut Reader<'_>, scalar: &Scalar) {
    match scalar {
        Scalar::Number(number) => assert_eq!(reader.number(), Ok(*number)),
        Scalar::Boolean(boolean) => assert_eq!(reader.boolean(), Ok(*boolean)),
        Scalar::String(string) => assert_eq!(reader.string(), Ok(&string[..])),
        Scalar::Null => assert_eq!(reader.null(), Ok(())),
    }
}

proptest! {
    #[test]
    fn round_trip(values in prop::collection::vec(scalar(), 0..20)) {
        let mut writer = Writer::new();
        for value in &values {
            writer.value(as_value(value));
        }
        let mut reader = Reader::new(writer.as_bytes());
        let mut skipping = reader.clone();
        for value in &values {
            check(&mut reader, value);
            skipping.skip_value().unwrap();
        }
        prop_assert!(reader.is_empty() && skipping.is_empty());
    }

    #[test]
    fn objects_round_trip(pairs in prop::collection::vec(("[a-z]{1,20}", scalar()), 0..10), ecma in any::<bool>()) {
        let mut writer = Writer::new();
        if ecma { writer.begin_ecma_array(pairs.len() as u32) } else { writer.begin_object() };
        for (key, value) in &pairs {
            writer.key(key).value(as_value(value));
        }
        writer.end();
        let mut reader = Reader::new(writer.as_bytes());
        reader.clone().skip_value().unwrap();
        reader.begin_object().unwrap();
        for (key, value) in &pairs {
            prop_assert_eq!(reader.key(), Ok(Some(key.as_bytes())));
            check(&mut reader, value);
        }
        prop_assert_eq!(reader.key(), Ok(None));
        prop_assert!(reader.is_empty());
    }

    /// Markers are made likely, so that the bytes get past the first one.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(prop_oneof![0u8..0x12, any::<u8>()], 0..400)) {
        let mut reader = Reader::new(&bytes);
        while reader.skip_value().is_ok() && !reader.is_empty() {}
        let _ = (reader.number(), reader.string(), reader.boolean(), reader.null(), reader.begin_object(), reader.key());
    }

    #[test]
    fn a_failed_read_moves_nothing(bytes in prop::collection::vec(prop_oneof![0u8..0x12, any::<u8>()], 0..60)) {
        let mut reader = Reader::new(&bytes);
        if reader.skip_value().is_err() {
            prop_assert_eq!(reader.rest(), &bytes[..]);
        }
        let mut reader = Reader::new(&bytes);
        if reader.string().is_err() && reader.number().is_err() && reader.key().is_err() && reader.begin_object().is_err() {
            prop_assert_eq!(reader.rest(), &bytes[..]);
        }
    }
}

fn nested(levels: usize, array: bool) -> Vec<u8> {
    let mut writer = Writer::new();
    for _ in 0..levels {
        if array {
            writer.begin_strict_array(1)
        } else {
            writer.begin_object().key("a")
        };
    }
    writer.null();
    for _ in 0..if array { 0 } else { levels } {
        writer.end();
    }
    writer.into_bytes()
}

#[test]
fn nesting_is_bounded() {
    for array in [false, true] {
        assert_eq!(Reader::new(&nested(MAX_DEPTH, array)).skip_value(), Ok(()));
        assert_eq!(Reader::new(&nested(MAX_DEPTH + 1, array)).skip_value(), Err(Error::TooDeep));
        assert_eq!(Reader::new(&nested(100_000, array)).skip_value(), Err(Error::TooDeep));
    }
}

#[test]
fn a_long_string_is_a_string() {
    let long = vec![b'x'; 70_000];
    let mut writer = Writer::new();
    writer.string(&long);
    assert_eq!(writer.as_bytes()[0], 0x0c);
    assert_eq!(Reader::new(writer.as_bytes()).string(), Ok(&long[..]));
}

#[test]
fn an_announced_length_is_not_believed() {
    for bytes in [
        &[0x0c, 0xff, 0xff, 0xff, 0xff, 1][..],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 5, 5],
        &[2, 0, 9, b'x'],
        &[0, 1],
    ] {
        assert_eq!(Reader::new(bytes).skip_value(), Err(Error::Truncated), "{bytes:?}");
    }
    assert_eq!(Reader::new(&[9]).skip_value(), Err(Error::Unexpected { expected: "value", found: 9 }));
    assert_eq!(Reader::new(&[0x11]).skip_value(), Err(Error::UnknownMarker(0x11)));
    assert_eq!(Reader::new(&[5]).number(), Err(Error::Unexpected { expected: "number", found: 5 }));
}
