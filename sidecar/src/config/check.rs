//! From what was written to what holds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use weir_model::{AppName, StreamName};

use super::raw::{self, Number, Text};
use super::rungs::{self, Encoder, Ladder, Rung, RungKind};
use super::{
    Config, Daemon, Delivery, Files, Jobs, LogFormat, Nginx, RtmpServer, Rule, StreamPattern, ToRtmp, hooks,
    notify, record, slate,
};
use crate::cli::values::{Bitrate, Span};

/// What is wrong, and the byte of the file where.
#[derive(Debug)]
pub struct Problem {
    pub at: usize,
    pub what: String,
}

/// As for the command line.
const DEFAULT_API: &str = "http://127.0.0.1:8080/api";

pub(super) type Checked<T> = Result<T, Problem>;

/// The whole file.
pub fn config(file: raw::File) -> Checked<Config> {
    let rungs = all_rungs(file.rung)?;
    let ladders = all_ladders(file.ladder, &rungs)?;
    let rules: Vec<Rule> =
        file.stream.into_iter().map(|written| rule(written, &ladders)).collect::<Checked<_>>()?;
    let uploads = record::uploads(file.upload)?;
    Ok(Config {
        nginx: nginx(file.nginx)?,
        daemon: daemon(file.daemon)?,
        jobs: jobs(file.jobs)?,
        restart_stuck_worker: stuck(&file.health.restart_stuck_worker)?,
        rules,
        hooks: hooks::hooks(file.hooks)?,
        notify: notify::notify(file.notify)?,
        records: record::records(file.record, &uploads)?,
        thumbnails: record::thumbnails(file.thumbnail)?,
        slate: slate::slate(file.slate)?,
    })
}

pub(super) fn problem<T>(at: &Spanned<impl Sized>, what: impl Into<String>) -> Checked<T> {
    Err(Problem { at: at.span().start, what: what.into() })
}

/// The text understood, or `default` where there is none.
pub(super) fn text_or<T>(
    key: &str,
    text: &Text,
    default: impl FnOnce() -> T,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Checked<T> {
    match text {
        None => Ok(default()),
        Some(text) => {
            parse(text.get_ref()).or_else(|why| problem(text, format!("{key} = {:?}: {why}", text.get_ref())))
        }
    }
}

pub(super) fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A length of time from `least` to `most`.
pub(super) fn time(key: &str, text: &Text, default: u64, least: u64, most: u64) -> Checked<Duration> {
    text_or(
        key,
        text,
        || Duration::from_secs(default),
        |text| match parsed::<Span>(text)? {
            span if (least..=most).contains(&span.seconds()) => Ok(span.0),
            _ => Err(format!("must be from {least}s to {most}s")),
        },
    )
}

pub(super) fn number(key: &str, number: &Number, default: u32, least: u32, most: u32) -> Checked<u32> {
    let Some(written) = number else { return Ok(default) };
    match u32::try_from(*written.get_ref()) {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => problem(written, format!("{key} = {}: must be from {least} to {most}", written.get_ref())),
    }
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') { Ok(text.into()) } else { Err("write a path that begins with /".into()) }
}

fn nginx(raw: raw::Nginx) -> Checked<Nginx> {
    let api = raw.api.unwrap_or_else(|| Spanned::new(0..0, DEFAULT_API.to_owned()));
    Ok(Nginx {
        api: parsed(api.get_ref())
            .or_else(|why| problem(&api, format!("api = {:?}: {why}", api.get_ref())))?,
        api_token_file: text_or(
            "api_token_file",
            &raw.api_token_file,
            || None,
            |text| absolute(text).map(Some),
        )?,
        rtmp: text_or(
            "rtmp",
            &raw.rtmp,
            || RtmpServer { host: "127.0.0.1".into(), port: 1935 },
            rtmp_server,
        )?,
    })
}

fn rtmp_server(text: &str) -> Result<RtmpServer, String> {
    const HOW: &str = "write it as rtmp://127.0.0.1:1935, without an application";
    let place = text.strip_prefix("rtmp://").ok_or(HOW)?.trim_end_matches('/');
    // An IPv6 address has colons of its own.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().map_err(|_| HOW)?),
        _ => (place, 1935),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || port == 0 || !host.bytes().all(fits) {
        return Err(HOW.into());
    }
    Ok(RtmpServer { host: host.into(), port })
}

fn daemon(raw: raw::Daemon) -> Checked<Daemon> {
    let listen = |text: &str| match text {
        "off" => Ok(None),
        _ => text
            .parse::<SocketAddr>()
            .map(Some)
            .map_err(|_| "write it as 127.0.0.1:8091, or \"off\"".to_owned()),
    };
    let log = |text: &str| match text {
        "auto" => Ok(LogFormat::Auto),
        "journald" => Ok(LogFormat::Journald),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be \"auto\", \"journald\", \"text\" or \"json\"".to_owned()),
    };
    let level = |text: &str| match text {
        "error" => Ok(tracing::Level::ERROR),
        "warn" => Ok(tracing::Level::WARN),
        "info" => Ok(tracing::Level::INFO),
        "debug" => Ok(tracing::Level::DEBUG),
        _ => Err("must be \"error\", \"warn\", \"info\" or \"debug\"".to_owned()),
    };
    Ok(Daemon {
        listen: text_or("listen", &raw.listen, || Some(SocketAddr::from(([127, 0, 0, 1], 8091))), listen)?,
        socket: text_or("socket", &raw.socket, || "/run/weir/weir.sock".into(), socket)?,
        log: text_or("log", &raw.log, || LogFormat::Auto, log)?,
        log_level: text_or("log_level", &raw.log_level, || tracing::Level::INFO, level)?,
        public_name: text_or("public_name", &raw.public_name, || None, |text| parsed(text).map(Some))?,
    })
}

