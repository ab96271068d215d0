//! The interface to any provider.

use super::error::CloudError;
use super::hetzner::Hetzner;
use super::plan;
use super::price::Price;
use super::program::Program;
use super::server::{Order, Server};
use crate::config::fleet::{Fleet, Provider};

/// The provider of an event's file.
#[derive(Debug)]
pub(crate) enum Cloud {
    /// Hetzner Cloud.
    Hetzner(Hetzner),
    /// A program of the administrator.
    Program(Program),
}

impl Cloud {
    /// Returns the provider of an event.
    ///
    /// # Errors
    ///
    /// [`CloudError::NoToken`].
    pub(crate) fn open(fleet: &Fleet) -> Result<Self, CloudError> {
        Ok(match &fleet.provider {
            Provider::Hetzner { timeout } => Self::Hetzner(Hetzner::open(fleet, *timeout)?),
            Provider::Command { run, timeout } => Self::Program(Program::new(fleet, run.clone(), *timeout)),
        })
    }

    /// Returns all servers that have the event's label and a name of the event. Other servers are ignored.
    pub(crate) async fn list(&self, fleet: &Fleet) -> Result<Vec<Server>, CloudError> {
        let mut all = match self {
            Self::Hetzner(hetzner) => hetzner.list().await?,
            Self::Program(program) => program.list().await?,
        };
        all.retain(|server| plan::nth(fleet, &server.name).is_some());
        all.sort_by_key(|server| plan::nth(fleet, &server.name));
        Ok(all)
    }

    /// Returns the price of one server.
    pub(crate) async fn price(&self) -> Result<Price, CloudError> {
        match self {
            Self::Hetzner(hetzner) => hetzner.price().await,
            Self::Program(program) => program.price().await,
        }
    }

    /// Creates a server, or returns the existing server with this name and label.
    ///
    /// # Errors
    ///
    /// [`CloudError::Taken`]: another resource has this name.
    pub(crate) async fn create(&self, fleet: &Fleet, order: &Order) -> Result<Server, CloudError> {
        match self {
            Self::Hetzner(hetzner) => hetzner.create(fleet, order).await,
            Self::Program(program) => program.create(fleet, order).await,
        }
    }

    /// Deletes a server. A server that does not exist counts as deleted.
    pub(crate) async fn delete(&self, server: &Server) -> Result<(), CloudError> {
        match self {
            Self::Hetzner(hetzner) => hetzner.delete(server).await,
            Self::Program(program) => program.delete(server).await,
        }
    }

    /// Deletes all other resources with the event's label.
    pub(crate) async fn tidy(&self) -> Result<(), CloudError> {
        match self {
            Self::Hetzner(hetzner) => hetzner.tidy().await,
            Self::Program(_) => Ok(()),
        }
    }
}
