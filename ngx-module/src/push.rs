//! Push targets: makes a publisher's worker push the stream to the wanted targets.
//!
//! Each stream has one [`Machine`] per target, which decides; this module executes its decisions. The machine takes a step when the wanted
//! targets change, ten times per second, and at each event of a connection.

mod reach;

use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use ngx_rtmp::{
    local,
    log::{self, Level},
    outgoing,
    push::{self, Dial, Tls},
    sessions::Sessions,
};
use weir_model::{
    Secret,
    event::{Event, TargetState},
    push::{Answer, Input, LastError, Machine, Output, answer, authmod::Exchange},
    rate::Rate,
    target::{Host, PushState, Target},
};
use weir_zone::{NewPush, PushId, PushRow};

use crate::{
    hooks::live::Live,
    process, resolver,
    runtime::{self, Runtime},
    session::{Session, SessionExt as _, last_error},
    weir::Weir,
    zone::SharedZone,
};

/// The push of one stream to one target.
pub struct Push {
    target: Rc<Target>,
    /// The stream key on the target.
    key: Secret,
    machine: Machine,
    exchange: Exchange,
    row: Option<PushId>,
    zone: Rc<SharedZone>,
    addresses: Vec<SocketAddr>,
    /// The ticket of the running look-up or connection, 0 without one.
    ticket: u64,
    /// nginx-rtmp's counter of the connection at its last reading: 32 bits that wrap.
    counter: u32,
    /// Bytes sent over this connection.
    sent: u64,
    /// The part of `sent` that the other end has acknowledged.
    taken: u64,
    /// Bytes sent over all connections.
    bytes_out: u64,
    /// The part of `bytes_out` that the other end has acknowledged.
    arrived: u64,
    rate: Rate,
    reconnects: u64,
    /// Whether to remove the push when its machine is idle.
    leaving: bool,
}

/// The wanted targets at the last reading.
#[derive(Default)]
struct Wanted {
    generation: Option<u64>,
    targets: Vec<Rc<Target>>,
    tickets: u64,
}

local! {
    static WANTED: Wanted = Wanted { generation: None, targets: Vec::new(), tickets: 0 };
}

local! {
    /// Whether a session of this worker may have a push, or a connection of one.
    static AT_WORK: bool = false;
}

/// Checks whether the wanted targets have changed.
pub fn follow(runtime: &Runtime, sessions: &mut Sessions<'_>) {
    let generation = runtime.zone().targets_generation();
    if WANTED.with(|wanted| wanted.generation != Some(generation)) {
        let targets = runtime.zone().lock(process::pid()).targets();
        WANTED.with(|wanted| {
            wanted.targets = targets.into_iter().map(Rc::new).collect();
            wanted.generation = Some(generation);
        });
        sessions.each(align);
    }
}

/// Advances the machines, ten times per second. A worker without pushes looks at no session.
pub fn tick(sessions: &mut Sessions<'_>) {
    if !AT_WORK.with(|at_work| *at_work) {
        return;
    }
    sessions.each(|session: &mut Session| {
        let pushes = session.known_state().is_some_and(|state| !state.pushes.is_empty());
        if pushes {
            let bytes_in = live(session).map_or(0, |live| live.bytes_in());
            drive(session, |push, session| {
                push.count();
                push.feed(session, Input::Tick { bytes_in, bytes_out: push.taken });
            });
        }
    });
}

/// Forgets the wanted targets, because another configuration takes effect.
pub fn forget_wanted() {
    WANTED.with(|wanted| wanted.generation = None);
}

/// Runs once per second. Reports the sent bytes to the zone, and checks which bytes have arrived.
pub fn account(session: &mut Session) {
    drive(session, |push, _| push.look());
    let Some(state) = session.known_state() else { return };
    for push in &mut state.pushes {
        push.rate.push(process::now(), push.arrived);
        if let Some(row) = push.row() {
            row.describe(push.bytes_out, push.rate.bits_per_second());
        }
    }
}

