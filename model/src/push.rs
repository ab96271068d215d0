//! One stream on its way to one target: what to do next, and why it failed.
//!
//! [`Machine`] decides, and whoever owns the connection does. Times are milliseconds of any clock that
//! does not go back.

mod answer;
mod backoff;
mod error;

pub mod access;
pub mod authmod;
pub mod hosts;
pub mod looping;

pub use answer::{Answer, answer};
pub use error::LastError;

use crate::target::PushState;

/// How long a connect to one address may take, in milliseconds.
pub const CONNECT_MS: u64 = 5_000;

/// How long it may take from the start of a connect until the target takes the stream, in milliseconds;
/// and the look-up of a name.
pub const EXCHANGE_MS: u64 = 10_000;

/// How long a target that answers nothing may take a stream until it counts as live, in milliseconds: some services
/// never answer `publish`.
pub const UNANSWERED_MS: u64 = 5_000;

/// Within so long a time a target that counts as reading has taken something, in milliseconds.
const READING_MS: u64 = 2_500;

/// How long a target may read nothing although there is something to send, in milliseconds.
pub const STALL_MS: u64 = 10_000;

/// After so long a time of health a failure counts as the first one, in milliseconds.
pub const HEALTHY_MS: u64 = 30_000;

/// How long a polite leave may take, in milliseconds.
pub const LEAVE_MS: u64 = 1_000;

/// How many of a name's addresses are tried before it counts as a failure.
pub const MAX_ADDRESSES: usize = 4;

/// How often one address may be connected to again because the target asked for credentials.
pub const MAX_CHALLENGES: u8 = 2;

/// What happened. After an [`Output::Abort`] nothing may come in of the connection that it closed, nor of
/// a look-up that it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The stream is live and the target enabled. May come again.
    Wanted,
    /// The stream ended, or the target is paused or removed. May come again.
    NotWanted,
    /// The look-up brought so many addresses to which the target may be connected; never 0.
    Resolved(usize),
    /// TCP is up, and TLS where the URL asks for it.
    Connected,
    /// RTMP's handshake is over.
    Handshaken,
    /// `publish` was sent, and the stream follows it.
    Sending,
    /// The target answered that it takes the stream.
    Published,
    /// The target asks for credentials; the next connect will bear them. The connection is still to be closed.
    Challenged,
    /// The look-up or the connection failed, or the target's answer says no. A connection that is still
    /// open is closed with [`Output::Abort`].
    Failed(LastError),
    /// Time went by; some times a second, and at least once a second.
    Tick {
        /// Received of the stream so far.
        bytes_in: u64,
        /// Known to be with the target so far, over this connection.
        bytes_out: u64,
    },
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Look the host up; an address needs no look-up, and is `Resolved(1)` or a failure at once.
    Resolve,
    /// Connect to the address of this number, from 0 in the order of the look-up.
    Connect(usize),
    /// Close the connection or end the look-up at once, whether or not there still is one.
    Abort,
    /// Say goodbye (`FCUnpublish`, `deleteStream`), then close, and tell it as a failure.
    Leave,
    /// The state changed: for the event `target.state` and for the list of targets.
    Changed(PushState),
}

/// The state of one stream at one target.
#[derive(Clone, Debug)]
pub struct Machine {
    phase: Phase,
    since: u64,
    failures: u32,
    reconnects: u64,
    last_error: Option<LastError>,
    random: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Resolving { until: u64 },
    Dialing(Dial),
    Live(Flow),
    Waiting { until: u64 },
    Leaving { until: u64, wanted: bool },
}

/// A connection on which the target has not yet taken the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dial {
    address: usize,
    addresses: usize,
    challenges: u8,
    step: Step,
    connect_until: u64,
    until: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connect,
    Handshake,
    /// The commands up to `publish`.
    Commands,
    /// The stream is sent, and the answer to `publish` is missing.
    Unanswered(Taking),
}

/// What a target takes that has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taking {
    since: u64,
    bytes_out: Option<u64>,
    grown_at: Option<u64>,
}

/// What goes through a connection that is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flow {
    bytes_in: u64,
    bytes_out: u64,
    /// Since when there is something to send and nothing is read.
    stalled_since: Option<u64>,
}

impl Machine {
    /// One that is off. The seed is of random bytes, so that many targets of one dead server are not
    /// tried all at the same time.
    pub fn new(now: u64, seed: u64) -> Machine {
        Machine { phase: Phase::Off, since: now, failures: 0, reconnects: 0, last_error: None, random: seed }
    }

