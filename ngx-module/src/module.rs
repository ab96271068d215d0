//! Weir's implementation of all traits of the fence, `ngx_rtmp`, in one place.

use std::ffi::CStr;

use ngx_rtmp::{
    blocks::Block,
    conf::Directive,
    cycle::{Checked, Start, Takeover},
    disk::Watch,
    gate::{Asked, Verdict},
    incoming::Reading,
    message::Message,
    module::{
        Admission, Answered, Ask, Commands, Configuration, ConnectFlow, Connections, Files, Gate, Incoming,
        Passage, PlayFlow, Players, PublishFlow, Requests, Targets, Types, Worker, ZoneOwner,
    },
    push::Failure,
    request::{self, Response, Step},
    session::Session,
    sessions::Sessions,
    thread::Pool,
    zone::Memory,
};
use weir_model::{guard::outgoing as exchange, refusal::RefusedCommand};
use weir_rtmp::merge;

use crate::{
    api, configuration, directives as line, disk,
    hooks::{self, SessionState, admission, connect, guard, guests, media, message, outgoing, play, publish},
    playback, pools, push, registration, runtime,
    session::last_error,
    settings::{AppSettings, LocationSettings, MainSettings},
    stat, viewers,
    weir::Weir,
    worker, zone,
};

/// Exports the modules with their directives, and lists the names.
macro_rules! directives {
    (core { $($core:ident,)* } rtmp { $($rtmp:ident,)* } http { $($http:ident,)* }) => {
        ngx_rtmp::export! {
            Weir as "weir";
            core "ngx_weir_module" { $(line::$core,)* }
            rtmp "ngx_rtmp_weir_module" { $(line::$rtmp,)* }
            http "ngx_http_weir_module" { $(line::$http,)* }
        }

        /// The names, in nginx's form.
        const NAMES: &[&CStr] = &[
            $(<line::$core as Directive<Weir>>::NAME,)*
            $(<line::$rtmp as Directive<Weir>>::NAME,)*
            $(<line::$http as Directive<Weir>>::NAME,)*
        ];
    };
}

directives! {
    core {
        WeirZone,
        WeirSecret,
        WeirPairSecret,
        WeirResolver,
        WeirTrustedCertificate,
    }
    rtmp {
        WeirPublish,
        WeirKeyFile,
        WeirPlay,
        WeirDuplicate,
        WeirDrainTimeout,
        WeirGuard,
        WeirSessionTimeout,
        WeirIdlePublisher,
        WeirLimitUnauthenticated,
        WeirMinFree,
        WeirMaxViewers,
        WeirMaxBitrate,
        WeirMergeWrite,
        WeirGopCache,
        WeirPush,
        WeirPushTo,
        WeirPushAllow,
        WeirPushDeny,
        WeirTlsVerify,
    }
    http {
        WeirApi,
        WeirApiToken,
        WeirStat,
        WeirPlayHttp,
        WeirViewers,
    }
}

// A test compares the documentation with the list of `weir_model::directive`.
const _: () = assert!(weir_model::directive::are(NAMES), "weir_model::directive lists other directives");

impl Types for Weir {
    const NAME: &'static str = "weir";
    const POOLS: &'static [Pool] = &pools::ALL;
    type Main = MainSettings;
    type App = AppSettings;
    type Location = LocationSettings;
    type Session = SessionState;
}

impl Configuration for Weir {
    type Error = configuration::ConfigurationError;

    fn learn(main: &mut MainSettings, blocks: &mut [Block<'_, Self>]) {
        configuration::learn(main, blocks);
    }

    fn check(cx: &mut Checked<'_, Self>) -> Result<(), Self::Error> {
        configuration::check(cx)
    }

    fn commit(cx: &mut Start<'_, Self>) -> Takeover {
        configuration::commit(cx)
    }
}

impl ZoneOwner for Weir {
    type ZoneError = configuration::PrepareError;

    fn fits(bytes: usize) -> bool {
        zone::fits(bytes)
    }

    fn lay_out(memory: &Memory, size: usize, bytes: usize) -> Result<(), Self::ZoneError> {
        Ok(zone::lay_out(memory, size, bytes)?)
    }