/// Runs once per second. Closes connections to targets that belong to no push.
pub fn close_strays(sessions: &mut Sessions<'_>) {
    if !AT_WORK.with(|at_work| *at_work) {
        return;
    }
    let mut held = BTreeSet::new();
    sessions.each(|session: &mut Session| {
        if let Some(state) = session.known_state() {
            held.extend(state.pushes.iter().map(|push| push.ticket));
        }
    });
    let strays = outgoing::close_others::<Weir>(sessions, &held);
    AT_WORK.with(|at_work| *at_work = !held.is_empty() || strays > 0);
    if strays > 0 {
        log::cycle(
            Level::Error,
            format_args!("weir: connections to push targets without a push: {strays}, closed"),
        );
    }
}

/// Starts and stops a publisher's pushes so that they match the wanted targets.
pub fn align(session: &mut Session) {
    let Some(runtime) = runtime::current() else { return };
    let (Some(settings), Some(live)) = (session.settings(), live(session)) else { return };
    let name = live.name().to_owned();
    let (server, app) = (session.server(), session.app().to_owned());
    let mut wanted = WANTED.with(|wanted| {
        let enabled = wanted.targets.iter().filter(|target| settings.push() && target.enabled);
        enabled.filter(|target| target.matches(server, &app, &name)).cloned().collect::<Vec<_>>()
    });
    wanted.extend(runtime.file_targets.iter().filter(|target| target.matches(server, &app, &name)).cloned());
    if runtime.zone().is_held() {
        wanted.clear();
    }
    drive(session, |push, session| {
        let stays =
            wanted.iter().position(|target| push.target.url == target.url && push.target.id == target.id);
        match stays {
            Some(at) if !push.leaving => push.target = wanted.swap_remove(at),
            _ => {
                push.leaving = true;
                push.feed(session, Input::NotWanted);
            }
        }
    });
    for target in wanted {
        let mut push = Push::new(&runtime, session, target);
        AT_WORK.with(|at_work| *at_work = true);
        push.feed(session, Input::Wanted);
        if let Some(state) = session.state() {
            state.pushes.push(push);
        }
    }
}

/// Ends the pushes of a publisher's stream, and tells the targets.
pub fn end(session: &mut Session) {
    drive(session, |push, session| {
        push.leaving = true;
        push.feed(session, Input::NotWanted);
        // The push does not wait for the target's last messages: the connection lingers on its own.
        push.feed(session, Input::Failed(LastError::Closed));
    });
}

/// Handles a connection that is up.
pub fn on_connected(sessions: &mut Sessions<'_>, ticket: u64) {
    feed(sessions, ticket, |_| Some(Input::Connected));
}

/// Handles the end of the RTMP handshake.
pub fn on_handshake(sessions: &mut Sessions<'_>, ticket: u64) {
    feed(sessions, ticket, |_| Some(Input::Handshaken));
}

/// Handles a connection that failed or ended.
pub fn on_failed(sessions: &mut Sessions<'_>, ticket: u64, error: LastError) {
    feed(sessions, ticket, |_| Some(Input::Failed(error)));
}

/// Handles the moment after nginx-rtmp sent `publish`, when the stream follows.
pub fn on_sending(sessions: &mut Sessions<'_>, ticket: u64) {
    feed(sessions, ticket, |_| Some(Input::Sending));
}

/// Handles the target's report about the publish.
pub fn on_status(sessions: &mut Sessions<'_>, ticket: u64, level: &str, code: &str, description: &str) {
    feed(sessions, ticket, |_| match answer(level, code) {
        Answer::Published => Some(Input::Published),
        Answer::Refused => Some(Input::Failed(LastError::rejected(code, description))),
        Answer::Other => None,
    });
}

/// Handles the target's refusal of `connect` or a later command (`_error`).
pub fn on_error(sessions: &mut Sessions<'_>, ticket: u64, code: &str, description: &str) {
    feed(sessions, ticket, |push| {
        let url = &push.target.url;
        let random = process::random();
        let asked = push.exchange.refused(url.credentials(), url.app(), code, description, random as u32);
        Some(match asked {
            Ok(()) => Input::Challenged,
            Err(error) => Input::Failed(error),
        })
    });
}

/// Handles the addresses of a target's host.
fn on_resolved(sessions: &mut Sessions<'_>, ticket: u64, answer: Result<Vec<IpAddr>, LastError>) {
    with_publisher(sessions, ticket, |session| {
        drive(session, |push, session| {
            if push.ticket == ticket {
                let input = push.resolved(session, answer.clone());
                push.feed(session, input);
            }
        });
    });
}