/// ffmpeg's sockets are in a folder beside it, and the system allows 107 bytes for a socket's path.
fn socket(text: &str) -> Result<PathBuf, String> {
    if text.len() > 80 {
        return Err("must be a path of at most 80 bytes".into());
    }
    absolute(text)
}

/// `off`, or how long a worker may hang.
fn stuck(written: &Text) -> Checked<Option<Duration>> {
    match written {
        None => Ok(None),
        Some(text) if text.get_ref() == "off" => Ok(None),
        Some(_) => time("restart_stuck_worker", written, 30, 5, 600).map(Some),
    }
}

fn jobs(raw: raw::Jobs) -> Checked<Jobs> {
    let program = |text: &str| {
        if text.is_empty() { Err("write a program, such as \"ffmpeg\"".to_owned()) } else { Ok(text.into()) }
    };
    Ok(Jobs {
        ffmpeg: text_or("ffmpeg", &raw.ffmpeg, || "ffmpeg".into(), program)?,
        max_processes: number("max_processes", &raw.max_processes, 64, 1, 10_000)? as usize,
        nice: u8::try_from(number("nice", &raw.nice, 5, 0, 19)?).unwrap_or(19),
        stall: time("stall", &raw.stall, 10, 2, 600)?,
        grace: time("grace", &raw.grace, 5, 1, 60)?,
        backoff_max: time("backoff_max", &raw.backoff_max, 60, 1, 3600)?,
        healthy: time("healthy", &raw.healthy, 60, 1, 3600)?,
    })
}

