//! Builds AMF 0 values and cuts messages into pieces.

pub(crate) fn number(value: f64) -> Vec<u8> {
    [&[0][..], &value.to_be_bytes()].concat()
}

pub(crate) fn boolean(value: bool) -> Vec<u8> {
    vec![1, value.into()]
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    [&[2][..], &key(text)].concat()
}

pub(crate) fn long_string(text: &str) -> Vec<u8> {
    [&[12][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

pub(crate) fn null() -> Vec<u8> {
    vec![5]
}

/// Milliseconds since 1970, and a time zone of 0.
pub(crate) fn date(millis: f64) -> Vec<u8> {
    [&[11][..], &millis.to_be_bytes(), &[0, 0]].concat()
}

/// A key, or a string without its marker.
pub(crate) fn key(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn pairs(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [key(name), value.clone()].concat()).collect()
}

pub(crate) fn object(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    [&[3][..], &pairs(fields), &[0, 0, 9]].concat()
}

pub(crate) fn typed_object(class: &str, fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    [&[16][..], &key(class), &pairs(fields), &[0, 0, 9]].concat()
}

pub(crate) fn ecma_array(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    [unfinished_ecma_array(fields), vec![0, 0, 9]].concat()
}

/// An array without an end, as Envivio sends it: the message ends instead.
pub(crate) fn unfinished_ecma_array(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    [&[8][..], &(fields.len() as u32).to_be_bytes(), &pairs(fields)].concat()
}

pub(crate) fn strict_array(values: &[Vec<u8>]) -> Vec<u8> {
    [&[10][..], &(values.len() as u32).to_be_bytes(), &values.concat()].concat()
}

/// A value inside `levels` objects and arrays of all kinds.
pub(crate) fn nested(levels: usize, innermost: Vec<u8>) -> Vec<u8> {
    (0..levels).fold(innermost, |value, level| match level % 4 {
        0 => object(&[("before", number(1.0)), ("a", value), ("after", string("b"))]),
        1 => strict_array(&[null(), value, number(2.0)]),
        2 => ecma_array(&[("", boolean(true)), ("a", value)]),
        _ => typed_object("Class", &[("a", value)]),
    })
}

/// A message of an aggregate, with its header and back pointer.
pub(crate) fn part(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let header = [&[kind][..], &length[1..], &[0, 0, 40, 0, 0, 0, 1]].concat();
    let whole = (body.len() as u32 + 11).to_be_bytes();
    [&header, body, &whole].concat()
}

/// Returns the pieces between the cuts, which may be anywhere; two cuts at one position yield an empty piece.
pub(crate) fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect()
}
