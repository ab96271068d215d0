//! What a module is to the fence: its types, and a trait for each kind of callback.
//!
//! A module implements all of them for one type of its own, and hands that to [`export!`](crate::export!). Every call
//! is resolved at compile time.

pub use super::{
    client::{Admission, Ask, Commands, ConnectFlow, PlayFlow, PublishFlow},
    connections::Connections,
    cycle::Configuration,
    disk::Files,
    gate::Gate,
    incoming::{Incoming, Passage},
    merge::Players,
    push::{Answered, Targets},
    request::Requests,
    timer::Worker,
    types::{Tables, Types},
    zone::ZoneOwner,
};

/// All that a module is.
pub trait Module:
    Tables
    + Configuration
    + ZoneOwner
    + Files
    + Worker
    + Connections
    + Commands
    + Incoming
    + Players
    + Targets
    + Requests
    + Gate
{
}

impl<M> Module for M where
    M: Tables
        + Configuration
        + ZoneOwner
        + Files
        + Worker
        + Connections
        + Commands
        + Incoming
        + Players
        + Targets
        + Requests
        + Gate
{
}
