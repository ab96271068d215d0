//! Playback over HTTP: who may watch, and playlists that carry the token on.

use ngx_rtmp::{
    gate::{Answer, Asked, Verdict},
    log::Level,
};
use weir_model::{
    ClientAddr, Refusal, Secret, StreamName, masking, network,
    playback::{
        self, Believed, By, Wanted,
        rewrite::{Kind, Rewriter},
        uri::{self, UriError},
    },
    refusal::{Command, Topic},
    throttle::LogLine,
};
use weir_zone::Summary;

use crate::{
    hooks, process,
    runtime::{self, Runtime},
    settings::{LocationSettings, PlayRule},
};

/// Who may watch: the gate of `weir_play`.
pub fn judge(asked: &Asked<'_>, settings: &LocationSettings) -> Verdict {
    let Some(rule @ PlayRule::Token(..)) = &settings.play else { return Verdict::Open };
    let Some(runtime) = runtime::current() else { return Verdict::Refuse };
    match admit(&runtime, asked, rule) {
        Ok(answer) => Verdict::Admit(answer),
        Err(refused) => {
            log_refusal(&runtime, asked, &refused);
            Verdict::Refuse
        }
    }
}

/// Masks the tokens in a line of the log, in place. Returns its new length.
pub fn mask(line: &mut [u8]) -> usize {
    masking::mask_tokens(line)
}

/// What a client sent, fit for a log: without keys and tokens. `None` where there is none.
#[must_use]
pub fn masked(line: &[u8]) -> Option<Vec<u8>> {
    masking::masked_words(line)
}

/// Why a request is not answered.
enum Refused {
    /// No stream could be taken from its URI.
    Nameless(UriError),
    /// No token opens it: the application, the stream, the reason.
    Closed(String, StreamName, Refusal),
}

fn admit(runtime: &Runtime, asked: &Asked<'_>, rule: &PlayRule) -> Result<Option<Box<dyn Answer>>, Refused> {
    let PlayRule::Token(layout, stream) = rule else { return Ok(None) };
    let named = match (stream, &layout.app) {
        (Some(value), Some(app)) => {
            let name = asked.value(*value).and_then(|name| StreamName::parse(name).ok());
            let stream = name.ok_or(Refused::Nameless(UriError::NoStream))?;
            uri::Named { app, stream, variant_of: None }
        }
        _ => {
            let is_known = |app: &str| runtime.application_facts.iter().any(|facts| facts.name == app);
            uri::stream_of(asked.below(), layout, is_known).map_err(Refused::Nameless)?
        }
    };
    let wanted =
        Wanted { app: named.app, stream: named.stream.as_str(), variant_of: named.variant_of.as_ref() };
    let presented = playback::presented(asked.arguments(), asked.authorization(), asked.cookies());
    let admitted = match &runtime.signer {
        Some(signer) => {
            let believed = Believed { signer, revoked: &runtime.revoked_tokens() };
            playback::admit(&presented, believed, &wanted, client(asked), process::now())
        }
        None => Err(Refusal::NoSecret),
    };
    match admitted {
        Ok((one, _)) if one.by == By::Argument => {
            let host = String::from_utf8_lossy(asked.host()).into_owned();
            Ok(Some(Box::new(Playlist { token: Secret::new(one.token), host, rewriter: None })))
        }
        Ok(_) => Ok(None),
        Err(refusal) => Err(Refused::Closed(named.app.to_owned(), named.stream, refusal)),
    }
}

fn client(asked: &Asked<'_>) -> ClientAddr {
    asked.client().map_or(ClientAddr::Unix, ClientAddr::Ip)
}

/// Logs a refusal, some per minute for each address.
fn log_refusal(runtime: &Runtime, asked: &Asked<'_>, refused: &Refused) {
    let bucket = match client(asked) {
        ClientAddr::Ip(addr) => network::attempt_bucket(addr),
        ClientAddr::Unix => [0; 16],
    };
    let refusal = match refused {
        Refused::Nameless(_) => Refusal::NoToken,
        Refused::Closed(_, _, refusal) => *refusal,
    };
    let topic = Topic::Refused(Command::Play, refusal).index();
    match runtime.zone().lock(process::pid()).refusal(bucket, topic, process::now()) {
        LogLine::Each => {}
        LogLine::Silent => return,
        LogLine::Summary { unlogged } => hooks::log_summary(&Summary { bucket, reason: topic, unlogged }),
    }
    match refused {
        Refused::Nameless(why) => asked.log(Level::Error, format_args!("play refused: {why}")),
        Refused::Closed(app, stream, refusal) => {
            asked.log(
                Level::Error,
                format_args!("play refused: {refusal}, app: \"{app}\", stream: \"{stream}\""),
            );
        }
    }
}

/// The answer to whoever came with `?token=`: a playlist gets it on its URIs, anything else stays as it is.
struct Playlist {
    token: Secret,
    host: String,
    rewriter: Option<Rewriter>,
}

impl Answer for Playlist {
    fn is_likely(&self, path: &[u8]) -> bool {
        Kind::of(path, &[]).is_some()
    }

    fn begin(&mut self, path: &[u8], content_type: &[u8]) -> bool {
        self.rewriter =
            Kind::of(path, content_type).map(|kind| Rewriter::new(kind, self.token.clone(), &self.host));
        self.rewriter.is_some()
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if let Some(rewriter) = &mut self.rewriter {
            rewriter.push(bytes, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(rewriter) = &mut self.rewriter {
            rewriter.finish(out);
        }
    }
}
