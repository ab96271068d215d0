//! A minimal reader of XML that checks whether a text is well-formed.

/// Returns the first error of a document, if there is one.
pub(super) fn check(document: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = document;
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at])?;
        let end = rest[at..].find('>').ok_or("a tag without end")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('?') || tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
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
    if open.is_empty() { Ok(()) } else { Err(format!("left open: {open:?}")) }
}

fn check_attributes(mut rest: &str) -> Result<(), String> {
    while let Some((name, value)) = rest.trim_start().split_once("=\"") {
        if name.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            return Err(format!("no attribute: {name:?}"));
        }
        let (value, after) = value.split_once('"').ok_or("an attribute without end")?;
        check_text(value)?;
        rest = after;
    }
    if rest.trim().is_empty() { Ok(()) } else { Err(format!("between attributes: {rest:?}")) }
}

fn check_text(text: &str) -> Result<(), String> {
    const ENTITIES: [&str; 5] = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
    let stray = text.match_indices('&').any(|(at, _)| !ENTITIES.iter().any(|e| text[at..].starts_with(e)));
    let control = text.contains(|c: char| c.is_control() && !matches!(c, '\r' | '\n'));
    if stray || control { Err(format!("bad text: {text:?}")) } else { Ok(()) }
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
