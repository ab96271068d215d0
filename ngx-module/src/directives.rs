//! The directives: each parses its arguments and assigns them to the settings of its block.

use std::{ffi::CStr, rc::Rc};

use ngx_rtmp::{
    conf::{Application, Block, Context, Directive, Location, Main, Place},
    value::Value,
};
use weir_model::{
    AppName, Digest, StreamName,
    bitrate::Limit,
    duplicate::Duplicate,
    key_file,
    playback::uri::Layout,
    push::access::Rule,
    target::{StreamPattern, Target, TargetUrl},
    token::Signer,
    verdict::Policy,
};

use crate::{
    process,
    settings::{Counting, PlayRule, ViewersRule},
    state::file::{self, FileError},
    weir::Weir,
};

/// What a directive is read with.
type Cx<'c, B> = Context<'c, Weir, B>;

/// Declares a directive.
macro_rules! directive {
    ($(#[$doc:meta])* $type:ident($block:ty) $name:literal, $place:expr, $set:expr) => {
        $(#[$doc])*
        pub struct $type;

        impl Directive<Weir> for $type {
            type Block = $block;
            const NAME: &'static CStr = $name;
            const PLACE: Place<$block> = $place;
            fn set(cx: &mut Cx<'_, $block>) -> Result<(), String> {
                let set: fn(&mut Cx<'_, $block>) -> Result<(), String> = $set;
                set(cx)
            }
        }
    };
}

directive!(
    /// `weir_zone SIZE [state=FILE];`
    WeirZone(Main) c"weir_zone", Place::MAIN.one_or_two(), zone
);
directive!(
    /// `weir_secret FILE;`
    WeirSecret(Main) c"weir_secret", Place::MAIN.one(), secret
);
directive!(
    /// `weir_publish off | key | open;`
    WeirPublish(Application) c"weir_publish", Place::RTMP.one(), publish
);
directive!(
    /// `weir_key_file FILE;`
    WeirKeyFile(Application) c"weir_key_file", Place::APPLICATION.one(), key_file
);
directive!(
    /// `weir_play off | token;`
    WeirPlay(Application) c"weir_play", Place::RTMP.one(), play
);
directive!(
    /// `weir_play off | token [app=APP] [stream=VALUE] [variant=SUFFIX] ...;`
    WeirPlayHttp(Location) c"weir_play", Place::HTTP.one_or_more(), play_http
);
directive!(
    /// `weir_duplicate reject | takeover;`
    WeirDuplicate(Application) c"weir_duplicate", Place::RTMP.one(), duplicate
);
directive!(
    /// `weir_drain_timeout TIME;`
    WeirDrainTimeout(Application) c"weir_drain_timeout", Place::RTMP_SERVER.one(), drain_timeout
);
directive!(
    /// `weir_guard on | off;`
    WeirGuard(Application) c"weir_guard", Place::RTMP_SERVER.one(), guard
);
directive!(
    /// `weir_session_timeout TIME;`
    WeirSessionTimeout(Application) c"weir_session_timeout", Place::RTMP_SERVER.one(),     session_timeout
);
directive!(
    /// `weir_idle_publisher TIME;`
    WeirIdlePublisher(Application) c"weir_idle_publisher", Place::RTMP.one(),     idle_publisher
);
directive!(
    /// `weir_limit_unauthenticated N;`
    WeirLimitUnauthenticated(Application) c"weir_limit_unauthenticated", Place::RTMP_SERVER.one(), limit_unauthenticated
);
directive!(
    /// `weir_min_free SIZE;`
    WeirMinFree(Application) c"weir_min_free", Place::APPLICATION.one(), min_free
);
directive!(
    /// `weir_max_viewers N;`
    WeirMaxViewers(Application) c"weir_max_viewers", Place::APPLICATION.one(), max_viewers
);
directive!(
    /// `weir_max_bitrate RATE [burst=SIZE];`
    WeirMaxBitrate(Application) c"weir_max_bitrate", Place::APPLICATION.one_or_two(), max_bitrate
);
directive!(
    /// `weir_push on | off;`
    WeirPush(Application) c"weir_push", Place::RTMP.one(), push
);
directive!(
    /// `weir_push_to URL [name=NAME];`
    WeirPushTo(Application) c"weir_push_to", Place::APPLICATION.one_or_two(), push_to
);
directive!(
    /// `weir_push_allow CIDR | all;`
    WeirPushAllow(Application) c"weir_push_allow", Place::RTMP.one(), push_allow
);
directive!(
    /// `weir_push_deny CIDR | all;`
    WeirPushDeny(Application) c"weir_push_deny", Place::RTMP.one(), push_deny
);
directive!(
    /// `weir_tls_verify on | off;`
    WeirTlsVerify(Application) c"weir_tls_verify", Place::RTMP.one(), tls_verify
);
directive!(
    /// `weir_resolver ADDRESS ... [valid=TIME] [ipv6=on|off];`
    WeirResolver(Main) c"weir_resolver", Place::MAIN.one_or_more(), resolver
);
directive!(
    /// `weir_trusted_certificate FILE;`
    WeirTrustedCertificate(Main) c"weir_trusted_certificate", Place::MAIN.one(),     trusted_certificate
);
directive!(
    /// `weir_api;`
    WeirApi(Location) c"weir_api", Place::LOCATION.none(), api
);
directive!(
    /// `weir_stat [html|xml|json|prometheus] [full];`
    WeirStat(Location) c"weir_stat", Place::LOCATION.up_to_two(), stat
);
directive!(
    /// `weir_viewers off | on [app=APP] [stream=VALUE] [variant=SUFFIX] ... [window=TIME];`
    WeirViewers(Location) c"weir_viewers", Place::HTTP.one_or_more(), viewers
);
directive!(
    /// `weir_api_token FILE;`
    WeirApiToken(Location) c"weir_api_token", Place::HTTP.one(), api_token
);

/// The largest `weir_key_file`, in bytes: half a million keys.
const MAX_KEY_FILE: u64 = 64 << 20;
/// The largest `weir_trusted_certificate`, in bytes.
const MAX_CERTIFICATES: u64 = 16 << 20;
const TWICE: &str = "the directive is duplicate";

fn zone(cx: &mut Cx<'_, Main>) -> Result<(), String> {
    if cx.settings().zone_size != 0 {
        return Err(TWICE.to_owned());
    }
    let arguments: Vec<String> = cx.arguments()?.into_iter().map(str::to_owned).collect();
    let (size, rest) = arguments.split_first().ok_or("a size is missing")?;
    let bytes = cx.size(size)?;
    cx.settings().zone_size = bytes;
    if bytes < weir_zone::MIN_SIZE {
        let least = weir_zone::MIN_SIZE / 1024;
        return Err(format!("size \"{size}\" is too small, the least is \"{least}k\""));
    }
    for argument in rest {
        let file = argument.strip_prefix("state=").filter(|file| !file.is_empty());
        let file =
            file.ok_or_else(|| format!("invalid parameter \"{argument}\", expected \"state=FILE\""))?;
        let path = cx.path(file)?;
        let limit = weir_zone::max_state_file(bytes as u64);
        let content = file::read(&path, limit).map_err(|error| match error {
            FileError::Io { path, what, error } => format!("{} cannot be {what}: {error}", path.display()),
            FileError::Unreadable { path, error } => format!("{}: {error}", path.display()),
            locked @ FileError::Locked(_) => locked.to_string(),
        })?;
        cx.settings().state = content.map(|content| (content.state, content.shown.content));
        cx.settings().state_path = Some(path);
    }
    let place = cx.place();
    cx.settings().place = place;
    cx.add_zone(bytes)
}

fn secret(cx: &mut Cx<'_, Main>) -> Result<(), String> {
    if cx.settings().signer.as_ref().is_some_and(Signer::accepts_another) {
        return Err("there are two already: the first one signs, the second one is accepted".to_owned());
    }
    let file = cx.argument()?.to_owned();
    let (path, bytes) = cx.read_secret(&file)?;
    let signer = Signer::new(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let settings = cx.settings();
    settings.signer = Some(match settings.signer.take() {
        Some(first) => first.accepting(signer),
        None => signer,
    });
    needs_zone(cx, "weir_secret");
    Ok(())
}

fn publish(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let policy = one_of(cx, &[("off", Policy::Off), ("key", Policy::Key), ("open", Policy::Open)])?;
    assign(&mut cx.settings().publish, policy)?;
    needs_zone(cx, "weir_publish");
    Ok(())
}

fn play(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let needs_token = one_of(cx, &[("off", false), ("token", true)])?;
    assign(&mut cx.settings().play, needs_token)?;
    needs_zone(cx, "weir_play");
    if needs_token {
        needs_secret(cx);
    }
    Ok(())
}

fn play_http(cx: &mut Cx<'_, Location>) -> Result<(), String> {
    let needs_token = one_of(cx, &[("off", false), ("token", true)])?;
    let arguments: Vec<String> = cx.arguments()?.into_iter().skip(1).map(str::to_owned).collect();
    needs_zone(cx, "weir_play");
    if !needs_token {
        return match arguments.first() {
            Some(argument) => Err(format!("invalid parameter \"{argument}\", \"off\" has none")),
            None => assign(&mut cx.settings().play, PlayRule::Off),
        };
    }
    needs_secret(cx);
    let (mut layout, mut stream) = (Layout::default(), None);
    for argument in &arguments {
        if !names_stream(cx, argument, &mut layout, &mut stream)? {
            return Err(format!(
                "invalid parameter \"{argument}\", expected \"app=APP\", \"stream=VALUE\" or \"variant=SUFFIX\""
            ));
        }
    }
    if stream.is_some() && layout.app.is_none() {
        return Err(STREAM_WITHOUT_APP.to_owned());
    }
    cx.main().protected_over_http.push(layout.app.clone());
    assign(&mut cx.settings().play, PlayRule::Token(Rc::new(layout), stream))
}

const STREAM_WITHOUT_APP: &str = "\"stream=\" needs \"app=APP\"";

/// Reads an argument that says which stream a request is for. Returns whether it is one.
fn names_stream(
    cx: &mut Cx<'_, Location>,
    argument: &str,
    layout: &mut Layout,
    stream: &mut Option<Value>,
) -> Result<bool, String> {
    match argument.split_once('=').unwrap_or((argument, "")) {
        (_, "") => return Ok(false),
        ("app", app) => {
            let app = AppName::parse(app.as_bytes()).map_err(|error| format!("app \"{app}\": {error}"))?;
            assign(&mut layout.app, app.to_string())?;
        }
        ("stream", value) => assign(stream, cx.value(value)?)?,
        ("variant", suffix) => {
            StreamName::parse(format!("x{suffix}").as_bytes())
                .map_err(|error| format!("variant \"{suffix}\": {error}"))?;
            layout.variants.push(suffix.to_owned());
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn viewers(cx: &mut Cx<'_, Location>) -> Result<(), String> {
    const USUAL_WINDOW_MS: u64 = 30_000;
    let arguments: Vec<String> = cx.arguments()?.into_iter().map(str::to_owned).collect();
    needs_zone(cx, "weir_viewers");
    if let [first, rest @ ..] = arguments.as_slice()
        && first == "off"
    {
        return match rest.first() {
            Some(argument) => Err(format!("invalid parameter \"{argument}\", \"off\" has none")),
            None => assign(&mut cx.settings().viewers, ViewersRule::Off),
        };
    }
    let (mut layout, mut stream, mut window) = (Layout::default(), None, None);
    for (at, argument) in arguments.iter().enumerate() {
        if let Some(time) = argument.strip_prefix("window=") {
            assign(&mut window, viewers_window(cx, time)?)?;
        } else if !(at == 0 && argument == "on" || names_stream(cx, argument, &mut layout, &mut stream)?) {
            return Err(format!(
                "invalid parameter \"{argument}\", expected \"app=APP\", \"stream=VALUE\", \"variant=SUFFIX\", \
                 \"window=TIME\", \"on\" or \"off\""
            ));
        }
    }
    if stream.is_some() && layout.app.is_none() {
        return Err(STREAM_WITHOUT_APP.to_owned());
    }
    let window_ms = window.unwrap_or(USUAL_WINDOW_MS);
    let counting = Counting { layout, stream, window_ms };
    assign(&mut cx.settings().viewers, ViewersRule::Count(Rc::new(counting)))
}

/// Who plays asks once per segment, so that less than a second counts nobody, and more than an hour counts who left.
fn viewers_window(cx: &mut Cx<'_, Location>, time: &str) -> Result<u64, String> {
    const HOUR_MS: u64 = 3_600_000;
    let wrong = || format!("invalid window \"{time}\", expected \"1s\" to \"1h\", for example \"30s\"");
    let window_ms = cx.milliseconds(time).map_err(|_| wrong())?;
    if (1000..=HOUR_MS).contains(&window_ms) { Ok(window_ms) } else { Err(wrong()) }
}

fn max_bitrate(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let arguments: Vec<String> = cx.arguments()?.into_iter().map(str::to_owned).collect();
    let (rate, rest) = arguments.split_first().ok_or("a rate is missing")?;
    let bits = |cx: &mut Cx<'_, Application>, what: &str, text: &str| {
        let bits = cx.offset(text).ok().filter(|bits| *bits > 0);
        bits.ok_or_else(|| format!("invalid {what} \"{text}\", expected bits such as \"8m\""))
    };
    let mut limit = Limit { rate: bits(cx, "rate", rate)?, burst: 0 };
    if let Some(argument) = rest.first() {
        let burst = argument.strip_prefix("burst=");
        let burst =
            burst.ok_or_else(|| format!("invalid parameter \"{argument}\", expected \"burst=SIZE\""))?;
        limit.burst = bits(cx, "burst", burst)?;
    }
    assign(&mut cx.settings().max_bitrate, limit)?;
    needs_zone(cx, "weir_max_bitrate");
    Ok(())
}

fn max_viewers(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let argument = cx.argument()?;
    let most = argument.parse().ok().filter(|most| (1..=u64::from(u32::MAX)).contains(most));
    let most = most.ok_or_else(|| format!("invalid number \"{argument}\", expected for example \"500\""))?;
    assign(&mut cx.settings().max_viewers, most)?;
    needs_zone(cx, "weir_max_viewers");
    Ok(())
}

fn needs_secret<B: Block<Weir>>(cx: &mut Cx<'_, B>) {
    let place = cx.place();
    cx.main().needs_secret.get_or_insert(place);
}

fn duplicate(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let policy = one_of(cx, &[("reject", Duplicate::Reject), ("takeover", Duplicate::Takeover)])?;
    assign(&mut cx.settings().duplicate, policy)?;
    needs_zone(cx, "weir_duplicate");
    Ok(())
}

fn drain_timeout(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let argument = cx.argument()?.to_owned();
    let value = cx.milliseconds(&argument)?;
    assign(&mut cx.settings().drain_timeout_ms, value)?;
    needs_zone(cx, "weir_drain_timeout");
    Ok(())
}

fn guard(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let value = one_of(cx, &[("on", true), ("off", false)])?;
    assign(&mut cx.settings().guard, value)?;
    needs_zone(cx, "weir_guard");
    Ok(())
}

fn session_timeout(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let argument = cx.argument()?.to_owned();
    let value = cx.milliseconds(&argument)?;
    assign(&mut cx.settings().session_timeout_ms, value)?;
    needs_zone(cx, "weir_session_timeout");
    Ok(())
}

fn idle_publisher(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let argument = cx.argument()?.to_owned();
    let value = cx.milliseconds(&argument)?;
    assign(&mut cx.settings().idle_publisher_ms, value)?;
    needs_zone(cx, "weir_idle_publisher");
    Ok(())
}

fn limit_unauthenticated(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let argument = cx.argument()?;
    let limit = argument.parse().ok().filter(|limit| *limit > 0);
    let limit = limit.ok_or_else(|| format!("invalid number \"{argument}\", expected for example \"32\""))?;
    assign(&mut cx.settings().limit_unauthenticated, limit)?;
    needs_zone(cx, "weir_limit_unauthenticated");
    Ok(())
}

fn min_free(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let argument = cx.argument()?.to_owned();
    let value = cx.offset(&argument)?;
    assign(&mut cx.settings().min_free, value)?;
    needs_zone(cx, "weir_min_free");
    Ok(())
}

fn push(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let value = one_of(cx, &[("on", true), ("off", false)])?;
    assign(&mut cx.settings().push, value)?;
    needs_zone(cx, "weir_push");
    Ok(())
}

fn push_to(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    needs_zone(cx, "weir_push_to");
    let app = cx.application()?;
    let app = AppName::parse(app.as_bytes()).map_err(|error| format!("application \"{app}\": {error}"))?;
    let arguments = cx.arguments()?;
    let url = arguments.first().ok_or("a URL is missing")?;
    let url = TargetUrl::parse(url).map_err(|error| error.to_string())?;
    let stream = match arguments.get(1) {
        None => StreamPattern::Any,
        Some(argument) => {
            let name = argument
                .strip_prefix("name=")
                .ok_or_else(|| format!("invalid parameter \"{argument}\", expected \"name=NAME\""))?;
            StreamName::parse(name.as_bytes())
                .map(StreamPattern::Name)
                .map_err(|error| format!("name \"{name}\": {error}"))?
        }
    };
    stream.check(&url).map_err(|error| error.to_string())?;
    let (target, block) = (Target::of_configuration(app, stream, url), cx.server_block());
    let targets = &mut cx.main().file_targets;
    let in_block = || targets.iter().filter(|(of, _)| *of == block).map(|(_, known)| known);
    if in_block().any(|known| known.id == target.id) {
        return Err(TWICE.to_owned());
    }
    let repeated = in_block().find(|known| known.repeats(&target)).map(|known| known.stream.clone());
    targets.push((block, target));
    if let Some(stream) = repeated {
        // Accepted, as it was in the first version; the other end refuses one of the two.
        cx.warn(&format!(
            "\"weir_push_to\": another one for \"{stream}\" pushes the same stream to the same URL"
        ));
    }
    Ok(())
}

fn push_allow(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    push_rule(cx, true)
}

fn push_deny(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    push_rule(cx, false)
}

fn push_rule(cx: &mut Cx<'_, Application>, allow: bool) -> Result<(), String> {
    let argument = cx.argument()?;
    let addresses = argument.parse().map_err(|error| format!("invalid value \"{argument}\", {error}"))?;
    cx.settings().push_rules.push(Rule { allow, addresses });
    needs_zone(cx, if allow { "weir_push_allow" } else { "weir_push_deny" });
    Ok(())
}

fn tls_verify(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    let verify = one_of(cx, &[("on", true), ("off", false)])?;
    assign(&mut cx.settings().tls_verify, verify)?;
    needs_zone(cx, "weir_tls_verify");
    if !verify {
        cx.warn(
            "weir: \"weir_tls_verify off\": anyone on the network path to an rtmps:// target can read its stream key",
        );
    }
    Ok(())
}

fn resolver(cx: &mut Cx<'_, Main>) -> Result<(), String> {
    needs_zone(cx, "weir_resolver");
    cx.add_resolver()
}

fn trusted_certificate(cx: &mut Cx<'_, Main>) -> Result<(), String> {
    let file = cx.argument()?.to_owned();
    let (path, _) = cx.read(&file, MAX_CERTIFICATES)?;
    assign(&mut cx.settings().trusted_certificate, path)?;
    needs_zone(cx, "weir_trusted_certificate");
    Ok(())
}

fn key_file(cx: &mut Cx<'_, Application>) -> Result<(), String> {
    if std::mem::replace(&mut cx.settings().key_file, true) {
        return Err(TWICE.to_owned());
    }
    needs_zone(cx, "weir_key_file");
    let file = cx.argument()?.to_owned();
    let app = cx.application()?;
    let app = AppName::parse(app.as_bytes()).map_err(|error| format!("application \"{app}\": {error}"))?;
    let (path, bytes) = cx.read(&file, MAX_KEY_FILE)?;
    let keys = key_file::parse(&app, &bytes, process::now())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let block = cx.server_block();
    cx.main().file_keys.extend(keys.into_iter().map(|key| (block, key)));
    Ok(())
}

fn api(cx: &mut Cx<'_, Location>) -> Result<(), String> {
    if std::mem::replace(&mut cx.settings().api, true) {
        return Err(TWICE.to_owned());
    }
    cx.serve_api();
    needs_zone(cx, "weir_api");
    Ok(())
}

fn stat(cx: &mut Cx<'_, Location>) -> Result<(), String> {
    let (mut format, mut full) = (None, false);
    for argument in cx.arguments()? {
        match argument {
            "full" => full = true,
            other => assign(
                &mut format,
                other.parse().map_err(|error| format!("invalid value \"{other}\", {error}"))?,
            )?,
        }
    }
    assign(&mut cx.settings().stat, (format.unwrap_or_default(), full))?;
    cx.serve_stat();
    needs_zone(cx, "weir_stat");
    Ok(())
}

fn api_token(cx: &mut Cx<'_, Location>) -> Result<(), String> {
    let file = cx.argument()?.to_owned();
    let (path, bytes) = cx.read_secret(&file)?;
    let token = bytes.trim_ascii();
    if token.len() < 16 || !token.iter().all(u8::is_ascii_graphic) {
        let path = path.display();
        return Err(format!("{path}: expected one line of at least 16 printable characters, the token"));
    }
    assign(&mut cx.settings().api_token, Digest::of(token))?;
    needs_zone(cx, "weir_api_token");
    Ok(())
}

fn assign<T>(setting: &mut Option<T>, value: T) -> Result<(), String> {
    match setting.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE.to_owned()),
    }
}

fn one_of<T: Copy, B: Block<Weir>>(cx: &Cx<'_, B>, known: &[(&str, T)]) -> Result<T, String> {
    let argument = cx.argument()?;
    known.iter().find(|(name, _)| *name == argument).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("invalid value \"{argument}\", expected {}", names.join(" or "))
    })
}

fn needs_zone<B: Block<Weir>>(cx: &mut Cx<'_, B>, directive: &'static str) {
    let place = cx.place();
    cx.main().needs_zone.get_or_insert((directive, place));
}