    fn prepare(
        memory: &Memory,
        main: &mut MainSettings,
        fresh: bool,
        user: Option<(u32, u32)>,
    ) -> Result<Vec<String>, Self::ZoneError> {
        configuration::prepare(memory, main, fresh, user)
    }

    fn about_zone(main: &MainSettings, message: &str) -> String {
        configuration::about_zone(main, message)
    }

    fn other_size(bytes: usize) -> String {
        configuration::other_size(bytes)
    }

    type Unfit = weir_zone::Unfit;

    fn describe(address: usize, size: usize, pool: u64) -> Vec<u8> {
        zone::describe(address, size, pool)
    }

    fn read_description(bytes: &[u8], size: usize, pool: u64) -> Result<usize, Self::Unfit> {
        zone::read_description(bytes, size, pool)
    }

    fn check_inherited(memory: Option<&Memory>, main: &MainSettings, size: usize) -> Result<(), Self::Unfit> {
        zone::check_inherited(memory, main.state_path.as_deref(), size)
    }
}

impl Files for Weir {
    fn watch_files(app: &AppSettings) -> Watch {
        disk::watch(app)
    }
}

impl Worker for Weir {
    fn start() {
        registration::ensure_started();
    }

    fn stop() {
        worker::stop();
    }

    fn tick(sessions: &mut Sessions<'_>) {
        worker::tick(sessions);
    }

    fn wake(sessions: &mut Sessions<'_>) {
        worker::wake(sessions);
    }
}

impl Connections for Weir {
    fn on_connect(session: &mut Session<'_, Self>) -> bool {
        hooks::on_connect(session)
    }

    fn on_handshake(session: &mut Session<'_, Self>) -> bool {
        hooks::on_handshake(session)
    }

    fn before_close(session: &mut Session<'_, Self>) {
        hooks::before_close(session);
    }

    fn before_writing(session: &mut Session<'_, Self>) {
        disk::before_writing(session);
    }

    fn on_close(session: &mut Session<'_, Self>) {
        hooks::on_close(session);
    }

    fn on_disconnect(session: &mut Session<'_, Self>) {
        hooks::on_disconnect(session);
    }

    fn may_log(session: &mut Session<'_, Self>, line: &[u8]) -> bool {
        hooks::may_log(session, line)
    }

    fn on_timer(session: &mut Session<'_, Self>) {
        hooks::on_timer(session);
    }

    fn linger(session: &mut Session<'_, Self>) {
        hooks::lingering::linger(session);
    }
}

fn command(ask: Ask) -> RefusedCommand {
    match ask {
        Ask::Connect => RefusedCommand::Connect,
        Ask::Publish => RefusedCommand::Publish,
        Ask::Play => RefusedCommand::Play,
    }
}

impl Commands for Weir {
    fn is_on() -> bool {
        runtime::current().is_some()
    }

    fn on_connect_command(session: &mut Session<'_, Self>, command: &[u8]) -> ConnectFlow {
        connect::on_command(session, command)
    }

    fn on_publish_command(session: &mut Session<'_, Self>, words: Option<(&[u8], &[u8])>) -> PublishFlow {
        match words {
            Some((name, kind)) => publish::on_publish(session, name, kind),
            None => publish::on_malformed_publish(session),
        }
    }

    fn on_play_command(session: &mut Session<'_, Self>, name: &[u8]) -> PlayFlow {
        play::on_command(session, name)
    }

    fn may_play_at_length(session: &mut Session<'_, Self>) -> bool {
        play::may_play_at_length(session)
    }

    fn on_pull(session: &mut Session<'_, Self>, name: &[u8]) -> bool {
        publish::on_pull(session, name)
    }

    fn on_publish(session: &mut Session<'_, Self>) {
        publish::on_accepted(session);
    }

    fn on_play(session: &mut Session<'_, Self>, name: &str) {
        play::on_play(session, name);
    }

    fn on_answer(session: &mut Session<'_, Self>, ask: Ask, answer: &[u8], transaction: f64) -> Admission {
        admission::on_answer(session, command(ask), answer, transaction)
    }

