//! What a module does with its zone.

use std::{fmt::Display, io};

use super::memory::Memory;
use crate::{log, types::Types};

/// The module's part of the shared memory.
pub trait ZoneOwner: Types {
    /// The errors of a zone.
    type ZoneError: Display;
    /// Returns whether a zone of this many bytes is large enough.
    fn fits(bytes: usize) -> bool;
    /// Begins a zone in memory that is all zeros; `size` is the configured size, of which the module has `bytes`.
    fn lay_out(memory: &Memory, size: usize, bytes: usize) -> Result<(), Self::ZoneError>;
    /// Called when the zone is mapped; `fresh` says that nothing has used it. `user` is the user and group of the workers, `None` if they
    /// keep the master's. Returns warnings. After an error the configuration does not take effect.
    fn prepare(
        memory: &Memory,
        main: &mut Self::Main,
        fresh: bool,
        user: Option<(u32, u32)>,
    ) -> Result<Vec<String>, Self::ZoneError>;
    /// Returns the log line for a message about the zone.
    fn about_zone(main: &Self::Main, message: &str) -> String;
    /// Returns the error for a zone whose size differs from the running zone, which has `bytes`.
    fn other_size(bytes: usize) -> String;
    /// Why the module does not use the zone of another master.
    type Unfit: Display;
    /// Describes a zone for the next master of an upgrade, in at most 4096 bytes. `pool` identifies the form of nginx's slab pool.
    fn describe(address: usize, size: usize, pool: u64) -> Vec<u8>;
    /// Reads such a description, perhaps of another version of the module. Returns the address of the zone.
    fn read_description(bytes: &[u8], size: usize, pool: u64) -> Result<usize, Self::Unfit>;
    /// Checks whether the content of a zone that another master laid out fits the configuration. `None` means that nginx's notes in the
    /// zone are damaged.
    fn check_inherited(memory: Option<&Memory>, main: &Self::Main, size: usize) -> Result<(), Self::Unfit>;
}

/// Why a zone cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable<E> {
    /// The zone is too small.
    #[error("the zone is too small")]
    TooSmall,
    /// The zone has no layout yet.
    #[error("the zone has not been laid out")]
    NotLaidOut,
    /// Another mapping took the address of the zone.
    #[error("the zone cannot be mapped again: {0}")]
    Unmapped(io::Error),
    /// An error of the module.
    #[error("{0}")]
    Module(E),
}

/// A line for the log.
pub(super) type Line = (log::Level, String);
