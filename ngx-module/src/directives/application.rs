//! Directives of `rtmp`, `server` and `application`.

use ngx_rtmp::conf::Application;
use weir_model::{
    AppName, StreamName,
    bitrate::Limit,
    duplicate::Duplicate,
    key_file as keys,
    push::access::Rule,
    target::{StreamPattern, Target, TargetUrl},
    verdict::Policy,
};
use weir_rtmp::{gop, merge};

use super::{
    error::DirectiveError,
    reading::{Cx, assign, needs_secret, needs_zone, one_of},
};
use crate::process;

/// Largest `weir_key_file`, in bytes: half a million keys.
const MAX_KEY_FILE: u64 = 64 << 20;

pub(super) fn publish(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let policy = one_of(cx, &[("off", Policy::Off), ("key", Policy::Key), ("open", Policy::Open)])?;
    assign(&mut cx.settings().publish, policy)?;
    needs_zone(cx, "weir_publish");
    Ok(())
}

pub(super) fn play(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let needs_token = one_of(cx, &[("off", false), ("token", true)])?;
    assign(&mut cx.settings().play, needs_token)?;
    needs_zone(cx, "weir_play");
    if needs_token {
        needs_secret(cx);
    }
    Ok(())
}

pub(super) fn max_bitrate(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let arguments: Vec<String> = cx.arguments()?.into_iter().map(str::to_owned).collect();
    let (rate, rest) = arguments.split_first().ok_or(DirectiveError::Missing("rate"))?;
    let bits = |cx: &mut Cx<'_, Application>, what: &'static str, text: &str| {
        let bits = cx.offset(text).ok().filter(|bits| *bits > 0);
        let found = || text.to_owned();
        let bits = bits.ok_or_else(|| DirectiveError::Bits { what, found: found() })?;
        // A bare number of bits may be a mistake: nobody can see that its unit is missing.
        match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Err(DirectiveError::BitsWithoutUnit { what, found: found() }),
            false => Ok(bits),
        }
    };
    let mut limit = Limit { rate: bits(cx, "rate", rate)?, burst: 0 };
    if let Some(argument) = rest.first() {
        let burst = argument.strip_prefix("burst=");
        let burst = burst.ok_or_else(|| DirectiveError::parameter(argument, "\"burst=SIZE\""))?;
        limit.burst = bits(cx, "burst", burst)?;
    }
    assign(&mut cx.settings().max_bitrate, limit)?;
    needs_zone(cx, "weir_max_bitrate");
    Ok(())
}

pub(super) fn merge_write(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    const MOST_MS: u64 = 1000;
    let argument = cx.argument()?.to_owned();
    let rule = match argument.as_str() {
        "off" => None,
        time => {
            let time_ms = cx.milliseconds(time).ok().filter(|ms| *ms <= MOST_MS);
            Some(merge::Rule { time_ms: time_ms.ok_or_else(|| DirectiveError::MergeTime(time.to_owned()))? })
        }
    };
    assign(&mut cx.settings().merge_write, rule)?;
    needs_zone(cx, "weir_merge_write");
    Ok(())
}

pub(super) fn gop_cache(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    const LEAST: u64 = gop::BLOCK as u64;
    const MOST: u64 = 256 << 20;
    let argument = cx.argument()?.to_owned();
    let most = match argument.as_str() {
        "off" => None,
        size => {
            let bytes = cx.offset(size).ok().filter(|bytes| (LEAST..=MOST).contains(bytes));
            let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
            Some(bytes.ok_or_else(|| DirectiveError::GopSize(size.to_owned()))?)
        }
    };
    assign(&mut cx.settings().gop_cache, most)?;
    needs_zone(cx, "weir_gop_cache");
    Ok(())
}

pub(super) fn max_viewers(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let argument = cx.argument()?;
    let most = argument.parse().ok().filter(|most| (1..=u64::from(u32::MAX)).contains(most));
    let most = most.ok_or_else(|| DirectiveError::Number { found: argument.to_owned(), example: "500" })?;
    assign(&mut cx.settings().max_viewers, most)?;
    needs_zone(cx, "weir_max_viewers");
    Ok(())
}

pub(super) fn duplicate(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let policy = one_of(cx, &[("reject", Duplicate::Reject), ("takeover", Duplicate::Takeover)])?;
    assign(&mut cx.settings().duplicate, policy)?;
    needs_zone(cx, "weir_duplicate");
    Ok(())
}

pub(super) fn drain_timeout(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let argument = cx.argument()?.to_owned();
    let value = cx.milliseconds(&argument)?;
    assign(&mut cx.settings().drain_timeout_ms, value)?;
    needs_zone(cx, "weir_drain_timeout");
    Ok(())
}

