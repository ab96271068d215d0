//! MPD: attributes and elements that contain URIs (ISO/IEC 23009-1, sections 5.3.9 and 5.6).
//!
//! `BaseURL` decides where a relative URI leads, and a later `BaseURL` changes the meaning of an earlier template. So
//! the rewriter reads the whole manifest first. If any `BaseURL` leads to another host, only URIs that name this host
//! get the token.

use super::target::{Place, Target, find};

/// The largest DASH manifest that is rewritten, in bytes; a larger one stays unchanged.
pub const MAX_MANIFEST: usize = 16 * 1024 * 1024;

/// A manifest that arrives in pieces.
#[derive(Default)]
pub(super) struct Whole {
    bytes: Vec<u8>,
    is_too_large: bool,
}

impl Whole {
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.is_too_large || self.bytes.len() + bytes.len() > MAX_MANIFEST {
            self.is_too_large = true;
            out.append(&mut self.bytes);
            out.extend_from_slice(bytes);
            return;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn finish(&mut self, target: &Target, out: &mut Vec<u8>) {
        let bytes = std::mem::take(&mut self.bytes);
        if is_beyond_us(&bytes) {
            return out.extend_from_slice(&bytes);
        }
        let (mut is_here, mut fills_are_plain) = (true, true);
        walk(&bytes, |found| match found {
            Found::Text { element: b"BaseURL", value } => {
                is_here &= unescaped(value).is_some_and(|uri| target.place(uri) != Place::Elsewhere);
            }
            Found::Fill(value) => {
                let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
                fills_are_plain &= value.iter().all(is_plain);
            }
            Found::Base => is_here = false,
            Found::Text { .. } | Found::Attribute(_) | Found::Other(_) => {}
        });
        walk(&bytes, |found| match found {
            Found::Other(text) => out.extend_from_slice(text),
            Found::Text { element, value } => put(element, value, is_here, target, out),
            // A value in a template could contain a host.
            Found::Attribute(value) if !fills_are_plain && value.contains(&b'$') => {
                out.extend_from_slice(value);
            }
            Found::Attribute(value) => put(b"", value, is_here, target, out),
            Found::Fill(_) | Found::Base => {}
        });
    }
}

/// Returns whether a manifest may have a meaning that its bytes do not show: it defines entities, or has an encoding
/// that does not extend ASCII.
fn is_beyond_us(manifest: &[u8]) -> bool {
    let holds =
        |wanted: &[u8]| manifest.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted));
    manifest.contains(&0)
        || manifest.contains(&0x1b)
        || holds(b"<!DOCTYPE")
        || holds(b"<!ENTITY")
        || holds(b"utf-7")
}

fn put(element: &[u8], value: &[u8], is_here: bool, target: &Target, out: &mut Vec<u8>) {
    let uri = value.trim_ascii();
    let wanted = match unescaped(value).map(|uri| target.place(uri)) {
        Some(Place::Here) => true,
        Some(Place::Relative) => is_here,
        Some(Place::Elsewhere) | None => false,
    };
    // A player never requests the folder itself.
    if !wanted || element == b"BaseURL" && uri.ends_with(b"/") {
        return out.extend_from_slice(value);
    }
    let before = value.len() - value.trim_ascii_start().len();
    out.extend_from_slice(&value[..before]);
    target.put(uri, b"&amp;", out);
    out.extend_from_slice(&value[before + uri.len()..]);
}

/// Returns the URI if it contains no reference except `&amp;`, because another reference may hide a host.
fn unescaped(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| *byte == b'&') {
        rest = rest[at..].strip_prefix(b"&amp;")?;
    }
    (!value.contains(&b'<')).then_some(value)
}

