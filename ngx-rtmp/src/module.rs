//! The parts of a module: its types, and a trait for each kind of callback.
//!
//! A module implements all these traits for one type of its own, and passes this type to [`export!`](crate::export!). The compiler resolves
//! every call.

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

/// All traits of a module.
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