/// Those of the file, and those presets that the file does not replace.
fn all_rungs(written: BTreeMap<Spanned<String>, raw::Rung>) -> Checked<BTreeMap<String, Rung>> {
    let mut rungs = rungs::presets();
    for (name, rung) in written {
        check_name("rung", &name)?;
        if name.get_ref() == "source" {
            return problem(
                &name,
                "[rung.source]: this name stands for what the publisher sends; choose another one",
            );
        }
        let bitrate = |default: Option<u64>| match (&rung.bitrate, default) {
            (None, None) => {
                problem(&name, format!("[rung.{}]: bitrate is missing, such as \"1400k\"", name.get_ref()))
            }
            (None, Some(default)) => Ok(default),
            (Some(_), _) => {
                text_or("bitrate", &rung.bitrate, || 0, |text| parsed::<Bitrate>(text).map(|rate| rate.0))
            }
        };
        let kind = if rung.audio_only {
            RungKind::Audio { bitrate: bitrate(Some(64_000))? }
        } else {
            let Some(_) = &rung.height else {
                return problem(&name, format!("[rung.{}]: height is missing, such as 480", name.get_ref()));
            };
            let height = number("height", &rung.height, 0, 16, 8192)?;
            if height % 2 == 1 {
                return problem(&name, format!("height = {height}: must be even"));
            }
            let max_fps =
                rung.max_fps.as_ref().map(|_| number("max_fps", &rung.max_fps, 0, 1, 240)).transpose()?;
            RungKind::Video { height, bitrate: bitrate(None)?, max_fps }
        };
        rungs.insert(name.get_ref().clone(), Rung { name: name.get_ref().clone(), kind });
    }
    Ok(rungs)
}

/// It becomes part of URLs and of stream names.
pub(super) fn check_name(what: &str, name: &Spanned<String>) -> Checked<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.get_ref().is_empty() || name.get_ref().len() > 32 || !name.get_ref().bytes().all(fits) {
        return problem(name, format!("[{what}.{}]: a name has 1 to 32 of A-Z a-z 0-9 -", name.get_ref()));
    }
    Ok(())
}

fn all_ladders(
    written: BTreeMap<Spanned<String>, raw::Ladder>,
    rungs: &BTreeMap<String, Rung>,
) -> Checked<BTreeMap<String, Ladder>> {
    let mut ladders = BTreeMap::new();
    for (name, raw) in written {
        check_name("ladder", &name)?;
        let ladder = ladder(&name, raw, rungs)?;
        ladders.insert(name.into_inner(), ladder);
    }
    Ok(ladders)
}

fn ladder(name: &Spanned<String>, raw: raw::Ladder, rungs: &BTreeMap<String, Rung>) -> Checked<Ladder> {
    let Some(names) = &raw.rungs else {
        return problem(
            name,
            format!("[ladder.{}]: rungs are missing, such as [\"source\", \"480p\"]", name.get_ref()),
        );
    };
    let mut chosen: Vec<Rung> = Vec::new();
    for name in names.get_ref() {
        let Some(rung) = rungs.get(name.get_ref()) else {
            let known: Vec<_> = rungs.keys().map(|known| format!("{known:?}")).collect();
            return problem(
                name,
                format!("rungs: no rung {:?}; there are {}", name.get_ref(), known.join(", ")),
            );
        };
        if chosen.iter().any(|other| other.name == rung.name) {
            return problem(name, format!("rungs: {:?} stands here twice", name.get_ref()));
        }
        chosen.push(rung.clone());
    }
    if chosen.is_empty() {
        return problem(names, "rungs: at least one is needed, such as [\"source\", \"480p\"]");
    }
    let encoder = |text: &str| {
        let known = Encoder::ALL.map(|encoder| format!("{:?}", encoder.name())).join(", ");
        Encoder::ALL
            .into_iter()
            .find(|encoder| encoder.name() == text)
            .ok_or(format!("must be one of {known}"))
    };
    let word = |text: &str| match text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !text.is_empty() {
        true => Ok(Some(text.to_owned())),
        false => Err("write a preset of the encoder, such as \"veryfast\"".to_owned()),
    };
    let encoder = text_or("encoder", &raw.encoder, || Encoder::X264, encoder)?;
    Ok(Ladder {
        rungs: chosen,
        encoder,
        preset: text_or(
            "preset",
            &raw.preset,
            || (encoder == Encoder::X264).then(|| "veryfast".into()),
            word,
        )?,
        keyframe: time("keyframe", &raw.keyframe, 2, 1, 10)?,
    })
}

