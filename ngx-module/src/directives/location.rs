//! Directives of `http`, `server` and `location`.

use std::rc::Rc;

use ngx_rtmp::{conf::Location, value::Value};
use weir_model::{AppName, Digest, StreamName, playback::uri::Layout};

use super::{
    error::DirectiveError,
    reading::{Cx, assign, needs_secret, needs_zone, one_of},
};
use crate::settings::{Counting, PlayRule, ViewersRule};

pub(super) fn play_http(cx: &mut Cx<'_, Location>) -> Result<(), DirectiveError> {
    let needs_token = one_of(cx, &[("off", false), ("token", true)])?;
    let arguments: Vec<String> = cx.arguments()?.into_iter().skip(1).map(str::to_owned).collect();
    needs_zone(cx, "weir_play");
    if !needs_token {
        return match arguments.first() {
            Some(argument) => Err(DirectiveError::OffAlone(argument.clone())),
            None => assign(&mut cx.settings().play, PlayRule::Off),
        };
    }
    needs_secret(cx);
    let (mut layout, mut stream) = (Layout::default(), None);
    for argument in &arguments {
        if !names_stream(cx, argument, &mut layout, &mut stream)? {
            return Err(DirectiveError::parameter(
                argument,
                "\"app=APP\", \"stream=VALUE\" or \"variant=SUFFIX\"",
            ));
        }
    }
    if stream.is_some() && layout.app.is_none() {
        return Err(DirectiveError::StreamWithoutApp);
    }
    cx.main().protected_over_http.push(layout.app.clone());
    assign(&mut cx.settings().play, PlayRule::Token(Rc::new(layout), stream))
}

/// Reads an argument that identifies the stream of a request. Returns whether it is such an argument.
fn names_stream(
    cx: &mut Cx<'_, Location>,
    argument: &str,
    layout: &mut Layout,
    stream: &mut Option<Value>,
) -> Result<bool, DirectiveError> {
    match argument.split_once('=').unwrap_or((argument, "")) {
        (_, "") => return Ok(false),
        ("app", app) => {
            let app = AppName::parse(app.as_bytes())
                .map_err(|error| DirectiveError::App { name: app.to_owned(), error })?;
            assign(&mut layout.app, app.to_string())?;
        }
        ("stream", value) => assign(stream, cx.value(value)?)?,
        ("variant", suffix) => {
            StreamName::parse(format!("x{suffix}").as_bytes())
                .map_err(|error| DirectiveError::Variant { suffix: suffix.to_owned(), error })?;
            layout.variants.push(suffix.to_owned());
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn viewers(cx: &mut Cx<'_, Location>) -> Result<(), DirectiveError> {
    const USUAL_WINDOW_MS: u64 = 30_000;
    let arguments: Vec<String> = cx.arguments()?.into_iter().map(str::to_owned).collect();
    needs_zone(cx, "weir_viewers");
    if let [first, rest @ ..] = arguments.as_slice()
        && first == "off"
    {
        return match rest.first() {
            Some(argument) => Err(DirectiveError::OffAlone(argument.clone())),
            None => assign(&mut cx.settings().viewers, ViewersRule::Off),
        };
    }
    let (mut layout, mut stream, mut window) = (Layout::default(), None, None);
    for (at, argument) in arguments.iter().enumerate() {
        if let Some(time) = argument.strip_prefix("window=") {
            assign(&mut window, viewers_window(cx, time)?)?;
        } else if !(at == 0 && argument == "on" || names_stream(cx, argument, &mut layout, &mut stream)?) {
            return Err(DirectiveError::parameter(
                argument,
                "\"app=APP\", \"stream=VALUE\", \"variant=SUFFIX\", \"window=TIME\", \"on\" or \"off\"",
            ));
        }
    }
    if stream.is_some() && layout.app.is_none() {
        return Err(DirectiveError::StreamWithoutApp);
    }
    let window_ms = window.unwrap_or(USUAL_WINDOW_MS);
    let counting = Counting { layout, stream, window_ms };
    assign(&mut cx.settings().viewers, ViewersRule::Count(Rc::new(counting)))
}

/// Reads the window. A player sends one request per segment, so less than a second counts no viewer, and more than an hour counts viewers
/// who have left.
fn viewers_window(cx: &mut Cx<'_, Location>, time: &str) -> Result<u64, DirectiveError> {
    const HOUR_MS: u64 = 3_600_000;
    let wrong = || DirectiveError::Window(time.to_owned());
    let window_ms = cx.milliseconds(time).map_err(|_| wrong())?;
    if (1000..=HOUR_MS).contains(&window_ms) { Ok(window_ms) } else { Err(wrong()) }
}

pub(super) fn api(cx: &mut Cx<'_, Location>) -> Result<(), DirectiveError> {
    if std::mem::replace(&mut cx.settings().api, true) {
        return Err(DirectiveError::Duplicate);
    }
    if cx.settings().stat.is_some() {
        return Err(DirectiveError::OneAnswer("weir_stat"));
    }
    cx.serve_api();
    needs_zone(cx, "weir_api");
    Ok(())
}

pub(super) fn stat(cx: &mut Cx<'_, Location>) -> Result<(), DirectiveError> {
    if cx.settings().api {
        return Err(DirectiveError::OneAnswer("weir_api"));
    }
    let (mut format, mut full) = (None, false);
    for argument in cx.arguments()? {
        match argument {
            "full" => full = true,
            other => assign(
                &mut format,
                other.parse().map_err(|error| DirectiveError::Format { found: other.to_owned(), error })?,
            )?,
        }
    }
    assign(&mut cx.settings().stat, (format.unwrap_or_default(), full))?;
    cx.serve_stat();
    needs_zone(cx, "weir_stat");
    Ok(())
}

pub(super) fn api_token(cx: &mut Cx<'_, Location>) -> Result<(), DirectiveError> {
    let file = cx.argument()?.to_owned();
    let (path, bytes) = cx.read_secret(&file)?;
    let token = bytes.trim_ascii();
    if token.len() < 16 || !token.iter().all(u8::is_ascii_graphic) {
        return Err(DirectiveError::Token(path));
    }
    assign(&mut cx.settings().api_token, Digest::of(token))?;
    needs_zone(cx, "weir_api_token");
    Ok(())
}