pub(super) fn guard(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let value = one_of(cx, &[("on", true), ("off", false)])?;
    assign(&mut cx.settings().guard, value)?;
    needs_zone(cx, "weir_guard");
    Ok(())
}

pub(super) fn session_timeout(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let argument = cx.argument()?.to_owned();
    let value = cx.milliseconds(&argument)?;
    assign(&mut cx.settings().session_timeout_ms, value)?;
    needs_zone(cx, "weir_session_timeout");
    Ok(())
}

pub(super) fn idle_publisher(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let argument = cx.argument()?.to_owned();
    let value = cx.milliseconds(&argument)?;
    assign(&mut cx.settings().idle_publisher_ms, value)?;
    needs_zone(cx, "weir_idle_publisher");
    Ok(())
}

pub(super) fn limit_unauthenticated(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let argument = cx.argument()?;
    let limit = argument.parse().ok().filter(|limit| *limit > 0);
    let limit = limit.ok_or_else(|| DirectiveError::Number { found: argument.to_owned(), example: "32" })?;
    assign(&mut cx.settings().limit_unauthenticated, limit)?;
    needs_zone(cx, "weir_limit_unauthenticated");
    Ok(())
}

pub(super) fn min_free(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let argument = cx.argument()?.to_owned();
    let value = cx.offset(&argument)?;
    if (1..1024).contains(&value) {
        return Err(DirectiveError::FewBytes { found: argument, bytes: value });
    }
    assign(&mut cx.settings().min_free, value)?;
    needs_zone(cx, "weir_min_free");
    Ok(())
}

pub(super) fn push(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    let value = one_of(cx, &[("on", true), ("off", false)])?;
    assign(&mut cx.settings().push, value)?;
    needs_zone(cx, "weir_push");
    Ok(())
}

pub(super) fn push_to(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    needs_zone(cx, "weir_push_to");
    let app = cx.application()?;
    let app =
        AppName::parse(app.as_bytes()).map_err(|error| DirectiveError::Application { name: app, error })?;
    let arguments = cx.arguments()?;
    let url = arguments.first().ok_or(DirectiveError::Missing("URL"))?;
    let url = TargetUrl::parse(url)?;
    let stream = match arguments.get(1) {
        None => StreamPattern::Any,
        Some(argument) => {
            let name = argument
                .strip_prefix("name=")
                .ok_or_else(|| DirectiveError::parameter(argument, "\"name=NAME\""))?;
            StreamName::parse(name.as_bytes())
                .map(StreamPattern::Name)
                .map_err(|error| DirectiveError::Name { name: name.to_owned(), error })?
        }
    };
    stream.check(&url)?;
    let (target, block) = (Target::of_configuration(app, stream, url), cx.server_block());
    let targets = &mut cx.main().file_targets;
    let in_block = || targets.iter().filter(|(of, _)| *of == block).map(|(_, known)| known);
    if in_block().any(|known| known.id == target.id) {
        return Err(DirectiveError::Duplicate);
    }
    let repeated = in_block().find(|known| known.repeats(&target)).map(|known| known.stream.clone());
    targets.push((block, target));
    if let Some(stream) = repeated {
        // The first version of Weir accepted this, so it stays a warning; the other end refuses one of the two pushes.
        cx.warn(&format!(
            "\"weir_push_to\": another one for \"{stream}\" pushes the same stream to the same URL"
        ));
    }
    Ok(())
}

pub(super) fn push_allow(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    push_rule(cx, true)
}

pub(super) fn push_deny(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    push_rule(cx, false)
}

fn push_rule(cx: &mut Cx<'_, Application>, allow: bool) -> Result<(), DirectiveError> {
    let argument = cx.argument()?;
    let addresses =
        argument.parse().map_err(|error| DirectiveError::Addresses { found: argument.to_owned(), error })?;
    cx.settings().push_rules.push(Rule { allow, addresses });
    needs_zone(cx, if allow { "weir_push_allow" } else { "weir_push_deny" });
    Ok(())
}

pub(super) fn tls_verify(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
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

pub(super) fn key_file(cx: &mut Cx<'_, Application>) -> Result<(), DirectiveError> {
    if std::mem::replace(&mut cx.settings().key_file, true) {
        return Err(DirectiveError::Duplicate);
    }
    needs_zone(cx, "weir_key_file");
    let file = cx.argument()?.to_owned();
    let app = cx.application()?;
    let app =
        AppName::parse(app.as_bytes()).map_err(|error| DirectiveError::Application { name: app, error })?;
    let (path, bytes) = cx.read(&file, MAX_KEY_FILE)?;
    let keys =
        keys::parse(&app, &bytes, process::now()).map_err(|error| DirectiveError::KeyFile { path, error })?;
    let block = cx.server_block();
    cx.main().file_keys.extend(keys.into_iter().map(|key| (block, key)));
    Ok(())
}