    /// How it stands.
    pub fn state(&self) -> PushState {
        match self.phase {
            Phase::Off | Phase::Leaving { .. } => PushState::Off,
            Phase::Resolving { .. } | Phase::Dialing(_) => PushState::Connecting,
            Phase::Live(_) => PushState::Live,
            Phase::Waiting { .. } => PushState::Waiting,
        }
    }

    /// Since when it stands so.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Until the next try; only while it waits.
    pub fn retry_in_ms(&self, now: u64) -> Option<u64> {
        match self.phase {
            Phase::Waiting { until } => Some(until.saturating_sub(now)),
            _ => None,
        }
    }

    /// How often it was tried again.
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Why it failed last; it stays when a later try succeeds.
    pub fn last_error(&self) -> Option<&LastError> {
        self.last_error.as_ref()
    }

    /// Whether nothing is left to be done, so that it can be forgotten.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Off
    }

    /// Takes in what happened. What does not fit the state changes nothing.
    pub fn step(&mut self, now: u64, input: Input) -> Vec<Output> {
        let before = self.state();
        let mut outputs = self.next(now, input);
        if self.state() != before {
            self.since = now;
            outputs.push(Output::Changed(self.state()));
        }
        outputs
    }

    fn next(&mut self, now: u64, input: Input) -> Vec<Output> {
        match input {
            Input::Wanted => self.wanted(now),
            Input::NotWanted => self.not_wanted(now),
            Input::Resolved(addresses) => match self.phase {
                Phase::Resolving { .. } => self.dial(now, Dial::new(addresses)),
                _ => Vec::new(),
            },
            Input::Connected => self.dialed(Step::Handshake),
            Input::Handshaken => self.dialed(Step::Commands),
            Input::Sending => {
                self.dialed(Step::Unanswered(Taking { since: now, bytes_out: None, grown_at: None }))
            }
            Input::Published => {
                if let Phase::Dialing(_) = self.phase {
                    self.phase = Phase::Live(Flow::default());
                }
                Vec::new()
            }
            Input::Challenged => self.challenged(now),
            Input::Failed(error) => self.failed(now, error),
            Input::Tick { bytes_in, bytes_out } => self.tick(now, bytes_in, bytes_out),
        }
    }

    fn wanted(&mut self, now: u64) -> Vec<Output> {
        match &mut self.phase {
            Phase::Off => self.resolve(now),
            Phase::Leaving { wanted, .. } => {
                *wanted = true;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn not_wanted(&mut self, now: u64) -> Vec<Output> {
        self.failures = 0;
        match &mut self.phase {
            Phase::Off => Vec::new(),
            Phase::Leaving { wanted, .. } => {
                *wanted = false;
                Vec::new()
            }
            Phase::Waiting { .. } => {
                self.phase = Phase::Off;
                Vec::new()
            }
            Phase::Resolving { .. } | Phase::Dialing(_) => {
                self.phase = Phase::Off;
                vec![Output::Abort]
            }
            Phase::Live(_) => {
                self.phase = Phase::Leaving { until: now.saturating_add(LEAVE_MS), wanted: false };
                vec![Output::Leave]
            }
        }
    }

    fn resolve(&mut self, now: u64) -> Vec<Output> {
        self.phase = Phase::Resolving { until: now.saturating_add(EXCHANGE_MS) };
        vec![Output::Resolve]
    }

    fn dial(&mut self, now: u64, dial: Dial) -> Vec<Output> {
        let (connect_until, until) = (now.saturating_add(CONNECT_MS), now.saturating_add(EXCHANGE_MS));
        self.phase = Phase::Dialing(Dial { step: Step::Connect, connect_until, until, ..dial });
        vec![Output::Connect(dial.address)]
    }

    fn dialed(&mut self, step: Step) -> Vec<Output> {
        if let Phase::Dialing(dial) = &mut self.phase {
            dial.step = step;
        }
        Vec::new()
    }

    fn challenged(&mut self, now: u64) -> Vec<Output> {
        let Phase::Dialing(dial) = self.phase else { return Vec::new() };
        if dial.challenges == MAX_CHALLENGES {
            return self.wait(now, LastError::WrongCredentials);
        }
        let mut outputs = vec![Output::Abort];
        outputs.extend(self.dial(now, Dial { challenges: dial.challenges + 1, ..dial }));
        outputs
    }

    fn failed(&mut self, now: u64, error: LastError) -> Vec<Output> {
        match self.phase {
            Phase::Off | Phase::Waiting { .. } => Vec::new(),
            Phase::Leaving { wanted, .. } => self.left(now, wanted),
            Phase::Dialing(dial) if dial.step == Step::Connect && dial.address + 1 < dial.addresses => {
                self.last_error = Some(error);
                let mut outputs = vec![Output::Abort];
                outputs.extend(self.dial(now, Dial { address: dial.address + 1, challenges: 0, ..dial }));
                outputs
            }
            Phase::Live(_) if now.saturating_sub(self.since) >= HEALTHY_MS => {
                self.failures = 0;
                self.wait(now, error)
            }
            Phase::Resolving { .. } | Phase::Dialing(_) | Phase::Live(_) => self.wait(now, error),
        }
    }

    fn wait(&mut self, now: u64, error: LastError) -> Vec<Output> {
        self.last_error = Some(error);
        self.failures = self.failures.saturating_add(1);
        let wait = backoff::wait_ms(self.failures, backoff::next_random(&mut self.random));
        self.phase = Phase::Waiting { until: now.saturating_add(wait) };
        vec![Output::Abort]
    }

    /// The connection that was left is closed.
    fn left(&mut self, now: u64, wanted: bool) -> Vec<Output> {
        self.phase = Phase::Off;
        let mut outputs = vec![Output::Abort];
        if wanted {
            outputs.extend(self.resolve(now));
        }
        outputs
    }

    fn tick(&mut self, now: u64, bytes_in: u64, bytes_out: u64) -> Vec<Output> {
        match &mut self.phase {
            Phase::Resolving { until } if now >= *until => self.failed(now, LastError::ResolverTimeout),
            Phase::Dialing(dial) => {
                if dial.is_taken(now, bytes_out) {
                    self.phase = Phase::Live(Flow { bytes_in, bytes_out, stalled_since: None });
                    return Vec::new();
                }
                match dial.overdue(now) {
                    Some(error) => self.failed(now, error),
                    None => Vec::new(),
                }
            }
            Phase::Live(flow) => {
                if flow.is_stalled(now, bytes_in, bytes_out) {
                    self.failed(now, LastError::NotReading)
                } else {
                    Vec::new()
                }
            }
            Phase::Waiting { until } if now >= *until => {
                self.reconnects = self.reconnects.saturating_add(1);
                self.resolve(now)
            }
            Phase::Leaving { until, wanted } if now >= *until => {
                let wanted = *wanted;
                self.left(now, wanted)
            }
            Phase::Off | Phase::Resolving { .. } | Phase::Waiting { .. } | Phase::Leaving { .. } => {
                Vec::new()
            }
        }
    }
}

impl Dial {
    fn new(addresses: usize) -> Dial {
        let addresses = addresses.min(MAX_ADDRESSES);
        Dial { address: 0, addresses, challenges: 0, step: Step::Connect, connect_until: 0, until: 0 }
    }

    /// What took too long.
    fn overdue(&self, now: u64) -> Option<LastError> {
        match self.step {
            Step::Connect => (now >= self.connect_until).then_some(LastError::ConnectTimeout),
            Step::Handshake => (now >= self.until).then_some(LastError::HandshakeTimeout),
            Step::Commands => (now >= self.until).then_some(LastError::PublishTimeout),
            Step::Unanswered(taking) => {
                (now >= taking.since.saturating_add(EXCHANGE_MS)).then_some(LastError::PublishTimeout)
            }
        }
    }

    /// Whether the target has taken the stream for a while without a word.
    fn is_taken(&mut self, now: u64, bytes_out: u64) -> bool {
        let Step::Unanswered(taking) = &mut self.step else { return false };
        if taking.bytes_out.is_some_and(|before| before != bytes_out) {
            taking.grown_at = Some(now);
        }
        taking.bytes_out = Some(bytes_out);
        let reads = taking.grown_at.is_some_and(|at| now.saturating_sub(at) <= READING_MS);
        reads && now.saturating_sub(taking.since) >= UNANSWERED_MS
    }
}

impl Flow {
    fn is_stalled(&mut self, now: u64, bytes_in: u64, bytes_out: u64) -> bool {
        if bytes_out != self.bytes_out {
            *self = Flow { bytes_in, bytes_out, stalled_since: None };
        } else if bytes_in != self.bytes_in {
            self.bytes_in = bytes_in;
            self.stalled_since.get_or_insert(now);
        }
        self.stalled_since.is_some_and(|since| now.saturating_sub(since) >= STALL_MS)
    }
}

#[cfg(test)]
mod tests;
