//! Measures the load of this machine: load per core and network egress, from Linux's `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use tokio::time::Instant;

/// Limits between the steps of the load per core.
pub(crate) const LOADS: [f64; 3] = [0.3, 0.5, 0.8];
/// Shortest time between two measurements, in seconds. A shorter time would measure single packets.
const LEAST: f64 = 0.5;

/// Load of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Busy {
    /// Load average of the last minute, per core.
    pub load: f64,
    /// Number of cores.
    pub cores: usize,
    /// Network egress in bit/s.
    pub egress: u64,
}

/// Measures between two calls.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Option<(Instant, u64, Busy)>>);

impl Meter {
    /// Returns the current load. The egress is the mean since the last call, and 0 at the first call.
    pub(crate) fn look(&self) -> Busy {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((at, _, busy)) = *last
            && (now - at).as_secs_f64() < LEAST
        {
            return busy;
        }
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cores = available_parallelism().map_or(1, usize::from);
        let bytes = sent(&text("/proc/net/dev"), &outward(&text("/proc/net/route")));
        let egress = match *last {
            Some((at, before, _)) => {
                (bytes.saturating_sub(before) as f64 * 8.0 / (now - at).as_secs_f64()) as u64
            }
            None => 0,
        };
        let busy = Busy { load: load(&text("/proc/loadavg")) / cores as f64, cores, egress };
        *last = Some((now, bytes, busy));
        busy
    }
}

/// Returns the load averages of the last 1, 5 and 15 minutes, and the number of cores.
pub(crate) fn load_averages() -> (Vec<f64>, usize) {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages = text.split(' ').take(3).filter_map(|number| number.parse().ok());
    (averages.collect(), available_parallelism().map_or(1, usize::from))
}

/// Returns another clock minus this machine's, in milliseconds.
pub(crate) fn skew(theirs: u64, mine: u64) -> i64 {
    i64::try_from(i128::from(theirs) - i128::from(mine)).unwrap_or_default()
}

/// Returns the load average of the last minute.
fn load(loadavg: &str) -> f64 {
    loadavg.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Returns the interfaces with a default route. Traffic of bridges and containers passes through them again.
fn outward(route: &str) -> BTreeSet<String> {
    let default = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, destination) = (words.next()?, words.next()?);
        (destination == "00000000").then(|| name.to_owned())
    };
    route.lines().filter_map(default).collect()
}

/// Returns the bytes sent over these interfaces, or over all interfaces but loopback if the set is empty.
fn sent(dev: &str, outward: &BTreeSet<String>) -> u64 {
    let counts = dev.lines().filter_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        let name = name.trim();
        let counts = if outward.is_empty() { name != "lo" } else { outward.contains(name) };
        // The count of sent bytes is the ninth number (proc_net(5)).
        counts.then(|| numbers.split_whitespace().nth(8)?.parse::<u64>().ok())?
    });
    counts.sum()
}

/// Returns a word that viewers understand, for a load per core or a share of the bandwidth.
pub(crate) fn word(load: f64) -> &'static str {
    let [light, medium, heavy] = LOADS;
    if load < light {
        "relaxed"
    } else if load < medium {
        "normal"
    } else if load < heavy {
        "busy"
    } else {
        "overloaded"
    }
}

/// Returns a sentence about the worse of load and egress.
pub(crate) fn sentence(load: f64, share: f64) -> &'static str {
    match word(load.max(share)) {
        "relaxed" => "This server has plenty of free capacity.",
        "normal" => "This server is in normal use.",
        "busy" => "This server is busy. The stream may pause now and then.",
        _ => "This server is overloaded. Another server is the better choice.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0
  eth0: 5000 9 0 0 0 0 0 0 7000 9 0 0 0 0 0 0
docker0: 10 1 0 0 0 0 0 0 300 1 0 0 0 0 0 0
";

    #[test]
    fn what_linux_counts_is_read() {
        let route = "Iface\tDestination\tGateway\neth0\t00000000\t0100000A\ndocker0\t000011AC\t00000000\n";
        assert_eq!(sent(DEV, &outward(route)), 7000);
        assert_eq!(sent(DEV, &outward("")), 7300);
        assert_eq!(sent("", &outward("")), 0);
        assert!((load("0.52 0.58 0.59 1/467 12345\n") - 0.52).abs() < 1e-9);
        assert_eq!([0.0, 0.3, 0.5, 0.8].map(word), ["relaxed", "normal", "busy", "overloaded"]);
        assert!(sentence(0.1, 0.9).contains("overloaded") && sentence(0.1, 0.2).contains("plenty"));
        assert!(Meter::default().look().cores > 0);
    }
}