fn feed(sessions: &mut Sessions<'_>, ticket: u64, input: impl FnOnce(&mut Push) -> Option<Input>) {
    let mut input = Some(input);
    with_publisher(sessions, ticket, |session| {
        drive(session, |push, session| {
            if push.ticket == ticket
                && let Some(input) = input.take().and_then(|input| input(push))
            {
                push.count();
                push.feed(session, input);
            }
        });
    });
}

/// Calls `work` with the publisher whose push has this ticket.
fn with_publisher(sessions: &mut Sessions<'_>, ticket: u64, work: impl FnOnce(&mut Session)) {
    let is_its = |session: &mut Session| {
        let state = session.known_state();
        ticket != 0 && state.is_some_and(|state| state.pushes.iter().any(|push| push.ticket == ticket))
    };
    sessions.find(is_its, work);
}

/// Calls `work` for each push of a publisher, and drops the pushes that have left.
fn drive(session: &mut Session, mut work: impl FnMut(&mut Push, &mut Session)) {
    let Some(state) = session.known_state() else { return };
    let mut pushes = std::mem::take(&mut state.pushes);
    for push in &mut pushes {
        work(push, session);
    }
    pushes.retain(|push| !(push.leaving && push.machine.is_idle()));
    if let Some(state) = session.known_state() {
        state.pushes = pushes;
    }
}

/// Returns the stream that a session publishes, if it is confirmed live.
fn live<'a>(session: &'a mut Session<'_>) -> Option<&'a mut Live> {
    session.known_state().and_then(|state| state.publish.live()).filter(|live| live.is_confirmed())
}

impl Push {
    fn new(runtime: &Runtime, session: &mut Session, target: Rc<Target>) -> Push {
        let app = session.app().to_owned();
        let row = runtime.worker().zip(live(session)).and_then(|(worker, live)| {
            let (stream, name) = (live.id(), live.name());
            let state = PushState::Off;
            let new = NewPush { target: target.id, stream, app: &app, name, worker, state };
            // If the zone is full, Weir still pushes the stream, and does not show the push.
            runtime.zone().lock(process::pid()).add_push(&new, process::now()).ok()
        });
        let key = target.url.key_for(live(session).map_or("", |live| live.name()));
        Push {
            target,
            key,
            machine: Machine::new(process::uptime().as_millis(), process::random()),
            exchange: Exchange::default(),
            row,
            zone: Rc::clone(&runtime.shared),
            addresses: Vec::new(),
            ticket: 0,
            counter: 0,
            sent: 0,
            taken: 0,
            bytes_out: 0,
            arrived: 0,
            rate: Rate::default(),
            reconnects: 0,
            leaving: false,
        }
    }