    fn on_failure(session: &mut Session<'_, Self>, ask: Ask, asked: bool, transaction: f64) {
        admission::on_failure(session, command(ask), asked, transaction);
    }
}

impl Incoming for Weir {
    fn on_message(session: &mut Session<'_, Self>, message: &mut Message<'_>) -> Passage {
        message::on_message(session, message)
    }

    fn on_running(session: &mut Session<'_, Self>, read: u32, length: u32) -> bool {
        guard::on_running(session, read, length)
    }

    fn on_unknown_kind(session: &mut Session<'_, Self>, kind: u8) -> bool {
        guard::on_unknown_kind(session, kind)
    }

    fn on_length(session: &mut Session<'_, Self>, length: u32) -> bool {
        outgoing::on_length(session, length)
    }

    fn before_reading(session: &mut Session<'_, Self>) -> Reading {
        guests::before_reading(session)
    }

    fn on_bytes(session: &mut Session<'_, Self>, bytes: usize) -> bool {
        guard::on_bytes(session, bytes)
    }
}

impl Players for Weir {
    fn merge_write(app: &AppSettings) -> Option<merge::Rule> {
        app.merge_write.flatten()
    }

    fn gop_cache(app: &AppSettings) -> Option<usize> {
        app.gop_cache.flatten()
    }

    fn begins_with_gop(session: &mut Session<'_, Self>) -> bool {
        play::begins_with_gop(session)
    }

    fn gop_is_too_large(session: &mut Session<'_, Self>) {
        media::gop_is_too_large(session);
    }
}

impl Targets for Weir {
    const MAX_ANSWER: usize = exchange::MAX_ANSWER as usize;

    fn on_result(session: &mut Session<'_, Self>, transaction: Option<f64>) -> Answered {
        match outgoing::on_result(session, transaction) {
            exchange::Answered::Connect => Answered::Connect,
            exchange::Answered::CreateStream => Answered::CreateStream,
            exchange::Answered::Publish => Answered::Publish,
            exchange::Answered::Nothing => Answered::Nothing,
        }
    }

    fn on_connected(sessions: &mut Sessions<'_>, ticket: u64) {
        push::on_connected(sessions, ticket);
    }

    fn on_failed(sessions: &mut Sessions<'_>, ticket: u64, failure: Failure) {
        push::on_failed(sessions, ticket, last_error(failure));
    }

    fn on_sending(sessions: &mut Sessions<'_>, ticket: u64) {
        push::on_sending(sessions, ticket);
    }

    fn on_status(sessions: &mut Sessions<'_>, ticket: u64, level: &str, code: &str, description: &str) {
        push::on_status(sessions, ticket, level, code, description);
    }

    fn on_error(sessions: &mut Sessions<'_>, ticket: u64, code: &str, description: &str) {
        push::on_error(sessions, ticket, code, description);
    }
}

impl Requests for Weir {
    const MAX_BODY: usize = api::access::MAX_BODY;

    fn admit(head: &request::Head<'_, Self>) -> Result<(), Response> {
        api::access::admit(head)
    }

    fn dispatch(head: &request::Head<'_, Self>, body: Option<&[u8]>, sessions: &mut Sessions<'_>) -> Step {
        match body {
            Some(body) => api::dispatch(head, body, sessions),
            None => Step::Answer(api::access::body_too_large()),
        }
    }

    fn stat(head: &request::Head<'_, Self>) -> Response {
        stat::show(head)
    }
}

impl Gate for Weir {
    type Visit = viewers::Visit;

    fn judge(asked: &Asked<'_>, settings: &LocationSettings) -> (Verdict, Option<viewers::Visit>) {
        playback::judge(asked, settings)
    }

    fn judge_part(asked: &Asked<'_>, settings: &LocationSettings) -> bool {
        playback::judge_part(asked, settings)
    }

    fn answered(
        asked: &Asked<'_>,
        settings: &LocationSettings,
        status: u16,
        content_type: &[u8],
        visit: Option<viewers::Visit>,
    ) {
        viewers::answered(asked, settings, status, content_type, visit);
    }

    fn mask(line: &mut [u8]) -> usize {
        playback::mask(line)
    }

    fn masked(line: &[u8]) -> Option<Vec<u8>> {
        playback::masked(line)
    }
}
