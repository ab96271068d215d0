//! Lines for nginx's error log.

use std::{fmt::Arguments, sync::OnceLock};

use nginx_sys::{
    NGX_LOG_CRIT, NGX_LOG_EMERG, NGX_LOG_ERR, NGX_LOG_INFO, NGX_LOG_NOTICE, NGX_LOG_WARN, ngx_log_t,
};
use ngx::log::{LOG_BUFFER_SIZE, log_error, write_fmt};

use crate::local;

/// Severity, in nginx's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// nginx cannot start or reload.
    Emergency,
    /// A defect, or something the admin must see.
    Critical,
    /// A client was refused.
    Error,
    /// Something will go wrong later.
    Warning,
    /// A normal event that is worth knowing.
    Notice,
    /// A detail.
    Info,
}

impl Level {
    pub(super) fn number(self) -> usize {
        (match self {
            Level::Emergency => NGX_LOG_EMERG,
            Level::Critical => NGX_LOG_CRIT,
            Level::Error => NGX_LOG_ERR,
            Level::Warning => NGX_LOG_WARN,
            Level::Notice => NGX_LOG_NOTICE,
            Level::Info => NGX_LOG_INFO,
        }) as usize
    }
}

static NAME: OnceLock<&'static str> = OnceLock::new();

/// Sets the name that the module's own lines begin with.
pub(super) fn set_name(name: &'static str) {
    let _ = NAME.set(name);
}

/// Like [`cycle`], with the module's name before the text.
pub(super) fn named(level: Level, message: Arguments<'_>) {
    cycle(level, format_args!("{}: {message}", name()));
}

pub(super) fn name() -> &'static str {
    NAME.get().copied().unwrap_or_default()
}

local! {
    /// Whether the line that is being written is the module's own. The module has already counted its own lines.
    static OWN: bool = false;
}

/// Marks the lines that `write` writes as the module's own, in the log of a client's connection.
pub(super) fn own(write: impl FnOnce()) {
    let before = OWN.with(|own| std::mem::replace(own, true));
    write();
    OWN.with(|own| *own = before);
}

/// Returns whether the line that is being written is the module's own.
pub(super) fn is_own() -> bool {
    OWN.with(|own| *own)
}

/// Writes to the log of the running configuration.
pub fn cycle(level: Level, message: Arguments<'_>) {
    // SAFETY: nginx sets ngx_cycle before it loads any module, and its log lives as long as the cycle.
    unsafe {
        if let Some(cycle) = nginx_sys::ngx_cycle.as_ref() {
            to(cycle.log, level, message);
        }
    }
}

/// Writes to a log of nginx.
///
/// # Safety
///
/// `log` is null or valid.
pub(super) unsafe fn to(log: *mut ngx_log_t, level: Level, message: Arguments<'_>) {
    // SAFETY: checked for null here, valid by contract.
    unsafe {
        // While nginx starts, it also shows warnings and worse on the terminal, whatever level the log has.
        if log.is_null() || ((*log).log_level < level.number() && level.number() > Level::Warning.number()) {
            return;
        }
        let mut buffer = [const { std::mem::MaybeUninit::<u8>::uninit() }; LOG_BUFFER_SIZE];
        log_error(level.number(), log, 0, write_fmt(&mut buffer, message));
    }
}