fn rule(written: Spanned<raw::Stream>, ladders: &BTreeMap<String, Ladder>) -> Checked<Rule> {
    let here = Spanned::new(written.span(), ());
    let raw = written.into_inner();
    let missing = |key: &str, example: &str| Problem {
        at: here.span().start,
        what: format!("[[stream]]: {key} is missing, such as {key} = {example}"),
    };
    let app: Option<AppName> = text_or("app", &raw.app, || None, |text| parsed(text).map(Some))?;
    let app = app.ok_or_else(|| missing("app", "\"live\""))?;
    let stream = text_or("stream", &raw.stream, || None, |text| pattern(text).map(Some))?;
    let stream = stream.ok_or_else(|| missing("stream", "\"*\""))?;
    let ladder = text_or(
        "ladder",
        &raw.ladder,
        || None,
        |text| match ladders.get(text) {
            Some(ladder) => Ok(Some(ladder.clone())),
            None => Err(format!("there is no [ladder.{text}] in this file")),
        },
    )?;
    let ladder = ladder.ok_or_else(|| missing("ladder", "\"two\", and [ladder.two] beside it"))?;
    let to_files = match raw.deliver.as_ref().map(|text| (text, text.get_ref().as_str())) {
        None | Some((_, "files")) => true,
        Some((_, "rtmp")) => false,
        Some((text, other)) => {
            return problem(text, format!("deliver = {other:?}: must be \"files\" or \"rtmp\""));
        }
    };
    only_what_belongs(&raw, to_files)?;
    let delivery = if to_files {
        let folder = text_or("folder", &raw.folder, || "/var/lib/weir/media".into(), absolute)?;
        let segment = time("segment", &raw.segment, 2, 1, 30)?;
        let window = time("window", &raw.window, 20, 4, 86_400)?;
        if window < segment * 3 {
            let at = raw.window.as_ref().or(raw.segment.as_ref()).map_or(0, |text| text.span().start);
            return Err(Problem { at, what: "window: must be at least three times segment".into() });
        }
        let linger = time("linger", &raw.linger, 10, 0, 600)?;
        Delivery::Files(Files {
            folder,
            segment,
            window,
            linger,
            keep: time("keep", &raw.keep, 60, 0, 86_400)?,
        })
    } else {
        Delivery::Rtmp(to_rtmp(&raw, &app)?.ok_or_else(|| missing("to_app", "\"ladder\" (and secret_file)"))?)
    };
    Ok(Rule { app, stream, ladder, delivery })
}

fn to_rtmp(raw: &raw::Stream, from: &AppName) -> Checked<Option<ToRtmp>> {
    let app: Option<AppName> = text_or("to_app", &raw.to_app, || None, |text| parsed(text).map(Some))?;
    let secret = text_or("secret_file", &raw.secret_file, || None, |text| absolute(text).map(Some))?;
    let (Some(app), Some(secret_file)) = (app, secret) else { return Ok(None) };
    if app == *from {
        let at = raw.to_app.as_ref().map_or(0, |text| text.span().start);
        let what = format!(
            "to_app = \"{app}\": renditions would be transcoded again; another application is needed"
        );
        return Err(Problem { at, what });
    }
    Ok(Some(ToRtmp { app, secret_file }))
}

/// A key that would do nothing is a mistake.
fn only_what_belongs(raw: &raw::Stream, to_files: bool) -> Checked<()> {
    let of_files = [
        ("folder", &raw.folder),
        ("segment", &raw.segment),
        ("window", &raw.window),
        ("linger", &raw.linger),
        ("keep", &raw.keep),
    ];
    let of_rtmp = [("to_app", &raw.to_app), ("secret_file", &raw.secret_file)];
    let (foreign, other) = if to_files { (&of_rtmp[..], "rtmp") } else { (&of_files[..], "files") };
    for (key, value) in foreign {
        if let Some(value) = value {
            return problem(value, format!("{key}: only goes with deliver = \"{other}\""));
        }
    }
    Ok(())
}

pub(super) fn pattern(text: &str) -> Result<StreamPattern, String> {
    match text.strip_suffix('*') {
        Some("") => Ok(StreamPattern::Prefix(String::new())),
        Some(prefix) => match prefix.parse::<StreamName>() {
            Ok(_) => Ok(StreamPattern::Prefix(prefix.into())),
            Err(error) => Err(format!("{error}; write a name, the beginning of names as \"cam*\", or \"*\"")),
        },
        None => parsed(text).map(StreamPattern::Exactly),
    }
}
