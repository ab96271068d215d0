//! Playback over HTTP: access of viewers, and the token in playlists.

use ngx_rtmp::{
    gate::{Answer, Asked, Verdict},
    log::Level,
};
use weir_model::{
    ClientAddr, Refusal, Secret, StreamName, masking, network,
    playback::{
        self, Believed, By, Wanted,
        rewrite::{PlaylistFormat, Rewriter},
        uri::UriError,
    },
    refusal::{RefusedCommand, Topic},
    throttle::LogLine,
};
use weir_zone::{Summary, Viewer};

use crate::{
    hooks, process,
    runtime::{self, Runtime},
    settings::{LocationSettings, PlayRule},
    viewers::{self, Crowded, Visit},
};

/// Decides who may watch: first by `weir_play`, then by `weir_max_viewers`.
pub fn judge(asked: &Asked<'_>, settings: &LocationSettings) -> (Verdict, Option<Visit>) {
    let Some(rule @ PlayRule::Token(..)) = &settings.play else {
        return match viewers::visit(asked, settings, None) {
            Ok(visit) => (Verdict::Open, visit),
            Err(crowded) => turn_away(asked, crowded),
        };
    };
    let Some(runtime) = runtime::current() else { return (Verdict::Refuse, None) };
    match admit(&runtime, asked, rule) {
        Ok(Admitted { answer, viewer }) => match viewers::visit(asked, settings, Some(viewer)) {
            Ok(visit) => (Verdict::Admit(answer), visit),
            Err(crowded) => turn_away(asked, crowded),
        },
        Err(refused) => {
            log_refusal(&runtime, asked, &refused);
            (Verdict::Refuse, None)
        }
    }
}

/// Decides whether a subrequest may show a file of a stream. Weir does not restrict other subrequests, for example those of
/// `auth_request`.
pub fn judge_part(asked: &Asked<'_>, settings: &LocationSettings) -> bool {
    let Some(rule @ PlayRule::Token(..)) = &settings.play else { return true };
    let Some(runtime) = runtime::current() else { return false };
    match admit(&runtime, asked, rule) {
        Ok(_) | Err(Refused::Nameless(_)) => true,
        Err(refused) => {
            log_refusal(&runtime, asked, &refused);
            false
        }
    }
}

/// Refuses a viewer, because the application has its largest number of viewers.
fn turn_away(asked: &Asked<'_>, crowded: Crowded) -> (Verdict, Option<Visit>) {
    if let Some(runtime) = runtime::current() {
        log_refusal(&runtime, asked, &Refused::Closed(crowded.app, crowded.stream, Refusal::Crowded));
    }
    (Verdict::Busy(viewers::RETRY_AFTER_S), None)
}

/// A request that a token admits.
struct Admitted {
    /// Rewrites the answer.
    answer: Option<Box<dyn Answer>>,
    /// The viewer's identity: the id of the token, or else the token itself.
    viewer: Viewer,
}

/// Masks the tokens in a log line in place. Returns the new length of the line.
pub fn mask(line: &mut [u8]) -> usize {
    masking::mask_line(line)
}

/// Returns a client's text without keys and tokens, for a log; `None` if it has none.
#[must_use]
pub fn masked(line: &[u8]) -> Option<Vec<u8>> {
    masking::masked_line(line)
}

/// Why a request is refused.
enum Refused {
    /// The URI names no stream.
    Nameless(UriError),
    /// No token allows the request, or the application is full: the application, the stream, the reason.
    Closed(String, StreamName, Refusal),
}

fn admit(runtime: &Runtime, asked: &Asked<'_>, rule: &PlayRule) -> Result<Admitted, Refused> {
    let PlayRule::Token(layout, stream) = rule else { return Err(Refused::Nameless(UriError::NoStream)) };
    let named = viewers::named(runtime, asked, layout, stream.as_ref()).map_err(Refused::Nameless)?;
    let wanted =
        Wanted { app: named.app, stream: named.stream.as_str(), variant_of: named.variant_of.as_ref() };
    let presented = playback::presented(asked.arguments(), asked.authorization(), asked.cookies());
    let admitted = match &runtime.verifier {
        Some(signer) => {
            let believed = Believed { signer, revoked: &runtime.revoked_tokens() };
            playback::admit(&presented, believed, &wanted, client(asked), process::now())
        }
        None => Err(Refusal::NoSecret),
    };
    match admitted {
        Ok((one, claims)) => {
            let session = claims.jti.as_ref().map_or(one.token.as_bytes(), |id| id.as_str().as_bytes());
            let viewer = runtime.zone().viewer_of_session(session);
            let host = || String::from_utf8_lossy(asked.host()).into_owned();
            let answer = (one.by == By::Argument).then(|| -> Box<dyn Answer> {
                Box::new(Playlist {
                    token: Secret::new(one.token),
                    host: host(),
                    is_secure: asked.is_secure(),
                    rewriter: None,
                })
            });
            Ok(Admitted { answer, viewer })
        }
        Err(refusal) => Err(Refused::Closed(named.app.to_owned(), named.stream, refusal)),
    }
}

fn client(asked: &Asked<'_>) -> ClientAddr {
    asked.client().map_or(ClientAddr::Unix, ClientAddr::Ip)
}

/// Logs a refusal, a few lines per minute for each address.
fn log_refusal(runtime: &Runtime, asked: &Asked<'_>, refused: &Refused) {
    let bucket = match client(asked) {
        ClientAddr::Ip(addr) => network::attempt_bucket(addr),
        ClientAddr::Unix => [0; 16],
    };
    let refusal = match refused {
        Refused::Nameless(_) => Refusal::NoToken,
        Refused::Closed(_, _, refusal) => *refusal,
    };
    let topic = Topic::Refused(RefusedCommand::Play, refusal).index();
    match runtime.zone().lock(process::pid()).refusal(bucket, topic, process::now()) {
        LogLine::Each => {}
        LogLine::Silent => return,
        LogLine::Summary { unlogged } => hooks::log_summary(&Summary { bucket, reason: topic, unlogged }),
    }
    match refused {
        Refused::Nameless(why) => asked.log(Level::Error, format_args!("play refused: {why}")),
        Refused::Closed(app, stream, refusal) => {
            let (reason, more) = refusal.log_parts();
            asked.log(
                Level::Error,
                format_args!("play refused: {reason}, app: \"{app}\", stream: \"{stream}\"{more}"),
            );
        }
    }
}

/// The answer to a client with `?token=`. In a playlist, the URIs get the token; other answers stay unchanged.
struct Playlist {
    token: Secret,
    host: String,
    is_secure: bool,
    rewriter: Option<Rewriter>,
}

impl Answer for Playlist {
    fn is_likely(&self, path: &[u8]) -> bool {
        PlaylistFormat::of(path, &[]).is_some()
    }

    fn begin(&mut self, path: &[u8], content_type: &[u8]) -> bool {
        let rewriter = |kind| Rewriter::new(kind, self.token.clone(), &self.host, self.is_secure);
        self.rewriter = PlaylistFormat::of(path, content_type).map(rewriter);
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
