//! What is compared: stock servers, and one with Weir's module and 10,000 keys.

use weir_model::key::KeySecret;
use weir_model::{KeyId, Secret, State, StreamKey, Timestamp, secret};

use crate::harness::Nginx;
use crate::harness::nginx::Config;

/// Keys in the zone.
pub const KEYS: u64 = 10_000;

/// A server, and what to publish there.
pub struct Server {
    /// What the table calls it.
    pub name: &'static str,
    /// It.
    pub nginx: Nginx,
    names: fn(u64) -> String,
    count: u64,
    /// What it asks.
    _behind: Option<Nginx>,
}

impl Server {
    fn new(name: &'static str, config: Config) -> Self {
        Self { name, nginx: config.start(), names: |nth| format!("show-{nth}"), count: 0, _behind: None }
    }

    /// nginx-rtmp alone.
    pub fn stock(name: &'static str) -> Self {
        Self::new(name, Config::stock().app("live", ""))
    }

    /// nginx-rtmp that asks an nginx, which always says yes.
    pub fn on_publish() -> Self {
        let behind = Config::stock().http("location / { return 200; }").start();
        let config = Config::stock().app("live", &format!("on_publish {};", behind.url("/")));
        Self { _behind: Some(behind), ..Self::new("nginx-rtmp, on_publish to an nginx", config) }
    }

    /// With the module, and keys that are all different.
    pub fn weir() -> Self {
        let config = Config::weir()
            .main("weir_zone 4m state=@DIR@/state;")
            .app("live", "weir_publish key;")
            .file("state", state().encode());
        Self {
            names: |nth| key(nth).expose().to_owned(),
            ..Self::new("weir_publish key, 10000 keys", config)
        }
    }

    /// With the module, which only watches.
    pub fn weir_off() -> Self {
        Self::new("weir_publish off", Config::weir().main("weir_zone 4m;").app("live", ""))
    }

    /// What to publish next: never the same twice in a row, so that nobody waits for a stream to end.
    pub fn next_name(&mut self) -> String {
        self.count += 1;
        (self.names)(self.count * 7919 % KEYS)
    }

    /// Puts its processes on one core.
    pub fn pin(&self, core: usize) {
        for nginx in [Some(&self.nginx), self._behind.as_ref()].into_iter().flatten() {
            super::pin(nginx.master().0, core);
            nginx.workers().iter().for_each(|worker| super::pin(worker.0, core));
        }
    }
}

/// The secret of key number `id`.
fn key(id: u64) -> Secret {
    let mut random = [7; 20];
    random[..8].copy_from_slice(&id.to_le_bytes());
    secret::stream_key(random)
}

fn state() -> State {
    let keys = (0..KEYS).map(|id| StreamKey {
        id: KeyId(id),
        app: "live".parse().unwrap(),
        stream: format!("show-{id}").parse().unwrap(),
        note: String::new(),
        created_at: Timestamp::from_millis(1_795_197_600_000),
        publish_from: Vec::new(),
        secrets: vec![KeySecret { digest: key(id).digest(), expires_at: None }],
    });
    State { generation: 1, keys: keys.collect(), targets: Vec::new() }
}
