//! The life of a configuration: read, checked, and in force.

use std::path::{Component, Path, PathBuf};

use ngx_rtmp::{
    blocks::{Application, Block, Listen, Settings, USUAL_TIMEOUT_MS},
    cycle::{Checked, Start, Takeover, TlsError},
    log::Level,
    neighbours::{AccessRule, Exec},
    process,
    zone::Memory,
};
use weir_model::{
    Digest, Server, ServerAddr,
    access::{Addresses, Rule},
    exec::Uses,
    lint::small_stack,
    push::hosts,
    server::ServerBlock,
};

use crate::{
    advice, process as this, push, runtime,
    session::Session,
    settings::{Allowed, AppSettings, ApplicationFacts, MainSettings},
    state::{self, load::LoadError},
    weir::Weir,
    zone::{self, SharedZone, View, ZoneError},
};

/// The CAs of Debian, Fedora and Alpine: read at once, so that no worker reads them later.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The `server` blocks have been read: their applications' settings learn what stands around them.
pub fn learn(main: &mut MainSettings, blocks: &mut [Block<'_, Weir>]) {
    let mut facts = Vec::new();
    let mut servers = Vec::new();
    for block in blocks {
        let listen = block.listen.iter().map(|listen| match listen {
            Listen::Socket(addr) => ServerAddr::of_socket(*addr),
            Listen::Unix(path) => ServerAddr::of_unix(path),
        });
        let server = Server::new(listen);
        let timeout_ms = block.timeout_ms;
        // Of the server itself, for clients that have not named an application.
        if let Some(settings) = &mut block.defaults {
            learn_server(settings, &server, timeout_ms);
        }
        for app in &mut block.applications {
            learn_application(app, &server, timeout_ms);
            facts.extend(facts_of(app));
        }
        let names = block.applications.iter().filter_map(|app| app.name.map(str::to_owned)).collect();
        servers.push((block.mark, ServerBlock { server, applications: names }));
    }
    main.learn_servers(servers);
    main.application_facts = facts;
}

fn learn_server(settings: &mut Settings<'_, Weir>, server: &Server, timeout_ms: u64) {
    settings.own.server = server.clone();
    // An explicit value of the admin wins over a default of Weir.
    settings.own.allowed = Allowed {
        idle_publisher_ms: settings.idle_publisher_ms,
        silence_ms: (timeout_ms != USUAL_TIMEOUT_MS).then_some(timeout_ms),
    };
}

fn learn_application(app: &mut Application<'_, Weir>, server: &Server, timeout_ms: u64) {
    let Some(settings) = &mut app.settings else { return };
    learn_server(settings, server, timeout_ms);
    settings.own.folders = app.folders.iter().map(|(kind, folder)| number(kind, folder)).collect();
    settings.own.exec = uses(&app.exec);
    settings.own.access = app.access.iter().filter_map(rule).collect();
}

fn facts_of(app: &Application<'_, Weir>) -> Option<ApplicationFacts> {
    let settings = app.settings.as_ref().map(|settings| &*settings.own);
    Some(ApplicationFacts {
        name: app.name?.to_owned(),
        publish: settings.map(AppSettings::publish).unwrap_or_default(),
        push: settings.is_some_and(AppSettings::push),
        play: settings.is_some_and(AppSettings::play_needs_token),
        dash: app.folders.iter().any(|(kind, _)| *kind == "dash_path"),
        max_viewers: settings.and_then(|settings| settings.max_viewers),
    })
}

/// A folder as a number that every process has for it. Slashes at the end and dots make no other folder.
fn number(kind: &str, folder: &Path) -> u64 {
    let parts: Vec<_> = folder.components().filter(|part| *part != Component::CurDir).collect();
    let text = format!("{kind} {}", parts.iter().collect::<PathBuf>().display());
    Digest::of(text.as_bytes()).bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Where nobody can tell, the worst is assumed.
fn uses(exec: &Exec) -> Uses {
    match exec {
        Exec::Words(words) => {
            let mut uses = Uses::default();
            words.iter().for_each(|word| uses.add(word));
            uses
        }
        Exec::Unknown => Uses::ALL,
    }
}

fn rule(line: &AccessRule) -> Option<Rule> {
    let addresses = match line.network {
        (std::net::IpAddr::V4(addr), std::net::IpAddr::V4(mask)) => Addresses::V4 { addr, mask },
        (std::net::IpAddr::V6(addr), std::net::IpAddr::V6(mask)) => Addresses::V6 { addr, mask },
        _ => return None,
    };
    Some(Rule { addresses, deny: line.deny, publish: line.publish, play: line.play })
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A directive needs the zone.
    #[error(
        "\"{directive}\" needs a zone: add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" outside of all blocks in {place}"
    )]
    NeedsZone {
        /// Its name.
        directive: &'static str,
        /// Its file and line.
        place: String,
    },
    /// `weir_play token` needs the secret.
    #[error("\"weir_play token\" needs a secret: add \"weir_secret FILE;\" outside of all blocks in {place}")]
    NeedsSecret {
        /// Its file and line.
        place: String,
    },
    /// Nobody can be asked for the addresses of a name.
    #[error("weir: /etc/resolv.conf has no usable name server: set \"weir_resolver ADDRESS;\"")]
    NoNameServer,
    /// Targets with `rtmps://` cannot be reached.
    #[error("weir: {0}")]
    Tls(#[from] TlsError),
}

/// Why the zone of a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It is none of this Weir.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The state file cannot be taken over.
    #[error(transparent)]
    State(#[from] LoadError),
}

/// The whole configuration has been read.
pub fn check(cx: &mut Checked<'_, Weir>) -> Result<(), ConfigurationError> {
    let main = cx.main();
    if let (0, Some((directive, place))) = (main.zone_size, &main.needs_zone) {
        return Err(ConfigurationError::NeedsZone { directive, place: place.clone() });
    }
    if let (None, Some(place)) = (&main.signer, &main.needs_secret) {
        return Err(ConfigurationError::NeedsSecret { place: place.clone() });
    }
    if !cx.has_zone() {
        return Ok(());
    }
    complete(cx)?;
    // `nginx -s reload` reads the configuration to find the master, which reads it again.
    if !process::is_signaller() {
        warn(cx);
    }
    Ok(())
}

/// Name servers and certificates, by those of the system where the configuration names none.
fn complete(cx: &mut Checked<'_, Weir>) -> Result<(), ConfigurationError> {
    let file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut servers = hosts::name_servers(&file);
    if servers.is_empty() {
        servers.push(std::net::Ipv4Addr::LOCALHOST.into());
    }
    if !cx.add_resolver(&servers) {
        return Err(ConfigurationError::NoNameServer);
    }
    let system = || SYSTEM.iter().map(PathBuf::from).find(|path| path.is_file());
    let trusted = cx.main().trusted_certificate.clone().or_else(system);
    Ok(cx.add_tls(trusted.as_deref())?)
}

/// Warns of what is dangerous in it.
fn warn(cx: &Checked<'_, Weir>) {
    if let Some(line) = small_stack(process::stack_limit()) {
        cx.log(Level::Warning, &line);
    }
    match advice::lines(&cx.file()) {
        Ok(lines) => lines.iter().for_each(|line| cx.log(Level::Warning, line)),
        Err(error) => cx.log(Level::Notice, &format!("weir: no advice on the configuration: {error}")),
    }
}

/// The zone is mapped. Returns warnings.
pub fn prepare(
    memory: &Memory,
    main: &mut MainSettings,
    fresh: bool,
    user: Option<(u32, u32)>,
) -> Result<Vec<String>, PrepareError> {
    let zone = zone::open(memory)?;
    if fresh {
        zone.format(this::pid());
    }
    Ok(state::load::check(&zone, main, user)?)
}

/// A line in the log about the zone.
pub fn about_zone(main: &MainSettings, message: &str) -> String {
    format!("\"weir_zone\": {message} in {}", main.place)
}

/// What is wrong with a zone of another size than the running one, which has `bytes`.
pub fn other_size(bytes: usize) -> String {
    let size = bytes / 1024;
    format!(
        "the running zone has {size}k and keeps it until nginx is restarted: write \"weir_zone {size}k\" or restart"
    )
}

/// The configuration takes effect.
pub fn commit(cx: &mut Start<'_, Weir>) -> Takeover {
    let zone = cx.zone.take().and_then(|memory| SharedZone::new(memory).ok());
    if let Some(zone) = &zone {
        if !take_over(zone.view(), cx) {
            return Takeover::Refused;
        }
        push::forget_wanted();
    }
    let auto_push = cx.auto_push;
    let has_zone = zone.is_some();
    let in_place = runtime::replace(zone, cx.main(), auto_push);
    if !has_zone {
        // In a single process the sessions go on.
        cx.sessions.each(|session: &mut Session| {
            if let Some(state) = session.state() {
                state.let_go();
            }
        });
    }
    match in_place {
        true => Takeover::InPlace,
        false => Takeover::Done,
    }
}

/// The zone belongs to the state file of this configuration. Returns whether nginx may go on; it must, once it serves.
fn take_over(zone: &View<'_>, cx: &mut Start<'_, Weir>) -> bool {
    let (path, place) = (cx.main().state_path.clone(), cx.main().place.clone());
    let (user, fresh) = (cx.user, cx.fresh);
    let warn = |line: &str| cx.log(Level::Critical, line);
    match state::load::commit(zone, path.as_deref(), user, fresh, warn) {
        Ok(()) => true,
        Err(error) if fresh => {
            cx.log(Level::Emergency, &format!("\"weir_zone\": {error} in {place}"));
            false
        }
        Err(error) => {
            warn(&format!("weir: the state file is not taken over: {error}"));
            true
        }
    }
}
