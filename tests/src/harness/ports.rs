//! Ports that no other test has.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

/// The start of the range, below the kernel's ports for outgoing connections.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that belongs to this test while the value exists: other tests see the lock on its file.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Each process starts at another port.
        let begin = (std::process::id() as u16).wrapping_mul(97) % COUNT;
        for _ in 0..COUNT {
            let number = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            if let Some(port) = Self::try_reserve(number) {
                return port;
            }
        }
        panic!("no free port from {FIRST} on");
    }

    fn try_reserve(number: u16) -> Option<Self> {
        let folder = shared_folder().join("ports");
        std::fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join(number.to_string())).unwrap();
        lock.try_lock().ok()?;
        TcpListener::bind(("0.0.0.0", number)).ok()?;
        Some(Self { number, _lock: lock })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// The folder that the tests of this user share.
pub fn shared_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("weir-tests-{}", nix::unistd::getuid()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
