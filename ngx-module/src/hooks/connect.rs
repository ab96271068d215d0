//! The command `connect`. nginx-rtmp logs its values, passes them to hooks and programs, and shows them in statistics. So Weir masks
//! secrets in them first, and tells a client that puts the stream key there where the key belongs.

use ngx_rtmp::module::ConnectFlow as Connect;
use weir_model::{
    arguments,
    exec::{self, Uses},
    masking::{self, Rule},
    refusal::{Refusal, RefusedCommand},
    text,
    verdict::Policy,
};
use weir_rtmp::amf0::{self, Marker, Writer};

use super::{refusal::refuse_command, secrets::with_rule};
use crate::{registration, runtime, session::Session};

/// The fields that nginx-rtmp logs and passes to programs, besides the application (ngx_rtmp_cmd_connect_init).
const TEXTS: [&[u8]; 4] = [b"flashVer", b"swfUrl", b"tcUrl", b"pageUrl"];

/// Values that contain no other values. nginx-rtmp reads them like this crate.
const SCALARS: [Marker; 5] =
    [Marker::Number, Marker::Boolean, Marker::String, Marker::Null, Marker::Undefined];

/// A parsed `connect` command.
struct Words<'c> {
    transaction: f64,
    fields: Vec<Field<'c>>,
    /// The bytes after the object.
    tail: &'c [u8],
}

struct Field<'c> {
    key: &'c [u8],
    /// The raw value, and its text if it is a string.
    raw: &'c [u8],
    text: Option<&'c [u8]>,
}

/// Handles a client's `connect`; `command` is the rest of the message after the command's name.
pub fn on_command(session: &mut Session, command: &[u8]) -> Connect {
    let Some(runtime) = runtime::current().filter(|_| registration::ensure_started()) else {
        return Connect::Untouched;
    };
    if session.is_from_worker() || session.is_connected() {
        return Connect::Untouched;
    }
    match session.state() {
        Some(state) if state.is_closing() => return Connect::Done,
        _ => {}
    }
    let words = take_apart(command);
    let apps = || words.fields.iter().filter(|field| field.key == b"app").filter_map(|field| field.text);
    let settings = apps().next_back().and_then(|app| session.application(application(app)));
    let policy = settings.map(|settings| settings.publish());
    let has_keys = matches!(policy, None | Some(Policy::Key));
    let is_misplaced = has_keys
        && with_rule(&runtime, policy, |rule| {
            apps().any(|app| masking::holds_credential(app_to_search(app, policy), rule))
        });
    if is_misplaced {
        refuse_command(session, RefusedCommand::Connect, Refusal::KeyInServer, words.transaction);
        return Connect::Done;
    }
    let uses = settings.map_or(Uses::default(), |settings| match settings.publish() {
        Policy::Off => Uses::default(),
        Policy::Key | Policy::Open => settings.exec,
    });
    let written = with_rule(&runtime, policy, |rule| words.written(rule, uses));
    if written == command { Connect::Untouched } else { Connect::Rewritten(written) }
}

/// Returns the name of the application from a client's text: without arguments, and without the suffix that nginx-rtmp removes
/// (ngx_rtmp_cmd_connect_init).
fn application(app: &[u8]) -> &[u8] {
    let app = app.strip_suffix(b"/_definst_").or_else(|| app.strip_suffix(b"/")).unwrap_or(app);
    arguments::name_bytes(app)
}

/// Returns the part of the text that may be a misplaced key. The name of an existing application is not a key.
fn app_to_search(app: &[u8], policy: Option<Policy>) -> &[u8] {
    match policy {
        Some(_) => &app[application(app).len()..],
        None => app,
    }
}

/// Parses the transaction and an object, and stops at the first value that it cannot read. nginx-rtmp gets only the parsed values, because
/// it reads some values differently (ngx_rtmp_amf_read_object: 0x09 is a value, and an empty key is the end of an object).
fn take_apart(command: &[u8]) -> Words<'_> {
    let mut reader = amf0::Reader::new(command);
    let transaction = reader.clone().number().unwrap_or_default();
    let mut words = Words { transaction, fields: Vec::new(), tail: &[] };
    if reader.skip_value().is_err() || reader.begin_object().is_err() {
        return words;
    }
    loop {
        match reader.key() {
            Ok(Some(b"")) | Err(_) => return words,
            Ok(Some(key)) => {
                let before = reader.rest();
                let text = reader.clone().string().ok();
                let is_scalar = matches!(reader.marker(), Ok(marker) if SCALARS.contains(&marker));
                if reader.skip_value().is_err() {
                    return words;
                }
                // nginx-rtmp reads no field that contains other values.
                if is_scalar {
                    let raw = &before[..before.len() - reader.rest().len()];
                    words.fields.push(Field { key, raw, text });
                }
            }
            Ok(None) => {
                words.tail = reader.rest();
                return words;
            }
        }
    }
}

impl Words<'_> {
    /// Returns the command without secrets, without characters that deceive a reader, and without text that a shell would interpret if a
    /// program gets it.
    fn written(&self, rule: &Rule<'_>, uses: Uses) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.number(self.transaction).begin_object();
        for field in &self.fields {
            let length = u16::try_from(field.key.len()).unwrap_or_default();
            writer.raw(&length.to_be_bytes()).raw(field.key);
            match field.text.and_then(|text| field.replacement(text, rule, uses)) {
                Some(text) => writer.string(&text),
                None => writer.raw(field.raw),
            };
        }
        writer.end().raw(self.tail);
        writer.into_bytes()
    }
}

impl Field<'_> {
    /// Returns the text that replaces the field's text, if it must be replaced.
    fn replacement(&self, text: &[u8], rule: &Rule<'_>, uses: Uses) -> Option<Vec<u8>> {
        let mut replaced = masking::masked(text, rule);
        if TEXTS.contains(&self.key) {
            let now = replaced.as_deref().unwrap_or(text);
            let clean = text::clean_bytes(now);
            if clean.as_bytes() != now {
                replaced = Some(clean.into_owned().into_bytes());
            }
            if uses.field(self.key)
                && let Some(word) = exec::as_word(replaced.as_deref().unwrap_or(text))
            {
                replaced = Some(word);
            }
        }
        replaced
    }
}
