//! The push of one stream to one target: the next action, and the reasons of failures.
//!
//! [`Machine`] decides, and the owner of the connection acts. Times are milliseconds of any monotonic clock.

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

/// Time limit for a connect to one address, in milliseconds.
pub const CONNECT_MS: u64 = 5_000;

/// Time limit from the start of a connect until the target accepts the stream, in milliseconds. The same limit applies
/// to the look-up of a name.
pub const EXCHANGE_MS: u64 = 10_000;

/// How long a target that answers nothing must read the stream until it counts as live, in milliseconds. Some services
/// never answer `publish`.
pub const UNANSWERED_MS: u64 = 5_000;

/// A target counts as reading if it has read something within this time, in milliseconds.
const READING_MS: u64 = 2_500;

/// How long a target may read nothing although there is data to send, in milliseconds.
pub const STALL_MS: u64 = 10_000;

/// After a connection was live for this long, a failure counts as the first one; in milliseconds.
pub const HEALTHY_MS: u64 = 30_000;

/// Time limit for the orderly end of a publish, in milliseconds.
pub const LEAVE_MS: u64 = 1_000;

/// The most addresses of a name that are tried before the attempt counts as a failure.
pub const MAX_ADDRESSES: usize = 4;

/// How often Weir reconnects to one address because the target asked for credentials.
pub const MAX_CHALLENGES: u8 = 2;

/// An event for the machine. After an [`Output::Abort`] the owner must not pass any further event of the closed
/// connection or the cancelled look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The stream is live and the target is enabled. The event may repeat.
    Wanted,
    /// The stream has ended, or the target is paused or removed. The event may repeat.
    NotWanted,
    /// The look-up returned this many addresses that `weir_push_deny` allows; never 0.
    Resolved(usize),
    /// TCP is connected, and TLS if the URL requires it.
    Connected,
    /// RTMP's handshake is complete.
    Handshaken,
    /// `publish` was sent, and the media of the stream follow.
    Sending,
    /// The target answered that it accepts the stream.
    Published,
    /// The target asks for credentials; the next connect will send them. The old connection must still be closed.
    Challenged,
    /// The look-up or the connection failed, or the target refused the stream. [`Output::Abort`] closes a connection
    /// that is still open.
    Failed(LastError),
    /// Time has passed. The owner sends this event several times per second, and at least once per second.
    Tick {
        /// Bytes of the stream received so far.
        bytes_in: u64,
        /// Bytes that the target is known to have received over this connection.
        bytes_out: u64,
    },
}

/// An action for the owner of the connection. The owner executes actions in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Resolve the host. An IP address needs no look-up: the owner immediately passes `Resolved(1)` or a failure.
    Resolve,
    /// Connect to the address of this number, counted from 0 in the order of the look-up.
    Connect(usize),
    /// Close the connection or cancel the look-up immediately, if there is still one.
    Abort,
    /// Send `FCUnpublish` and `deleteStream`, close the connection, then pass the end as a failure.
    Leave,
    /// The state has changed: report it in the event `target.state` and in the list of targets.
    Changed(PushState),
}

/// The state of the push of one stream to one target.
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

/// A connection on which the target has not yet accepted the stream.
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
    /// Media are sent, and the target has not answered `publish`.
    Unanswered(Taking),
}

/// The progress of a target that has not answered `publish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taking {
    since: u64,
    bytes_out: Option<u64>,
    grown_at: Option<u64>,
}

/// The traffic of a live connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flow {
    bytes_in: u64,
    bytes_out: u64,
    /// The time since which there is data to send and the target reads nothing.
    stalled_since: Option<u64>,
}

impl Machine {
    /// Returns a machine in the state `Off`. The seed must be random, so that many targets on one dead server are not
    /// tried simultaneously.
    pub fn new(now: u64, seed: u64) -> Machine {
        Machine { phase: Phase::Off, since: now, failures: 0, reconnects: 0, last_error: None, random: seed }
    }

    /// Returns the state.
    pub fn state(&self) -> PushState {
        match self.phase {
            Phase::Off | Phase::Leaving { .. } => PushState::Off,
            Phase::Resolving { .. } | Phase::Dialing(_) => PushState::Connecting,
            Phase::Live(_) => PushState::Live,
            Phase::Waiting { .. } => PushState::Waiting,
        }
    }

    /// Returns the time of the last change of state.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Returns the time until the next try, in milliseconds, if the machine waits for one.
    pub fn retry_in_ms(&self, now: u64) -> Option<u64> {
        match self.phase {
            Phase::Waiting { until } => Some(until.saturating_sub(now)),
            _ => None,
        }
    }

    /// Returns the number of retries.
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Returns the reason of the last failure. It stays when a later try succeeds.
    pub fn last_error(&self) -> Option<&LastError> {
        self.last_error.as_ref()
    }

    /// Returns whether the machine has nothing left to do, so that the owner may drop it.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Off
    }

    /// Handles an event. An event that does not fit the state changes nothing.
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

    /// Handles the close of a connection after [`Output::Leave`].
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

    /// Returns the error of the step that took too long.
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

    /// Returns whether the target has read the stream for long enough without an answer.
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