/// A piece of a manifest.
enum Found<'m> {
    /// Text without a URI.
    Other(&'m [u8]),
    /// The whole text of an element that contains a URI.
    Text {
        /// The name of the element, without a prefix.
        element: &'m [u8],
        /// The text as written.
        value: &'m [u8],
    },
    /// The value of an attribute that is a URI, without its quotes.
    Attribute(&'m [u8]),
    /// A value that a template is filled with. The same bytes also arrive as [`Found::Other`].
    Fill(&'m [u8]),
    /// An attribute `xml:base`. The same bytes also arrive as [`Found::Other`].
    Base,
}

/// Calls `each` for all pieces of a manifest in their order.
fn walk<'m>(text: &'m [u8], mut each: impl FnMut(Found<'m>)) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        each(Found::Other(&rest[..at]));
        rest = &rest[at..];
        let skipped = [(&b"<!--"[..], &b"-->"[..]), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"), (b"<!", b">")];
        if let Some((start, end)) = skipped.into_iter().find(|(start, _)| rest.starts_with(start)) {
            let end = find(&rest[start.len()..], end).map_or(rest.len(), |at| start.len() + at + end.len());
            each(Found::Other(&rest[..end]));
            rest = &rest[end..];
            continue;
        }
        let tag = &rest[..end_of_tag(rest)];
        rest = &rest[tag.len()..];
        let element = local_name(&tag[1..]);
        attributes(tag, element, &mut each);
        if is_uri_element(element) && !tag.ends_with(b"/>") {
            let end = rest.iter().position(|byte| *byte == b'<').unwrap_or(rest.len());
            // If the element contains a comment or similar, its text is not in one piece.
            if rest[end..].starts_with(b"</") {
                each(Found::Text { element, value: &rest[..end] });
                rest = &rest[end..];
            } else {
                // The empty value counts as a URI with an unknown destination.
                each(Found::Text { element, value: b"" });
            }
        }
    }
    each(Found::Other(rest));
}

fn is_uri_element(element: &[u8]) -> bool {
    matches!(element, b"BaseURL" | b"Location" | b"PatchLocation")
}

/// Returns whether an attribute contains a URI.
fn is_uri(element: &[u8], attribute: &[u8]) -> bool {
    match element {
        b"SegmentTemplate" => {
            matches!(attribute, b"media" | b"initialization" | b"index" | b"bitstreamSwitching")
        }
        b"SegmentURL" => matches!(attribute, b"media" | b"index"),
        b"Initialization" | b"RepresentationIndex" | b"BitstreamSwitching" => attribute == b"sourceURL",
        _ => false,
    }
}

/// Returns the length of a tag; a `>` may appear in quotes.
fn end_of_tag(text: &[u8]) -> usize {
    let mut quote = None;
    for (at, byte) in text.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), _) if open == *byte => quote = None,
            _ => {}
        }
    }
    text.len()
}

/// Returns the name at the beginning of a text, without a namespace prefix; empty for the end of an element.
fn local_name(text: &[u8]) -> &[u8] {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'=');
    let name = &text[..text.iter().position(ends).unwrap_or(text.len())];
    name.rsplit(|byte| *byte == b':').next().unwrap_or(name)
}

fn attributes<'m>(tag: &'m [u8], element: &[u8], each: &mut impl FnMut(Found<'m>)) {
    let mut done = 0;
    let mut at = 0;
    while let Some(equals) = tag[at..].iter().position(|byte| *byte == b'=').map(|offset| at + offset) {
        let before = tag[at..equals].trim_ascii_end();
        let name = before.rsplit(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        let open =
            equals + 1 + tag[equals + 1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let Some(quote @ (b'"' | b'\'')) = tag.get(open) else {
            at = equals + 1;
            continue;
        };
        let Some(length) = tag[open + 1..].iter().position(|byte| byte == quote) else { break };
        let value = &tag[open + 1..open + 1 + length];
        if element == b"Representation" && matches!(name, b"id" | b"bandwidth") {
            each(Found::Fill(value));
        }
        if name.ends_with(b":base") {
            each(Found::Base);
        }
        if is_uri(element, name) {
            each(Found::Other(&tag[done..=open]));
            each(Found::Attribute(value));
            done = open + 1 + length;
        }
        at = open + length + 2;
    }
    each(Found::Other(&tag[done..]));
}
