//! What systemd is told; nothing where there is no systemd.

use std::time::Duration;

use sd_notify::NotifyState;

/// Everything is set up, or set up again.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The end has begun.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The main loop comes round.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be said: twice as often as systemd asks for.
pub(crate) fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled()
        .map_or(Duration::from_secs(10), |limit| limit / 2)
        .max(Duration::from_millis(10))
}

fn tell(state: &[NotifyState<'_>]) {
    // Nobody can be told that nobody can be told.
    let _ = sd_notify::notify(state);
}