    /// Returns its row, unless the row now belongs to another push.
    fn row(&self) -> Option<PushRow<'_>> {
        self.zone.view().push_row(self.row?)
    }

    /// Makes the machine take steps, and executes its outputs.
    fn feed(&mut self, session: &mut Session, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.machine.step(process::uptime().as_millis(), input) {
                inputs.extend(self.carry_out(session, output));
            }
        }
    }

    /// Executes an output. Returns the input that follows immediately, if any.
    fn carry_out(&mut self, session: &mut Session, output: Output) -> Option<Input> {
        match output {
            Output::Resolve => {
                self.exchange = Exchange::default();
                match self.target.url.host() {
                    Host::Addr(addr) => {
                        let addr = *addr;
                        return Some(self.resolved(session, Ok(vec![addr])));
                    }
                    Host::Name(name) => {
                        self.ticket = next_ticket();
                        let ticket = self.ticket;
                        resolver::resolve(
                            name,
                            Box::new(move |sessions, answer| on_resolved(sessions, ticket, answer)),
                        );
                    }
                }
            }
            Output::Connect(at) => return self.connect(session, at).err().map(Input::Failed),
            Output::Abort => push::abort::<Weir>(&mut session.all(), std::mem::take(&mut self.ticket)),
            Output::Leave => {
                push::leave::<Weir>(&mut session.all(), std::mem::take(&mut self.ticket), self.key.expose())
            }
            Output::Changed(state) => self.report(session, state),
        }
        None
    }

    fn resolved(&mut self, session: &mut Session, answer: Result<Vec<IpAddr>, LastError>) -> Input {
        let name = live(session).map(|live| live.name().to_owned()).unwrap_or_default();
        match answer.and_then(|found| reach::of(session, &name, &self.target.url, found)) {
            Ok(addresses) => {
                self.addresses = addresses;
                Input::Resolved(self.addresses.len())
            }
            Err(error) => Input::Failed(error),
        }
    }

    fn connect(&mut self, session: &mut Session, at: usize) -> Result<(), LastError> {
        let addr = *self.addresses.get(at).ok_or(LastError::HostNotFound)?;
        let name = live(session).map(|live| live.name().to_owned()).ok_or(LastError::NoRoom)?;
        let verify = session.settings().is_none_or(|settings| settings.tls_verify());
        let url = &self.target.url;
        let tls = url.is_tls().then(|| match url.host() {
            // The dot at the end is only for the resolver (RFC 6066, section 3).
            Host::Name(name) => {
                Tls { host: name.trim_end_matches('.').to_owned(), is_address: false, verify }
            }
            Host::Addr(addr) => Tls { host: addr.to_string(), is_address: true, verify },
        });
        (self.ticket, self.counter, self.sent, self.taken) = (next_ticket(), 0, 0, 0);
        let dial = Dial {
            ticket: self.ticket,
            name: &name,
            addr,
            label: &format!("{}:{}", url.host(), url.port()),
            app: &self.exchange.appended_to(url.app()),
            tc_url: &self.exchange.appended_to(&url.tc_url()),
            play_path: self.key.expose(),
            tls,
        };
        push::connect(session, &dial).map_err(last_error)
    }

    /// Counts the bytes that were sent over the present connection.
    fn count(&mut self) {
        if let Some(counter) = push::sent(self.ticket) {
            let more = u64::from(counter.wrapping_sub(self.counter));
            self.counter = counter;
            self.sent += more;
            self.bytes_out += more;
        }
    }

    /// Counts the bytes that the target has acknowledged, because the kernel buffers megabytes for a target that does not read.
    fn look(&mut self) {
        if let Some(waiting) = push::unacknowledged(self.ticket) {
            self.count();
            let more = self.sent.saturating_sub(waiting).saturating_sub(self.taken);
            self.taken += more;
            self.arrived += more;
        }
    }

    /// Reports a new state to the zone, and to the readers of its events.
    fn report(&mut self, session: &mut Session, state: PushState) {
        let Some(runtime) = runtime::current() else { return };
        let now = process::now();
        let retry_in_ms = self.machine.retry_in_ms(process::uptime().as_millis());
        let retry_at = retry_in_ms.map(|ms| now.plus_millis(ms));
        let error = self.machine.last_error().map(|error| self.target.url.masked_in(&error.to_string()));
        let stream = live(session).map(|live| live.name().to_owned()).unwrap_or_default();
        let id = self.target.id;
        if state == PushState::Waiting {
            let error = error.as_deref().unwrap_or_default();
            session.log(
                Level::Notice,
                format_args!(
                    "push to target {id} waits: {error}, app: \"{}\", stream: \"{stream}\"",
                    session.app()
                ),
            );
        }
        let zone = runtime.zone().lock(process::pid());
        if let Some(row) = self.row {
            zone.set_push_state(row, state, now, retry_at, error.as_deref());
        }
        if let Some(counters) = self.row() {
            (self.reconnects..self.machine.reconnects()).for_each(|_| counters.count_reconnect());
        }
        self.reconnects = self.machine.reconnects();
        let (last_error, retry_in_ms) = match state {
            PushState::Waiting => (error, retry_in_ms),
            _ => (None, None),
        };
        let event = Event::TargetState(TargetState {
            app: session.app().to_owned(),
            id,
            last_error,
            retry_in_ms,
            server: session.server().to_string(),
            state,
            stream,
        });
        zone.push_event(&event, now);
    }
}

/// Removes the row with the push.
impl Drop for Push {
    fn drop(&mut self) {
        if let (Some(row), Some(runtime)) = (self.row, runtime::current()) {
            runtime.zone().lock(process::pid()).remove_push(row);
        }
    }
}

fn next_ticket() -> u64 {
    WANTED.with(|wanted| {
        wanted.tickets += 1;
        wanted.tickets
    })
}
