//! The compared servers: stock servers, and one with Weir's module and 10,000 keys.

use crate::harness::nginx::Config;
use crate::harness::{Nginx, keys};

/// Keys in the zone.
pub(super) const KEYS: u64 = 10_000;

/// A server, and the names to publish there.
pub(super) struct Server {
    /// Its name in the table.
    pub name: &'static str,
    /// The nginx.
    pub nginx: Nginx,
    names: fn(u64) -> String,
    count: u64,
    /// The server that it asks.
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

    /// nginx-rtmp that asks an nginx, which accepts every publish.
    pub(super) fn on_publish() -> Self {
        let behind = Config::stock().http("location / { return 200; }").start();
        let config = Config::stock().app("live", &format!("on_publish {};", behind.url("/")));
        Self { behind: Some(behind), ..Self::new("nginx-rtmp, on_publish to an nginx", config) }
    }

    /// The module, with keys that are all different.
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

    /// The module, which only observes.
    pub(super) fn weir_off() -> Self {
        Self::new("weir_publish off", Config::weir().main("weir_zone 4m;").app("live", ""))
    }

    /// Returns the next name to publish: never the same twice in a row, so that no publish waits for the end of a
    /// stream.
    pub(super) fn next_name(&mut self) -> String {
        self.count += 1;
        (self.names)(self.count * 7919 % KEYS)
    }

    /// Returns every nginx that it consists of.
    pub(super) fn all(&self) -> impl Iterator<Item = &Nginx> {
        [Some(&self.nginx), self.behind.as_ref()].into_iter().flatten()
    }
}
