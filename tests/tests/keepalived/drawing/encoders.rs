//! Encoders that connect again when their connection ends, as OBS does.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use weir_tests::harness::{Outcome, Publisher, until_ok};

const RETRY: Duration = Duration::from_millis(500);

/// Running encoders. When dropped, they stop.
pub(super) struct Encoders {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Encoders {
    /// Starts an encoder for each key. Call it in the namespace of the encoders.
    pub(super) fn start(server: Ipv4Addr, keys: Vec<String>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let encoder = |key: String| {
            let stop = stop.clone();
            thread::spawn(move || publish(SocketAddr::from((server, 1935)), &key, &stop))
        };
        let threads = keys.into_iter().map(encoder).collect();
        Self { stop, threads }
    }

    pub(super) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn publish(server: SocketAddr, key: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let publisher = Publisher::to(server.port(), &format!("live/{key}")).at(server).tolerant().start();
        if until_ok(5.0, || publisher.answer()) == Some(Outcome::Started) {
            let _ = until_ok(f64::from(u32::MAX), || publisher.is_closed() || stop.load(Ordering::Relaxed));
        }
        drop(publisher);
        thread::sleep(RETRY);
    }
}
