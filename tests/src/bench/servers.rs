//! What is compared: stock servers, and one with Weir's module and 10,000 keys.

use crate::harness::nginx::Config;
use crate::harness::{Nginx, keys};

/// Keys in the zone.
pub(super) const KEYS: u64 = 10_000;

/// A server, and what to publish there.
pub(super) struct Server {
    /// What the table calls it.
    pub name: &'static str,
    /// It.
    pub nginx: Nginx,
    names: fn(u64) -> String,
    count: u64,
    /// What it asks.
    behind: Option<Nginx>,
}

impl Server {
    fn new(name: &'static str, config: Config) -> Self {
        Self { name, nginx: config.start(), names: |nth| format!("show-{nth}"), count: 0, behind: None }
    }

    /// nginx-rtmp alone.
    pub(super) fn stock(name: &'static str) -> Self {
        Self::new(name, Config::stock().app("live", ""))
    }

    /// nginx-rtmp that asks an nginx, which always says yes.
    pub(super) fn on_publish() -> Self {
        let behind = Config::stock().http("location / { return 200; }").start();
        let config = Config::stock().app("live", &format!("on_publish {};", behind.url("/")));
        Self { behind: Some(behind), ..Self::new("nginx-rtmp, on_publish to an nginx", config) }
    }

    /// With the module, and keys that are all different.
    pub(super) fn weir() -> Self {
        Self::of_keys("weir_publish key, 10000 keys", Self::with_keys())
    }

    pub(super) fn with_keys() -> Config {
        Config::weir()
            .main("weir_zone 4m state=@DIR@/state;")
            .app("live", "weir_publish key;")
            .file("state", keys::state(KEYS))
    }

    /// A server of [`Self::with_keys`].
    pub(super) fn of_keys(name: &'static str, config: Config) -> Self {
        Self { names: |nth| keys::secret(nth).expose().to_owned(), ..Self::new(name, config) }
    }

    /// With the module, which only watches.
    pub(super) fn weir_off() -> Self {
        Self::new("weir_publish off", Config::weir().main("weir_zone 4m;").app("live", ""))
    }

    /// What to publish next: never the same twice in a row, so that nobody waits for a stream to end.
    pub(super) fn next_name(&mut self) -> String {
        self.count += 1;
        (self.names)(self.count * 7919 % KEYS)
    }

    /// Every nginx that it is made of.
    pub(super) fn all(&self) -> impl Iterator<Item = &Nginx> {
        [Some(&self.nginx), self.behind.as_ref()].into_iter().flatten()
    }
}
