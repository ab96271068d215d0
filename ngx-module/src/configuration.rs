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
    server::{BlockApplication, ServerBlock},
};

use crate::{
    advice, process as this, push, runtime,
    session::Session,
    settings::{Allowed, AppSettings, ApplicationFacts, MainSettings},
    state::{self, load::LoadError},
    weir::Weir,
    zone::{self, SharedZone, View, ZoneError},
};

/// The CA files of Debian, Fedora and Alpine. nginx reads them with the configuration, so that no worker reads them later.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Stores the settings of the `server` block, and of nginx-rtmp's own directives, in each application's settings.
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
        // The defaults are for clients that have not named an application.
        if let Some(settings) = &mut block.defaults {
            learn_server(settings, &server, timeout_ms);
        }
        for app in &mut block.applications {
            learn_application(app, &server, timeout_ms);
            facts.extend(facts_of(app));
        }
        let named = |app: &Application<'_, Weir>| {
            let name = app.name?.to_owned();
            Some(BlockApplication { name, live: app.live, files: app.files })
        };
        let applications = block.applications.iter().filter_map(named).collect();
        servers.push((block.mark, ServerBlock { server, applications }));
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
    let writes = |path: &str| app.folders.iter().any(|(kind, _)| *kind == path);
    Some(ApplicationFacts {
        name: app.name?.to_owned(),
        publish: settings.map(AppSettings::publish).unwrap_or_default(),
        push: settings.is_some_and(AppSettings::push),
        play: settings.is_some_and(AppSettings::play_needs_token),
        hls: writes("hls_path"),
        dash: writes("dash_path"),
        max_viewers: settings.and_then(|settings| settings.max_viewers),
    })
}

/// Returns a number for a folder, the same in every process. Slashes at the end and dots do not change the number.
fn number(kind: &str, folder: &Path) -> u64 {
    let parts: Vec<_> = folder.components().filter(|part| *part != Component::CurDir).collect();
    let text = format!("{kind} {}", parts.iter().collect::<PathBuf>().display());
    Digest::of(text.as_bytes()).bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Returns the values that `exec` lines pass to programs. If the fence cannot read the lines, this assumes all of them.
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

/// Errors of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A directive needs the zone.
    #[error(
        "\"{directive}\" needs a zone: add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" outside of all blocks in {place}"
    )]
    NeedsZone {
        /// The name of the directive.
        directive: &'static str,
        /// The file and line of the directive.
        place: String,
    },
    /// `weir_play token` needs the secret.
    #[error("\"weir_play token\" needs a secret: add \"weir_secret FILE;\" outside of all blocks in {place}")]
    NeedsSecret {
        /// The file and line of `weir_play`.
        place: String,
    },
    /// There is no name server to resolve names with.
    #[error("weir: /etc/resolv.conf has no usable name server: set \"weir_resolver ADDRESS;\"")]
    NoNameServer,
    /// TLS for targets with `rtmps://` cannot be set up.
    #[error("weir: {0}")]
    Tls(#[from] TlsError),
}

/// Why the zone of a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The zone is not one of this version of Weir.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// Weir cannot take over the state file.
    #[error(transparent)]
    State(#[from] LoadError),
}

/// Checks a configuration that was read completely, and completes its name servers and certificates.
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
    // `nginx -s reload` reads the configuration only to find the master, and the master reads it again.
    if !process::is_signaller() {
        warn(cx);
    }
    Ok(())
}

/// Uses the system's name servers and certificates if the configuration names none.
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

/// Logs warnings about dangerous lines of the configuration.
fn warn(cx: &Checked<'_, Weir>) {
    if let Some(line) = small_stack(process::stack_limit()) {
        cx.log(Level::Warning, &line);
    }
    match advice::lines(&cx.file()) {
        Ok(lines) => lines.iter().for_each(|line| cx.log(Level::Warning, line)),
        Err(error) => cx.log(Level::Notice, &format!("weir: no advice on the configuration: {error}")),
    }
}

/// Opens the mapped zone, and checks the state file. Returns warnings.
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

/// Returns the log line for a message about the zone.
pub fn about_zone(main: &MainSettings, message: &str) -> String {
    format!("\"weir_zone\": {message} in {}", main.place)
}

/// Returns the error for a zone whose size differs from the running zone, which has `bytes`.
pub fn other_size(bytes: usize) -> String {
    let size = bytes / 1024;
    format!(
        "the running zone has {size}k and keeps it until nginx is restarted: write \"weir_zone {size}k\" or restart"
    )
}

/// Puts the configuration in force.
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
        // In a single process, the sessions continue.
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

/// Connects the zone with the state file of this configuration. Returns whether nginx may continue. An nginx that already serves must
/// continue.
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
