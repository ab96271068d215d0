//! The directives: each parses its arguments and assigns them to the settings of its block.

use std::ffi::CStr;

use weir_model::{
    AppName, Digest, StreamName,
    duplicate::Duplicate,
    key_file,
    push::access::Rule,
    state_file::{self, State},
    target::{StreamPattern, Target, TargetUrl},
    token::Signer,
    verdict::Policy,
};

use crate::{
    ffi::{
        conf::{Block, Context, Directive, context},
        process,
    },
    settings::{AppSettings, LocationSettings, MainSettings},
};

/// Declares a directive.
macro_rules! directive {
    ($(#[$doc:meta])* $type:ident($settings:ty) $name:literal, $context:expr, $block:ident, $set:expr) => {
        $(#[$doc])*
        pub struct $type;

        impl Directive for $type {
            type Settings = $settings;
            const NAME: &'static CStr = $name;
            const CONTEXT: usize = $context;
            const BLOCK: Block = Block::$block;
            fn set(settings: &mut $settings, cx: &mut Context<'_>) -> Result<(), String> {
                let set: fn(&mut $settings, &mut Context<'_>) -> Result<(), String> = $set;
                set(settings, cx)
            }
        }
    };
}

directive!(
    /// `weir_zone SIZE [state=FILE];`
    WeirZone(MainSettings) c"weir_zone", context::MAIN | context::ONE_OR_TWO, Main, zone
);
directive!(
    /// `weir_secret FILE;`
    WeirSecret(MainSettings) c"weir_secret", context::MAIN | context::ONE, Main, secret
);
directive!(
    /// `weir_publish off | key | open;`
    WeirPublish(AppSettings) c"weir_publish", context::RTMP | context::ONE, Application, publish
);
directive!(
    /// `weir_key_file FILE;`
    WeirKeyFile(AppSettings) c"weir_key_file", context::APPLICATION | context::ONE, Application, key_file
);
directive!(
    /// `weir_duplicate reject | takeover;`
    WeirDuplicate(AppSettings) c"weir_duplicate", context::RTMP | context::ONE, Application, duplicate
);
directive!(
    /// `weir_drain_timeout TIME;`
    WeirDrainTimeout(AppSettings) c"weir_drain_timeout", context::RTMP_SERVER | context::ONE, Application, drain_timeout
);
directive!(
    /// `weir_guard on | off;`
    WeirGuard(AppSettings) c"weir_guard", context::RTMP_SERVER | context::ONE, Application, guard
);
directive!(
    /// `weir_session_timeout TIME;`
    WeirSessionTimeout(AppSettings) c"weir_session_timeout", context::RTMP_SERVER | context::ONE, Application,
    session_timeout
);
directive!(
    /// `weir_idle_publisher TIME;`
    WeirIdlePublisher(AppSettings) c"weir_idle_publisher", context::RTMP | context::ONE, Application,
    idle_publisher
);
directive!(
    /// `weir_limit_unauthenticated N;`
    WeirLimitUnauthenticated(AppSettings) c"weir_limit_unauthenticated", context::RTMP_SERVER | context::ONE,
    Application, limit_unauthenticated
);
directive!(
    /// `weir_min_free SIZE;`
    WeirMinFree(AppSettings) c"weir_min_free", context::APPLICATION | context::ONE, Application, min_free
);
directive!(
    /// `weir_push on | off;`
    WeirPush(AppSettings) c"weir_push", context::RTMP | context::ONE, Application, push
);
directive!(
    /// `weir_push_to URL [name=NAME];`
    WeirPushTo(AppSettings) c"weir_push_to", context::APPLICATION | context::ONE_OR_TWO, Application, push_to
);
directive!(
    /// `weir_push_allow CIDR | all;`
    WeirPushAllow(AppSettings) c"weir_push_allow", context::RTMP | context::ONE, Application, push_allow
);
directive!(
    /// `weir_push_deny CIDR | all;`
    WeirPushDeny(AppSettings) c"weir_push_deny", context::RTMP | context::ONE, Application, push_deny
);
directive!(
    /// `weir_tls_verify on | off;`
    WeirTlsVerify(AppSettings) c"weir_tls_verify", context::RTMP | context::ONE, Application, tls_verify
);
directive!(
    /// `weir_resolver ADDRESS ... [valid=TIME] [ipv6=on|off];`
    WeirResolver(MainSettings) c"weir_resolver", context::MAIN | context::ONE_OR_MORE, Main, resolver
);
directive!(
    /// `weir_trusted_certificate FILE;`
    WeirTrustedCertificate(MainSettings) c"weir_trusted_certificate", context::MAIN | context::ONE, Main,
    trusted_certificate
);
directive!(
    /// `weir_api;`
    WeirApi(LocationSettings) c"weir_api", context::LOCATION | context::NONE, Location, api
);
directive!(
    /// `weir_stat [html|xml|json|prometheus] [full];`
    WeirStat(LocationSettings) c"weir_stat", context::LOCATION | context::UP_TO_TWO, Location, stat
);
directive!(
    /// `weir_api_token FILE;`
    WeirApiToken(LocationSettings) c"weir_api_token", context::HTTP | context::ONE, Location, api_token
);

const TWICE: &str = "the directive is duplicate";

fn zone(settings: &mut MainSettings, cx: &mut Context<'_>) -> Result<(), String> {
    if settings.zone_size != 0 {
        return Err(TWICE.to_owned());
    }
    let arguments: Vec<String> = cx.arguments()?.into_iter().map(str::to_owned).collect();
    let (size, rest) = arguments.split_first().ok_or("a size is missing")?;
    settings.zone_size = cx.size(size)?;
    if settings.zone_size < weir_zone::MIN_SIZE {
        let least = weir_zone::MIN_SIZE / 1024;
        return Err(format!("size \"{size}\" is too small, the least is \"{least}k\""));
    }
    for argument in rest {
        let file = argument.strip_prefix("state=").filter(|file| !file.is_empty());
        let file =
            file.ok_or_else(|| format!("invalid parameter \"{argument}\", expected \"state=FILE\""))?;
        let path = cx.path(file)?;
        settings.state = read_state(&path)?;
        settings.state_path = Some(path);
    }
    settings.place = cx.place();
    let size = settings.zone_size;
    cx.add_zone(size, settings)
}

/// The state file, `None` when there is none yet.
fn read_state(path: &std::path::Path) -> Result<Option<(State, Digest)>, String> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let state = State::decode(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(Some((state, state_file::content(&bytes))))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn secret(settings: &mut MainSettings, cx: &mut Context<'_>) -> Result<(), String> {
    if settings.signer.is_some() {
        return Err(TWICE.to_owned());
    }
    let file = cx.argument()?.to_owned();
    let (path, bytes) = cx.read_secret(&file)?;
    let signer = Signer::new(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    settings.signer = Some(signer);
    settings.needs_zone.get_or_insert(("weir_secret", cx.place()));
    Ok(())
}

fn publish(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let policy = one_of(cx, &[("off", Policy::Off), ("key", Policy::Key), ("open", Policy::Open)])?;
    assign(&mut settings.publish, policy)?;
    needs_zone(cx, "weir_publish");
    Ok(())
}

fn duplicate(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let policy = one_of(cx, &[("reject", Duplicate::Reject), ("takeover", Duplicate::Takeover)])?;
    assign(&mut settings.duplicate, policy)?;
    needs_zone(cx, "weir_duplicate");
    Ok(())
}

fn drain_timeout(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let argument = cx.argument()?.to_owned();
    assign(&mut settings.drain_timeout_ms, cx.milliseconds(&argument)?)?;
    needs_zone(cx, "weir_drain_timeout");
    Ok(())
}

fn guard(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    assign(&mut settings.guard, one_of(cx, &[("on", true), ("off", false)])?)?;
    needs_zone(cx, "weir_guard");
    Ok(())
}

fn session_timeout(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let argument = cx.argument()?.to_owned();
    assign(&mut settings.session_timeout_ms, cx.milliseconds(&argument)?)?;
    needs_zone(cx, "weir_session_timeout");
    Ok(())
}

fn idle_publisher(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let argument = cx.argument()?.to_owned();
    assign(&mut settings.idle_publisher_ms, cx.milliseconds(&argument)?)?;
    needs_zone(cx, "weir_idle_publisher");
    Ok(())
}

fn limit_unauthenticated(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let argument = cx.argument()?;
    let limit = argument.parse().ok().filter(|limit| *limit > 0);
    let limit = limit.ok_or_else(|| format!("invalid number \"{argument}\", expected for example \"32\""))?;
    assign(&mut settings.limit_unauthenticated, limit)?;
    needs_zone(cx, "weir_limit_unauthenticated");
    Ok(())
}

fn min_free(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let argument = cx.argument()?.to_owned();
    assign(&mut settings.min_free, cx.offset(&argument)?)?;
    needs_zone(cx, "weir_min_free");
    Ok(())
}

fn push(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    assign(&mut settings.push, one_of(cx, &[("on", true), ("off", false)])?)?;
    needs_zone(cx, "weir_push");
    Ok(())
}

fn push_to(_settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
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
    if targets.iter().any(|(of, known)| *of == block && known.id == target.id) {
        return Err(TWICE.to_owned());
    }
    targets.push((block, target));
    Ok(())
}

fn push_allow(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    push_rule(settings, cx, true)
}

fn push_deny(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    push_rule(settings, cx, false)
}

fn push_rule(settings: &mut AppSettings, cx: &mut Context<'_>, allow: bool) -> Result<(), String> {
    let argument = cx.argument()?;
    let addresses = argument.parse().map_err(|error| format!("invalid value \"{argument}\", {error}"))?;
    settings.push_rules.push(Rule { allow, addresses });
    needs_zone(cx, if allow { "weir_push_allow" } else { "weir_push_deny" });
    Ok(())
}

fn tls_verify(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let verify = one_of(cx, &[("on", true), ("off", false)])?;
    assign(&mut settings.tls_verify, verify)?;
    needs_zone(cx, "weir_tls_verify");
    if !verify {
        cx.warn(
            "weir: \"weir_tls_verify off\": anyone on the network path to an rtmps:// target can read its stream key",
        );
    }
    Ok(())
}

fn resolver(settings: &mut MainSettings, cx: &mut Context<'_>) -> Result<(), String> {
    settings.needs_zone.get_or_insert(("weir_resolver", cx.place()));
    cx.add_resolver(settings)
}

fn trusted_certificate(settings: &mut MainSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let file = cx.argument()?.to_owned();
    let (path, _) = cx.read(&file)?;
    assign(&mut settings.trusted_certificate, path)?;
    settings.needs_zone.get_or_insert(("weir_trusted_certificate", cx.place()));
    Ok(())
}

fn key_file(settings: &mut AppSettings, cx: &mut Context<'_>) -> Result<(), String> {
    if std::mem::replace(&mut settings.key_file, true) {
        return Err(TWICE.to_owned());
    }
    needs_zone(cx, "weir_key_file");
    let file = cx.argument()?.to_owned();
    let app = cx.application()?;
    let app = AppName::parse(app.as_bytes()).map_err(|error| format!("application \"{app}\": {error}"))?;
    let (path, bytes) = cx.read(&file)?;
    let keys = key_file::parse(&app, &bytes, process::now())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let block = cx.server_block();
    cx.main().file_keys.extend(keys.into_iter().map(|key| (block, key)));
    Ok(())
}

fn api(settings: &mut LocationSettings, cx: &mut Context<'_>) -> Result<(), String> {
    if std::mem::replace(&mut settings.api, true) {
        return Err(TWICE.to_owned());
    }
    cx.serve_api();
    needs_zone(cx, "weir_api");
    Ok(())
}

fn stat(settings: &mut LocationSettings, cx: &mut Context<'_>) -> Result<(), String> {
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
    assign(&mut settings.stat, (format.unwrap_or_default(), full))?;
    cx.serve_stat();
    needs_zone(cx, "weir_stat");
    Ok(())
}

fn api_token(settings: &mut LocationSettings, cx: &mut Context<'_>) -> Result<(), String> {
    let file = cx.argument()?.to_owned();
    let (path, bytes) = cx.read_secret(&file)?;
    let token = bytes.trim_ascii();
    if token.len() < 16 || !token.iter().all(u8::is_ascii_graphic) {
        let path = path.display();
        return Err(format!("{path}: expected one line of at least 16 printable characters, the token"));
    }
    assign(&mut settings.api_token, Digest::of(token))?;
    needs_zone(cx, "weir_api_token");
    Ok(())
}

fn assign<T>(setting: &mut Option<T>, value: T) -> Result<(), String> {
    match setting.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE.to_owned()),
    }
}

fn one_of<T: Copy>(cx: &Context<'_>, known: &[(&str, T)]) -> Result<T, String> {
    let argument = cx.argument()?;
    known.iter().find(|(name, _)| *name == argument).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("invalid value \"{argument}\", expected {}", names.join(" or "))
    })
}

fn needs_zone(cx: &mut Context<'_>, directive: &'static str) {
    let place = cx.place();
    cx.main().needs_zone.get_or_insert((directive, place));
}
