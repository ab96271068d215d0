//! A minimal reader of XML that checks whether a text is well-formed.

/// The first fault of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A tag or an attribute has no end.
    NoEnd,
    /// An end tag closes another tag, or none.
    ClosesNothing(String),
    /// Tags are not closed.
    LeftOpen(String),
    /// No attribute has this form.
    NoAttribute(String),
    /// A text has a character that must be an entity, or a control character.
    BadText(String),
}

/// Returns the first fault of a document, if there is one.
pub(super) fn check(document: &str) -> Result<(), Fault> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = document;
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at])?;
        let end = rest[at..].find('>').ok_or(Fault::NoEnd)? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('?') || tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(Fault::ClosesNothing(name.to_owned()));
            }
        } else {
            let (name, attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
            check_attributes(attributes)?;
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    check_text(rest)?;
    if open.is_empty() { Ok(()) } else { Err(Fault::LeftOpen(open.join(" "))) }
}

fn check_attributes(mut rest: &str) -> Result<(), Fault> {
    while let Some((name, value)) = rest.trim_start().split_once("=\"") {
        if name.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            return Err(Fault::NoAttribute(name.to_owned()));
        }
        let (value, after) = value.split_once('"').ok_or(Fault::NoEnd)?;
        check_text(value)?;
        rest = after;
    }
    if rest.trim().is_empty() { Ok(()) } else { Err(Fault::NoAttribute(rest.to_owned())) }
}

fn check_text(text: &str) -> Result<(), Fault> {
    const ENTITIES: [&str; 5] = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
    let stray = text.match_indices('&').any(|(at, _)| !ENTITIES.iter().any(|e| text[at..].starts_with(e)));
    let control = text.contains(|c: char| c.is_control() && !matches!(c, '\r' | '\n'));
    if stray || control { Err(Fault::BadText(text.to_owned())) } else { Ok(()) }
}

#[test]
fn knows_what_is_well_formed() {
    for good in ["<a/>", "<?xml version=\"1.0\"?><a b=\"c\"><d/>e&amp;</a>\r\n"] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in
        ["<a>", "<a></b>", "</a>", "<a>&</a>", "<a>\0</a>", "<a b=c/>", "<a b=\"c/>", "<a", "<a>&x;</a>"]
    {
        assert!(check(bad).is_err(), "{bad}");
    }
}
