//! Notifications for systemd. They have no effect without systemd.

use std::time::Duration;

use sd_notify::NotifyState;

/// Reports that the start or a reload is complete.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Reports that a reload has begun.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Reports that the shutdown has begun.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Reports that the main loop is running.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Returns how often [`alive`] must be called: twice as often as systemd requires.
pub(crate) fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled()
        .map_or(Duration::from_secs(10), |limit| limit / 2)
        .max(Duration::from_millis(10))
}

fn tell(state: &[NotifyState<'_>]) {
    // A failed notification can be reported to nobody.
    let _ = sd_notify::notify(state);
}
