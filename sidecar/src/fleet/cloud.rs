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

/// The servers with the event's label.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Servers with a name of the event, in the order of their numbers.
    pub edges: Vec<Server>,
    /// Servers with another name, which somebody has renamed. They cost money, but Weir does not know which edges they are.
    pub renamed: Vec<Server>,
}

impl Listed {
    fn new(fleet: &Fleet, all: Vec<Server>) -> Self {
        let is_edge = |server: &Server| plan::nth(fleet, &server.name).is_some();
        let (mut edges, mut renamed): (Vec<Server>, Vec<Server>) = all.into_iter().partition(is_edge);
        edges.sort_by_key(|server| plan::nth(fleet, &server.name));
        renamed.sort_by(|one, other| one.name.cmp(&other.name));
        Self { edges, renamed }
    }

    /// Returns whether there is no server.
    pub(crate) fn is_empty(&self) -> bool {
        self.edges.is_empty() && self.renamed.is_empty()
    }

    /// Returns all servers.
    pub(crate) fn all(self) -> Vec<Server> {
        [self.edges, self.renamed].concat()
    }
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

    /// Returns all servers that have the event's label. Other servers are ignored.
    pub(crate) async fn list(&self, fleet: &Fleet) -> Result<Listed, CloudError> {
        let all = match self {
            Self::Hetzner(hetzner) => hetzner.list().await?,
            Self::Program(program) => program.list().await?,
        };
        Ok(Listed::new(fleet, all))
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
