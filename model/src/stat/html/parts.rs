//! Elements that several tables of the page share.

use super::cells::{push_bar, push_bytes, push_rate};
use crate::snapshot::StreamSnapshot;
use crate::stat::text::push_escaped;

pub(super) fn table(out: &mut String, caption: &str, heads: &[&str]) {
    for part in ["<table>\n<caption>", caption, "</caption>\n<thead><tr>"] {
        out.push_str(part);
    }
    for head in heads {
        for part in ["<th scope=\"col\">", head, "</th>"] {
            out.push_str(part);
        }
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

/// Appends the name of a stream, with its `server` block if nginx has several. The name is isolated, so that a name in
/// a right-to-left script does not disturb other text.
pub(super) fn name(out: &mut String, stream: &StreamSnapshot, several: bool) {
    out.push_str("<bdi>");
    push_escaped(out, &stream.app);
    out.push_str("</bdi>/<bdi>");
    push_escaped(out, &stream.name);
    out.push_str("</bdi>");
    if several {
        out.push_str("<small>");
        push_escaped(out, stream.server.name());
        out.push_str("</small>");
    }
}

/// Appends a rate, its share of the largest rate, and the total.
pub(super) fn flow(out: &mut String, bitrate: u64, most: u64, bytes: u64) {
    push_rate(out, bitrate);
    push_bar(out, bitrate, most);
    out.push_str("<small>");
    push_bytes(out, bytes);
    out.push_str("</small>");
}
