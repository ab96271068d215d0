//! What several tables of the page have.

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

/// Isolated, so that a name in a script that runs from the right disturbs no other. With its `server` block where nginx has
/// several.
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

/// A rate, its share of the largest one, and what it came to.
pub(super) fn flow(out: &mut String, bitrate: u64, most: u64, bytes: u64) {
    push_rate(out, bitrate);
    push_bar(out, bitrate, most);
    out.push_str("<small>");
    push_bytes(out, bytes);
    out.push_str("</small>");
}
